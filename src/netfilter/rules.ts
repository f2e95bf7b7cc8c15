// SPDX-License-Identifier: Apache-2.0
// One description of netfilter rules, for whichever writer the machine has (nft-text.ts, netlink-batch.ts).

/** A table of the `inet` family. Applying it replaces the table of that name as a whole, in one transaction. */
export interface RuleTable {
  /** Letters, digits, `_` and `-`. */
  readonly name: string;
  readonly chains: readonly RuleChain[];
}

export interface RuleChain {
  /** As the table's; not one of nft's own words, such as `fwd`. */
  readonly name: string;
  readonly type: 'nat' | 'filter';
  readonly hook: 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting';
  /** As nft's: lower runs first; -100 is dstnat, 0 filter, 100 srcnat. */
  readonly priority: number;
  /** What happens to a packet that no rule decides. Default: accept. */
  readonly policy?: 'accept' | 'drop';
  readonly rules: readonly Rule[];
}

/** Every match must hold; then the verdict. */
export interface Rule {
  readonly match: readonly Match[];
  readonly verdict: Verdict;
}

export type Match =
  /** The uid or gid of the socket's owner: local output only. */
  | { readonly kind: 'skuid' | 'skgid'; readonly id: number; readonly not?: boolean }
  /** The packet's mark (SO_MARK). */
  | { readonly kind: 'mark'; readonly mark: number; readonly not?: boolean }
  /** An address or prefix, IPv4 or IPv6: `127.0.0.1`, `10.1.0.0/16`, `::1`. `not` says "of this family, but another". */
  | { readonly kind: 'daddr' | 'saddr'; readonly cidr: string; readonly not?: boolean }
  | { readonly kind: 'l4proto'; readonly protocol: 'tcp' | 'udp' }
  /** Destination ports: single ones or inclusive ranges. */
  | {
      readonly kind: 'dport';
      readonly protocol: 'tcp' | 'udp';
      readonly ports: readonly (number | readonly [number, number])[];
    }
  | { readonly kind: 'iifname' | 'oifname'; readonly name: string; readonly not?: boolean }
  /** Any of these states of connection tracking. */
  | { readonly kind: 'ctState'; readonly states: readonly ConnectionState[] };

export type ConnectionState = 'invalid' | 'established' | 'related' | 'new';

export type Verdict =
  | { readonly kind: 'accept' | 'drop' | 'return' | 'masquerade' }
  /** To this port of the local machine; the rule must also match the protocol (l4proto or dport). */
  | { readonly kind: 'redirect'; readonly port: number };

/** @throws Error naming table, chain and field when a value cannot be put into a rule (names and ports are checked). */
export function assertValid(table: RuleTable): void {
  assertName(table.name, 'table');
  for (const chain of table.chains) {
    assertName(chain.name, `table ${table.name}: chain`);
    for (const rule of chain.rules) {
      const where = `table ${table.name}, chain ${chain.name}`;
      for (const match of rule.match) assertMatch(match, where);
      if (rule.verdict.kind === 'redirect') {
        assertPort(rule.verdict.port, where);
        const hasProtocol = rule.match.some((match) => match.kind === 'l4proto' || match.kind === 'dport');
        if (!hasProtocol) throw new Error(`${where}: a redirect must match l4proto or dport`);
      }
    }
  }
}

function assertMatch(match: Match, where: string): void {
  if (match.kind === 'dport') {
    if (match.ports.length === 0) throw new Error(`${where}: a dport match without ports matches nothing`);
    for (const port of match.ports.flat()) assertPort(port, where);
  } else if (match.kind === 'iifname' || match.kind === 'oifname') {
    if (!/^[A-Za-z0-9_.@-]{1,15}$/.test(match.name))
      throw new Error(`${where}: "${match.name}" is not an interface name`);
  } else if (match.kind === 'daddr' || match.kind === 'saddr') {
    parseCidr(match.cidr);
  } else if (match.kind === 'skuid' || match.kind === 'skgid' || match.kind === 'mark') {
    const value = match.kind === 'mark' ? match.mark : match.id;
    if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
      throw new Error(`${where}: ${match.kind} ${value} is not an unsigned 32-bit number`);
    }
  }
}

function assertName(name: string, where: string): void {
  if (!/^[A-Za-z][A-Za-z0-9_-]{0,30}$/.test(name)) throw new Error(`${where} "${name}" is not a plain name`);
}

function assertPort(port: number, where: string): void {
  if (!Number.isInteger(port) || port < 1 || port > 65535) throw new Error(`${where}: ${port} is not a port`);
}

/** Sorted, overlapping and adjacent ranges joined: nft refuses a set with overlaps. */
export function mergePorts(ports: readonly (number | readonly [number, number])[]): (number | [number, number])[] {
  const ranges = ports.map((port) => (typeof port === 'number' ? [port, port] : [...port]) as [number, number]);
  const merged: [number, number][] = [];
  for (const range of ranges.sort((a, b) => a[0] - b[0])) {
    const last = merged.at(-1);
    if (last && range[0] <= last[1] + 1) last[1] = Math.max(last[1], range[1]);
    else merged.push(range);
  }
  return merged.map(([first, last]) => (first === last ? first : [first, last]));
}

export interface Cidr {
  readonly family: 4 | 6;
  /** 4 or 16 bytes, host bits cleared. */
  readonly address: Uint8Array;
  readonly prefixLength: number;
}

/** @throws Error when `text` is no IPv4 or IPv6 address or prefix. */
export function parseCidr(text: string): Cidr {
  const [host = '', length, ...rest] = text.split('/');
  const address = host.includes(':') ? parseIpv6(host) : parseIpv4(host);
  const bits = address ? address.length * 8 : 0;
  const prefixLength = length === undefined ? bits : /^\d{1,3}$/.test(length) ? Number(length) : -1;
  if (!address || rest.length > 0 || prefixLength < 0 || prefixLength > bits) {
    throw new Error(`"${text}" is not an address or prefix such as 10.1.0.0/16 or ::1`);
  }
  const mask = prefixMask(bits / 8, prefixLength);
  return { family: bits === 32 ? 4 : 6, address: address.map((byte, i) => byte & mask[i]!), prefixLength };
}

export function prefixMask(bytes: number, prefixLength: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, i) => {
    const bits = Math.min(8, Math.max(0, prefixLength - i * 8));
    return (0xff << (8 - bits)) & 0xff;
  });
}

function parseIpv4(text: string): Uint8Array | undefined {
  if (!/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) return undefined;
  const bytes = text.split('.').map(Number);
  return bytes.every((byte) => byte <= 255) ? Uint8Array.from(bytes) : undefined;
}

/** RFC 4291 section 2.2, without the dotted form. */
function parseIpv6(text: string): Uint8Array | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half) => (half === '' ? [] : half.split(':')));
  const groups = tail === undefined ? head! : [...head!, ...Array(8 - head!.length - tail.length).fill('0'), ...tail];
  if (groups.length !== 8 || !groups.every((group) => /^[0-9A-Fa-f]{1,4}$/.test(group))) return undefined;
  return Uint8Array.from(
    groups.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff]),
  );
}
