// SPDX-License-Identifier: Apache-2.0
// Do names under `.global`, and `.clusterset.local`, resolve in a cluster? Its DNS has to ask istiocoredns for them: kube-dns by `stubDomains`,
// CoreDNS by a server block. The cluster's administrator says so, and nobody notices when it was forgotten.
import type { ObjectRef } from '../../api/diagnostics.ts';
import { CLUSTERSET_ZONE, GLOBAL_ZONE } from '../../api/export-names.ts';
import { diagnose } from '../../api/report.ts';
import type { KubeClient } from '../../kube/client.ts';
import { CONFIG_MAPS, DEPLOYMENTS, PODS, SERVICES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';
import { ISTIO_NAMESPACE } from '../../runtime/mesh-resources.ts';
import { readCorefile } from '../../sandbox/dns/corefile.ts';
import { findStub, readKubeDnsConfig, type StubDomains } from '../../sandbox/dns/stub-domains.ts';
import type { Remark } from './judge.ts';

const SERVER = 'istiocoredns';
const DNS_NAMESPACE = 'kube-system';

/** What of a cluster decides whether its `.global` names resolve. */
export interface DnsFacts {
  readonly zone: string;
  /** A host below the zone, as an example; undefined when there is none. */
  readonly host: string | undefined;
  /** Of Service istiocoredns; undefined when there is none. */
  readonly serverAddress: string | undefined;
  readonly serverReady: boolean;
  readonly kubeDns: KubeObject | undefined;
  readonly coreDns: KubeObject | undefined;
  /** Which of the two runs, as far as its pods tell. */
  readonly running: 'kube-dns' | 'coredns' | undefined;
}

/** Of the mesh's zones those that the cluster's DNS leads to istiocoredns, which is ready. */
export async function readServedZones(client: KubeClient): Promise<string[]> {
  const facts = await readDnsFacts(client);
  return [GLOBAL_ZONE, CLUSTERSET_ZONE].filter(
    (zone) => judgeGlobalDns({ ...facts, zone, host: `any.${zone}` }).length === 0,
  );
}

async function readDnsFacts(client: KubeClient): Promise<Omit<DnsFacts, 'zone' | 'host'>> {
  const [service, deployment, kubeDns, coreDns, pods] = await Promise.all([
    client.get(SERVICES, SERVER, ISTIO_NAMESPACE),
    client.get(DEPLOYMENTS, SERVER, ISTIO_NAMESPACE),
    client.get(CONFIG_MAPS, 'kube-dns', DNS_NAMESPACE),
    client.get(CONFIG_MAPS, 'coredns', DNS_NAMESPACE),
    client.list(PODS, { namespace: DNS_NAMESPACE, labelSelector: 'k8s-app=kube-dns' }),
  ]);
  const containers = pods.items.flatMap(
    ({ spec }) => (spec as { containers?: readonly { name: string }[] } | undefined)?.containers ?? [],
  );
  return {
    serverAddress: (service?.['spec'] as { clusterIP?: string } | undefined)?.clusterIP,
    serverReady: ((deployment?.['status'] as { readyReplicas?: number } | undefined)?.readyReplicas ?? 0) > 0,
    kubeDns,
    coreDns,
    running: containers.some(({ name }) => name === 'coredns')
      ? ('coredns' as const)
      : containers.some(({ name }) => name === 'kubedns')
        ? ('kube-dns' as const)
        : undefined,
  };
}

export async function inspectGlobalDns(client: KubeClient, objects: readonly KubeObject[]): Promise<Remark[]> {
  const hosts = objects.filter(({ kind }) => kind === 'ServiceEntry').flatMap(hostsOf);
  const wanted = [GLOBAL_ZONE, CLUSTERSET_ZONE].flatMap((zone) => {
    const host = hosts.find((each) => each.toLowerCase().replace(/\.$/, '').endsWith(`.${zone}`));
    return host === undefined ? [] : [{ zone, host }];
  });
  if (wanted.length === 0) return [];
  const facts = await readDnsFacts(client);
  // That the server is missing is said once.
  const remarks = wanted.flatMap((each) => judgeGlobalDns({ ...facts, ...each }));
  return facts.serverReady ? remarks : remarks.slice(0, 1);
}

export function judgeGlobalDns(facts: DnsFacts): Remark[] {
  const { zone, host, serverAddress, serverReady, running } = facts;
  if (host === undefined) return [];
  if (serverAddress === undefined) {
    const message = `${host} is a name that only istiocoredns resolves, and it is not installed`;
    return [warn(SERVICE, '', message, 'isthmus install --set istiocoredns.enabled=true')];
  }
  if (!serverReady) {
    const message = `istiocoredns is not ready: ${host} and all other names below .${zone} do not resolve`;
    return [warn(DEPLOYMENT, '', message, `kubectl -n ${ISTIO_NAMESPACE} describe deployment ${SERVER} says why`)];
  }
  const said = [
    ...(running === 'coredns' ? [] : [readKubeDns(facts.kubeDns)]),
    ...(running === 'kube-dns' ? [] : [readCoreDns(facts.coreDns)]),
  ];
  const asked = said.flatMap(({ stubs }) => findStub(stubs, zone) ?? []).map((server) => server.host);
  if (asked.includes(serverAddress)) return [];
  const [mistake] = said.flatMap((each) => (each.mistake === undefined ? [] : [each]));
  if (mistake !== undefined) {
    const message = `the cluster’s DNS cannot read it (${mistake.mistake}), so it asks nobody for .${zone}`;
    return [warn(configMap(mistake.name), mistake.field, message, cureFor(zone, running, serverAddress))];
  }
  const place = configMap(running ?? (facts.kubeDns === undefined ? 'coredns' : 'kube-dns'));
  const elsewhere = said.some(({ stubs }) => stubs.has(zone))
    ? `${asked.join(', ')} is asked for names below .${zone}, and istiocoredns is at ${serverAddress}`
    : `nothing leads names below .${zone} to istiocoredns`;
  const field = place.name === 'coredns' ? 'data.Corefile' : 'data.stubDomains';
  return [warn(place, field, `${elsewhere}: ${host} does not resolve`, cureFor(zone, running, serverAddress))];
}

interface DnsConfig {
  readonly name: 'kube-dns' | 'coredns';
  readonly field: string;
  readonly stubs: StubDomains;
  readonly mistake?: string;
}

function readKubeDns(object: KubeObject | undefined): DnsConfig {
  return { name: 'kube-dns', field: 'data', ...tolerant(() => readKubeDnsConfig(dataOf(object))) };
}

function readCoreDns(object: KubeObject | undefined): DnsConfig {
  const stubs = () => readCorefile(dataOf(object)['Corefile'] ?? '').stubs;
  return { name: 'coredns', field: 'data.Corefile', ...tolerant(stubs) };
}

function tolerant(read: () => StubDomains): { stubs: StubDomains; mistake?: string } {
  try {
    return { stubs: read() };
  } catch (error) {
    return { stubs: new Map(), mistake: (error as Error).message };
  }
}

function cureFor(zone: string, running: DnsFacts['running'], address: string): string {
  const kubeDns = `data.stubDomains {"${zone}": ["${address}"]} in ConfigMap kube-dns of ${DNS_NAMESPACE}`;
  const coreDns = `a server block ${zone}:53 with \`forward . ${address}\` in the Corefile of ConfigMap coredns of ${DNS_NAMESPACE}`;
  if (running === 'kube-dns') return `write ${kubeDns}`;
  return running === 'coredns'
    ? `write ${coreDns}`
    : `where kube-dns runs write ${kubeDns}; where CoreDNS runs, ${coreDns}`;
}

function hostsOf({ spec }: KubeObject): string[] {
  const hosts = (spec as { hosts?: unknown } | undefined)?.hosts;
  return Array.isArray(hosts) ? hosts.filter((host): host is string => typeof host === 'string') : [];
}

function dataOf(object: KubeObject | undefined): Record<string, string> {
  return (object?.['data'] ?? {}) as Record<string, string>;
}

function configMap(name: 'kube-dns' | 'coredns'): ObjectRef {
  return { apiVersion: 'v1', kind: 'ConfigMap', namespace: DNS_NAMESPACE, name };
}

const SERVICE: ObjectRef = { apiVersion: 'v1', kind: 'Service', namespace: ISTIO_NAMESPACE, name: SERVER };
const DEPLOYMENT: ObjectRef = { ...SERVICE, apiVersion: 'apps/v1', kind: 'Deployment' };

function warn(object: ObjectRef, field: string, message: string, cure: string): Remark {
  return diagnose(object, 'ISM0313', field, message, cure);
}
