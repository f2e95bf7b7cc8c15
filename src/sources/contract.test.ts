// SPDX-License-Identifier: Apache-2.0
// One suite for every source.
import { mkdtempSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { KubeFixture } from '../../test/mesh/kube-fixture.ts';
import { SERVICES } from '../kube/resources.ts';
import type { KubeObject } from '../kube/types.ts';
import { identityKey, type Source, type SourceEvent, type SourceProblem } from './contract.ts';
import { FileSource } from './file.ts';
import { KubeSource } from './kube.ts';
import { MemorySource } from './memory.ts';

/** A source together with the place that it reads. */
interface Rig {
  readonly source: Source;
  put(object: KubeObject): void;
  remove(object: KubeObject): void;
  dispose(): void;
}

function service(name: string, clusterIP: string): KubeObject {
  return { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: 'default' }, spec: { clusterIP } };
}

const RIGS: readonly [name: string, make: () => Promise<Rig>][] = [
  [
    'memory',
    async () => {
      const source = new MemorySource('cluster1');
      return { source, put: (o) => source.upsert(o), remove: (o) => source.delete(o), dispose: () => {} };
    },
  ],
  [
    'files',
    async () => {
      const dir = mkdtempSync(join(tmpdir(), 'isthmus-source-'));
      const path = ({ metadata }: KubeObject) => join(dir, `${metadata.name}.yaml`);
      return {
        source: new FileSource('cluster1', dir),
        put: (o) => writeFileSync(path(o), stringify(o)),
        remove: (o) => unlinkSync(path(o)),
        dispose: () => rmSync(dir, { recursive: true, force: true }),
      };
    },
  ],
  [
    'Kubernetes',
    async () => {
      const kube = await KubeFixture.start();
      const path = '/api/v1/namespaces/default/services';
      return {
        source: new KubeSource('cluster1', kube.client(), [{ type: SERVICES }]),
        put: (o) => void kube.put(path, o),
        remove: ({ metadata }) => kube.remove(`${path}/${metadata.name}`),
        dispose: () => kube.close(),
      };
    },
  ],
];

/** What a listener would know: the objects, and how often each event came. */
class Recorder {
  readonly events: SourceEvent[] = [];
  problems: readonly SourceProblem[] = [];
  readonly state = new Map<string, unknown>();

  readonly listener = {
    events: (batch: readonly SourceEvent[]) => {
      for (const event of batch) {
        this.events.push(event);
        if (event.kind === 'upsert')
          this.state.set(identityKey(event.object), (event.object['spec'] as { clusterIP: string }).clusterIP);
        if (event.kind === 'delete') this.state.delete(identityKey(event.object));
      }
    },
    problems: (standing: readonly SourceProblem[]) => {
      this.problems = standing;
    },
  };

  count(kind: SourceEvent['kind']): number {
    return this.events.filter((event) => event.kind === kind).length;
  }

  async until(check: () => boolean): Promise<void> {
    for (let i = 0; i < 500 && !check(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(check()).toBe(true);
  }
}

describe.each(RIGS)('%s', (_, make) => {
  const cleanups: (() => void | Promise<void>)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
  });

  async function start(
    initial: readonly KubeObject[],
  ): Promise<{ rig: Rig; recorder: Recorder; stop: () => Promise<void> }> {
    const rig = await make();
    for (const object of initial) rig.put(object);
    const recorder = new Recorder();
    const ending = new AbortController();
    const running = rig.source.run(recorder.listener, ending.signal);
    const stop = async (): Promise<void> => {
      ending.abort();
      await running;
    };
    cleanups.push(rig.dispose, stop);
    await recorder.until(() => recorder.count('synced') === 1);
    return { rig, recorder, stop };
  }

  test('tells all that it has, and then that this is all', async () => {
    const { recorder } = await start([service('a', '10.0.0.1'), service('b', '10.0.0.2')]);
    expect([...recorder.state.values()].sort()).toEqual(['10.0.0.1', '10.0.0.2']);
    expect(recorder.events.at(-1)?.kind).toBe('synced');
    expect(recorder.events.every((event) => event.cluster === 'cluster1')).toBe(true);
  });

  test('an empty one syncs too', async () => {
    const { recorder } = await start([]);
    expect(recorder.events.map((event) => event.kind)).toEqual(['synced']);
  });

  test('tells what is added, what changes and what goes, once each', async () => {
    const { rig, recorder } = await start([service('a', '10.0.0.1')]);
    rig.put(service('b', '10.0.0.2'));
    await recorder.until(() => recorder.state.size === 2);
    rig.put(service('a', '10.0.0.9'));
    await recorder.until(() => recorder.state.get('/Service/default/a') === '10.0.0.9');
    rig.remove(service('b', '10.0.0.2'));
    await recorder.until(() => recorder.state.size === 1);
    expect([recorder.count('upsert'), recorder.count('delete'), recorder.count('synced')]).toEqual([3, 1, 1]);
  });

  test('a delete names the object', async () => {
    const { rig, recorder } = await start([service('a', '10.0.0.1')]);
    rig.remove(service('a', '10.0.0.1'));
    await recorder.until(() => recorder.count('delete') === 1);
    expect(recorder.events.at(-1)).toMatchObject({
      kind: 'delete',
      object: { apiVersion: 'v1', kind: 'Service', metadata: { name: 'a', namespace: 'default' } },
    });
  });

  test('is silent after its end', async () => {
    const { rig, recorder, stop } = await start([]);
    await stop();
    rig.put(service('a', '10.0.0.1'));
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(recorder.events).toHaveLength(1);
  });
});

describe('files', () => {
  const dirs: string[] = [];
  afterEach(() => {
    for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
  });

  async function start(text: string) {
    const dir = mkdtempSync(join(tmpdir(), 'isthmus-file-'));
    dirs.push(dir);
    const file = join(dir, 'mesh.yaml');
    writeFileSync(file, text);
    const source = new FileSource('cluster1', dir);
    const recorder = new Recorder();
    const ending = new AbortController();
    const running = source.run(recorder.listener, ending.signal);
    await recorder.until(() => recorder.count('synced') === 1);
    const stop = (): Promise<void> => {
      ending.abort();
      return running;
    };
    return { dir, file, source, recorder, stop };
  }

  const GOOD = stringify(service('a', '10.0.0.1'));

  test('a broken document is a problem with its line, and its neighbours stay', async () => {
    const { recorder, stop } = await start(
      `${GOOD}---\napiVersion: v1\nkind: [\n---\n${stringify(service('b', '10.0.0.2'))}`,
    );
    expect(recorder.state.size).toBe(2);
    expect(recorder.problems).toMatchObject([
      { where: expect.stringMatching(/^mesh\.yaml:(9|1\d)$/), cure: expect.any(String) },
    ]);
    await stop();
  });

  test('what breaks keeps its last good state, until it is mended', async () => {
    const { file, recorder, stop } = await start(GOOD);
    writeFileSync(file, GOOD.replace('kind:', 'kind: ['));
    await recorder.until(() => recorder.problems.length === 1);
    expect(recorder.state.get('/Service/default/a')).toBe('10.0.0.1');
    writeFileSync(file, GOOD.replace('10.0.0.1', '10.0.0.7'));
    await recorder.until(() => recorder.problems.length === 0);
    expect(recorder.state.get('/Service/default/a')).toBe('10.0.0.7');
    await stop();
  });

  test('one object in two files: the first file’s holds, and the second is a problem', async () => {
    const { dir, recorder, stop } = await start(GOOD);
    writeFileSync(join(dir, 'zz.yaml'), GOOD.replace('10.0.0.1', '10.9.9.9'));
    await recorder.until(() => recorder.problems.length === 1);
    expect(recorder.problems[0]?.message).toContain('mesh.yaml');
    expect(recorder.state.get('/Service/default/a')).toBe('10.0.0.1');
    await stop();
  });

  test('a directory that goes away takes nothing with it', async () => {
    const { dir, recorder, stop } = await start(GOOD);
    rmSync(dir, { recursive: true });
    await recorder.until(() => recorder.problems.length === 1);
    expect(recorder.state.size).toBe(1);
    await stop();
  });

  test('Lists are unfolded, hidden files are left alone, no namespace means default', async () => {
    const list = {
      apiVersion: 'v1',
      kind: 'List',
      items: [service('a', '10.0.0.1'), { ...service('b', '10.0.0.2'), metadata: { name: 'b' } }],
    };
    const { dir, recorder, stop } = await start(stringify(list));
    writeFileSync(join(dir, '.hidden.yaml'), stringify(service('c', '10.0.0.3')));
    expect([...recorder.state.keys()]).toEqual(['/Service/default/a', '/Service/default/b']);
    await stop();
  });

  test('knows the line of a field', async () => {
    const { source, recorder, stop } = await start(`# a comment\n${GOOD}`);
    const [event] = recorder.events;
    if (event?.kind !== 'upsert') throw new Error('no object');
    expect(source.locate(event.object, 'spec.clusterIP')).toEqual({ file: 'mesh.yaml', line: 8 });
    expect(event.locate?.('spec.ports[0].name')).toBe(7);
    await stop();
  });

  test('what cannot be read is named, costs no time, and takes nobody with it', async () => {
    const aliases = Array.from({ length: 30 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}, *a${i}]`).join('\n');
    const texts = {
      large: `apiVersion: v1\nkind: Service\nmetadata:\n  name: large\n# ${'x'.repeat(4 * 1024 * 1024)}\n`,
      deep: `apiVersion: v1\nkind: Service\nmetadata:\n  name: deep\nspec: ${'['.repeat(100_000)}\n`,
      aliases: `a0: &a0 [x]\n${aliases}\n`,
    };
    const { recorder, stop } = await start([GOOD, ...Object.values(texts)].join('---\n'));
    expect([...recorder.state.keys()]).toEqual(['/Service/default/a']);
    expect(recorder.problems).toMatchObject([
      { where: 'mesh.yaml:8', message: 'Service large has 5 MB, and 4 MB is the most' },
      { where: 'mesh.yaml:19', message: 'it is nested too deeply' },
      { where: 'mesh.yaml:20', message: expect.stringContaining('alias') },
    ]);
    await stop();
  });

  test('a thousand faults are told by the first fifty', async () => {
    const { recorder, stop } = await start(`${GOOD}---\n${'word\n---\n'.repeat(1000)}`);
    expect(recorder.problems).toHaveLength(51);
    expect(recorder.problems.at(-1)?.message).toBe('and 950 more like these');
    await stop();
  });

  test('a document that did not change is not read again: the very same object', async () => {
    const other = stringify(service('b', '10.0.0.2'));
    const { file, source, recorder, stop } = await start(`${GOOD}---\n${other}`);
    const before = recorder.events.map((event) => (event.kind === 'upsert' ? event.object : undefined));
    writeFileSync(file, `# a line more\n${GOOD.replace('10.0.0.1', '10.0.0.7')}---\n${other}`);
    await recorder.until(() => recorder.state.get('/Service/default/a') === '10.0.0.7');
    expect(recorder.count('upsert')).toBe(3);
    expect(source.locate(before[1]!, 'spec.clusterIP')).toEqual({ file: 'mesh.yaml', line: 16 });
    await stop();
  });
});
