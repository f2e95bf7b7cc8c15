// SPDX-License-Identifier: Apache-2.0
// IPv4 arithmetic for service addresses.

export interface AddressRange {
  readonly first: number;
  readonly size: number;
  contains(address: string): boolean;
}

/** "10.96.0.0/16". Throws on anything else. */
export function parseCidr(cidr: string): AddressRange {
  const match = /^(\d+\.\d+\.\d+\.\d+)\/(\d+)$/.exec(cidr);
  const bits = Number(match?.[2]);
  const base = match ? toNumber(match[1]!) : undefined;
  if (base === undefined || bits < 8 || bits > 30) {
    throw new Error(`service CIDR ${cidr}: give an IPv4 range such as 10.96.0.0/16`);
  }
  const size = 2 ** (32 - bits);
  const first = base - (base % size);
  return {
    first,
    size,
    contains(address) {
      const value = toNumber(address);
      return value !== undefined && value > first && value < first + size - 1;
    },
  };
}

/**
 * A free address, or undefined when none is left. The lowest addresses (at most 256) stay for services that ask for
 * theirs by name, as on a real cluster, and are used last.
 */
export function pickAddress(range: AddressRange, taken: ReadonlySet<string>, random: () => number): string | undefined {
  const reserved = Math.min(Math.max(16, Math.floor(range.size / 16)), 256);
  const usable = range.size - 2;
  const upper = usable - reserved;
  const start = Math.floor(random() * Math.max(upper, 1));
  for (let step = 0; step < usable; step++) {
    const offset = step < upper ? reserved + ((start + step) % upper) : step - upper;
    const address = toText(range.first + 1 + offset);
    if (!taken.has(address)) return address;
  }
  return undefined;
}

function toNumber(address: string): number | undefined {
  const parts = address.split('.').map(Number);
  if (parts.length !== 4 || parts.some((part) => !Number.isInteger(part) || part < 0 || part > 255)) return undefined;
  return parts.reduce((sum, part) => sum * 256 + part, 0);
}

function toText(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
}
