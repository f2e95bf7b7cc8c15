// SPDX-License-Identifier: Apache-2.0
// The same documents with sidecars that fetch their configuration: ISTHMUS_CONFIG_DELIVERY names the mode. It is set where a
// user would set it, in the mesh's own settings, as soon as a step has installed a control plane.
import { type ConfigDelivery, isConfigDelivery } from '../../src/api/config-delivery.ts';
import type { TestSandbox } from '../fixture/sandbox.ts';

const SETTINGS = ['-n', 'istio-system', 'configmap', 'istio'];

/** undefined: as installed. */
export function wantedDelivery(): ConfigDelivery | undefined {
  const mode = process.env['ISTHMUS_CONFIG_DELIVERY'];
  if (mode === undefined || isConfigDelivery(mode)) return mode;
  throw new Error(`ISTHMUS_CONFIG_DELIVERY: there is no mode ${mode}`);
}

export async function setDelivery(sandbox: TestSandbox, mode: ConfigDelivery): Promise<void> {
  for (const { name: context } of sandbox.status.clusters) {
    const at = ['--context', context];
    const mesh = await sandbox.kubectl(...at, 'get', ...SETTINGS, '--ignore-not-found', '-o', 'jsonpath={.data.mesh}');
    if (mesh === '' || mesh.includes(`configDelivery: ${mode}`)) continue;
    const others = mesh.split('\n').filter((line) => !line.startsWith('configDelivery:'));
    const patch = { data: { mesh: [`configDelivery: ${mode}`, ...others].join('\n') } };
    await sandbox.kubectl(...at, 'patch', ...SETTINGS, '--type=merge', '-p', JSON.stringify(patch));
  }
}

/** Pods that came with the control plane, before it was set, get it by coming anew. */
export async function restartPods(sandbox: TestSandbox): Promise<void> {
  for (const { name: context } of sandbox.status.clusters) {
    const at = ['--context', context, '-n', 'default'];
    if ((await sandbox.kubectl(...at, 'get', 'deployments', '-o', 'name')) === '') continue;
    await sandbox.kubectl(...at, 'rollout', 'restart', 'deployments');
    for (const name of (await sandbox.kubectl(...at, 'get', 'deployments', '-o', 'name')).trim().split('\n'))
      await sandbox.kubectl(...at, 'rollout', 'status', name, '--timeout=120s');
  }
}

/** Sidecars of the namespace whose bootstrap does not ask for the mode. */
export async function podsOfOtherDelivery(
  sandbox: TestSandbox,
  { context, namespace }: { context: string; namespace: string },
  mode: ConfigDelivery,
): Promise<string[]> {
  const list = await sandbox.kubectl('--context', context, '-n', namespace, 'get', 'pods', '-o', 'json');
  const { items } = JSON.parse(list) as { items: { metadata: { name: string } }[] };
  const proxies = items.map((pod) => [pod.metadata.name, JSON.stringify(pod)] as const);
  const isSidecar = (text: string): boolean => text.includes('"sidecar.istio.io/status"');
  const asked = (text: string): string => /CONFIG_DELIVERY[\\": ]+([A-Z_]+)/.exec(text)?.[1] ?? 'FULL';
  return proxies.filter(([, text]) => isSidecar(text) && asked(text) !== mode).map(([name]) => name);
}
