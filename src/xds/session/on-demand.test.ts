// SPDX-License-Identifier: Apache-2.0
// Laws of what is given on demand, whatever the order in which changes, requests, answers and reconnects come.
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { rounds } from '#test/fixture/counts.ts';
import type { DesiredState, OfferedState, XdsResource } from '../types.ts';
import { rememberDiffs } from './map-diff.ts';
import { Session, type SessionResponse } from './session.ts';
import { request } from './testing/model-client.ts';
import { type HostValue, OnDemandClient } from './testing/on-demand-client.ts';
import { CLUSTER_TYPE, ROUTE_TYPE, VIRTUAL_HOST_TYPE } from './type-urls.ts';

const TABLES = ['80', '90'];
const DOMAINS = ['a', 'b', 'c', 'd', 'e'];
const HOSTS = ['h1', 'h2', 'h3'];
const CLUSTERS = ['c1', 'c2', 'c3'];

interface Shape {
  /** Per table and domain the host that has it, if any. */
  readonly owners: readonly (string | undefined)[];
  readonly revision: number;
  /** Hosts that are pushed: none, or all. */
  readonly isPushed: boolean;
  /** Revision per cluster; undefined: there is none. */
  readonly clusters: readonly (number | undefined)[];
  readonly table: number;
}

const revision = fc.integer({ min: 0, max: 2 });
const shapes: fc.Arbitrary<Shape> = fc.record({
  owners: fc.array(fc.option(fc.constantFrom(...HOSTS), { nil: undefined }), {
    minLength: TABLES.length * DOMAINS.length,
    maxLength: TABLES.length * DOMAINS.length,
  }),
  revision,
  isPushed: fc.constant(false),
  clusters: fc.array(fc.option(revision, { nil: undefined }), {
    minLength: CLUSTERS.length,
    maxLength: CLUSTERS.length,
  }),
  table: revision,
});

function resource(typeUrl: string, name: string, value: object): XdsResource {
  const text = JSON.stringify(value);
  return { typeUrl, name, version: text, value: Buffer.from(text) };
}

const standIn = (name: string): XdsResource => resource(CLUSTER_TYPE, name, { standIn: true });

function ownerOf(shape: Shape, table: string, domain: string): string | undefined {
  const owner = shape.owners[TABLES.indexOf(table) * DOMAINS.length + DOMAINS.indexOf(domain)];
  return owner === undefined ? undefined : `${table}/${owner}`;
}

function statesOf(shape: Shape): { desired: DesiredState; offered: OfferedState; hosts: Map<string, XdsResource> } {
  const hosts = new Map<string, XdsResource>();
  for (const table of TABLES) {
    for (const host of HOSTS) {
      const domains = DOMAINS.filter((domain) => ownerOf(shape, table, domain) === `${table}/${host}`);
      const value: HostValue = { domains, revision: shape.revision };
      if (domains.length > 0) hosts.set(`${table}/${host}`, resource(VIRTUAL_HOST_TYPE, `${table}/${host}`, value));
    }
  }
  const clusters = new Map(
    CLUSTERS.flatMap((name, i) => {
      const at = shape.clusters[i];
      return at === undefined ? [] : [[name, resource(CLUSTER_TYPE, name, { at })] as const];
    }),
  );
  const resolve = (asked: string) => ownerOf(shape, ...(asked.split('/') as [string, string]));
  const tables = new Map(TABLES.map((name) => [name, resource(ROUTE_TYPE, name, { revision: shape.table })]));
  const nothing = new Map<string, XdsResource>();
  const own = resource(CLUSTER_TYPE, 'own', {});
  return {
    desired: new Map([
      [CLUSTER_TYPE, new Map([['own', own]])],
      [ROUTE_TYPE, tables],
      [VIRTUAL_HOST_TYPE, shape.isPushed ? hosts : nothing],
    ]),
    offered: new Map([
      [CLUSTER_TYPE, { resources: clusters, standIn }],
      [VIRTUAL_HOST_TYPE, { resources: shape.isPushed ? nothing : hosts, resolve }],
    ]),
    hosts,
  };
}

type Step =
  | { kind: 'change'; shape: Shape }
  | { kind: 'request'; table: string; domain: string }
  | { kind: 'use'; cluster: string }
  | { kind: 'deliver-request' | 'deliver-response' | 'reconnect' };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('change' as const), shape: shapes }) },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('request' as const),
        table: fc.constantFrom(...TABLES),
        domain: fc.constantFrom(...DOMAINS),
      }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('use' as const), cluster: fc.constantFrom(...CLUSTERS) }) },
    { weight: 8, arbitrary: fc.constant<Step>({ kind: 'deliver-request' }) },
    { weight: 8, arbitrary: fc.constant<Step>({ kind: 'deliver-response' }) },
    { weight: 1, arbitrary: fc.constant<Step>({ kind: 'reconnect' }) },
  ),
  { maxLength: 80 },
);

/** A session and a client with two queues between them. */
class Pair {
  readonly client = new OnDemandClient(TABLES);
  readonly onTheWay: SessionResponse[] = [];
  /** Virtual hosts that a name which was asked for has ever meant. */
  readonly meant = new Set<string>();
  readonly #diff = rememberDiffs();
  readonly #isPushed: boolean;
  shape: Shape;
  #session: Session;

  constructor(shape: Shape, isPushed: boolean) {
    this.#isPushed = isPushed;
    this.shape = shape;
    this.#session = this.#newSession();
  }

  get states() {
    return statesOf({ ...this.shape, isPushed: this.#isPushed });
  }

  #newSession(): Session {
    const session = new Session({ variant: 'delta', diff: (from, to) => this.#diff(from, to) });
    const { desired, offered } = this.states;
    session.update(desired, offered);
    return session;
  }

  step(step: Step): boolean {
    switch (step.kind) {
      case 'change': {
        this.shape = step.shape;
        const { desired, offered } = this.states;
        this.#session.update(desired, offered);
        break;
      }
      case 'request':
        this.client.request(step.table, step.domain);
        break;
      case 'use':
        this.client.use(step.cluster);
        break;
      case 'deliver-request': {
        const next = this.client.requests.shift();
        if (next === undefined) return false;
        this.#session.receive(next, 0);
        break;
      }
      case 'deliver-response': {
        const next = this.onTheWay.shift();
        if (next === undefined) return false;
        this.client.receive(next);
        break;
      }
      case 'reconnect':
        this.#session = this.#newSession();
        this.onTheWay.length = 0;
        this.client.reconnect();
    }
    for (let response = this.#session.next(0); response; response = this.#session.next(0)) this.onTheWay.push(response);
    for (const asked of this.client.askedHosts) {
      const owner = ownerOf(this.shape, ...(asked.split('/') as [string, string]));
      if (owner !== undefined) this.meant.add(owner);
    }
    return true;
  }

  settle(): void {
    for (let round = 0; round < 1000; round++) {
      const moved = this.step({ kind: 'deliver-request' });
      if (!this.step({ kind: 'deliver-response' }) && !moved) return;
    }
    throw new Error('the session does not come to rest');
  }
}

/** What the client would do with a request now, against what all virtual hosts together would. */
function expectRouted({ client, shape }: Pair, hosts: ReadonlyMap<string, XdsResource>): void {
  for (const asked of client.askedHosts) {
    const [table, domain] = asked.split('/') as [string, string];
    const owner = ownerOf(shape, table, domain);
    const held = [...client.hosts].find(
      ([name, copy]) => name.startsWith(`${table}/`) && copy.domains.includes(domain),
    );
    expect(held?.[0], asked).toBe(owner);
    if (owner !== undefined) expect(held?.[1].version).toBe(hosts.get(owner)?.version);
  }
}

describe.each([
  ['virtual hosts on demand', false],
  ['virtual hosts pushed', true],
])('a client that fetches what it needs, %s', (_, isPushed) => {
  it('has what it asked for and nothing that is gone, waits for nothing, and refuses nothing, after any history', () => {
    fc.assert(
      fc.property(shapes, steps, (first, history) => {
        const pair = new Pair(first, isPushed);
        for (const step of history) pair.step(step);
        pair.settle();
        const { client, shape } = pair;
        const { hosts } = pair.states;
        expect(client.refusals).toEqual([]);
        expect([...client.waiting]).toEqual([]);
        expect([...client.started].sort()).toEqual(TABLES);
        expectRouted(pair, hosts);
        for (const [name, { version }] of client.hosts) expect(version).toBe(hosts.get(name)?.version);
        if (isPushed) expect(client.hosts.size).toBe(hosts.size);
        else for (const name of client.hosts.keys()) expect(pair.meant).toContain(name);
        for (const [i, name] of CLUSTERS.entries()) {
          const at = shape.clusters[i];
          const real = at === undefined ? standIn(name) : resource(CLUSTER_TYPE, name, { at });
          expect(client.clusters.get(name)).toBe(client.askedClusters.has(name) ? real.version : undefined);
        }
      }),
      { numRuns: rounds(300, 20_000) },
    );
  });
});

test('a cluster that goes is taken back only when no virtual host can name it any more', () => {
  const shape: Shape = { owners: [], revision: 0, isPushed: true, clusters: [1], table: 0 };
  const host = (revision: number) =>
    new Map([['80/h1', resource(VIRTUAL_HOST_TYPE, '80/h1', { domains: ['a'], revision })]]);
  const session = new Session({ variant: 'delta' });
  const at = (clusters: Shape['clusters'], revision: number): void => {
    const { desired, offered } = statesOf({ ...shape, clusters });
    session.update(new Map([...desired, [VIRTUAL_HOST_TYPE, host(revision)]]), offered);
  };
  at([1], 0);
  const sent: SessionResponse[] = [];
  const pump = (): void => {
    for (let response = session.next(0); response; response = session.next(0)) sent.push(response);
  };
  const acknowledge = (): void => {
    for (const { typeUrl, nonce } of sent.splice(0)) session.receive(request(typeUrl, nonce, undefined), 0);
    pump();
  };
  session.receive({ ...request(CLUSTER_TYPE, '', undefined), subscribe: ['*', 'c1'] }, 0);
  session.receive({ ...request(ROUTE_TYPE, '', undefined), subscribe: ['80'] }, 0);
  session.receive(request(VIRTUAL_HOST_TYPE, '', undefined), 0);
  pump();
  for (let i = 0; i < 4; i++) acknowledge();
  at([undefined], 1);
  pump();
  expect(sent.map(({ typeUrl }) => typeUrl)).toEqual([VIRTUAL_HOST_TYPE]);
  acknowledge();
  expect(sent).toMatchObject([{ typeUrl: CLUSTER_TYPE, resources: [], removed: ['c1'] }]);
  acknowledge();
  expect(sent).toMatchObject([{ typeUrl: CLUSTER_TYPE, resources: [{ version: standIn('c1').version }] }]);
});

test('what is foreseen is given with the first answer, and counts as asked for', () => {
  const owners = ['h1', undefined, undefined, undefined, 'h2'];
  const { desired, offered } = statesOf({ owners, revision: 0, isPushed: false, clusters: [1, 1], table: 0 });
  const session = new Session({ variant: 'delta' });
  session.update(desired, offered);
  session.foresee(
    new Map([
      [CLUSTER_TYPE, ['c2', 'gone']],
      [VIRTUAL_HOST_TYPE, ['80/h2', '90/h1']],
    ]),
  );
  const client = new OnDemandClient(['80']);
  for (let round = 0; round < 20; round++) {
    const next = client.requests.shift();
    if (next !== undefined) session.receive(next, 0);
    const response = session.next(0);
    if (response !== undefined) client.receive(response);
  }
  expect([...client.clusters.keys()].sort()).toEqual(['c2', 'own']);
  expect([...client.hosts.keys()]).toEqual(['80/h2']);
});
