// SPDX-License-Identifier: Apache-2.0
// The simulator against real Envoys: random requests in random meshes. Envoy is right by definition.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { DecodedState } from '../src/envoy/simulate/decoded-state.ts';
import { type Outcome, simulate } from '../src/envoy/simulate/simulate.ts';
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

const envoy = findEnvoy();
const FACTOR = rounds(1);

/** Without the messages behind it. */
function shown(outcome: Outcome): string {
  return JSON.stringify(outcome, (key, value: unknown) => (key === 'chosen' ? undefined : value));
}

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
