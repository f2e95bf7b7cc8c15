// SPDX-License-Identifier: Apache-2.0
// Quantities, addresses and URLs as CEL values. https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-cel-libraries
import { BlockList, isIP, isIPv6 } from 'node:net';
import type { Environment } from '@marcbachmann/cel-js';
import { quantityNano } from '../schema/quantity.ts';

const NANO = 1_000_000_000n;

class Quantity {
  readonly nano: bigint;
  constructor(nano: bigint) {
    this.nano = nano;
  }
}

class IpAddress {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

class Cidr {
  readonly address: string;
  readonly bits: number;
  constructor(address: string, bits: number) {
    this.address = address;
    this.bits = bits;
  }
}

class Url {
  readonly url: URL;
  constructor(url: URL) {
    this.url = url;
  }
}

/** Sets the types and their functions up. */
export function registerValues(environment: Environment): void {
  environment.registerType('Quantity', Quantity);
  environment.registerType('IP', IpAddress);
  environment.registerType('CIDR', Cidr);
  environment.registerType('URL', Url);
  for (const [signature, implementation] of [...QUANTITY, ...ADDRESSES, ...URLS]) {
    environment.registerFunction(signature, implementation as (...values: unknown[]) => unknown);
  }
}

type Registration = readonly [signature: string, implementation: (...values: never[]) => unknown];

function toQuantity(text: string): Quantity {
  const nano = quantityNano(text);
  if (nano === undefined) {
    throw new Error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
  }
  return new Quantity(nano);
}

const sign = (nano: bigint) => (nano > 0n ? 1n : nano < 0n ? -1n : 0n);

function wholeNumber({ nano }: Quantity): bigint {
  if (nano % NANO !== 0n) throw new Error('cannot convert value to integer');
  return nano / NANO;
}

const QUANTITY: readonly Registration[] = [
  ['isQuantity(string): bool', (text: string) => quantityNano(text) !== undefined],
  ['quantity(string): Quantity', toQuantity],
  ['Quantity.sign(): int', ({ nano }: Quantity) => sign(nano)],
  ['Quantity.isInteger(): bool', ({ nano }: Quantity) => nano % NANO === 0n],
  ['Quantity.asInteger(): int', wholeNumber],
  ['Quantity.asApproximateFloat(): double', ({ nano }: Quantity) => Number(nano) / 1e9],
  ['Quantity.add(Quantity): Quantity', (a: Quantity, b: Quantity) => new Quantity(a.nano + b.nano)],
  ['Quantity.add(int): Quantity', (a: Quantity, b: bigint) => new Quantity(a.nano + b * NANO)],
  ['Quantity.sub(Quantity): Quantity', (a: Quantity, b: Quantity) => new Quantity(a.nano - b.nano)],
  ['Quantity.sub(int): Quantity', (a: Quantity, b: bigint) => new Quantity(a.nano - b * NANO)],
  ['Quantity.isLessThan(Quantity): bool', (a: Quantity, b: Quantity) => a.nano < b.nano],
  ['Quantity.isGreaterThan(Quantity): bool', (a: Quantity, b: Quantity) => a.nano > b.nano],
  ['Quantity.compareTo(Quantity): int', (a: Quantity, b: Quantity) => sign(a.nano - b.nano)],
];

function isCidr(text: string): boolean {
  const [address = '', bits = '', ...rest] = text.split('/');
  const family = isIP(address);
  return rest.length === 0 && family !== 0 && /^\d+$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128);
}

function toCidr(text: string): Cidr {
  if (!isCidr(text)) throw new Error(`network address parse error during conversion from string: ${text}`);
  const [address = '', bits = ''] = text.split('/');
  return new Cidr(address, Number(bits));
}

function toIp(text: string): IpAddress {
  if (isIP(text) === 0) throw new Error(`IP Address ${JSON.stringify(text)} parse error during conversion from string`);
  return new IpAddress(text);
}

const familyName = (address: string) => (isIPv6(address) ? 'ipv6' : 'ipv4');
const family = (address: string) => (isIPv6(address) ? 6n : 4n);

function contains({ address, bits }: Cidr, other: string): boolean {
  if (familyName(address) !== familyName(other)) return false;
  const range = new BlockList();
  range.addSubnet(address, bits, familyName(address));
  return range.check(other, familyName(other));
}

function inRange(address: string, v4: readonly string[], v6: readonly string[]): boolean {
  return (isIPv6(address) ? v6 : v4).some((range) => contains(toCidr(range), address));
}

const ADDRESSES: readonly Registration[] = [
  ['isIP(string): bool', (text: string) => isIP(text) !== 0],
  ['isCIDR(string): bool', isCidr],
  ['ip(string): IP', toIp],
  ['IP.family(): int', ({ text }: IpAddress) => family(text)],
  ['IP.isUnspecified(): bool', ({ text }: IpAddress) => inRange(text, ['0.0.0.0/32'], ['::/128'])],
  ['IP.isLoopback(): bool', ({ text }: IpAddress) => inRange(text, ['127.0.0.0/8'], ['::1/128'])],
  ['IP.isLinkLocalMulticast(): bool', ({ text }: IpAddress) => inRange(text, ['224.0.0.0/24'], ['ff02::/16'])],
  ['IP.isLinkLocalUnicast(): bool', ({ text }: IpAddress) => inRange(text, ['169.254.0.0/16'], ['fe80::/10'])],
  [
    'IP.isGlobalUnicast(): bool',
    ({ text }: IpAddress) =>
      !inRange(
        text,
        ['0.0.0.0/32', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4', '255.255.255.255/32'],
        ['::/128', '::1/128', 'fe80::/10', 'ff00::/8'],
      ),
  ],
  ['cidr(string): CIDR', toCidr],
  ['CIDR.containsIP(string): bool', (range: Cidr, text: string) => contains(range, toIp(text).text)],
  ['CIDR.containsIP(IP): bool', (range: Cidr, { text }: IpAddress) => contains(range, text)],
  ['CIDR.containsCIDR(string): bool', (range: Cidr, text: string) => holds(range, toCidr(text))],
  ['CIDR.containsCIDR(CIDR): bool', (range: Cidr, other: Cidr) => holds(range, other)],
  ['CIDR.ip(): IP', ({ address }: Cidr) => new IpAddress(address)],
  ['CIDR.prefixLength(): int', ({ bits }: Cidr) => BigInt(bits)],
];

function holds(range: Cidr, other: Cidr): boolean {
  return other.bits >= range.bits && contains(range, other.address);
}

/** An absolute URL or an absolute path, as Go's url.ParseRequestURI takes it. */
function toUrl(text: string): Url {
  if (text.startsWith('/')) return new Url(new URL(`path:${text}`));
  if (!/^[A-Za-z][A-Za-z0-9+.-]*:/.test(text) || !URL.canParse(text)) {
    throw new Error(
      `URL parse error during conversion from string: parse ${JSON.stringify(text)}: invalid URI for request`,
    );
  }
  return new Url(new URL(text));
}

const URLS: readonly Registration[] = [
  [
    'isURL(string): bool',
    (text: string) => text.startsWith('/') || (/^[A-Za-z][A-Za-z0-9+.-]*:/.test(text) && URL.canParse(text)),
  ],
  ['url(string): URL', toUrl],
  ['URL.getScheme(): string', ({ url }: Url) => (url.protocol === 'path:' ? '' : url.protocol.slice(0, -1))],
  ['URL.getHost(): string', ({ url }: Url) => url.host],
  ['URL.getHostname(): string', ({ url }: Url) => url.hostname.replace(/^\[|\]$/g, '')],
  ['URL.getPort(): string', ({ url }: Url) => url.port],
  ['URL.getEscapedPath(): string', ({ url }: Url) => url.pathname],
  [
    'URL.getQuery(): map',
    ({ url }: Url) =>
      Object.fromEntries([...new Set(url.searchParams.keys())].map((name) => [name, url.searchParams.getAll(name)])),
  ],
];
