// SPDX-License-Identifier: Apache-2.0
// What clusters have told of a service, read back from the objects that were made of it: as long as a cluster cannot be
// asked, these are what is known of it, across restarts too.
import { DESTINATION_RULE } from '../api/destination-rule.ts';
import {
  CLUSTER_LABEL,
  PORTS_LABEL,
  SHORT_CLUSTER_LABEL,
  SINCE_ANNOTATION,
  subsetOfVersion,
} from '../api/export-names.ts';
import { EXPORTED_PROTOCOLS, type ExportedServiceSpec, type ExportedSubset } from '../api/exported-service.ts';
import { decodeObject } from '../api/kind.ts';
import { selects } from '../api/kubernetes.ts';
import { SERVICE_ENTRY, type ServiceEntryEndpoint } from '../api/service-entry.ts';
import { TRAFFIC_ANNOTATION } from '../api/traffic-shares.ts';
import type { KubeObject } from '../kube/types.ts';
import { compare } from './digest.ts';
import type { Export, Labels } from './types.ts';

/** `rule`: the DestinationRule beside the ServiceEntry, if there is one. Nothing of an object that cannot be read. */
export function recallExports(entry: KubeObject, rule: KubeObject | undefined): Export[] {
  const { value } = decodeObject(SERVICE_ENTRY, entry);
  if (value === undefined) return [];
  const { ports, endpoints } = value.spec;
  const subsets = rule === undefined ? [] : (decodeObject(DESTINATION_RULE, rule).value?.spec.subsets ?? []);
  const traffic = entry.metadata.annotations?.[TRAFFIC_ANNOTATION];
  return sinceOf(entry).map(([cluster, exportedAt], i) => {
    const own = endpoints.filter(({ labels }) => labels[CLUSTER_LABEL] === cluster);
    const listed = own[0]?.labels[PORTS_LABEL] === undefined ? undefined : own[0].ports;
    const spec: ExportedServiceSpec = {
      cluster,
      exportedAt,
      type: 'ClusterSetIP',
      ports: ports
        .filter(({ name }) => listed === undefined || listed[name] !== undefined)
        .map(({ name, number }) => ({ name, port: number, protocol: protocolOf(entry, number) })),
      ...countsOf(own, subsets),
      gateways: gatewaysOf(own),
      // All clusters', for it is not told whose is which.
      subjectAltNames: value.spec.subjectAltNames,
      // The oldest's word is the one that counted.
      traffic: i === 0 ? traffic : undefined,
    };
    return { cluster, spec };
  });
}

function sinceOf(entry: KubeObject): [cluster: string, exportedAt: string][] {
  const said = entry.metadata.annotations?.[SINCE_ANNOTATION] ?? '';
  return said.split(',').flatMap((part): [string, string][] => {
    const [cluster = '', exportedAt = ''] = part.split('=');
    return cluster === '' || Number.isNaN(Date.parse(exportedAt)) ? [] : [[cluster, exportedAt]];
  });
}

/** As it is written: decoding makes one of several names of it. */
function protocolOf(entry: KubeObject, number: number): (typeof EXPORTED_PROTOCOLS)[number] | undefined {
  const { ports = [] } = entry['spec'] as { ports?: { number?: number; protocol?: string }[] };
  const said = ports.find((port) => port.number === number)?.protocol;
  return EXPORTED_PROTOCOLS.find((protocol) => protocol === said);
}

function countsOf(
  endpoints: readonly ServiceEntryEndpoint[],
  subsets: readonly { readonly name: string; readonly labels: Labels }[],
): Pick<ExportedServiceSpec, 'ready' | 'localities' | 'subsets'> {
  // Each gateway stands for all pods: one of them tells the counts.
  const [first] = endpoints;
  const counted = endpoints.filter((e) => e.address === first?.address && isSamePorts(e, first));
  const ready = counted.reduce((sum, { weight }) => sum + (weight ?? 0), 0);
  const found = new Map<string, ExportedSubset>();
  for (const endpoint of counted) {
    const labels = ownLabels(endpoint.labels);
    const known = subsets.find((each) => Object.keys(each.labels).length > 0 && selects(each.labels, labels));
    const name = known?.name ?? subsetOfVersion(Object.values(labels)[0] ?? '');
    if (name === '' || found.has(name)) continue;
    const localities = [{ locality: endpoint.locality ?? '', ready: endpoint.weight ?? 0 }];
    found.set(name, { name, labels, ready: endpoint.weight ?? 0, localities });
  }
  for (const { name, labels } of subsets)
    if (!found.has(name)) found.set(name, { name, labels, ready: 0, localities: [] });
  const localities = [{ locality: first?.locality ?? '', ready }];
  return { ready, localities, subsets: [...found.values()].sort((a, b) => compare(a.name, b.name)) };
}

function ownLabels(labels: Labels): Labels {
  const { [CLUSTER_LABEL]: _, [SHORT_CLUSTER_LABEL]: __, [PORTS_LABEL]: ___, ...rest } = labels;
  return rest;
}

function gatewaysOf(endpoints: readonly ServiceEntryEndpoint[]): ExportedServiceSpec['gateways'] {
  const found = new Map(
    endpoints.map(({ address, ports, locality = '' }) => {
      const port = Object.values(ports)[0] ?? 0;
      return [`${address} ${port}`, { address, port, network: '', locality }] as const;
    }),
  );
  return [...found].sort(([a], [b]) => compare(a, b)).map(([, gateway]) => gateway);
}

function isSamePorts(a: ServiceEntryEndpoint, b: ServiceEntryEndpoint): boolean {
  return Object.values(a.ports)[0] === Object.values(b.ports)[0];
}
