// SPDX-License-Identifier: Apache-2.0
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { splitYaml } from '../api/yaml-documents.ts';
import { readDocument } from './yaml-file.ts';

const MB = 2 ** 20;

test('what was read keeps nothing of the text', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const heap = () => {
    collect();
    collect();
    // Node keeps long strings outside of the heap.
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const read = () => {
    const name = 'a-name-that-is-long-enough';
    // Repeated, and then made one string, as the text of a file is.
    const comment = Buffer.from('# a comment of some length\n'.repeat(100_000)).toString('latin1');
    const text = Buffer.from(`kind: Service\napiVersion: v1\nmetadata:\n  name: ${name}\n---\n${comment}`).toString(
      'latin1',
    );
    return [...splitYaml(text)].slice(0, 1).map((part) => readDocument(part, ''));
  };
  read();
  const before = heap();
  const documents = Array.from({ length: 16 }, read);
  // The texts have 41 MB together.
  expect((heap() - before) / MB).toBeLessThan(15);
  expect(documents[15]?.[0]?.objects[0]?.metadata.name).toBe('a-name-that-is-long-enough');
});
