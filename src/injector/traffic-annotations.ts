// SPDX-License-Identifier: Apache-2.0
// The annotations by which a pod's owner says which traffic the proxy does not take (Istio's names).
import { isIP } from 'node:net';

/** What the redirect rules leave alone. */
export interface TrafficExclusions {
  /** undefined: every port. */
  readonly includeInboundPorts: readonly number[] | undefined;
  readonly excludeInboundPorts: readonly number[];
  readonly excludeOutboundPorts: readonly number[];
  readonly excludeOutboundIpRanges: readonly string[];
}

const PREFIX = 'traffic.sidecar.istio.io/';

const UNSUPPORTED = ['includeOutboundIPRanges', 'includeOutboundPorts', 'kubevirtInterfaces'] as const;

/** @throws Error naming the annotation and the part of it that cannot be understood */
export function readTrafficAnnotations(annotations: Readonly<Record<string, string>>): TrafficExclusions {
  for (const name of UNSUPPORTED) {
    const value = annotations[PREFIX + name];
    if (value === undefined || value === '*') continue;
    throw new Error(
      `annotation ${PREFIX}${name} is not supported: leave it out and name what to leave alone instead ` +
        `(${PREFIX}excludeOutboundIPRanges, ${PREFIX}excludeOutboundPorts)`,
    );
  }
  const include = annotations[`${PREFIX}includeInboundPorts`];
  return {
    includeInboundPorts:
      include === undefined || include.trim() === '*' ? undefined : readPorts('includeInboundPorts', include),
    excludeInboundPorts: readPorts('excludeInboundPorts', annotations[`${PREFIX}excludeInboundPorts`]),
    excludeOutboundPorts: readPorts('excludeOutboundPorts', annotations[`${PREFIX}excludeOutboundPorts`]),
    excludeOutboundIpRanges: readRanges('excludeOutboundIPRanges', annotations[`${PREFIX}excludeOutboundIPRanges`]),
  };
}

function readPorts(name: string, value: string | undefined): number[] {
  return listed(value).map((part) => {
    const port = Number(part);
    if (/^\d+$/.test(part) && port >= 1 && port <= 65_535) return port;
    throw new Error(`annotation ${PREFIX}${name}: "${part}" is not a port; write numbers separated by commas`);
  });
}

/** Bits of an address, by what isIP calls its family. */
const WIDTHS: Readonly<Record<number, number>> = { 4: 32, 6: 128 };

function readRanges(name: string, value: string | undefined): string[] {
  return listed(value).map((part) => {
    const [address = '', bits, ...more] = part.split('/');
    const width = WIDTHS[isIP(address)] ?? -1;
    const prefix = bits === undefined ? width : Number(bits);
    const valid = more.length === 0 && Number.isInteger(prefix) && prefix >= 0 && prefix <= width;
    if (valid && bits !== '') return `${address}/${prefix}`;
    throw new Error(
      `annotation ${PREFIX}${name}: "${part}" is not a range of addresses such as 10.0.0.0/8 or fd00::/8`,
    );
  });
}

function listed(value: string | undefined): string[] {
  return (value ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}
