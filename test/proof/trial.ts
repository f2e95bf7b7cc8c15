// SPDX-License-Identifier: Apache-2.0
// One mesh on trial: its proxies compiled, a real Envoy for each, calls sent, and what was said of each beside what was seen.
import { DecodedState } from '../../src/envoy/simulate/decoded-state.ts';
import { type Call, type Outcome, simulate } from '../../src/envoy/simulate/simulate.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import type { MeshProxy } from '../../src/model/proxy.ts';
import { CompileCache, type CompiledProxy, compileProxy } from '../../src/pipeline.ts';
import { meshProxy } from '../fixture/mesh-proxy.ts';
import { newStore, upsert } from '../fixture/mesh-store.ts';
import { disagreement, type Observation } from './agreement.ts';
import { CLIENT, GATEWAY } from './arbitrary-case.ts';
import type { ProofAuthority } from './authority.ts';
import { send } from './client.ts';
import { ASK_HEADER, type EchoServer, PAIR_HEADER } from './echo-server.ts';
import { ObservedEnvoy } from './observed-envoy.ts';
import { Dice, makeCall } from './pairs.ts';

export type ProxyName = 'sidecar' | 'gateway';

export const PROXIES: Readonly<Record<ProxyName, MeshProxy>> = {
  sidecar: meshProxy({ kind: 'sidecar', ...CLIENT, ip: '10.1.0.1' }),
  gateway: meshProxy({ kind: 'gateway', ...GATEWAY, id: 'edge', podName: 'edge' }),
};

/** Of every proxy here. */
const MESHED = 'spiffe://cluster.local/ns/alpha/sa/default';

export interface Bench {
  readonly envoyPath: string;
  readonly authority: ProofAuthority;
  readonly echo: EchoServer;
}

export interface Verdict {
  readonly proxy: ProxyName;
  readonly call: Call;
  readonly outcome: Outcome;
  readonly seen: Observation;
  /** Absent: they agree. */
  readonly fault?: string;
}

export function compile(objects: readonly KubeObject[], proxy: ProxyName): CompiledProxy {
  const { snapshot } = newStore().apply(objects.map(upsert));
  return compileProxy(snapshot, PROXIES[proxy], new CompileCache());
}

/** Bytes, and TLS that an application opens itself, to the service that rules for connections are about. */
const CONNECTIONS: readonly Call[] = [
  { direction: 'outbound', connection: { address: '10.96.1.1', port: 5432 } },
  ...['a.tls.example', 'b.tls.example', 'c.tls.example'].map((serverName): Call => {
    return { direction: 'outbound', connection: { address: '10.96.1.1', port: 8443, tls: { serverName, alpn: [] } } };
  }),
];

export interface Counts {
  readonly outbound: number;
  readonly inbound: number;
  readonly gateway: number;
}

/** Calls for a mesh; none where a proxy has nothing to be asked for. */
export function makeCalls(compiled: CompiledProxy, proxy: ProxyName, counts: Counts, seed: number): Call[] {
  const dice = new Dice(seed);
  const { outbound, gateway } = compiled.intent;
  const of = (direction: Call['direction'], count: number) =>
    Array.from({ length: count }, () => makeCall(compiled.intent, direction, dice));
  if (proxy === 'gateway') {
    const ports = [...(gateway?.httpPorts ?? []), ...(gateway?.tcpPorts ?? [])];
    return ports.length === 0 ? [] : of('gateway', counts.gateway);
  }
  const hasRoutes = [...(outbound?.httpPorts.values() ?? [])].some(({ table }) => table.hosts.size > 0);
  return [...(hasRoutes ? of('outbound', counts.outbound) : []), ...CONNECTIONS, ...of('inbound', counts.inbound)];
}

/** Some of these once more, to destinations that never answer: those that are given up in time. */
export function hangingCalls(verdicts: readonly Verdict[], count: number): Call[] {
  const calls = verdicts.flatMap(({ call, outcome, fault, seen }) => {
    const { request } = call;
    const waits = outcome.kind === 'forward' && (outcome.http?.timeoutMs ?? 0) > 0 && seen.arrivals.length > 0;
    const isPlain = request?.headers['connection'] === undefined && request?.headers['content-type'] === undefined;
    if (fault !== undefined || request === undefined || !waits || !isPlain || request.protocol === 'http/1.0')
      return [];
    if (outcome.to.some(({ upstream }) => upstream === undefined) || outcome.faults?.abort !== undefined) return [];
    return [{ ...call, request: { ...request, headers: { ...request.headers, [ASK_HEADER]: 'hang' } } }];
  });
  return calls.slice(0, count);
}

/** More handshakes than a busy machine can do within the time that a proxy gives one would fail. */
const AT_ONCE = 64;

interface TrialOptions {
  /** What is to happen, if not what these resources say. */
  readonly state?: DecodedState;
  readonly down?: readonly string[];
}

/** Copies that are certain are waited for. */
export async function tryCalls(
  bench: Bench,
  { desired, offered }: Pick<CompiledProxy, 'desired' | 'offered'>,
  proxy: ProxyName,
  calls: readonly Call[],
  { state = new DecodedState(desired, offered), down = [] }: TrialOptions = {},
): Promise<Verdict[]> {
  const envoy = await ObservedEnvoy.start(bench.envoyPath, {
    desired,
    offered,
    down,
    keys: bench.authority.keysOf(MESHED),
    echoPort: bench.echo.port,
  });
  bench.echo.forget();
  try {
    const verdicts: Verdict[] = [];
    while (verdicts.length < calls.length) {
      const next = calls.slice(verdicts.length, verdicts.length + AT_ONCE);
      const first = verdicts.length;
      const tried = next.map((call, i) => tryCall(bench, { state, envoy, proxy }, call, `pair-${first + i}`));
      verdicts.push(...(await Promise.all(tried)));
    }
    const refusals = envoy.refusals();
    if (refusals.length > 0) throw new Error(`Envoy refused ${refusals.join('; ')}`);
    return verdicts;
  } finally {
    await envoy.stop();
  }
}

interface Tried {
  readonly state: DecodedState;
  readonly envoy: ObservedEnvoy;
  readonly proxy: ProxyName;
}

async function tryCall(bench: Bench, { state, envoy, proxy }: Tried, made: Call, pair: string): Promise<Verdict> {
  const { request } = made;
  const call = request
    ? { ...made, request: { ...request, headers: { ...request.headers, [PAIR_HEADER]: pair } } }
    : made;
  const keys = bench.authority.keysOf(call.connection.tls?.identity ?? MESHED);
  const outcome = simulate(state, call);
  const startedAt = performance.now();
  const answer = await send(call, { port: envoy.portOf(call.direction), keys, bytes: pair });
  const elapsedMs = performance.now() - startedAt;
  const standIn = (address: string) => envoy.standIn(address);
  const look = (): Verdict => {
    const seen = { answer, elapsedMs, arrivals: [...bench.echo.arrivals(pair)], standIn };
    const fault = disagreement(outcome, call, seen);
    return { proxy, call, outcome, seen, ...(fault !== undefined && { fault }) };
  };
  // Nobody waits for the answers of copies.
  const deadline = Date.now() + 5000;
  let verdict = look();
  while (verdict.fault?.startsWith('it was not copied') && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    verdict = look();
  }
  return verdict;
}
