// SPDX-License-Identifier: Apache-2.0
import { Resolver as Client } from 'node:dns/promises';
import { connect } from 'node:net';
import { type DecodedPacket, decode, encode, type Packet, streamDecode, streamEncode } from 'dns-packet';
import { afterEach, describe, expect, it } from 'vitest';
import type { KubeObject } from '../../kube/types.ts';
import { ServiceTable } from '../network/service-table.ts';
import { createResolver, type Resolver } from './resolver.ts';
import { type DnsServer, serveDns } from './server.ts';
import type { StubDomains } from './stub-domains.ts';

function service(namespace: string, name: string, spec: Record<string, unknown>): KubeObject {
  return { apiVersion: 'v1', kind: 'Service', metadata: { namespace, name }, spec };
}

interface SliceEndpoint {
  addresses: string[];
  hostname?: string;
  conditions?: Record<string, boolean>;
}

function slice(
  namespace: string,
  owner: string,
  endpoints: SliceEndpoint[],
  ports: Record<string, number>,
): KubeObject {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { namespace, name: `${owner}-abc`, labels: { 'kubernetes.io/service-name': owner } },
    addressType: 'IPv4',
    endpoints,
    ports: Object.entries(ports).map(([name, port]) => ({ name, port })),
  };
}

function sampleTable(): ServiceTable {
  const table = new ServiceTable();
  for (const name of ['default', 'empty']) {
    table.upsertNamespace({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  }
  const http = [{ name: 'http', port: 9080, protocol: 'TCP' }];
  table.upsertService(service('default', 'reviews', { clusterIP: '10.96.0.7', ports: http }));
  table.upsertService(service('default', 'db', { clusterIP: 'None', ports: [{ name: 'sql', port: 5432 }] }));
  table.upsertService(service('default', 'idle', { clusterIP: 'None', ports: [{ name: 'sql', port: 5432 }] }));
  table.upsertService(
    service('default', 'ext', { type: 'ExternalName', externalName: 'db.default.svc.cluster.local' }),
  );
  table.upsertService(service('default', 'away', { type: 'ExternalName', externalName: 'www.Example.com.' }));
  table.upsertService(
    service('default', 'loop', { type: 'ExternalName', externalName: 'loop.default.svc.cluster.local' }),
  );
  const endpoints: SliceEndpoint[] = [
    { addresses: ['10.1.0.11'], hostname: 'db-0' },
    { addresses: ['10.1.0.12'] },
    { addresses: ['10.1.0.13'], conditions: { ready: false } },
  ];
  table.upsertSlice(slice('default', 'db', endpoints, { sql: 15432 }));
  return table;
}

const SUFFIX = 'svc.cluster.local';

describe('the resolver', () => {
  const open: DnsServer[] = [];
  afterEach(() => {
    for (const server of open.splice(0)) server.close();
  });

  function resolverWith(stubs: StubDomains = new Map(), table = sampleTable()): Resolver {
    const zone = { table, domain: 'cluster.local', serviceNetworkPrefix: '10.96.' };
    return createResolver({ zone, stubs: () => stubs, random: () => 0.4 });
  }

  async function ask(
    name: string,
    type: string,
    resolver = resolverWith(),
    extra: Partial<Packet> = {},
  ): Promise<DecodedPacket> {
    const query = encode({
      type: 'query',
      id: 7,
      flags: 0x100,
      questions: [{ name, type: type as 'A' }],
      ...extra,
    });
    return decode((await resolver(query, 'udp'))!);
  }

  const codeOf = (packet: Packet) => (packet.flags ?? 0) & 0xf;
  const dataOf = (packet: Packet) =>
    (packet.answers ?? []).map((answer) => ('data' in answer ? answer.data : undefined));

  async function serve(resolver: Resolver): Promise<DnsServer> {
    const server = await serveDns(resolver, { host: '127.0.0.1', port: 0 });
    open.push(server);
    return server;
  }

  it.each([
    [`reviews.default.${SUFFIX}`, ['10.96.0.7']],
    [`REVIEWS.Default.${SUFFIX}`, ['10.96.0.7']],
    [`db-0.db.default.${SUFFIX}`, ['10.1.0.11']],
    [`10-1-0-12.db.default.${SUFFIX}`, ['10.1.0.12']],
    ['10-1-0-99.default.pod.cluster.local', ['10.1.0.99']],
  ])('A %s', async (name, addresses) => {
    const answer = await ask(name, 'A');
    expect([codeOf(answer), dataOf(answer)]).toEqual([0, addresses]);
    expect(answer.flag_aa).toBe(true);
    expect(answer.answers![0]!.name).toBe(name);
  });

  it('a headless service is its ready endpoints', async () => {
    expect(dataOf(await ask(`db.default.${SUFFIX}`, 'A')).sort()).toEqual(['10.1.0.11', '10.1.0.12']);
  });

  it.each([
    [`reviews.default.${SUFFIX}`, 'AAAA'],
    [`idle.default.${SUFFIX}`, 'A'],
    [`default.${SUFFIX}`, 'A'],
    [`empty.${SUFFIX}`, 'A'],
    [SUFFIX, 'A'],
    ['cluster.local', 'A'],
    ['pod.cluster.local', 'A'],
    [`_tcp.reviews.default.${SUFFIX}`, 'A'],
    [`_http._tcp.reviews.default.${SUFFIX}`, 'A'],
    [`db-0.db.default.${SUFFIX}`, 'AAAA'],
    ['7.0.96.10.in-addr.arpa', 'A'],
  ])('%s exists, without %s: NODATA', async (name, type) => {
    const answer = await ask(name, type);
    expect([codeOf(answer), answer.answers]).toEqual([0, []]);
    expect(answer.authorities![0]).toMatchObject({ type: 'SOA', name: 'cluster.local', data: { minimum: 5 } });
  });

  it.each([
    `ratings.default.${SUFFIX}`,
    `reviews.nowhere.${SUFFIX}`,
    `nowhere.${SUFFIX}`,
    `_udp.reviews.default.${SUFFIX}`,
    `_grpc._tcp.reviews.default.${SUFFIX}`,
    `db-1.db.default.${SUFFIX}`,
    `10-1-0-13.db.default.${SUFFIX}`,
    `a.b.c.reviews.default.${SUFFIX}`,
    'nothing.cluster.local',
    '10-1-0-300.default.pod.cluster.local',
    '99.0.96.10.in-addr.arpa',
  ])('%s does not exist: NXDOMAIN', async (name) => {
    const answer = await ask(name, 'A');
    expect([codeOf(answer), answer.answers]).toEqual([3, []]);
    expect(answer.authorities![0]).toMatchObject({ type: 'SOA' });
  });

  it('names outside of the cluster do not exist, with nobody to ask', async () => {
    for (const name of ['reviews', 'example.com', 'reviews.default.global', '1.0.1.10.in-addr.arpa']) {
      const answer = await ask(name, 'A');
      expect([name, codeOf(answer), answer.flag_aa]).toEqual([name, 3, false]);
    }
  });

  it('SRV, with the addresses of its targets', async () => {
    const one = await ask(`_http._tcp.reviews.default.${SUFFIX}`, 'SRV');
    expect(dataOf(one)).toEqual([{ priority: 0, weight: 100, port: 9080, target: `reviews.default.${SUFFIX}` }]);
    expect(one.additionals).toMatchObject([{ type: 'A', name: `reviews.default.${SUFFIX}`, data: '10.96.0.7' }]);
    const targets = dataOf(await ask(`_sql._tcp.db.default.${SUFFIX}`, 'SRV')) as { port: number; target: string }[];
    expect(targets.map(({ port, target }) => `${port} ${target}`).sort()).toEqual([
      `15432 10-1-0-12.db.default.${SUFFIX}`,
      `15432 db-0.db.default.${SUFFIX}`,
    ]);
  });

  it('PTR', async () => {
    expect(dataOf(await ask('7.0.96.10.in-addr.arpa', 'PTR'))).toEqual([`reviews.default.${SUFFIX}`]);
    expect(dataOf(await ask('11.0.1.10.in-addr.arpa', 'PTR'))).toEqual([`db-0.db.default.${SUFFIX}`]);
  });

  it('an external name is an alias, followed as far as we know', async () => {
    const inside = await ask(`ext.default.${SUFFIX}`, 'A');
    expect(dataOf(inside)[0]).toBe(`db.default.${SUFFIX}`);
    expect(dataOf(inside).slice(1).sort()).toEqual(['10.1.0.11', '10.1.0.12']);
    const outside = await ask(`away.default.${SUFFIX}`, 'A');
    expect([codeOf(outside), dataOf(outside)]).toEqual([3, ['www.example.com']]);
    expect(codeOf(await ask(`loop.default.${SUFFIX}`, 'A'))).toBe(2);
  });

  it('answers malformed and unusual messages as a server should', async () => {
    const resolver = resolverWith();
    expect(await resolver(Buffer.from([1, 2, 3]), 'udp')).toBeUndefined();
    const response = encode({ type: 'response', id: 1, questions: [{ name: 'a', type: 'A' }] });
    expect(await resolver(response, 'udp')).toBeUndefined();
    const notify = encode({ type: 'query', id: 9, questions: [{ name: 'a', type: 'A' }] });
    notify[2] = 4 << 3;
    expect(codeOf(decode((await resolver(notify, 'udp'))!))).toBe(4);
    const broken = Buffer.concat([
      encode({ type: 'query', id: 9, questions: [{ name: 'abc', type: 'A' }] }).subarray(0, 14),
    ]);
    const refused = (await resolver(broken, 'udp'))!;
    expect([refused.readUInt16BE(0), refused[3]! & 0xf]).toEqual([9, 1]);
    const two = {
      questions: [
        { name: 'a', type: 'A' as const },
        { name: 'b', type: 'A' as const },
      ],
    };
    expect(codeOf(decode((await resolver(encode({ type: 'query', id: 1, ...two }), 'udp'))!))).toBe(1);
  });

  it('over UDP cuts what does not fit, and says so; over TCP gives all of it', async () => {
    const table = sampleTable();
    const endpoints = Array.from({ length: 60 }, (_, i) => ({ addresses: [`10.1.1.${i + 1}`] }));
    table.upsertService(service('default', 'many', { clusterIP: 'None', ports: [{ name: 'x', port: 1 }] }));
    table.upsertSlice(slice('default', 'many', endpoints, { x: 1 }));
    const resolver = resolverWith(new Map(), table);
    const cut = await ask(`many.default.${SUFFIX}`, 'A', resolver);
    expect([cut.flag_tc, cut.answers!.length]).toEqual([true, 0]);
    const server = await serve(resolver);
    const whole = await askTcp(server.port, [`many.default.${SUFFIX}`, `reviews.default.${SUFFIX}`]);
    expect(whole.map(({ answers }) => answers!.length)).toEqual([60, 1]);
  });

  it('a client that offers EDNS gets EDNS', async () => {
    const opt = {
      type: 'OPT' as const,
      name: '.',
      udpPayloadSize: 4096,
      extendedRcode: 0,
      ednsVersion: 0,
      flags: 0,
      flag_do: false,
      options: [],
    };
    const answer = await ask(`reviews.default.${SUFFIX}`, 'A', resolverWith(), { additionals: [opt] });
    expect(answer.additionals!.filter(({ type }) => type === 'OPT')).toHaveLength(1);
  });

  it('a stub domain is asked of its servers, whole messages both ways; nothing else is', async () => {
    const asked: string[] = [];
    const far = await serve(async (message) => {
      const query = decode(message);
      const { name } = query.questions![0]!;
      asked.push(name);
      return encode({
        type: 'response',
        id: query.id!,
        questions: query.questions!,
        answers: [{ name, type: 'A', data: '127.255.0.3', ttl: 1 }],
      });
    });
    const dead = { host: '127.0.0.1', port: 1 };
    const stubs: StubDomains = new Map([
      ['global', [dead, { host: '127.0.0.1', port: far.port }]],
      ['broken.test', [dead]],
    ]);
    const near = await serve(resolverWith(stubs));
    const client = new Client();
    client.setServers([`127.0.0.1:${near.port}`]);
    expect(await client.resolve4('reviews.default.global')).toEqual(['127.255.0.3']);
    await expect(client.resolve4('reviews.notglobal')).rejects.toMatchObject({ code: 'ENOTFOUND' });
    await expect(client.resolve4('x.broken.test')).rejects.toMatchObject({ code: 'ESERVFAIL' });
    expect(await client.resolve4(`reviews.default.${SUFFIX}`)).toEqual(['10.96.0.7']);
    expect(asked).toEqual(['reviews.default.global']);
  });

  it('an alias into a stub domain is followed there', async () => {
    const far = await serve(async (message) => {
      const query = decode(message);
      const { name } = query.questions![0]!;
      return encode({
        type: 'response',
        id: query.id!,
        questions: query.questions!,
        answers: [{ name, type: 'A', data: '9.9.9.9', ttl: 1 }],
      });
    });
    const stubs: StubDomains = new Map([['example.com', [{ host: '127.0.0.1', port: far.port }]]]);
    expect(dataOf(await ask(`away.default.${SUFFIX}`, 'A', resolverWith(stubs)))).toEqual([
      'www.example.com',
      '9.9.9.9',
    ]);
  });
});

/** Several queries down one connection, as RFC 7766 allows. */
function askTcp(port: number, names: string[]): Promise<Packet[]> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port });
    let received = Buffer.alloc(0);
    const answers: Packet[] = [];
    socket.on('error', reject);
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        answers.push(streamDecode(received));
        received = received.subarray(2 + received.readUInt16BE(0));
      }
      if (answers.length < names.length) return;
      socket.destroy();
      resolve(answers);
    });
    const queries = names.map((name, id) => streamEncode({ type: 'query', id, questions: [{ name, type: 'A' }] }));
    socket.write(Buffer.concat(queries));
  });
}
