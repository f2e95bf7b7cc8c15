// SPDX-License-Identifier: Apache-2.0
// From a DNS message to the message that answers it (RFC 1035, 2308; EDNS by RFC 6891).
import { type Answer, decode, encode, type Packet, type Question, type SoaAnswer } from 'dns-packet';
import { answerFromZone, type DnsRecord, TTL_SECONDS, type Zone } from './cluster-zone.ts';
import { forwardQuery, type Transport } from './forward-query.ts';
import { findStub, type StubDomains } from './stub-domains.ts';

export interface ResolverOptions {
  readonly zone: Zone;
  /** As they are now. */
  stubs(): StubDomains;
  /** In [0, 1): spreads clients over the addresses of a headless service. */
  random(): number;
}

export type Resolver = (message: Buffer, transport: Transport) => Promise<Buffer | undefined>;

/** Header flags and codes, RFC 1035 section 4.1.1. */
const AUTHORITATIVE = 0x0400;
const TRUNCATED = 0x0200;
const RECURSION_DESIRED = 0x0100;
const RECURSION_AVAILABLE = 0x0080;
const RCODE = { noError: 0, formatError: 1, serverFailure: 2, noName: 3, notImplemented: 4 } as const;
const HEADER_BYTES = 12;
/** Without EDNS; and the most that goes into one Ethernet frame without fragments. */
const CLASSIC_UDP_BYTES = 512;
const MAX_UDP_BYTES = 1_232;
const MAX_ALIASES = 8;

interface Resolved {
  rcode: number;
  isOurs: boolean;
  answers: DnsRecord[];
  additional: DnsRecord[];
}

/** @returns a function that never rejects; undefined when the message deserves no answer (it is none, or a response). */
export function createResolver(options: ResolverOptions): Resolver {
  return async (message, transport) => {
    if (message.length < HEADER_BYTES || (message[2]! & 0x80) !== 0) return undefined;
    const opcode = (message[2]! >> 3) & 0xf;
    if (opcode !== 0) return headerOnly(message, RCODE.notImplemented);
    let query: Packet;
    try {
      query = decode(message);
    } catch {
      return headerOnly(message, RCODE.formatError);
    }
    const [question] = query.questions ?? [];
    if (question === undefined || query.questions!.length !== 1) return headerOnly(message, RCODE.formatError);
    try {
      return await answer(options, { message, query, question, transport });
    } catch {
      return failureOf(query, question);
    }
  };
}

interface Query {
  message: Buffer;
  query: Packet;
  question: Question;
  transport: Transport;
}

async function answer(options: ResolverOptions, { message, query, question, transport }: Query): Promise<Buffer> {
  const name = normalize(question.name);
  const local = answerFromZone(options.zone, name, question.type);
  if (local.kind === 'not-ours') {
    const servers = findStub(options.stubs(), name);
    if (servers !== undefined) {
      return (await forwardQuery(message, servers, transport)) ?? failureOf(query, question);
    }
  }
  const resolved = await resolve(options, name, question, transport);
  // The client compares the question with its own, letter by letter where it plays with upper and lower case.
  const answers = resolved.answers.map((record) =>
    record.name === name ? { ...record, name: question.name } : record,
  );
  const isNegative = resolved.isOurs && answers.length === 0;
  const soa = soaRecord(options.zone);
  const isSoaQuestion = question.type === 'SOA' && name === options.zone.domain;
  const flags = (query.flags! & RECURSION_DESIRED) | RECURSION_AVAILABLE | (resolved.isOurs ? AUTHORITATIVE : 0);
  const packet: Packet = {
    type: 'response',
    id: query.id!,
    flags: flags | resolved.rcode,
    questions: [question],
    answers: isSoaQuestion ? [soa] : (shuffle(answers, options.random) as Answer[]),
    authorities: isNegative && !isSoaQuestion ? [soa] : [],
    additionals: [...(resolved.additional as Answer[]), ...ednsOf(query)],
  };
  return trimToSize(packet, query, transport);
}

async function resolve(
  options: ResolverOptions,
  name: string,
  question: Question,
  transport: Transport,
): Promise<Resolved> {
  const answers: DnsRecord[] = [];
  let current = name;
  for (let hops = 0; hops <= MAX_ALIASES; hops++) {
    const found = answerFromZone(options.zone, current, question.type);
    switch (found.kind) {
      case 'records':
        return {
          rcode: RCODE.noError,
          isOurs: true,
          answers: [...answers, ...found.records],
          additional: found.additional,
        };
      case 'no-data':
        return { rcode: RCODE.noError, isOurs: true, answers, additional: [] };
      case 'no-name':
        return { rcode: RCODE.noName, isOurs: true, answers, additional: [] };
      case 'not-ours': {
        const outside = await resolveOutside(options, current, question, transport);
        return { ...outside, isOurs: hops > 0, answers: [...answers, ...outside.answers], additional: [] };
      }
      case 'alias':
        answers.push(found.record);
        if (question.type === 'CNAME') return { rcode: RCODE.noError, isOurs: true, answers, additional: [] };
        current = found.target;
    }
  }
  return { rcode: RCODE.serverFailure, isOurs: true, answers: [], additional: [] };
}

/** Where an alias leads out of the cluster; without a server for that name it ends in NXDOMAIN. */
async function resolveOutside(
  options: ResolverOptions,
  name: string,
  question: Question,
  transport: Transport,
): Promise<Pick<Resolved, 'rcode' | 'answers'>> {
  const servers = findStub(options.stubs(), name);
  if (servers === undefined) return { rcode: RCODE.noName, answers: [] };
  const query = encode({ type: 'query', id: 0, flags: RECURSION_DESIRED, questions: [{ ...question, name }] });
  const message = await forwardQuery(query, servers, transport);
  if (message === undefined) return { rcode: RCODE.serverFailure, answers: [] };
  const packet = decode(message);
  return { rcode: packet.flags! & 0xf, answers: (packet.answers ?? []) as unknown as DnsRecord[] };
}

/** With the question: some clients (c-ares) take an answer without one for a forgery. */
function failureOf(query: Packet, question: Question): Buffer {
  const flags = (query.flags! & RECURSION_DESIRED) | RECURSION_AVAILABLE | RCODE.serverFailure;
  return encode({ type: 'response', id: query.id!, flags, questions: [question] });
}

/** What does not fit is cut: header and question with TC, and the client asks again by TCP. */
function trimToSize(packet: Packet, query: Packet, transport: Transport): Buffer {
  const whole = encode(packet);
  if (transport === 'tcp') return whole;
  const offered = optOf(query)?.udpPayloadSize;
  const limit =
    offered === undefined ? CLASSIC_UDP_BYTES : Math.min(Math.max(offered, CLASSIC_UDP_BYTES), MAX_UDP_BYTES);
  if (whole.length <= limit) return whole;
  const withoutExtras = encode({ ...packet, additionals: ednsOf(query) });
  if (withoutExtras.length <= limit) return withoutExtras;
  return encode({
    ...packet,
    flags: packet.flags! | TRUNCATED,
    answers: [],
    authorities: [],
    additionals: ednsOf(query),
  });
}

function optOf(query: Packet) {
  return query.additionals?.find((record) => record.type === 'OPT');
}

/** RFC 6891 section 6.1.1: a query with OPT is answered with OPT. */
function ednsOf(query: Packet): Answer[] {
  if (optOf(query) === undefined) return [];
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

function soaRecord(zone: Zone): SoaAnswer {
  return {
    type: 'SOA',
    name: zone.domain,
    ttl: TTL_SECONDS,
    data: {
      mname: `ns.dns.${zone.domain}`,
      rname: `hostmaster.${zone.domain}`,
      serial: Math.floor(Date.now() / 1000),
      refresh: 7_200,
      retry: 1_800,
      expire: 86_400,
      minimum: TTL_SECONDS,
    },
  };
}

/** Keeps aliases in front: some clients read them in order. */
function shuffle(records: DnsRecord[], random: () => number): DnsRecord[] {
  const aliases = records.filter(({ type }) => type === 'CNAME');
  const rest = records.filter(({ type }) => type !== 'CNAME');
  for (let i = rest.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [rest[i], rest[j]] = [rest[j]!, rest[i]!];
  }
  return [...aliases, ...rest];
}

function headerOnly(message: Buffer, rcode: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  message.copy(header, 0, 0, 4);
  header[2] = header[2]! | 0x80;
  header[3] = 0x80 | rcode;
  return header;
}

function normalize(name: string): string {
  return name.toLowerCase().replace(/\.$/, '');
}
