// SPDX-License-Identifier: Apache-2.0
// Leading names of other clusters to istiocoredns, in the place where a cluster's DNS is told: stubDomains of kube-dns, or a
// server block of CoreDNS' Corefile. What stands there already stays, byte for byte. Pure.
import type { KubeObject } from '../../kube/types.ts';
import { readCorefile } from '../../sandbox/dns/corefile.ts';
import { readKubeDnsConfig, type StubDomains } from '../../sandbox/dns/stub-domains.ts';

export const DNS_NAMESPACE = 'kube-system';
export const ZONES = ['global', 'clusterset.local'] as const;
/** Which zones are ours, so that no other is taken away; `created`: the ConfigMap was not there. */
const OURS = 'isthmus.io/stub-domains';
const CREATED = 'isthmus.io/created';
const BEGIN = '# isthmus: begin (written by `isthmus mesh up`, removed by `isthmus mesh down`)';
const END = '# isthmus: end';

export type DnsServer = 'kube-dns' | 'coredns';

export interface DnsState {
  readonly kubeDns: KubeObject | undefined;
  readonly coreDns: KubeObject | undefined;
  /** By its pods; undefined where there are none to be seen. */
  readonly running: DnsServer | undefined;
}

/** What a ConfigMap of the cluster's DNS is to become. */
export type DnsChange =
  | { readonly kind: 'none' }
  | { readonly kind: 'write'; readonly object: KubeObject; readonly details: readonly string[] }
  | { readonly kind: 'delete'; readonly name: DnsServer }
  | { readonly kind: 'problem'; readonly message: string };

/** @param address of Service istiocoredns; undefined before it is there, when only a plan is wanted */
export function planStubZones(state: DnsState, choice: 'auto' | DnsServer, address: string | undefined): DnsChange {
  const server = choice === 'auto' ? chooseServer(state) : choice;
  return server === 'kube-dns' ? planKubeDns(state.kubeDns, address) : planCoreDns(state.coreDns, address);
}

/** Both are looked at: which one runs may have changed. */
export function planStubRemoval(state: DnsState): DnsChange[] {
  return [removeFromKubeDns(state.kubeDns), removeFromCoreDns(state.coreDns)].filter(({ kind }) => kind !== 'none');
}

/** Where no pod tells (a provider runs it): whose ConfigMap is there. */
function chooseServer({ running, kubeDns, coreDns }: DnsState): DnsServer {
  if (running !== undefined) return running;
  return coreDns !== undefined && kubeDns === undefined ? 'coredns' : 'kube-dns';
}

function planKubeDns(live: KubeObject | undefined, address: string | undefined): DnsChange {
  const data = dataOf(live);
  let said: StubDomains;
  try {
    said = readKubeDnsConfig(data);
  } catch (error) {
    return {
      kind: 'problem',
      message: `${nameOf('kube-dns')} cannot be read (${(error as Error).message}): mend it first`,
    };
  }
  const ours = zonesOf(live);
  const foreign = foreignZone(said, ours, address);
  if (foreign !== undefined) return leadsElsewhere('kube-dns', foreign);
  const missing = ZONES.filter((zone) => address === undefined || !leadsTo(said, zone, address));
  if (missing.length === 0) return { kind: 'none' };
  const stubs = JSON.parse(data['stubDomains']?.trim() || '{}') as Record<string, unknown>;
  for (const zone of missing) stubs[zone] = [address];
  const annotations = {
    [OURS]: [...new Set([...ours, ...missing])].sort().join(','),
    ...(live === undefined && { [CREATED]: 'true' }),
  };
  const object = configMap('kube-dns', live, { stubDomains: JSON.stringify(stubs) }, annotations);
  return {
    kind: 'write',
    object,
    details: missing.map((zone) => `stubDomains: .${zone} to istiocoredns${at(address)}`),
  };
}

function removeFromKubeDns(live: KubeObject | undefined): DnsChange {
  const ours = zonesOf(live);
  if (live === undefined || ours.length === 0) return { kind: 'none' };
  const data = dataOf(live);
  let stubs: Record<string, unknown>;
  try {
    stubs = JSON.parse(data['stubDomains']?.trim() || '{}') as Record<string, unknown>;
  } catch (error) {
    return {
      kind: 'problem',
      message: `${nameOf('kube-dns')} cannot be read (${(error as Error).message}): mend it first`,
    };
  }
  for (const zone of ours) delete stubs[zone];
  const isEmpty = Object.keys(stubs).length === 0;
  const others = Object.keys(data).filter((key) => key !== 'stubDomains');
  if (isEmpty && others.length === 0 && live.metadata.annotations?.[CREATED] === 'true')
    return { kind: 'delete', name: 'kube-dns' };
  const object = configMap(
    'kube-dns',
    live,
    { stubDomains: isEmpty ? null : JSON.stringify(stubs) },
    { [OURS]: null, [CREATED]: null },
  );
  return { kind: 'write', object, details: ours.map((zone) => `stubDomains: .${zone} removed`) };
}

function planCoreDns(live: KubeObject | undefined, address: string | undefined): DnsChange {
  const corefile = dataOf(live)['Corefile'];
  if (live === undefined || corefile === undefined) {
    const cure =
      'lead .global and .clusterset.local to Service istiocoredns of istio-system yourself, and say `dns: none` of this cluster';
    return { kind: 'problem', message: `${nameOf('coredns')} has no Corefile: ${cure}` };
  }
  const rest = withoutBlock(corefile);
  let said: StubDomains;
  try {
    said = readCorefile(rest).stubs;
  } catch (error) {
    return {
      kind: 'problem',
      message: `${nameOf('coredns')} cannot be read (${(error as Error).message}): mend it first`,
    };
  }
  const foreign = foreignZone(said, [], address);
  if (foreign !== undefined) return leadsElsewhere('coredns', foreign);
  const missing = ZONES.filter((zone) => address === undefined || !leadsTo(said, zone, address));
  // Before the rest, so that taking it away leaves the rest as it was.
  const wanted = missing.length === 0 ? rest : `${block(missing, address)}${rest}`;
  if (wanted === corefile) return { kind: 'none' };
  const object = configMap('coredns', live, { Corefile: wanted }, {});
  return { kind: 'write', object, details: missing.map((zone) => `Corefile: .${zone} to istiocoredns${at(address)}`) };
}

function removeFromCoreDns(live: KubeObject | undefined): DnsChange {
  const corefile = dataOf(live)['Corefile'];
  if (corefile === undefined || !corefile.includes(BEGIN)) return { kind: 'none' };
  const object = configMap('coredns', live, { Corefile: withoutBlock(corefile) }, {});
  return { kind: 'write', object, details: ['Corefile: the block of isthmus removed'] };
}

function block(zones: readonly string[], address: string | undefined): string {
  return `${BEGIN}
${zones.map((zone) => `${zone}:53`).join(' ')} {
    errors
    cache 5
    forward . ${address ?? '0.0.0.0'}
}
${END}
`;
}

function withoutBlock(corefile: string): string {
  const start = corefile.indexOf(BEGIN);
  if (start < 0) return corefile;
  const end = corefile.indexOf(END, start);
  return end < 0 ? corefile : corefile.slice(0, start) + corefile.slice(end + END.length).replace(/^\n/, '');
}

/** A zone that somebody else leads to somebody else. */
function foreignZone(
  said: StubDomains,
  ours: readonly string[],
  address: string | undefined,
): { zone: string; hosts: string } | undefined {
  for (const zone of ZONES) {
    const servers = said.get(zone) ?? [];
    if (servers.length === 0 || ours.includes(zone)) continue;
    if (address !== undefined && leadsTo(said, zone, address)) continue;
    return { zone, hosts: servers.map(({ host }) => host).join(', ') };
  }
  return undefined;
}

function leadsElsewhere(server: DnsServer, { zone, hosts }: { zone: string; hosts: string }): DnsChange {
  const message =
    `${nameOf(server)} leads .${zone} to ${hosts}, which is not istiocoredns, and was not written by \`mesh up\`: remove it there, ` +
    'or say `dns: none` of this cluster';
  return { kind: 'problem', message };
}

function leadsTo(said: StubDomains, zone: string, address: string): boolean {
  return (said.get(zone) ?? []).some(({ host }) => host === address);
}

function zonesOf(live: KubeObject | undefined): string[] {
  return (live?.metadata.annotations?.[OURS] ?? '').split(',').filter((zone) => zone !== '');
}

/** As a merge patch has it: null takes a member away. The version makes somebody else's change in between a conflict. */
function configMap(
  name: DnsServer,
  live: KubeObject | undefined,
  data: Record<string, string | null>,
  annotations: Record<string, string | null>,
): KubeObject {
  const { resourceVersion } = live?.metadata ?? {};
  const metadata = {
    name,
    namespace: DNS_NAMESPACE,
    ...(resourceVersion !== undefined && { resourceVersion }),
    annotations,
  };
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: metadata as KubeObject['metadata'], data };
}

function at(address: string | undefined): string {
  return address === undefined ? '' : ` (${address})`;
}

function nameOf(server: DnsServer): string {
  return `ConfigMap ${DNS_NAMESPACE}/${server}`;
}

function dataOf(object: KubeObject | undefined): Record<string, string> {
  return (object?.['data'] ?? {}) as Record<string, string>;
}
