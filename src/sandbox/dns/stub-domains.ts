// SPDX-License-Identifier: Apache-2.0
// Names that the user has handed to other servers, as kube-dns keeps them in its ConfigMap of kube-system: stubDomains and
// upstreamNameservers. The other place is CoreDNS' (corefile.ts).

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

/** The servers of the longest domain that `name` lies in; undefined when nobody is to be asked. */
export function findStub(stubs: StubDomains, name: string): readonly DnsUpstream[] | undefined {
  for (let rest = name; ; ) {
    const servers = stubs.get(rest);
    if (servers !== undefined || rest === '') return servers?.length === 0 ? undefined : servers;
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
