// SPDX-License-Identifier: Apache-2.0
// Names that the user has handed to other servers, in the two places where a real cluster keeps that: the `kube-dns`
// ConfigMap (stubDomains, upstreamNameservers) and CoreDNS' Corefile in the `coredns` ConfigMap, both in kube-system.

export interface DnsUpstream {
  readonly host: string;
  readonly port: number;
}

/** Domain (lower case, no final dot; '' is everything) -> servers, tried in this order. */
export type StubDomains = ReadonlyMap<string, readonly DnsUpstream[]>;

/** @throws Error naming the key whose value is no such JSON. */
export function readKubeDnsConfig(data: Readonly<Record<string, string>>): StubDomains {
  const domains = new Map<string, readonly DnsUpstream[]>();
  const stubs = parseJson(data, 'stubDomains');
  if (stubs !== undefined) {
    if (!isRecord(stubs)) throw new Error('stubDomains: expected an object such as {"global": ["10.96.4.2"]}');
    for (const [domain, servers] of Object.entries(stubs)) {
      addDomain(domains, domain, serverList(servers, `stubDomains["${domain}"]`));
    }
  }
  const upstream = parseJson(data, 'upstreamNameservers');
  if (upstream !== undefined) addDomain(domains, '', serverList(upstream, 'upstreamNameservers'));
  return domains;
}

/**
 * Reads the server blocks of a Corefile that forward: `global:53 { forward . 10.96.4.2 }`, also `proxy`, as it was called
 * before CoreDNS 1.5. Files (`/etc/resolv.conf`) and encrypted upstreams are passed over: the sandbox has neither.
 */
export function readCorefile(corefile: string): StubDomains {
  const domains = new Map<string, readonly DnsUpstream[]>();
  let zones: string[] = [];
  let depth = 0;
  for (const line of corefile.split('\n')) {
    const words = line
      .replace(/(^|\s)#.*$/, '')
      .split(/\s+/)
      .filter((word) => word !== '');
    if (words.length === 0) continue;
    const opens = words.at(-1)?.endsWith('{') ?? false;
    if (depth === 0 && opens) {
      zones = words
        .flatMap((word) => word.replace('{', '').split(','))
        .filter((word) => word !== '')
        .map(zoneName);
    } else if (depth === 1 && (words[0] === 'forward' || words[0] === 'proxy')) {
      const [, from = '.', ...to] = words.filter((word) => word !== '{');
      const servers = to.flatMap((text) => readServer(text) ?? []);
      for (const zone of zones) if (servers.length > 0) addDomain(domains, joinZone(from, zone), servers);
    }
    if (opens) depth++;
    // A block may be written on one line: `. { forward . 1.2.3.4 }` is not valid CoreDNS, `}` alone is.
    if (words.includes('}')) depth = Math.max(0, depth - 1);
  }
  return domains;
}

/** The servers of the longest domain that `name` lies in. */
export function findStub(stubs: StubDomains, name: string): readonly DnsUpstream[] | undefined {
  for (let rest = name; ; ) {
    const servers = stubs.get(rest);
    if (servers !== undefined || rest === '') return servers;
    const dot = rest.indexOf('.');
    rest = dot < 0 ? '' : rest.slice(dot + 1);
  }
}

function addDomain(
  domains: Map<string, readonly DnsUpstream[]>,
  domain: string,
  servers: readonly DnsUpstream[],
): void {
  if (servers.length > 0) domains.set(domain.toLowerCase().replace(/\.$/, ''), servers);
}

function zoneName(key: string): string {
  return key.replace(/^dns:\/\//, '').replace(/:\d+$/, '');
}

/** `forward . X` in zone z forwards z; `forward a.z X` a part of it. */
function joinZone(from: string, zone: string): string {
  return from === '.' ? zone : from;
}

function serverList(value: unknown, field: string): DnsUpstream[] {
  if (!Array.isArray(value)) throw new Error(`${field}: expected a list of addresses`);
  return value.map((entry) => {
    const server = typeof entry === 'string' ? readServer(entry) : undefined;
    if (server === undefined) throw new Error(`${field}: ${JSON.stringify(entry)} is not an address such as 10.96.4.2`);
    return server;
  });
}

function readServer(text: string): DnsUpstream | undefined {
  const match = /^(?:dns:\/\/)?(\d{1,3}(?:\.\d{1,3}){3})(?::(\d{1,5}))?$/.exec(text);
  return match ? { host: match[1]!, port: Number(match[2] ?? 53) } : undefined;
}

function parseJson(data: Readonly<Record<string, string>>, key: string): unknown {
  const text = data[key];
  if (text === undefined || text.trim() === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${key}: ${(error as Error).message}`);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
