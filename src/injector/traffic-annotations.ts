// SPDX-License-Identifier: Apache-2.0
// The annotations by which a pod's owner says which traffic the proxy does not take (Istio's names).
import { parseCidr } from '../netfilter/rules.ts';

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

function readRanges(name: string, value: string | undefined): string[] {
  return listed(value).map((part) => {
    try {
      // By the eyes of who writes the rules: what only isIP takes (a zone, IPv4 in IPv6) would end the pod's init container.
      return `${part.split('/')[0]}/${parseCidr(part).prefixLength}`;
    } catch {
      throw new Error(
        `annotation ${PREFIX}${name}: "${part}" is not a range of addresses such as 10.0.0.0/8 or fd00::/8`,
      );
    }
  });
}

function listed(value: string | undefined): string[] {
  return (value ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}
