// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { comparePage, readErrata } from './errata.ts';
import { readPageLines, type Step } from './page-lines.ts';

describe('a page’s commands', () => {
  test('start with a prompt and go on by backslash and here-document; the rest is output', () => {
    const page =
      '```\n$ kubectl get pods \\\n-n x\nNAME READY\n\n```\nwords\n```\n$ cat <<EOF > f\na:\n\n- b\nEOF\nno\n```\n';
    expect(readPageLines(page, 'prompted')).toEqual([
      'kubectl get pods \\',
      '-n x',
      'cat <<EOF > f',
      'a:',
      '- b',
      'EOF',
    ]);
  });

  test('may be numbered, with the empty lines lost', () => {
    const page =
      '    • words\n    1. $ kubectl apply -f - <<EOF\n    2. a:\n    3. -\n    4. EOF\n    1. $ id\n    3. out\n';
    expect(readPageLines(page, 'prompted')).toEqual(['kubectl apply -f - <<EOF', 'a:', '-', 'EOF', 'id']);
  });

  test('may stand in one line, where line ends became spaces', () => {
    const page = 'words\n\nkubectl create ns a kubectl\u00a0get po \\   -n a\nfor x in y; do id; done\n';
    expect(readPageLines(page, 'joined')).toEqual([
      'kubectl create ns a kubectl get po \\ -n a',
      'for x in y; do id; done',
    ]);
  });
});

describe('errata', () => {
  const errata = readErrata(
    [
      "| the page's line | what runs |",
      '|---|---|',
      '| `a \\| b` | `c` |',
      '| `output` | |',
      '',
      "| the page's words | what runs |",
      '|---|---|',
      '| `-o JSONpath` | `-o jsonpath` |',
      '',
      '| the step | what runs besides |',
      '|---|---|',
      '| `1.sh` | `use x` |',
    ].join('\n'),
  );
  const step = (file: string, ...lines: string[]): Step => ({ file, script: '', lines });

  test('replace lines and words, take lines away, and list what a step has besides', () => {
    const compared = comparePage(
      '$ a | b\n$ output\n$ get -o JSONpath=x',
      'prompted',
      [step('1.sh', 'use x', 'c')],
      errata,
    );
    expect(compared).toEqual({ page: ['c', 'get -o jsonpath=x'], steps: ['c'] });
  });

  test('that match nothing are stale', () => {
    const page = '$ a | b\n$ output\n$ get -o JSONpath=x';
    expect(() => comparePage('$ a | b', 'prompted', [step('1.sh', 'use x')], errata)).toThrow(
      'not on the page: output ¶ -o JSONpath',
    );
    expect(() => comparePage(page, 'prompted', [step('2.sh', 'use x')], errata)).toThrow('in no step: 1.sh: use x');
    expect(() => readErrata('| anything | else |\n|---|---|\n| `a` | `b` |')).toThrow('below "| anything | else |"');
  });
});
