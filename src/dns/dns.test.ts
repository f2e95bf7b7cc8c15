// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import packet, { type DecodedPacket, type Packet } from 'dns-packet';
import { describe, expect, test } from 'vitest';
import type { KubeObject } from '../kube/types.ts';
import { answerQuery } from './answer.ts';
import { collectNames, type GlobalNames } from './global-names.ts';
import { startDnsServer } from './server.ts';

function entry(
  name: string,
  hosts: string[],
  addresses: string[],
  creationTimestamp = '2020-01-01T00:00:00Z',
): KubeObject {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name, namespace: 'default', creationTimestamp },
    spec: { hosts, addresses },
  };
}

const ZONES = ['global', 'clusterset.local'];

const NAMES: GlobalNames = collectNames(
  [
    entry('reviews', ['reviews.default.global'], ['127.255.0.3']),
    entry('wild', ['*.bar.global'], ['127.255.0.9/32']),
    entry('families', ['families.default.global'], ['fd00::9', '127.255.0.7']),
    entry('six', ['six.default.global'], ['fd00::6/128', 'fd00:1::/64']),
    entry('nowhere', ['nowhere.default.global'], []),
    entry('other', ['api.example.com'], ['192.0.2.1']),
    entry('range', ['range.default.global'], ['10.0.0.0/8']),
    entry(
      'many',
      ['many.default.global'],
      Array.from({ length: 25 }, (_, i) => `127.255.1.${i}`),
    ),
    entry('both', ['both.default.global', 'both.default.svc.clusterset.local'], ['244.0.0.1']),
  ],
  ZONES,
);

function ask(
  name: string,
  type: string,
  change: Partial<Packet> = {},
  transport: 'udp' | 'tcp' = 'udp',
): DecodedPacket {
  const query = packet.encode({
    type: 'query',
    id: 7,
    flags: packet.RECURSION_DESIRED,
    questions: [{ type: type as 'A', name, class: 'IN' }],
    ...change,
  });
  const answer = answerQuery(query, NAMES, ZONES, transport);
  if (answer === undefined) throw new Error('no answer');
  return packet.decode(answer);
}

const rcode = ({ flags = 0 }: DecodedPacket): number => flags & 0xf;
const addresses = ({ answers = [] }: DecodedPacket) =>
  answers.map((record) => (record.type === 'A' || record.type === 'AAAA' ? record.data : record.type));

describe('answers', () => {
  test.each([
    ['reviews.default.global', 'A', 0, ['127.255.0.3']],
    ['Reviews.Default.GLOBAL', 'A', 0, ['127.255.0.3']],
    ['reviews.default.global', 'AAAA', 0, []],
    ['families.default.global', 'A', 0, ['127.255.0.7']],
    ['families.default.global', 'AAAA', 0, ['fd00::9']],
    ['families.default.global', 'ANY', 0, ['127.255.0.7', 'fd00::9']],
    ['six.default.global', 'A', 0, []],
    ['six.default.global', 'AAAA', 0, ['fd00::6']],
    ['reviews.default.global', 'TXT', 0, []],
    ['reviews.default.global', 'SRV', 0, []],
    ['_http._tcp.reviews.default.global', 'SRV', 3, []],
    ['reviews.default.global', 'ANY', 0, ['127.255.0.3']],
    ['anything.bar.global', 'A', 0, ['127.255.0.9']],
    ['bar.global', 'A', 0, []],
    ['default.global', 'A', 0, []],
    ['global', 'A', 0, []],
    ['nowhere.default.global', 'A', 0, []],
    ['range.default.global', 'A', 0, []],
    ['ratings.default.global', 'A', 3, []],
    ['reviews.global', 'A', 3, []],
    ['api.example.com', 'A', 5, []],
    ['notglobal', 'A', 5, []],
  ] as const)('%s %s', (name, type, code, expected) => {
    const answer = ask(name, type);
    expect([rcode(answer), addresses(answer)]).toEqual([code, expected]);
    expect(answer.id).toBe(7);
  });

  test('what is not there comes with a time to remember it', () => {
    const [soa] = ask('ratings.default.global', 'A').authorities ?? [];
    expect(soa).toMatchObject({ type: 'SOA', name: 'global', data: { minimum: 5 } });
  });

  test('a long answer is cut over UDP and whole over TCP', () => {
    const cut = ask('many.default.global', 'A');
    expect([cut.flag_tc, addresses(cut)]).toEqual([true, []]);
    expect(addresses(ask('many.default.global', 'A', {}, 'tcp'))).toHaveLength(25);
    const option = { type: 'OPT', name: '.', udpPayloadSize: 4096, flags: 0 } as never;
    const extended = ask('many.default.global', 'A', { additionals: [option] });
    expect([extended.flag_tc, addresses(extended).length]).toEqual([false, 25]);
  });

  test('noise and answers are not answered; other operations are refused', () => {
    expect(answerQuery(Buffer.from('noise'), NAMES, ZONES, 'udp')).toBeUndefined();
    expect(answerQuery(packet.encode({ type: 'response', id: 1 }), NAMES, ZONES, 'udp')).toBeUndefined();
    expect(rcode(ask('reviews.default.global', 'A', { flags: 5 << 11 }))).toBe(4);
    expect(rcode(ask('reviews.default.global', 'A', { questions: [] }))).toBe(1);
  });
});

test('of two claims to a name the older one holds, in whatever order they come', () => {
  const old = entry('z', ['a.b.global'], ['127.255.0.1'], '2020-01-01T00:00:00Z');
  const young = entry('a', ['a.b.global'], ['127.255.0.2'], '2021-01-01T00:00:00Z');
  for (const entries of [
    [old, young],
    [young, old],
  ]) {
    expect(collectNames(entries, ZONES).get('a.b.global')).toEqual({
      addresses: ['127.255.0.1'],
      serviceEntry: 'default/z',
    });
  }
});

test('what is broken takes nothing else down', () => {
  const broken = {
    apiVersion: 'x/v1',
    kind: 'ServiceEntry',
    metadata: { name: 'b' },
    spec: { hosts: 'a.global', addresses: 7 },
  };
  expect([...collectNames([broken, entry('ok', ['ok.x.global'], ['127.255.0.1'])], ZONES).keys()]).toEqual([
    'ok.x.global',
  ]);
});

test('a service of several clusters has the same address under both of its names', () => {
  for (const name of ['both.default.global', 'both.default.svc.clusterset.local']) {
    expect(ask(name, 'A').answers).toMatchObject([{ name, data: '244.0.0.1' }]);
  }
  expect(ask('none.default.svc.clusterset.local', 'A')).toMatchObject({
    rcode: 'NXDOMAIN',
    authorities: [{ name: 'clusterset.local' }],
  });
  expect(ask('default.svc.cluster.local', 'A')).toMatchObject({ rcode: 'REFUSED' });
});

test('UDP and TCP on one port, until the end', async () => {
  const ending = new AbortController();
  const { port } = await startDnsServer({
    host: '127.0.0.1',
    port: 0,
    zones: ZONES,
    names: () => NAMES,
    signal: ending.signal,
  });
  const query = packet.encode({ type: 'query', id: 9, questions: [{ type: 'A', name: 'reviews.default.global' }] });

  const udp = createSocket('udp4');
  udp.send(query, port, '127.0.0.1');
  const [overUdp] = await once(udp, 'message');
  udp.close();
  expect(addresses(packet.decode(overUdp))).toEqual(['127.255.0.3']);

  const tcp = connect(port, '127.0.0.1');
  const framed = packet.streamEncode({
    type: 'query',
    id: 9,
    questions: [{ type: 'A', name: 'reviews.default.global' }],
  });
  // Two questions in one connection, cut at an awkward place.
  tcp.write(framed.subarray(0, 1));
  tcp.write(Buffer.concat([framed.subarray(1), framed]));
  let received = Buffer.alloc(0);
  for await (const chunk of tcp as AsyncIterable<Buffer>) {
    received = Buffer.concat([received, chunk]);
    if (received.length >= 2 * (2 + received.readUInt16BE(0))) break;
  }
  expect(addresses(packet.decode(received.subarray(2)))).toEqual(['127.255.0.3']);

  const open = connect(port, '127.0.0.1');
  await once(open, 'connect');
  ending.abort();
  await once(open, 'close');
});

/** argv[1]: the port. A DNS query whose UDP header says that it comes from port 0. */
const FORGE = `
import socket, struct, sys
query = b"\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\1a\\6global\\0\\0\\1\\0\\1"
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
raw.sendto(struct.pack(">HHHH", 0, int(sys.argv[1]), 8 + len(query), 0) + query, ("127.0.0.1", 0))
`;

test('a datagram from port 0 ends nothing', async (context) => {
  const ending = new AbortController();
  const options = { host: '127.0.0.1', port: 0, zones: ZONES, names: () => NAMES, signal: ending.signal };
  const { port } = await startDnsServer(options);
  const forged = spawnSync('python3', ['-c', FORGE, String(port)], { encoding: 'utf8' });
  if (forged.status !== 0) ending.abort();
  context.skip(forged.status !== 0, `raw sockets are not allowed here: ${forged.stderr?.trim().split('\n').at(-1)}`);
  const udp = createSocket('udp4');
  udp.send(packet.encode({ type: 'query', id: 9, questions: [{ type: 'A', name: 'reviews.default.global' }] }), port);
  await once(udp, 'message');
  udp.close();
  ending.abort();
});
