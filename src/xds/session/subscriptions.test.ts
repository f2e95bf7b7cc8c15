// SPDX-License-Identifier: Apache-2.0
// What a client asked for, by name and by wildcard, and what it gets.

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rounds } from '#test/fixture/counts.ts';
import type { DesiredState, XdsResource } from '../types.ts';
import { rememberDiffs } from './map-diff.ts';
import { Session, type SessionResponse } from './session.ts';
import { request } from './testing/model-client.ts';
import { CLUSTER_TYPE, ENDPOINT_TYPE, LISTENER_TYPE, ROUTE_TYPE, VIRTUAL_HOST_TYPE } from './type-urls.ts';

const NAMES = ['a', 'b', 'c', 'd'];

function stateOf(type: string, versions: Readonly<Record<string, number>>): DesiredState {
  const resources = Object.entries(versions).map(([name, version]): [string, XdsResource] => [
    name,
    { typeUrl: type, name, version: String(version), value: Buffer.from(name) },
  ]);
  return new Map([[type, new Map(resources)]]);
}

/** A client of one type that does as it is told and answers at once. */
class PlainClient {
  readonly holds = new Map<string, string>();
  readonly answered = new Set<string>();
  readonly session = new Session({ variant: 'delta', diff: rememberDiffs() });
  readonly type: string;

  constructor(type: string) {
    this.type = type;
  }

  ask(
    subscribe: readonly string[],
    unsubscribe: readonly string[] = [],
    initial: readonly [string, string][] = [],
  ): void {
    for (const name of subscribe) this.answered.delete(name);
    this.session.receive({ ...request(this.type, '', undefined), subscribe, unsubscribe, initialVersions: initial }, 0);
  }

  take(): SessionResponse[] {
    const taken: SessionResponse[] = [];
    for (let response = this.session.next(0); response; response = this.session.next(0)) {
      for (const { name, version } of response.resources) this.holds.set(name, version);
      for (const name of response.removed) this.holds.delete(name);
      for (const name of [...response.resources.map((each) => each.name), ...response.removed]) this.answered.add(name);
      this.session.receive(request(this.type, response.nonce, undefined), 0);
      taken.push(response);
    }
    return taken;
  }
}

describe('subscriptions', () => {
  it('give exactly what was asked for, after any history', () => {
    const some = fc.subarray([...NAMES, '*']);
    const step = fc.oneof(
      fc.record({ subscribe: some, unsubscribe: fc.constant<string[]>([]) }),
      fc.record({ subscribe: fc.constant<string[]>([]), unsubscribe: some }),
      fc.record({ versions: fc.dictionary(fc.constantFrom(...NAMES), fc.nat(2), { noNullPrototype: true }) }),
      fc.constant('take' as const),
    );
    fc.assert(
      fc.property(fc.constantFrom(CLUSTER_TYPE, ENDPOINT_TYPE), some, fc.array(step), (type, first, steps) => {
        const client = new PlainClient(type);
        let versions: Readonly<Record<string, number>> = { a: 0 };
        client.session.update(stateOf(type, versions));
        let isWildcard = first.includes('*') || (first.length === 0 && type === CLUSTER_TYPE);
        const names = new Set(first.filter((name) => name !== '*'));
        client.ask(first);
        for (const each of steps) {
          if (each === 'take') client.take();
          else if ('versions' in each) {
            versions = each.versions;
            client.session.update(stateOf(type, versions));
          } else {
            client.ask(each.subscribe, each.unsubscribe);
            for (const name of each.subscribe) if (name !== '*') names.add(name);
            for (const name of each.unsubscribe) names.delete(name);
            if (each.subscribe.includes('*')) isWildcard = true;
            if (each.unsubscribe.includes('*')) isWildcard = false;
            // What a client no longer asks for in any way, it drops by itself.
            for (const name of client.holds.keys()) if (!isWildcard && !names.has(name)) client.holds.delete(name);
          }
        }
        client.take();
        const expected = Object.entries(versions).filter(([name]) => isWildcard || names.has(name));
        const held = [...client.holds].filter(([name]) => isWildcard || names.has(name));
        expect(Object.fromEntries(held)).toEqual(
          Object.fromEntries(expected.map(([name, version]) => [name, String(version)])),
        );
        for (const name of names) expect([name, client.answered.has(name)]).toEqual([name, true]);
        expect(client.take()).toEqual([]);
      }),
      { numRuns: rounds(1000), seed: 1 },
    );
  });

  it('are all for clusters and listeners when the first request names nothing, and nothing for other types', () => {
    for (const [type, expected] of [
      [CLUSTER_TYPE, ['a']],
      [ENDPOINT_TYPE, []],
    ] as const) {
      const client = new PlainClient(type);
      client.session.update(stateOf(type, { a: 1 }));
      client.ask([]);
      expect(client.take().flatMap((response) => response.resources.map((each) => each.name))).toEqual(expected);
    }
  });

  it('answer a client that starts with nothing, even when there is nothing', () => {
    const client = new PlainClient(CLUSTER_TYPE);
    client.ask([]);
    expect(client.take()).toMatchObject([{ resources: [], removed: [] }]);
  });

  it('answer nothing about listeners while those that there are wait for clusters', () => {
    const session = new Session({ variant: 'delta' });
    session.update(new Map([...stateOf(CLUSTER_TYPE, { a: 1 }), ...stateOf(LISTENER_TYPE, { b: 1 })]));
    session.receive(request(CLUSTER_TYPE, '', undefined), 0);
    const clusters = session.next(0);
    session.receive(request(LISTENER_TYPE, '', undefined), 0);
    expect(session.next(0)).toBeUndefined();
    session.receive(request(CLUSTER_TYPE, clusters!.nonce, undefined), 0);
    expect(session.next(0)).toMatchObject({ typeUrl: LISTENER_TYPE, resources: [{ name: 'b' }] });
  });

  it('answer a name asked for again, though the client should have it', () => {
    const client = new PlainClient(ENDPOINT_TYPE);
    client.session.update(stateOf(ENDPOINT_TYPE, { a: 1 }));
    client.ask(['a']);
    expect(client.take()).toHaveLength(1);
    client.ask(['a']);
    expect(client.take()).toMatchObject([{ resources: [{ name: 'a' }] }]);
  });

  it('are bounded by what their names take, also those of virtual hosts that nobody has', () => {
    for (const type of [ENDPOINT_TYPE, VIRTUAL_HOST_TYPE]) {
      const session = new Session({ variant: 'delta' });
      const ask = (name: string) => {
        session.receive({ ...request(type, '', undefined), subscribe: [name] }, 0);
        session.next(0);
      };
      for (let i = 0; i < 4; i++) ask(`80/${i}${'x'.repeat(1_000_000)}`);
      const askOn = () => {
        for (let i = 4; i < 20; i++) ask(`80/${i}${'x'.repeat(1_000_000)}`);
      };
      expect(askOn, type).toThrow(/bytes of what there is not/);
    }
  });

  it('know what a client that goes on holds as it is now', () => {
    const session = new Session({ variant: 'delta' });
    session.update(stateOf(CLUSTER_TYPE, { a: 1, b: 2 }));
    const initialVersions = ['a', 'b', 'gone'].map((name) => [name, '1'] as const);
    session.receive({ ...request(CLUSTER_TYPE, '', undefined), initialVersions }, 0);
    expect(session.heldResources(CLUSTER_TYPE).map(({ name }) => name)).toEqual(['a']);
    expect(session.heldResources(LISTENER_TYPE)).toEqual([]);
  });

  it('of a client that goes on, no cluster is taken before its listeners and routes are known', () => {
    const types = [CLUSTER_TYPE, LISTENER_TYPE, ROUTE_TYPE];
    const desired = new Map(types.flatMap((type) => [...stateOf(type, { new: 1 })]));
    const resume = (session: Session, type: string, subscribe: readonly string[], version: string, nowMs: number) => {
      const initialVersions = [
        ['old', '1'],
        ['new', version],
      ] as const;
      session.receive({ ...request(type, '', undefined), subscribe, initialVersions }, nowMs);
    };
    const session = new Session({ variant: 'delta' });
    session.update(desired);
    resume(session, CLUSTER_TYPE, [], '1', 0);
    expect(session.next(0)).toBeUndefined();
    resume(session, LISTENER_TYPE, [], '1', 0);
    expect(session.next(0)).toMatchObject({ typeUrl: LISTENER_TYPE, removed: ['old'], nonce: '1' });
    session.receive(request(LISTENER_TYPE, '1', undefined), 0);
    expect(session.next(0)).toBeUndefined();
    resume(session, ROUTE_TYPE, ['old', 'new'], '0', 0);
    expect(session.next(0)).toMatchObject({ typeUrl: ROUTE_TYPE, resources: [{ name: 'new' }], nonce: '2' });
    session.receive(request(ROUTE_TYPE, '2', undefined), 0);
    const rest = [session.next(0), session.next(0)];
    expect(rest.find((response) => response?.typeUrl === CLUSTER_TYPE)?.removed).toEqual(['old']);

    // Somebody who never asks for them is not waited for without end.
    const clustersAlone = new Session({ variant: 'delta', warmingLimitMs: 5000 });
    clustersAlone.update(desired);
    resume(clustersAlone, CLUSTER_TYPE, [], '1', 0);
    expect(clustersAlone.next(0)).toBeUndefined();
    expect(clustersAlone.wakeAtMs(0)).toBe(5000);
    expect(clustersAlone.next(5000)).toMatchObject({ typeUrl: CLUSTER_TYPE, removed: ['old'] });
  });

  it('resume where an earlier stream ended', () => {
    const client = new PlainClient(CLUSTER_TYPE);
    client.session.update(stateOf(CLUSTER_TYPE, { a: 1, b: 2, c: 3 }));
    client.ask(
      [],
      [],
      [
        ['a', '1'],
        ['b', '1'],
        ['gone', '7'],
      ],
    );
    const [response, ...rest] = client.take();
    expect(rest).toEqual([]);
    expect([response?.resources.map((each) => each.name).sort(), response?.removed]).toEqual([['b', 'c'], ['gone']]);
  });
});
