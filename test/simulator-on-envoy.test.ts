// SPDX-License-Identifier: Apache-2.0
// The simulator against real Envoys: calls.yaml, and random requests in random meshes. Envoy is right by definition.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { DecodedState } from '../src/envoy/simulate/decoded-state.ts';
import { type Call, type ClientTls, type Outcome, simulate } from '../src/envoy/simulate/simulate.ts';
import type { KubeObject } from '../src/kube/types.ts';
import { findEnvoy } from '../src/runtime/toolchain.ts';
import { rounds } from './fixture/counts.ts';
import { arbitraryCase } from './proof/arbitrary-case.ts';
import { ProofAuthority } from './proof/authority.ts';
import { Chances, hashFault } from './proof/chances.ts';
import { EchoServer } from './proof/echo-server.ts';
import {
  actionsIn,
  CONDITIONS,
  conditionsIn,
  FieldCoverage,
  ruleOf,
  WIDENING,
  without,
} from './proof/field-coverage.ts';
import { type SmallCase, shrink } from './proof/shrink.ts';
import {
  type Bench,
  type Counts,
  compile,
  hangingCalls,
  makeCalls,
  type ProxyName,
  tryCalls,
  type Verdict,
} from './proof/trial.ts';
import { anyMesh } from './scenarios/any-mesh.ts';
import { type CallCase, passed, readCall } from './scenarios/calls.ts';
import { findCases, loadCase, SCENARIOS } from './scenarios/goldens.ts';
import { LoopbackEnvoy, type RealOutcome } from './scenarios/loopback-envoy.ts';

const envoy = findEnvoy();
const FACTOR = rounds(1);

/** Whether what Envoy did is among what the simulator said that it may do. */
function agree(simulated: Outcome, real: RealOutcome): boolean {
  switch (simulated.kind) {
    case 'forward': {
      const possible = simulated.to.filter((to) => to.probability > 0);
      if (real.cluster !== undefined) return possible.some((to) => to.cluster === real.cluster);
      return real.status === 503 && possible.some((to) => to.upstream === undefined);
    }
    case 'redirect':
      return real.status === simulated.status && real.location === simulated.location && real.cluster === undefined;
    case 'respond':
      return real.status === simulated.status && real.cluster === undefined;
    case 'refuse':
    case 'unknown':
      return false;
  }
}

/** Without the messages behind it. */
function shown(outcome: Outcome): string {
  return JSON.stringify(outcome, (key, value: unknown) => (key === 'chosen' ? undefined : value));
}

/** Of a gateway's client; what leaves a sidecar's application is not opened there. */
function tlsOf({ direction, connection }: Call): ClientTls | undefined {
  return direction === 'gateway' ? connection.tls : undefined;
}

/** An HTTP connection manager decided. */
function isRouted(outcome: Outcome): boolean {
  return outcome.kind !== 'forward' || outcome.virtualHost !== undefined;
}

describe.skipIf(envoy === undefined)('calls.yaml on real Envoys', () => {
  const cases = findCases().flatMap((name) => {
    const file = join(SCENARIOS, name, 'calls.yaml');
    const calls = existsSync(file) ? (parse(readFileSync(file, 'utf8')) as CallCase[]) : [];
    return [...new Set(calls.map((call) => call.from))].map(
      (from) => [name, from, calls.filter((c) => c.from === from)] as const,
    );
  });

  test.each(cases)('%s, %s', async (name, from, calls) => {
    const proxy = loadCase(name).proxies.get(from)!;
    const state = new DecodedState(proxy.compiled.desired);
    const http = calls
      .map((c) => ({ ...readCall(c, proxy), upstream: c.upstream, passes: c }))
      .filter((c) => c.request && c.direction !== 'inbound');
    const simulated = http.map((call) => ({ call, outcome: passed(simulate(state, call), call.passes) }));
    // A connection that TCP passes on is not read by Envoy.
    const read = simulated.filter(({ outcome }) => !['refuse', 'unknown'].includes(outcome.kind) && isRouted(outcome));
    const closed = simulated.filter(
      ({ call, outcome }) => outcome.kind === 'refuse' && outcome.listener !== '' && tlsOf(call),
    );
    if (read.length === 0) return;
    const loopback = await LoopbackEnvoy.start(envoy!, proxy.compiled.desired);
    try {
      for (const { call, outcome } of read) {
        const shares = outcome.kind === 'forward' ? outcome.to.length : 1;
        const reached = new Set<string | undefined>();
        // Two shares of a half each: one of them stays unseen in 60 requests once in 2^59 times; a fifth, in 6 * 10^5.
        for (let i = 0; i < (shares > 1 ? 60 : 1); i++) {
          const real = await loopback.request(outcome.listener, call.request!, tlsOf(call));
          expect(agree(outcome, real), `${call.request!.path}: ${JSON.stringify(real)}, not ${shown(outcome)}`).toBe(
            true,
          );
          reached.add(real.cluster);
          if (call.upstream !== undefined && shares === 1) expect(real.asked).toBe(call.upstream);
        }
        expect(reached.size, call.request!.path).toBe(shares);
      }
      for (const { call, outcome } of closed) {
        const request = loopback.request(outcome.listener, call.request!, tlsOf(call));
        await expect(request, call.request!.authority).rejects.toThrow(/hang up|ECONNRESET|alert|disconnected/);
      }
    } finally {
      await loopback.stop();
    }
  });
});

const SEED = Number(process.env['ISTHMUS_PROOF_SEED'] ?? (FACTOR > 1 ? Date.now() % 1_000_000_000 : 20261122));
/** Of a run that is repeated for the sake of one mesh. */
const ONLY = process.env['ISTHMUS_PROOF_MESH'];
const MESHES = rounds(26);
const PAIRS: Counts = { outbound: 32, inbound: 4, gateway: 18 };
/** Of meshes with all sorts of objects, in which little is decided. */
const OTHERS: Counts = { outbound: 30, inbound: 4, gateway: 20 };
const PROXIES = ['sidecar', 'gateway'] as const;

interface Run {
  readonly bench: Bench;
  readonly coverage: FieldCoverage;
  readonly chances: Chances;
  pairs: number;
}

/** What of a disagreement somebody needs who looks into it. */
function report(index: number, { objects, verdict }: SmallCase): string {
  const { fault, call, outcome, seen, proxy } = verdict;
  const arrivals = seen.arrivals.map((arrival) => ({ to: seen.standIn(arrival.address), ...arrival }));
  return [
    `mesh ${index}, ${proxy}: ${fault}`,
    `again: ISTHMUS_PROOF_SEED=${SEED} ISTHMUS_PROOF_MESH=${index}`,
    `call: ${JSON.stringify(call)}`,
    `simulator: ${shown(outcome)}`,
    `Envoy: ${JSON.stringify(seen.answer)} ${JSON.stringify(arrivals)}`,
    objects.map((object) => stringify(object)).join('---\n'),
  ].join('\n');
}

/** All that one mesh is asked; undefined where both proxies agree with what was said of them. */
async function tryMesh(run: Run, objects: readonly KubeObject[], index: number, counts: Counts) {
  for (const proxy of PROXIES) {
    const compiled = compile(objects, proxy);
    const calls = makeCalls(compiled, proxy, counts, SEED + index * 2 + PROXIES.indexOf(proxy));
    if (calls.length === 0) continue;
    const verdicts = await tryCalls(run.bench, compiled, proxy, calls);
    const hanging = counts === PAIRS && index < 2 ? hangingCalls(verdicts, 4) : [];
    const all =
      hanging.length === 0 ? verdicts : [...verdicts, ...(await tryCalls(run.bench, compiled, proxy, hanging))];
    run.pairs += all.length;
    const wrong = all.find(({ fault }) => fault !== undefined);
    if (wrong !== undefined) return report(index, await shrink(run.bench, { objects, verdict: wrong }, proxy, 60));
    const hashes = hashFault(verdicts);
    if (hashes !== undefined) return `mesh ${index}, ${proxy}: one hash, two endpoints: ${hashes}`;
    for (const verdict of verdicts) run.chances.read(verdict);
    if (counts === PAIRS) countFields(run.coverage, objects, proxy, verdicts);
  }
  return undefined;
}

/** What decided these pairs; conditions that failed show by what would be without them. */
function countFields(
  coverage: FieldCoverage,
  objects: readonly KubeObject[],
  proxy: ProxyName,
  verdicts: readonly Verdict[],
) {
  for (const { outcome } of verdicts) {
    const place = ruleOf(outcome, objects);
    if (place === undefined) continue;
    for (const field of place.match === undefined ? [] : conditionsIn(place.match, place.layer))
      coverage.count('held', field);
    for (const field of actionsIn(place)) coverage.count('done', field);
    if (((place.object['spec'] as { hosts?: unknown }).hosts ?? undefined) === undefined)
      coverage.count('done', 'delegate');
  }
  for (const field of [...CONDITIONS, ...WIDENING].filter((each) => !coverage.failed.has(each))) {
    const wider = without(objects, field);
    if (wider.every((object, i) => object === objects[i])) continue;
    const state = DecodedState.of(compile(wider, proxy));
    const decided = verdicts.some(({ call, outcome }) => ruleText(simulate(state, call)) !== ruleText(outcome));
    if (decided) coverage.count('failed', field);
  }
}

function ruleText({ rule, ...outcome }: Outcome): string {
  return JSON.stringify([rule, outcome.kind, outcome.kind === 'forward' && outcome.to.map(({ cluster }) => cluster)]);
}

describe.skipIf(envoy === undefined)('random pairs of mesh and call', { timeout: 240_000 * FACTOR }, () => {
  test(`seed ${SEED}`, async () => {
    const authority = new ProofAuthority();
    const echo = await EchoServer.start(authority.keysOf('spiffe://echo'));
    const bench: Bench = { envoyPath: envoy!, authority, echo };
    const run: Run = { bench, coverage: new FieldCoverage(), chances: new Chances(), pairs: 0 };
    const focused = Array.from({ length: MESHES }, (_, index) => ({
      objects: fc.sample(arbitraryCase(index), { numRuns: 1, seed: SEED + index })[0]!,
      counts: PAIRS,
    }));
    const others = fc
      .sample(anyMesh, { numRuns: rounds(4), seed: SEED })
      .map((objects) => ({ objects, counts: OTHERS }));
    try {
      for (const [index, { objects, counts }] of [...focused, ...others].entries()) {
        if (ONLY !== undefined && index !== Number(ONLY)) continue;
        const fault = await tryMesh(run, objects, index, counts);
        expect(fault, fault).toBe(undefined);
      }
    } finally {
      echo.stop();
    }
    const chances = run.chances.deviations();
    console.info(`seed ${SEED}: ${run.pairs} pairs, no disagreement;`, Object.fromEntries(chances));
    if (ONLY !== undefined) return;
    expect(run.pairs).toBeGreaterThan(1000);
    expect(run.coverage.missing()).toEqual([]);
    for (const [kind, { deviation }] of chances) expect(Math.abs(deviation), kind).toBeLessThan(6);
  });
});

test('there is an Envoy to ask (ENVOY_BIN, .tools/envoy or PATH)', (context) => {
  if (envoy === undefined) context.skip('no Envoy found: the simulator was not compared');
});
