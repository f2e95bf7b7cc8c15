// SPDX-License-Identifier: Apache-2.0
// Laws of a session, whatever the order in which changes, requests, answers, refusals and reconnects come.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rounds } from '#test/fixture/counts.ts';
import type { DesiredState, Kept, KeptState, XdsResource } from '../types.ts';
import { rememberDiffs } from './map-diff.ts';
import { Session, type SessionResponse } from './session.ts';
import { ModelClient, type ModelValue, request } from './testing/model-client.ts';
import { CLUSTER_TYPE, ENDPOINT_TYPE, LISTENER_TYPE, ROUTE_TYPE } from './type-urls.ts';

const TYPES = [CLUSTER_TYPE, ENDPOINT_TYPE, LISTENER_TYPE, ROUTE_TYPE];
const KEPT_TYPES = [CLUSTER_TYPE, ENDPOINT_TYPE];
const CLUSTERS = ['a', 'b', 'c', 'd', 'e'];
const ROUTES = ['r1', 'r2', 'r3'];

interface Shape {
  /** Revision and endpoints per cluster; absent: no such cluster. */
  readonly clusters: Readonly<Record<string, { revision: number; endpoints: number | undefined; isBad: boolean }>>;
  /** Listener i refers to route i. */
  readonly listeners: readonly { revision: number; route: string; isBad: boolean }[];
  readonly routes: readonly { to: number; revision: number; isBad: boolean }[];
}

function shapes(withBad: boolean): fc.Arbitrary<Shape> {
  const isBad = withBad ? fc.integer({ min: 0, max: 7 }).map((n) => n === 0) : fc.constant(false);
  const revision = fc.integer({ min: 0, max: 2 });
  const cluster = fc.record({ revision, endpoints: fc.option(revision, { nil: undefined }), isBad });
  return fc.record({
    clusters: fc.dictionary(fc.constantFrom(...CLUSTERS), cluster, { minKeys: 1, noNullPrototype: true }),
    listeners: fc.array(fc.record({ revision, route: fc.constantFrom(...ROUTES), isBad }), { maxLength: 3 }),
    routes: fc.array(fc.record({ to: fc.nat(), revision, isBad }), {
      minLength: ROUTES.length,
      maxLength: ROUTES.length,
    }),
  });
}

function resource(typeUrl: string, name: string, value: ModelValue): XdsResource {
  const text = JSON.stringify(value);
  return { typeUrl, name, version: text, value: Buffer.from(text) };
}

/** A consistent state: a route names only clusters that exist in it. */
function desiredOf(shape: Shape): DesiredState {
  const state = new Map<string, Map<string, XdsResource>>(TYPES.map((type) => [type, new Map()]));
  const put = (type: string, name: string, value: ModelValue) =>
    state.get(type)?.set(name, resource(type, name, value));
  const names = Object.keys(shape.clusters).sort();
  for (const name of names) {
    const { revision, endpoints, isBad } = shape.clusters[name] as Shape['clusters'][string];
    put(CLUSTER_TYPE, name, { refs: [], isBad, revision });
    if (endpoints !== undefined) put(ENDPOINT_TYPE, name, { refs: [], isBad: false, revision: endpoints });
  }
  for (const [index, { revision, route, isBad }] of shape.listeners.entries()) {
    put(LISTENER_TYPE, `l${index}`, { refs: [route], isBad, revision });
  }
  for (const [index, { to, revision, isBad }] of shape.routes.entries()) {
    put(ROUTE_TYPE, ROUTES[index] as string, { refs: [names[to % names.length] as string], isBad, revision });
  }
  return state;
}

function keptIn(all: ReadonlyMap<string, XdsResource>): Kept {
  return { find: (name) => all.get(name), all: () => all };
}

/** What routes name of it, and that the rest is kept. */
function namedOf(shape: Shape): { desired: DesiredState; kept: KeptState } {
  const all = desiredOf(shape);
  const routes = [...(all.get(ROUTE_TYPE)?.values() ?? [])];
  const named = new Set(routes.flatMap(({ value }) => (JSON.parse(Buffer.from(value).toString()) as ModelValue).refs));
  const desired = new Map(
    [...all].map(([type, resources]) => {
      const isNamed = ([name]: [string, XdsResource]) => named.has(name) || !KEPT_TYPES.includes(type);
      return [type, new Map([...resources].filter(isNamed))];
    }),
  );
  return { desired, kept: new Map(KEPT_TYPES.map((type) => [type, keptIn(all.get(type) ?? new Map())])) };
}

type Step =
  | { kind: 'change'; shape: Shape }
  | { kind: 'deliver-request' }
  | { kind: 'deliver-response' }
  | { kind: 'reconnect' };

function stepsOf(withBad: boolean): fc.Arbitrary<Step[]> {
  return fc.array(
    fc.oneof(
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('change' as const), shape: shapes(withBad) }) },
      { weight: 8, arbitrary: fc.constant<Step>({ kind: 'deliver-request' }) },
      { weight: 8, arbitrary: fc.constant<Step>({ kind: 'deliver-response' }) },
      { weight: 1, arbitrary: fc.constant<Step>({ kind: 'reconnect' }) },
    ),
    { maxLength: 80 },
  );
}

/** A session and a client with two queues between them. */
class Pair {
  session = this.#newSession();
  readonly client = new ModelClient();
  readonly onTheWay: SessionResponse[] = [];
  desired: DesiredState = new Map();
  kept: KeptState = new Map();
  nowMs = 0;
  onReceived: () => void = () => {};
  onSent: (response: SessionResponse) => void = () => {};
  readonly #diff = rememberDiffs();
  readonly #isNamed: boolean;

  /** `isNamed`: only the clusters that routes name are desired. */
  constructor(shape: Shape, isNamed = false) {
    this.#isNamed = isNamed;
    this.change(shape);
  }

  change(shape: Shape): void {
    if (this.#isNamed) ({ desired: this.desired, kept: this.kept } = namedOf(shape));
    else this.desired = desiredOf(shape);
    this.session.update(this.desired, undefined, this.kept);
  }

  #newSession(): Session {
    return new Session({ variant: 'delta', diff: (from, to) => this.#diff(from, to), maxResponseBytes: 400 });
  }

  pump(): void {
    for (let response = this.session.next(this.nowMs); response; response = this.session.next(this.nowMs)) {
      this.onTheWay.push(response);
      this.onSent(response);
    }
  }

  step(step: Step): boolean {
    switch (step.kind) {
      case 'change':
        this.change(step.shape);
        break;
      case 'deliver-request': {
        const next = this.client.requests.shift();
        if (next === undefined) return false;
        this.session.receive(next, this.nowMs);
        break;
      }
      case 'deliver-response': {
        const next = this.onTheWay.shift();
        if (next === undefined) return false;
        this.client.receive(next);
        this.onReceived();
        break;
      }
      case 'reconnect':
        this.session = this.#newSession();
        this.session.update(this.desired, undefined, this.kept);
        this.onTheWay.length = 0;
        this.client.reconnect();
    }
    this.pump();
    return true;
  }

  /** Lets everything on the way arrive, and time pass where the session waits. Throws when that takes for ever. */
  settle(): void {
    this.pump();
    for (let rounds = 0; rounds < 2000; rounds++) {
      const moved = this.step({ kind: 'deliver-request' });
      if (this.step({ kind: 'deliver-response' }) || moved) continue;
      const wakeAtMs = this.session.wakeAtMs(this.nowMs);
      if (wakeAtMs === undefined) return;
      this.nowMs = wakeAtMs;
      this.pump();
    }
    throw new Error('the session does not come to rest');
  }
}

const versions = (copies: Iterable<readonly [string, { version: string }]>) =>
  Object.fromEntries([...copies].map(([name, { version }]): [string, string] => [name, version]).sort());

describe('a delta session with a client like Envoy', () => {
  it('ends with the client holding what it should, after any history', () => {
    fc.assert(
      fc.property(shapes(false), stepsOf(false), (shape, steps) => {
        const pair = new Pair(shape);
        for (const step of steps) pair.step(step);
        pair.settle();
        const { client, desired } = pair;
        expect(versions(client.of(CLUSTER_TYPE))).toEqual(versions(desired.get(CLUSTER_TYPE) ?? []));
        expect(versions(client.of(ENDPOINT_TYPE))).toEqual(versions(desired.get(ENDPOINT_TYPE) ?? []));
        expect(versions(client.of(LISTENER_TYPE))).toEqual(versions(desired.get(LISTENER_TYPE) ?? []));
        const used = new Set([...client.of(LISTENER_TYPE).values()].flatMap((copy) => copy.value.refs));
        const routes = [...(desired.get(ROUTE_TYPE) ?? [])].filter(([name]) => used.has(name));
        expect(versions(client.of(ROUTE_TYPE))).toEqual(versions(routes));
        expect([...client.warming]).toEqual([]);
      }),
      { numRuns: rounds(400), seed: 1 },
    );
  });

  it('answers for endpoints that vanish before they are sent to a cluster that warms anew', () => {
    const routes = ROUTES.map(() => ({ to: 0, revision: 0, isBad: false }));
    const shape = (b?: { revision: number; endpoints: number | undefined }): Shape => ({
      clusters: { a: { revision: 0, endpoints: undefined, isBad: false }, ...(b && { b: { ...b, isBad: false } }) },
      listeners: [],
      routes,
    });
    const pair = new Pair(shape({ revision: 0, endpoints: undefined }));
    const deliver = (...kinds: ('request' | 'response')[]) => {
      for (const kind of kinds) pair.step({ kind: `deliver-${kind}` });
    };
    deliver('request', 'response', 'request', 'request', 'response', 'request');
    pair.step({ kind: 'change', shape: shape({ revision: 0, endpoints: 0 }) });
    pair.step({ kind: 'change', shape: shape({ revision: 1, endpoints: 1 }) });
    deliver('request');
    pair.step({ kind: 'change', shape: shape() });
    pair.settle();
    expect([...pair.client.of(CLUSTER_TYPE).keys()]).toEqual(['a']);
    expect([...pair.client.warming]).toEqual([]);
  });

  it('never leaves a route without its cluster: make before break', () => {
    fc.assert(
      fc.property(shapes(false), stepsOf(false), (shape, steps) => {
        const pair = new Pair(shape);
        const check = () => {
          const used = new Set([...pair.client.of(LISTENER_TYPE).values()].flatMap((copy) => copy.value.refs));
          for (const [name, route] of pair.client.of(ROUTE_TYPE)) {
            if (!used.has(name)) continue;
            for (const cluster of route.value.refs) {
              if (!pair.client.usable.has(cluster))
                throw new Error(`route ${name} names ${cluster}, which is not usable`);
            }
          }
        };
        pair.onReceived = check;
        for (const step of steps) pair.step(step);
        pair.settle();
      }),
      { numRuns: rounds(400), seed: 2 },
    );
  });

  it('takes no cluster back that is not needed any more but still there, and keeps it as it is now', () => {
    let [kept, gone] = [0, 0];
    fc.assert(
      fc.property(shapes(false), stepsOf(false), (shape, steps) => {
        const pair = new Pair(shape, true);
        const find = (type: string, name: string) => pair.kept.get(type)?.find(name)?.version;
        pair.onSent = ({ typeUrl, removed }) => {
          if (typeUrl !== CLUSTER_TYPE) return;
          gone += removed.length;
          expect(removed.filter((name) => find(typeUrl, name) !== undefined)).toEqual([]);
        };
        for (const step of steps) pair.step(step);
        pair.settle();
        const { client, desired } = pair;
        for (const type of KEPT_TYPES) {
          for (const [name, { version }] of desired.get(type) ?? []) {
            expect(client.of(type).get(name)?.version).toBe(version);
          }
          for (const [name, { version }] of client.of(type)) {
            if (!desired.get(type)?.has(name)) kept++;
            expect(version).toBe(find(type, name));
          }
        }
        expect([...client.warming]).toEqual([]);
      }),
      { numRuns: rounds(400), seed: 5 },
    );
    // Both happened often enough to prove something.
    expect({ kept, gone }).toEqual({ kept: expect.toSatisfy((n) => n > 20), gone: expect.toSatisfy((n) => n > 20) });
  });

  it('isolates what is refused: everything good arrives, everything bad is blamed, and nothing is tried for ever', () => {
    fc.assert(
      fc.property(shapes(true), stepsOf(true), (shape, steps) => {
        const pair = new Pair(shape);
        for (const step of steps) pair.step(step);
        pair.settle();
        const { client, desired, session } = pair;
        const blamed = new Map(session.status().map((type) => [type.typeUrl, type.rejected]));
        for (const type of TYPES) {
          const used = new Set([...client.of(LISTENER_TYPE).values()].flatMap((copy) => copy.value.refs));
          for (const [name, wanted] of desired.get(type) ?? []) {
            if (type === ROUTE_TYPE && !used.has(name)) continue;
            if (type === ENDPOINT_TYPE && !client.of(CLUSTER_TYPE).has(name)) continue;
            const isBad = (JSON.parse(wanted.version) as ModelValue).isBad;
            if (isBad) expect(blamed.get(type)?.get(name)?.version).toBe(wanted.version);
            else expect(client.of(type).get(name)?.version).toBe(wanted.version);
          }
        }
        // What the client is said to have, it has.
        for (const { typeUrl, versions } of session.acknowledged())
          for (const [name, version] of versions) expect(client.of(typeUrl).get(name)?.version).toBe(version);
      }),
      { numRuns: rounds(400), seed: 3 },
    );
  });

  it('has nothing to say when nothing changed, even in other maps', () => {
    fc.assert(
      fc.property(shapes(true), stepsOf(true), (shape, steps) => {
        const pair = new Pair(shape);
        for (const step of steps) pair.step(step);
        pair.settle();
        pair.session.update(new Map([...pair.desired].map(([type, map]) => [type, new Map(map)])));
        expect(pair.session.next(pair.nowMs)).toBeUndefined();
      }),
      { numRuns: rounds(200), seed: 4 },
    );
  });

  it('does not wait for ever for a client that never finishes warming', () => {
    fc.assert(
      fc.property(shapes(false), shapes(false), (first, second) => {
        const pair = new Pair(first);
        pair.settle();
        pair.client.isStuck = true;
        pair.step({ kind: 'change', shape: second });
        pair.settle();
        for (let round = 0; round < 20; round++) {
          const wakeAtMs = pair.session.wakeAtMs(pair.nowMs);
          if (wakeAtMs === undefined) break;
          pair.nowMs = wakeAtMs;
          pair.settle();
        }
        expect(versions(pair.client.of(LISTENER_TYPE))).toEqual(versions(pair.desired.get(LISTENER_TYPE) ?? []));
      }),
      { numRuns: rounds(200), seed: 5 },
    );
  });
});

describe('a state-of-the-world session', () => {
  it('ends with the client holding what it should, after any history', () => {
    const steps = fc.array(
      fc.oneof(
        { weight: 2, arbitrary: fc.record({ shape: shapes(false) }) },
        { weight: 3, arbitrary: fc.record({ names: fc.subarray(CLUSTERS) }) },
        { weight: 5, arbitrary: fc.record({ isNack: fc.boolean(), isStale: fc.boolean() }) },
      ),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(shapes(false), steps, (shape, list) => {
        const session = new Session({ variant: 'sotw' });
        let desired = desiredOf(shape);
        session.update(desired);
        const held = { clusters: {} as Record<string, string>, endpoints: {} as Record<string, string> };
        const last = new Map<string, string>();
        let names: string[] = ['a'];
        const pump = () => {
          for (let response = session.next(0); response; response = session.next(0)) {
            const got = versions(response.resources.map((each): [string, XdsResource] => [each.name, each]));
            if (response.typeUrl === CLUSTER_TYPE) held.clusters = got;
            else Object.assign(held.endpoints, got);
            last.set(response.typeUrl, response.nonce);
          }
        };
        const answer = (type: string, errorMessage?: string, nonce = last.get(type) ?? '') =>
          session.receive({ ...request(type, nonce, errorMessage), subscribe: type === CLUSTER_TYPE ? [] : names }, 0);
        answer(CLUSTER_TYPE);
        answer(ENDPOINT_TYPE);
        pump();
        for (const step of list) {
          if ('shape' in step) {
            desired = desiredOf(step.shape);
            session.update(desired);
          } else if ('names' in step) {
            names = step.names.length === 0 ? ['a'] : step.names;
            answer(ENDPOINT_TYPE);
          } else {
            for (const type of [CLUSTER_TYPE, ENDPOINT_TYPE])
              answer(type, undefined, step.isStale ? 'older' : last.get(type));
          }
          pump();
        }
        for (let round = 0; round < 4; round++) {
          for (const type of [CLUSTER_TYPE, ENDPOINT_TYPE]) answer(type);
          pump();
        }
        expect(held.clusters).toEqual(versions(desired.get(CLUSTER_TYPE) ?? []));
        for (const [name, { version }] of desired.get(ENDPOINT_TYPE) ?? []) {
          if (names.includes(name)) expect(held.endpoints[name]).toBe(version);
        }
        expect(session.next(0)).toBeUndefined();
      }),
      { numRuns: rounds(300), seed: 6 },
    );
  });
});
