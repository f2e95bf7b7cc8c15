// SPDX-License-Identifier: Apache-2.0
// The probes are exported as any service may be: what a cluster then has of them without anybody writing it down.
import { setTimeout as sleep } from 'node:timers/promises';
import { isRecord } from '../../../api/shape.ts';
import type { KubeClient } from '../../../kube/client.ts';
import type { KubeObject } from '../../../kube/types.ts';
import type { FederationView } from '../../../runtime/federation/federation-view.ts';
import { meshType } from '../../../runtime/mesh-resources.ts';
import { askLeader, listPlanePods, runningPilots } from '../../proxies/planes.ts';
import type { ImportSight } from './evidence.ts';

const POLL_MS = 200;

/** @param hosts target -> the name that is to come. @returns target -> its address, of those that came in time */
export async function awaitImports(
  client: KubeClient,
  namespace: string,
  hosts: ReadonlyMap<string, string>,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Map<string, string>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const { items } = await client.list(meshType('ServiceEntry')!, { namespace });
    const found = new Map(
      [...hosts].flatMap(([target, host]) => {
        const address = items.flatMap((entry) => addressFor(entry, host))[0];
        return address === undefined ? [] : [[target, address] as const];
      }),
    );
    if (found.size === hosts.size || performance.now() >= deadline || signal.aborted) return found;
    await sleep(POLL_MS, undefined, { signal }).catch(() => {});
  }
}

function addressFor({ spec }: KubeObject, host: string): string[] {
  if (!isRecord(spec) || !Array.isArray(spec['hosts']) || !spec['hosts'].includes(host)) return [];
  const addresses: unknown = spec['addresses'];
  return Array.isArray(addresses) ? addresses.filter((each) => typeof each === 'string') : [];
}

/** What the control plane itself says of those that did not come. */
export async function explainLate(
  client: KubeClient,
  late: readonly { target: string; key: string }[],
): Promise<ImportSight[]> {
  const told = late.length === 0 ? undefined : await hearLeader(client);
  return late.map(({ target, key }) => {
    const peer = told?.peers.find(({ cluster }) => cluster === key);
    if (told === undefined) return { target, reported: 'no replica of the control plane says that it leads' };
    if (peer === undefined) return { target, reported: `the control plane knows no peer ${key}` };
    return { target, reported: `${key} is ${peer.state}${peer.error === undefined ? '' : `: ${peer.error}`}` };
  });
}

async function hearLeader(client: KubeClient): Promise<FederationView | undefined> {
  try {
    const pods = runningPilots(await listPlanePods(client));
    return await askLeader(client, pods);
  } catch {
    return undefined;
  }
}
