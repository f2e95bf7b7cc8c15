// SPDX-License-Identifier: Apache-2.0
// Every call of every case, HTTP, TLS and bytes, on a real Envoy: it does what calls.yaml says, and does so whether its proxy
// is given everything or fetches it. (test/scenarios.test.ts holds the simulator against the same lines.)
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CONFIG_DELIVERIES, type ConfigDelivery } from '../src/api/config-delivery.ts';
import { DecodedState } from '../src/envoy/simulate/decoded-state.ts';
import type { Call, Outcome, UpstreamEndpoint } from '../src/envoy/simulate/outcome.ts';
import { simulate } from '../src/envoy/simulate/simulate.ts';
import { CompileCache, compileProxy } from '../src/pipeline.ts';
import { findEnvoy } from '../src/runtime/toolchain.ts';
import { rounds } from './fixture/counts.ts';
import { disagreement } from './proof/agreement.ts';
import { ProofAuthority } from './proof/authority.ts';
import { hashFault } from './proof/chances.ts';
import { ASK_HEADER, EchoServer } from './proof/echo-server.ts';
import { faultOfCopies, faultOfTold } from './proof/told-by-hand.ts';
import { type Bench, tryCalls, type Verdict } from './proof/trial.ts';
import { type CallCase, passed, readCall, readCalls, runCall } from './scenarios/calls.ts';
import { findCases, loadCase } from './scenarios/goldens.ts';
import type { ScenarioProxy } from './scenarios/scenario.ts';

const envoyPath = findEnvoy();
/** Of those that fetch, in `make test` one proxy in so many. */
const STRIDE = rounds(12, 1);
/** A share that comes up as often as this on average stays away once in 10^9 times. */
const SURE = 21;
const MOST = 420;

interface Asked {
  readonly said: CallCase;
  readonly call: Call;
  readonly outcome: Outcome;
}

function askedOf(calls: readonly CallCase[], proxy: ScenarioProxy): Asked[] {
  const state = DecodedState.of(proxy.compiled);
  return calls.map((said) => {
    const call = withServer(said, withCertificate(readCall(said, proxy)));
    return { said, call, outcome: passed(simulate(state, call), said) };
  });
}

/** Between sidecars both sides have one. */
function withCertificate(call: Call): Call {
  const { tls } = call.connection;
  if (call.direction !== 'inbound' || tls === undefined || tls.certificate !== undefined) return call;
  return { ...call, connection: { ...call.connection, tls: { ...tls, certificate: true } } };
}

/** Who asks says what it is to be answered. */
function withServer({ server }: CallCase, call: Call): Call {
  const { request } = call;
  if (server === undefined || request === undefined) return call;
  return { ...call, request: { ...request, headers: { ...request.headers, [ASK_HEADER]: server } } };
}

/** `CLUSTER` or `CLUSTER ENDPOINT` -> how probable it is, of what is left to chance. */
function shares(outcome: Outcome): Map<string, number> {
  const found = new Map<string, number>();
  if (outcome.kind !== 'forward') return found;
  for (const { cluster, probability, upstream } of outcome.to) {
    if (upstream === undefined || probability === 0) continue;
    const ends: readonly Pick<UpstreamEndpoint, 'address' | 'weight'>[] =
      upstream.by === 'hash' ? [] : upstream.endpoints.filter(({ weight }) => weight > 0);
    const isThere = upstream.original || upstream.byName || upstream.endpoints.length > 0;
    if (ends.length === 0 && isThere) found.set(cluster, probability);
    const sum = ends.reduce((total, { weight }) => total + weight, 0);
    for (const { address, weight } of ends) found.set(`${cluster} ${address}`, (probability * weight) / sum);
  }
  return found;
}

function timesFor({ said, outcome }: Pick<Asked, 'said' | 'outcome'>): number {
  if (said.down !== undefined) return 2 * SURE * (said.instead?.length ?? 0);
  // Half of a fifth is told from a fifth.
  if (Object.values(said.copied ?? {}).some((percent) => percent > 0)) return MOST;
  const all = [...shares(outcome).values()];
  return all.length < 2 && said.copied === undefined ? 1 : Math.min(MOST, Math.ceil(SURE / Math.min(...all)));
}

/** What a user's filter does to a request besides is for the case to know. */
function asTold(outcome: Outcome, said: CallCase): Outcome {
  const told = passed(outcome, said);
  if (told === outcome || told.kind !== 'forward') return told;
  const { http: _, ...rest } = told;
  return { ...rest, to: told.to.map(({ request: _, ...to }) => to) };
}

function faultOf({ said, outcome }: Asked, verdicts: readonly Verdict[]): string | undefined {
  for (const { seen, call, outcome: told } of verdicts) {
    const fault = disagreement(asTold(told, said), call, seen);
    const met = JSON.stringify({ answer: seen.answer, arrivals: seen.arrivals });
    if (fault !== undefined) return `${fault}; ${met}`;
    const other = faultOfTold(said, seen);
    if (other !== undefined) return `${other}; ${met}`;
  }
  const reached = new Set<string>();
  for (const { seen } of verdicts) {
    for (const { address } of seen.arrivals) {
      const standIn = seen.standIn(address);
      for (const name of standIn ? [standIn.cluster, `${standIn.cluster} ${standIn.endpoint}`] : []) reached.add(name);
    }
  }
  const missed = [...shares(outcome)].filter(([name, p]) => p * verdicts.length >= SURE && !reached.has(name));
  if (missed.length > 0) return `none of ${verdicts.length} reached ${missed.map(([name]) => name)}`;
  const seen = verdicts.map((verdict) => verdict.seen);
  return hashFault(verdicts) ?? faultOfCopies(said, seen);
}

function faultOfInstead({ said }: Asked, verdicts: readonly Verdict[]): string | undefined {
  const reached = new Set(
    verdicts.flatMap(({ seen }) => seen.arrivals.map(({ address }) => seen.standIn(address)?.endpoint ?? address)),
  );
  const wanted = said.instead ?? [];
  return wanted.length === reached.size && wanted.every((endpoint) => reached.has(endpoint))
    ? undefined
    : `it reaches ${[...reached]}`;
}

describe.skipIf(envoyPath === undefined)('calls.yaml on real Envoys', () => {
  const cases = findCases().flatMap((name) => {
    const calls = readCalls(name);
    return [...new Set(calls.map((call) => call.from))].map(
      (from) => [name, from, calls.filter((c) => c.from === from)] as const,
    );
  });
  let bench: Bench;
  let echo: EchoServer;
  beforeAll(async () => {
    const authority = new ProofAuthority();
    echo = await EchoServer.start(authority.keysOf('spiffe://echo'));
    bench = { envoyPath: envoyPath!, authority, echo };
  });
  afterAll(() => echo.stop());

  async function tryCase(name: string, from: string, calls: readonly CallCase[], delivery: ConfigDelivery) {
    const proxy = loadCase(name).proxies.get(from)!;
    // What Envoy is held against is what was written.
    for (const call of calls) expect(runCall(call, proxy).lines, call.name).toEqual([call.expect].flat());
    const asked = askedOf(calls, proxy);
    const compiled =
      delivery === 'FULL'
        ? proxy.compiled
        : compileProxy(proxy.snapshot, { ...proxy.proxy, delivery }, new CompileCache());
    const kind = proxy.proxy.kind;
    const state = DecodedState.of(proxy.compiled);
    const faults: string[] = [];
    // Who is down is so for a whole proxy.
    for (const [, some] of Map.groupBy(asked, ({ said }) => String(said.down))) {
      const sent = some.flatMap((each) => Array.from({ length: timesFor(each) }, () => each));
      const down = some[0]!.said.down ?? [];
      const all = sent.map(({ call }) => call);
      const verdicts = await tryCalls(bench, compiled, kind, all, { state, down });
      for (const each of some) {
        const own = verdicts.filter((_, i) => sent[i] === each);
        const fault = each.said.down === undefined ? faultOf(each, own) : faultOfInstead(each, own);
        if (fault !== undefined) faults.push(`${each.said.name}: ${fault}`);
      }
    }
    expect(faults).toEqual([]);
  }

  test.each(cases)('%s, %s', (name, from, calls) => tryCase(name, from, calls, 'FULL'));

  const fetching = cases
    .filter(([name, from]) => loadCase(name).proxies.get(from)?.proxy.kind === 'sidecar')
    .flatMap((each) => CONFIG_DELIVERIES.filter((d) => d !== 'FULL').map((delivery) => [delivery, ...each] as const))
    .filter((_, i) => i % STRIDE === 0);
  test.each(fetching)('%s: %s, %s', (delivery, name, from, calls) => tryCase(name, from, calls, delivery));
});

test('there is an Envoy to ask (ENVOY_BIN, .tools/envoy or PATH)', (context) => {
  if (envoyPath === undefined) context.skip('no Envoy found: the cases were not tried');
});
