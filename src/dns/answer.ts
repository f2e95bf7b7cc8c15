// SPDX-License-Identifier: Apache-2.0
// From a DNS query to its answer (RFC 1035, 2308, 6891), without a socket.
import { isIPv6 } from 'node:net';
import packet, { type Answer, type DecodedPacket, type Packet } from 'dns-packet';
import { type GlobalNames, isUnder, lookUp, normalizeName } from './global-names.ts';

/** Short: a virtual address may move when a ServiceEntry changes, and the server is near. */
const TTL_SECONDS = 5;
const PLAIN_UDP_BYTES = 512;
/** What fits one Ethernet frame; larger offers are not taken up. */
const MAX_UDP_BYTES = 1_232;

const RCODE = { ok: 0, formatError: 1, nameError: 3, notImplemented: 4, refused: 5 } as const;

/**
 * The encoded answer, or undefined for what must not be answered: an answer, or noise.
 * @param transport over udp a long answer is cut and marked, so that the client asks again by tcp
 */
export function answerQuery(
  query: Buffer,
  names: GlobalNames,
  zones: readonly string[],
  transport: 'udp' | 'tcp',
): Buffer | undefined {
  let decoded: DecodedPacket;
  try {
    decoded = packet.decode(query);
  } catch {
    return undefined;
  }
  if (decoded.type !== 'query') return undefined;
  const reply = buildReply(decoded, names, zones);
  const encoded = packet.encode(reply);
  if (transport === 'tcp' || encoded.length <= udpLimit(decoded)) return encoded;
  return packet.encode({
    ...reply,
    flags: (reply.flags ?? 0) | packet.TRUNCATED_RESPONSE,
    answers: [],
    authorities: [],
  });
}

function buildReply(query: DecodedPacket, names: GlobalNames, zones: readonly string[]): Packet {
  const [question, ...more] = query.questions ?? [];
  const opcode = ((query.flags ?? 0) >> 11) & 0xf;
  const reply = (rcode: number, answers: Answer[], authorities: Answer[] = []): Packet => ({
    type: 'response',
    id: query.id ?? 0,
    // The opcode and RD come back as they were asked; this server is the authority for its zones and recurses nowhere.
    flags: ((query.flags ?? 0) & (0x7800 | packet.RECURSION_DESIRED)) | packet.AUTHORITATIVE_ANSWER | rcode,
    questions: query.questions ?? [],
    answers,
    authorities,
    additionals: extendedPart(query),
  });
  if (opcode !== 0) return reply(RCODE.notImplemented, []);
  if (question === undefined || more.length > 0) return reply(RCODE.formatError, []);
  const name = normalizeName(question.name);
  const zone = zones.find((each) => isUnder(name, each));
  if (zone === undefined) return reply(RCODE.refused, []);
  const found = name === zone ? ({ kind: 'empty' } as const) : lookUp(names, name);
  if (found.kind === 'unknown') return reply(RCODE.nameError, [], [startOfAuthority(zone)]);
  const asked: string = question.type;
  const records = (found.kind === 'empty' ? [] : found.addresses)
    .map((data) => ({ type: isIPv6(data) ? ('AAAA' as const) : ('A' as const), data }))
    .filter(({ type }) => type === asked || asked === 'ANY');
  if (records.length === 0) return reply(RCODE.ok, [], [startOfAuthority(zone)]);
  return reply(
    RCODE.ok,
    records.map((record) => ({ ...record, class: 'IN', name: question.name, ttl: TTL_SECONDS })),
  );
}

/** Tells caches how long they may remember that there is nothing. */
function startOfAuthority(zone: string): Answer {
  const data = {
    mname: `ns.${zone}`,
    rname: `hostmaster.${zone}`,
    serial: 1,
    refresh: 3_600,
    retry: 600,
    expire: 86_400,
    minimum: TTL_SECONDS,
  };
  return { type: 'SOA', class: 'IN', name: zone, ttl: TTL_SECONDS, data };
}

function extendedPart(query: DecodedPacket): Answer[] {
  if (offeredUdpBytes(query) === undefined) return [];
  return [
    {
      type: 'OPT',
      name: '.',
      udpPayloadSize: MAX_UDP_BYTES,
      extendedRcode: 0,
      ednsVersion: 0,
      flags: 0,
      flag_do: false,
      options: [],
    },
  ];
}

function udpLimit(query: DecodedPacket): number {
  return Math.min(Math.max(offeredUdpBytes(query) ?? PLAIN_UDP_BYTES, PLAIN_UDP_BYTES), MAX_UDP_BYTES);
}

function offeredUdpBytes(query: DecodedPacket): number | undefined {
  const option = query.additionals?.find((record) => record.type === 'OPT');
  return option?.type === 'OPT' ? option.udpPayloadSize : undefined;
}
