// SPDX-License-Identifier: Apache-2.0
// Rules as one nfnetlink batch (linux/netfilter/nf_tables.h), for machines without nft: the bytes are made here, so the
// program that sends them needs only a socket. Netlink is in host byte order (little-endian on every machine that
// Node's builds support) except nfgenmsg.res_id and nf_tables' own numbers, which are in network order.
import {
  type Match,
  mergePorts,
  parseCidr,
  prefixMask,
  type Rule,
  type RuleChain,
  type RuleTable,
  type Verdict,
} from './rules.ts';

const NFPROTO_INET = 1;
const NFPROTO_IPV4 = 2;
const NFPROTO_IPV6 = 10;
const SUBSYS_NFTABLES = 10;
const BATCH_BEGIN = 0x10;
const BATCH_END = 0x11;
const MESSAGE = { newTable: 0, deleteTable: 2, newChain: 3, newRule: 6 } as const;
/** NLM_F_REQUEST | NLM_F_ACK; NLM_F_CREATE; NLM_F_APPEND. */
const REQUEST = 0x01;
const ACKNOWLEDGE = 0x04;
const CREATE = 0x400;
const APPEND = 0x800;
const NESTED = 0x8000;

const HOOKS = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 } as const;
const META = { mark: 3, iifname: 6, oifname: 7, skuid: 10, skgid: 11, nfproto: 15, l4proto: 16 } as const;
const PROTOCOLS = { tcp: 6, udp: 17 } as const;
const CT_STATES = { invalid: 1, established: 2, related: 4, new: 8 } as const;
const VERDICTS = { drop: 0, accept: 1, return: -5 } as const;
const COMPARE = { equal: 0, notEqual: 1, lessOrEqual: 3, greaterOrEqual: 5 } as const;
const REGISTER_VERDICT = 0;
const REGISTER_1 = 1;
const INTERFACE_NAME_BYTES = 16;

/** What one acknowledged message of the batch was about, to make a kernel's error readable. */
export interface BatchStep {
  readonly sequence: number;
  readonly description: string;
}

export interface NetlinkBatch {
  readonly bytes: Buffer;
  /** Every one of these is acknowledged by the kernel, in this order. */
  readonly steps: readonly BatchStep[];
}

/** The batch that replaces the table as a whole: created if it is missing, deleted, created with its chains and rules. */
export function renderNetlink(table: RuleTable): NetlinkBatch {
  const batch = new BatchWriter();
  const name = stringAttribute(1, table.name);
  replaceTable(batch, table.name, name);
  batch.add(MESSAGE.newTable, CREATE, name, `create table ${table.name}`);
  for (const chain of table.chains) addChain(batch, name, chain);
  return batch.finish();
}

export function renderNetlinkDelete(tableName: string): NetlinkBatch {
  const batch = new BatchWriter();
  replaceTable(batch, tableName, stringAttribute(1, tableName));
  return batch.finish();
}

function replaceTable(batch: BatchWriter, tableName: string, name: Buffer): void {
  batch.add(MESSAGE.newTable, CREATE, name, `create table ${tableName}`);
  batch.add(MESSAGE.deleteTable, 0, name, `delete table ${tableName}`);
}

function addChain(batch: BatchWriter, table: Buffer, chain: RuleChain): void {
  const hook = [numberAttribute(1, HOOKS[chain.hook]), numberAttribute(2, chain.priority)];
  batch.add(
    MESSAGE.newChain,
    CREATE,
    Buffer.concat([
      table,
      stringAttribute(3, chain.name),
      nested(4, hook),
      numberAttribute(5, VERDICTS[chain.policy ?? 'accept']),
      stringAttribute(7, chain.type),
    ]),
    `create chain ${chain.name}`,
  );
  chain.rules.forEach((rule, index) => {
    for (const expressions of renderRule(rule)) {
      batch.add(
        MESSAGE.newRule,
        CREATE | APPEND,
        Buffer.concat([
          table,
          stringAttribute(2, chain.name),
          nested(
            4,
            expressions.map((expression) => nested(1, [expression])),
          ),
        ]),
        `rule ${index + 1} of chain ${chain.name}`,
      );
    }
  });
}

/** A rule with a set of ports becomes one rule per port: the same meaning, and no anonymous sets to build. */
function renderRule(rule: Rule): Buffer[][] {
  let alternatives: Buffer[][] = [[]];
  for (const match of rule.match) {
    const options = renderMatch(match);
    alternatives = alternatives.flatMap((before) => options.map((option) => [...before, ...option]));
  }
  return alternatives.map((expressions) => [...expressions, ...renderVerdict(rule.verdict)]);
}

/** The alternatives of a match, each a list of expressions. */
function renderMatch(match: Match): Buffer[][] {
  const operator = 'not' in match && match.not ? COMPARE.notEqual : COMPARE.equal;
  switch (match.kind) {
    case 'skuid':
    case 'skgid':
      return [[meta(META[match.kind]), compare(operator, hostNumber(match.id))]];
    case 'mark':
      return [[meta(META.mark), compare(operator, hostNumber(match.mark))]];
    case 'daddr':
    case 'saddr':
      return [renderAddressMatch(match.kind, match.cidr, operator)];
    case 'l4proto':
      return [protocolIs(match.protocol)];
    case 'dport':
      return mergePorts(match.ports).map((port) => [...protocolIs(match.protocol), payload(2, 2, 2), ...portIs(port)]);
    case 'iifname':
    case 'oifname': {
      const name = Buffer.alloc(INTERFACE_NAME_BYTES);
      name.write(match.name, 'latin1');
      return [[meta(META[match.kind]), compare(operator, name)]];
    }
    case 'ctState': {
      const mask = match.states.reduce((bits, state) => bits | CT_STATES[state], 0);
      const state = expression('ct', [numberAttribute(1, REGISTER_1), numberAttribute(2, 0)]);
      return [[state, bitwiseAnd(hostNumber(mask)), compare(COMPARE.notEqual, hostNumber(0))]];
    }
  }
}

/** An inet table sees both families: the family is compared before an offset into the header means anything. */
function renderAddressMatch(field: 'daddr' | 'saddr', text: string, operator: number): Buffer[] {
  const cidr = parseCidr(text);
  const size = cidr.address.length;
  const offset = cidr.family === 4 ? { saddr: 12, daddr: 16 } : { saddr: 8, daddr: 24 };
  return [
    meta(META.nfproto),
    compare(COMPARE.equal, Buffer.from([cidr.family === 4 ? NFPROTO_IPV4 : NFPROTO_IPV6])),
    payload(1, offset[field], size),
    ...(cidr.prefixLength < size * 8 ? [bitwiseAnd(Buffer.from(prefixMask(size, cidr.prefixLength)))] : []),
    compare(operator, Buffer.from(cidr.address)),
  ];
}

function protocolIs(protocol: 'tcp' | 'udp'): Buffer[] {
  return [meta(META.l4proto), compare(COMPARE.equal, Buffer.from([PROTOCOLS[protocol]]))];
}

function portIs(port: number | readonly [number, number]): Buffer[] {
  if (typeof port === 'number') return [compare(COMPARE.equal, portBytes(port))];
  return [compare(COMPARE.greaterOrEqual, portBytes(port[0])), compare(COMPARE.lessOrEqual, portBytes(port[1]))];
}

function renderVerdict(verdict: Verdict): Buffer[] {
  switch (verdict.kind) {
    case 'masquerade':
      return [expression('masq', [])];
    case 'redirect':
      return [
        expression('immediate', [numberAttribute(1, REGISTER_1), nested(2, [attribute(1, portBytes(verdict.port))])]),
        expression('redir', [numberAttribute(1, REGISTER_1)]),
      ];
    default: {
      const code = nested(2, [numberAttribute(1, VERDICTS[verdict.kind])]);
      return [expression('immediate', [numberAttribute(1, REGISTER_VERDICT), nested(2, [code])])];
    }
  }
}

function meta(key: number): Buffer {
  return expression('meta', [numberAttribute(2, key), numberAttribute(1, REGISTER_1)]);
}

/** @param base 1: network header, 2: transport header. */
function payload(base: number, offset: number, length: number): Buffer {
  const numbers = [REGISTER_1, base, offset, length].map((value, i) => numberAttribute(i + 1, value));
  return expression('payload', numbers);
}

function compare(operator: number, value: Buffer): Buffer {
  return expression('cmp', [
    numberAttribute(1, REGISTER_1),
    numberAttribute(2, operator),
    nested(3, [attribute(1, value)]),
  ]);
}

function bitwiseAnd(mask: Buffer): Buffer {
  return expression('bitwise', [
    numberAttribute(1, REGISTER_1),
    numberAttribute(2, REGISTER_1),
    numberAttribute(3, mask.length),
    nested(4, [attribute(1, mask)]),
    nested(5, [attribute(1, Buffer.alloc(mask.length))]),
  ]);
}

function expression(name: string, data: Buffer[]): Buffer {
  return Buffer.concat([stringAttribute(1, name), nested(2, data)]);
}

function portBytes(port: number): Buffer {
  return Buffer.from([port >> 8, port & 0xff]);
}

function hostNumber(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function attribute(type: number, value: Buffer): Buffer {
  const padded = Buffer.alloc(4 + ((value.length + 3) & ~3));
  padded.writeUInt16LE(4 + value.length, 0);
  padded.writeUInt16LE(type, 2);
  value.copy(padded, 4);
  return padded;
}

function nested(type: number, members: Buffer[]): Buffer {
  return attribute(type | NESTED, Buffer.concat(members));
}

function stringAttribute(type: number, value: string): Buffer {
  return attribute(type, Buffer.from(`${value}\0`, 'latin1'));
}

function numberAttribute(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value | 0);
  return attribute(type, bytes);
}

class BatchWriter {
  readonly #messages: Buffer[] = [];
  readonly #steps: BatchStep[] = [];
  #sequence = 0;

  constructor() {
    this.#push(BATCH_BEGIN, REQUEST, 0, SUBSYS_NFTABLES, Buffer.alloc(0));
  }

  add(message: number, flags: number, body: Buffer, description: string): void {
    const type = (SUBSYS_NFTABLES << 8) | message;
    const sequence = this.#push(type, REQUEST | ACKNOWLEDGE | flags, NFPROTO_INET, 0, body);
    this.#steps.push({ sequence, description });
  }

  finish(): NetlinkBatch {
    this.#push(BATCH_END, REQUEST, 0, SUBSYS_NFTABLES, Buffer.alloc(0));
    return { bytes: Buffer.concat(this.#messages), steps: this.#steps };
  }

  /** struct nlmsghdr (16 bytes), struct nfgenmsg (4 bytes), attributes. */
  #push(type: number, flags: number, family: number, resourceId: number, body: Buffer): number {
    const header = Buffer.alloc(20);
    const sequence = this.#sequence++;
    header.writeUInt32LE(header.length + body.length, 0);
    header.writeUInt16LE(type, 4);
    header.writeUInt16LE(flags, 6);
    header.writeUInt32LE(sequence, 8);
    header.writeUInt8(family, 16);
    header.writeUInt16BE(resourceId, 18);
    this.#messages.push(header, body);
    return sequence;
  }
}
