// SPDX-License-Identifier: Apache-2.0
// `isthmus mesh up` and `down` on a sandbox: a run that can be killed at a step, and what a cluster holds before and after.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { KubeClient } from '../../src/kube/client.ts';
import { loadKubeconfig } from '../../src/kube/config.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import { type Finished, root, type TestSandbox } from '../fixture/sandbox.ts';

export interface RunOptions {
  /** Called with each piece of standard error, and how to end the run. */
  readonly onStderr?: (text: string, kill: () => void) => void;
}

/** Runs `isthmus mesh ...` in a process group of its own. */
export function runMesh(
  sandbox: TestSandbox,
  args: readonly string[],
  { onStderr }: RunOptions = {},
): Promise<Finished> {
  const { promise, resolve, reject } = Promise.withResolvers<Finished>();
  const entry = join(root, 'dist/isthmus.mjs');
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', entry, 'mesh', ...args], {
    env: sandbox.env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    onStderr?.(stderr, () => child.kill('SIGKILL'));
  });
  child.on('error', reject);
  child.on('close', (code) => resolve({ code: code ?? -1, stdout, stderr }));
  return promise;
}

export function clientOf(sandbox: TestSandbox, context: string): KubeClient {
  return new KubeClient(loadKubeconfig(sandbox.status.kubeconfig, context));
}

/** Those come and go by themselves, or are the test's own. */
const RESTLESS = new Set(['Event', 'Lease', 'Node', 'NodeMetrics', 'PodMetrics', 'ComponentStatus']);

/**
 * Everything that a cluster holds, by kind and name, with what is in it; without what the applications' namespace holds, but
 * for its ConfigMaps.
 */
export async function readAll(client: KubeClient, applications: string): Promise<Map<string, string>> {
  const types = (await client.discover()).filter(
    ({ verbs, preferred, kind }) => preferred && verbs.includes('list') && !RESTLESS.has(kind),
  );
  const lists = await Promise.all(types.map(async (type) => (await client.list(type)).items));
  const objects = lists
    .flat()
    .filter(({ kind, metadata }) => metadata.namespace !== applications || kind === 'ConfigMap');
  return new Map(
    objects.map((object) => [
      `${object.apiVersion} ${object.kind} ${object.metadata.namespace ?? ''}/${object.metadata.name}`,
      contentOf(object),
    ]),
  );
}

/** Without what a server counts. */
function contentOf({ metadata, status: _status, ...rest }: KubeObject): string {
  const { labels, annotations } = metadata;
  return JSON.stringify({ labels, annotations, ...rest });
}

/** `+ name`, `- name`, `~ name` */
export function differences(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] {
  return [
    ...[...after.keys()].filter((key) => !before.has(key)).map((key) => `+ ${key}`),
    ...[...before].flatMap(([key, content]) => {
      if (!after.has(key)) return [`- ${key}`];
      return after.get(key) === content ? [] : [`~ ${key}`];
    }),
  ];
}
