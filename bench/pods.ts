// SPDX-License-Identifier: Apache-2.0
// Many pods at once: how long until all of them are ready, and what each keeps in memory.
import type { TestSandbox } from '../test/fixture/sandbox.ts';
import { processesOf, proportionalSetSizeMiB } from './processes.ts';
import { print } from './report.ts';

const PODS = 50;
const IMAGE = 'istio/examples-helloworld-v1';

/** In cluster1 of a sandbox with the mesh; leaves it as it was. */
export async function measurePods(sandbox: TestSandbox): Promise<void> {
  const plain = await startMany(sandbox, 'many-plain', false);
  print(`${PODS} pods at once, until all are ready`, `${plain.seconds.toFixed(1)} s`, '');
  print('memory per pod (PSS): a small Node program', `${plain.mibEach.toFixed(1)} MiB`, '');
  const meshed = await startMany(sandbox, 'many-meshed', true);
  print(`${PODS} pods at once, each with its sidecar`, `${meshed.seconds.toFixed(1)} s`, '');
  print('memory per pod (PSS): the same with its sidecar', `${meshed.mibEach.toFixed(1)} MiB`, '');
}

async function startMany(
  sandbox: TestSandbox,
  namespace: string,
  isMeshed: boolean,
): Promise<{ seconds: number; mibEach: number }> {
  const kubectl = (...args: string[]): Promise<string> => sandbox.kubectl('--context', 'cluster1', ...args);
  await kubectl('create', 'namespace', namespace);
  if (isMeshed) await kubectl('label', 'namespace', namespace, 'istio-injection=enabled');
  const before = memoryMiB(sandbox);
  const startedAt = performance.now();
  await kubectl('-n', namespace, 'create', 'deployment', 'many', `--image=${IMAGE}`, `--replicas=${PODS}`);
  await kubectl(
    ...['-n', namespace, 'wait', 'deployment/many', '--timeout=150s'],
    ...[`--for=jsonpath={.status.readyReplicas}=${PODS}`],
  );
  const seconds = (performance.now() - startedAt) / 1000;
  const mibEach = (memoryMiB(sandbox) - before) / PODS;
  await kubectl('delete', 'namespace', namespace, '--timeout=150s');
  return { seconds, mibEach };
}

const memoryMiB = (sandbox: TestSandbox): number => proportionalSetSizeMiB(processesOf(sandbox.dir));
