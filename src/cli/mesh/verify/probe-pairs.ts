// SPDX-License-Identifier: Apache-2.0
// One ordered pair: asked as an application asks, and looked at from below where that fails.

import { PROXY_CONTAINER } from '../../../injector/proxy-container.ts';
import type { KubeClient } from '../../../kube/client.ts';
import { clusterOf } from '../../../model/networks.ts';
import type { ClusterSight, PairSight } from './evidence.ts';
import { TLS_PORT } from './observe-cluster.ts';
import type { Answer, Door, DoorSight, ProxySight, Question } from './probe/wire.ts';
import { globalHost, POD_PORT, PROBE_CONTAINER, PROBE_PORT, type ProbeTarget, serviceHost } from './probe-objects.ts';
import { runProbe } from './run-probe.ts';
import { judgePair } from './verdict.ts';

const EXEC_MS = 15_000;
/** Of the gateway behind which a control plane serves other clusters' proxies. */
export const PILOT_PORT = 15_011;

export interface PairPlan {
  readonly from: ClusterSight;
  readonly to: ClusterSight;
  /** The one whose control plane rules `from`. */
  readonly plane: ClusterSight | undefined;
  readonly model: PairSight['model'];
  readonly target: ProbeTarget;
  readonly caller: string;
  readonly namespace: string;
  /** Its virtual address, where a ServiceEntry gives it one. */
  readonly address: string | undefined;
  readonly patienceMs: number;
}

export async function probePair(plan: PairPlan, client: KubeClient): Promise<PairSight> {
  const { from, to, model, namespace, target } = plan;
  const name = model === 'served' ? serviceHost : globalHost;
  const host = name(target.service, namespace);
  // Names below .global are nobody's to resolve in a cluster that another one's control plane rules.
  const byName = model === 'served' || from.names !== undefined;
  const pair = { from: from.name, to: to.name, model, host, byName, caller: plan.caller };
  const skipped = whyNot(plan);
  if (skipped !== undefined) return { ...pair, skipped };
  const question: Question = {
    host,
    port: PROBE_PORT,
    byName: pair.byName,
    patienceMs: plan.patienceMs,
    ...(plan.address !== undefined && { address: plan.address }),
  };
  const run = (container: string, args: readonly string[], timeoutMs = EXEC_MS) =>
    runProbe(client, { namespace, container }, args, timeoutMs);
  const startedMs = Date.now();
  let answer: Answer;
  try {
    const args = ['ask', JSON.stringify(question), to.name];
    answer = (await run(PROBE_CONTAINER, args, plan.patienceMs + EXEC_MS)) as Answer;
  } catch (error) {
    return { ...pair, skipped: `the probe in ${from.name} could not be told to ask: ${(error as Error).message}` };
  }
  const asked: PairSight = { ...pair, answer, podAheadMs: aheadOf(answer.podMs, startedMs, Date.now()) };
  if (judgePair(asked).ok) return asked;
  const door = doorOf(plan, host);
  const [proxy, sight] = await Promise.all([
    run(PROXY_CONTAINER, ['proxy', `outbound|${PROBE_PORT}||${host}`]).catch(() => undefined),
    door && run(PROBE_CONTAINER, ['examine', JSON.stringify(door)]).catch(() => undefined),
  ]);
  return {
    ...asked,
    ...(proxy !== undefined && { proxy: proxy as ProxySight }),
    ...(sight !== undefined && { door: sight as DoorSight }),
  };
}

/** From the container of the proxy, whose connections nothing redirects: what its own stream meets. */
export async function examinePilot(
  { role, pilotAt: [address] }: ClusterSight,
  client: KubeClient,
  { namespace }: Pick<PairPlan, 'namespace'>,
): Promise<DoorSight | undefined> {
  if (role !== 'remote' || address === undefined) return undefined;
  const door: Door = { address, port: PILOT_PORT, sni: 'istio-pilot.istio-system.svc', otherPorts: [TLS_PORT] };
  const where = { namespace, container: PROXY_CONTAINER };
  try {
    return (await runProbe(client, where, ['examine', JSON.stringify(door)], EXEC_MS)) as DoorSight;
  } catch {
    return undefined;
  }
}

function whyNot({ from, to, model, address, plane }: PairPlan): string | undefined {
  for (const { name, unreachable, probe } of [from, to]) {
    if (unreachable !== undefined) return `${name} cannot be asked`;
    if (probe.refused !== undefined) return `there is no probe in ${name}`;
    if (!probe.ready) return `the probe in ${name} is not ready`;
  }
  if (model === 'own-plane' && address === undefined) {
    return plane?.entryRefused === undefined
      ? `no address of ${to.name}’s gateway is known`
      : `no name for it could be made: ${plane.entryRefused}`;
  }
  return undefined;
}

/** 0 where it may be the same: it was read some time between the two. */
function aheadOf(podMs: number, startedMs: number, endedMs: number): number {
  return podMs < startedMs ? podMs - startedMs : Math.max(podMs - endedMs, 0);
}

/** Where the caller's proxy has to dial for this pair. */
export function doorOf({ from, to, plane, model }: PairPlan, host: string): Door | undefined {
  const sni = `outbound_.${PROBE_PORT}_._.${host}`;
  const { gateway } = to;
  const numbers = gateway?.ports.map(({ number }) => number).filter((port) => port !== TLS_PORT) ?? [];
  const isBalancer = gateway?.addresses[0] !== undefined && gateway.addresses[0] === gateway.door?.address;
  const own = gateway?.door && { ...gateway.door, sni, otherPorts: isBalancer ? numbers : [] };
  if (model === 'own-plane') return own;
  const networks = Object.entries(plane?.networks ?? {});
  const meshName = to.meshName ?? to.name;
  const planeName = plane?.meshName ?? plane?.name ?? '';
  const [, network] =
    networks.find(([name]) => name === to.probe.network) ??
    networks.find(([, { endpoints }]) =>
      endpoints.some((entry) => entry.kind === 'registry' && clusterOf(entry.name, planeName) === meshName),
    ) ??
    [];
  const first = network?.gateways[0];
  if (first?.kind === 'address') {
    const otherPorts =
      first.address === own?.address ? [...numbers, TLS_PORT].filter((port) => port !== first.port) : [];
    return { address: first.address, port: first.port, sni, otherPorts };
  }
  if (first !== undefined) return own;
  const { address } = to.probe;
  return from === to || address === undefined ? undefined : { address, port: POD_PORT, sni, otherPorts: [] };
}

/** Ports at which gateways and pods are dialled past the sidecar. */
export function doorPorts(clusters: readonly Pick<ClusterSight, 'gateway' | 'networks'>[]): number[] {
  return clusters.flatMap(({ gateway, networks }) => [
    ...(gateway?.ports.map(({ number }) => number) ?? []),
    ...(gateway?.door === undefined ? [] : [gateway.door.port]),
    ...Object.values(networks ?? {}).flatMap(({ gateways }) => gateways.map(({ port }) => port)),
  ]);
}
