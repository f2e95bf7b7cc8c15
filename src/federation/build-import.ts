// SPDX-License-Identifier: Apache-2.0
// The objects of the own cluster for one service that other clusters export: ordinary objects of Istio's API and of the
// Multi-Cluster Services API, the same bytes from the same exports.
import { DESTINATION_RULE } from '../api/destination-rule.ts';
import {
  CLUSTER_LABEL,
  clustersetHost,
  DERIVED_ANNOTATION,
  EXPORTERS_ANNOTATION,
  FALLBACK_NAMESPACE,
  globalHost,
  MANAGED_BY,
  MANAGED_BY_LABEL,
  MCS_SERVICE_LABEL,
  PORTS_LABEL,
  SERVICE_LABEL,
  SERVICE_NAMESPACE_LABEL,
  SHORT_CLUSTER_LABEL,
  SINCE_ANNOTATION,
  serviceKey,
} from '../api/export-names.ts';
import type { ExportedGateway, LocalityShare } from '../api/exported-service.ts';
import { type Kind, resourceOf } from '../api/kind.ts';
import { SERVICE_ENTRY } from '../api/service-entry.ts';
import { SERVICE_IMPORT } from '../api/service-export.ts';
import { TRAFFIC_ANNOTATION } from '../api/traffic-shares.ts';
import { apiVersionOf } from '../kube/resources.ts';
import type { KubeObject } from '../kube/types.ts';
import { compare } from './digest.ts';
import { type MergedService, mergeExports } from './merge-exports.ts';
import type { Disagreement, Export, Import, ImportInput, Labels, PersonsObject } from './types.ts';

/** How clusters share the requests where nobody says it. */
const DEFAULT_TRAFFIC = 'local-first';

export function buildImport(input: ImportInput): Import {
  const { cluster, exports, claims } = input;
  if (exports.length === 0) return { objects: [], disagreements: [], conflict: undefined };
  const merged = mergeExports(exports);
  const { conflict } = merged;
  const foreign = merged.exports.filter((each) => each.cluster !== cluster);
  if (foreign.length === 0) return { objects: [], disagreements: [], conflict };
  const rivals = claims.filter(({ ref }) => ref.kind === SERVICE_ENTRY.kind);
  if (rivals.length > 0) {
    return { objects: [], disagreements: rivals.map((rival) => yieldTo(input, merged, rival)), conflict };
  }
  const rules = claims.filter(({ ref }) => ref.kind === DESTINATION_RULE.kind);
  const objects = [
    entryOf(input, merged),
    ...(rules.length === 0 ? ruleOf(input, merged) : []),
    ...(input.hasNamespace ? [serviceImportOf(input, merged)] : []),
  ];
  return { objects, disagreements: rules.map((rule) => yieldTo(input, merged, rule)), conflict };
}

/** Somebody wrote an object for one of the names himself: it stays, and ours is not there. */
function yieldTo({ namespace, name, cluster }: ImportInput, merged: MergedService, rival: PersonsObject): Disagreement {
  const { kind, namespace: theirs, name: called } = rival.ref;
  const clusters = merged.exports.filter((each) => each.cluster !== cluster).map((each) => each.cluster);
  const withheld = kind === SERVICE_ENTRY.kind ? 'it is not imported' : 'the import has no DestinationRule of its own';
  const message =
    `${kind} ${theirs}/${called} of ${cluster} is for the host ${rival.host}, and so is the export of ${namespace}/${name} by ` +
    `${clusters.join(', ')}: the one that a person wrote counts, and ${withheld}`;
  return { service: serviceKey(namespace, name), reason: `${kind}Exists`, message, ref: rival.ref };
}

function entryOf(input: ImportInput, merged: MergedService): KubeObject {
  const { namespace, name, addresses } = input;
  const endpoints = endpointsOf(input, merged);
  return {
    ...headOf(SERVICE_ENTRY, globalHost(namespace, name), input, merged),
    spec: {
      hosts: [globalHost(namespace, name), clustersetHost(namespace, name)],
      addresses,
      location: 'MESH_INTERNAL',
      // Without endpoints DNS would look up the host itself.
      resolution: endpoints.length > 0 ? 'DNS' : 'STATIC',
      ports: merged.ports.map(({ name: port, port: number, protocol }) => ({
        name: port,
        number,
        ...(protocol === undefined ? {} : { protocol }),
      })),
      endpoints,
      ...(merged.subjectAltNames.length === 0 ? {} : { subjectAltNames: merged.subjectAltNames }),
    },
  };
}

function ruleOf(input: ImportInput, merged: MergedService): KubeObject[] {
  const { namespace, name } = input;
  if (merged.subsets.length === 0) return [];
  const host = globalHost(namespace, name);
  const subsets = merged.subsets.map(({ name: subset, labels }) => ({
    name: subset,
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
  }));
  return [{ ...headOf(DESTINATION_RULE, host, input, merged), spec: { host, subsets } }];
}

function serviceImportOf(input: ImportInput, merged: MergedService): KubeObject {
  const head = headOf(SERVICE_IMPORT, input.name, input, merged);
  const labels = { ...head.metadata.labels, [MCS_SERVICE_LABEL]: input.name };
  return {
    ...head,
    metadata: { ...head.metadata, labels },
    spec: {
      type: merged.type,
      ...(merged.type === 'ClusterSetIP' ? { ips: input.addresses.slice(0, 1) } : {}),
      ports: merged.ports.map(({ name, port, protocol }) => ({
        name,
        port,
        protocol: 'TCP',
        ...(protocol === undefined ? {} : { appProtocol: protocol.toLowerCase() }),
      })),
    },
    status: { clusters: merged.exports.map(({ cluster }) => ({ cluster })) },
  };
}

function headOf(
  kind: Kind<never> | Kind<unknown>,
  objectName: string,
  { namespace, name, hasNamespace }: ImportInput,
  { exports, traffic }: MergedService,
): KubeObject {
  const clusters = exports.map(({ cluster }) => cluster).join(',');
  const since = exports.map(({ cluster, spec }) => `${cluster}=${spec.exportedAt}`).join(',');
  return {
    apiVersion: apiVersionOf(resourceOf(kind as Kind<unknown>)),
    kind: kind.kind,
    metadata: {
      name: objectName,
      namespace: hasNamespace ? namespace : FALLBACK_NAMESPACE,
      labels: {
        [MANAGED_BY_LABEL]: MANAGED_BY,
        [SERVICE_LABEL]: name,
        [SERVICE_NAMESPACE_LABEL]: namespace,
      },
      annotations: {
        [EXPORTERS_ANNOTATION]: clusters,
        [DERIVED_ANNOTATION]: `ExportedService ${namespace}/${name} of ${clusters}; edit what exports it there`,
        [SINCE_ANNOTATION]: since,
        [TRAFFIC_ANNOTATION]: traffic ?? DEFAULT_TRAFFIC,
      },
    },
  };
}

interface EntryEndpoint {
  readonly address: string;
  readonly labels: Labels;
  readonly ports?: Readonly<Record<string, number>>;
  readonly locality?: string;
  readonly weight?: number;
}

function endpointsOf({ cluster, namespace, name, dnsDomain }: ImportInput, merged: MergedService): EntryEndpoint[] {
  const endpoints: EntryEndpoint[] = [];
  // The pipeline puts the Service's own pods in the place of it.
  if (merged.exports.some((each) => each.cluster === cluster)) {
    endpoints.push({ address: `${name}.${namespace}.svc.${dnsDomain}`, labels: labelsOf(cluster) });
  }
  const foreign = merged.exports.filter((each) => each.cluster !== cluster);
  for (const each of foreign) endpoints.push(...readyEndpoints(each, merged));
  // There has to be something, so that requests find the truth by themselves.
  if (endpoints.length === 0) endpoints.push(...foreign.flatMap((each) => idleEndpoints(each, merged)));
  const key = ({ address, labels }: EntryEndpoint) =>
    `${labels[CLUSTER_LABEL]} ${address} ${JSON.stringify(Object.entries(labels).sort(([a], [b]) => compare(a, b)))}`;
  return endpoints.sort((a, b) => compare(key(a), key(b)));
}

/** For each gateway one for each subset that has ready pods, and one for the pods that are in none. */
function readyEndpoints(each: Export, merged: MergedService): EntryEndpoint[] {
  const { spec } = each;
  const selective = spec.subsets.filter(({ labels }) => Object.keys(labels).length > 0);
  const inSubsets = selective.reduce((sum, { ready }) => sum + ready, 0);
  const groups = selective.map(({ name, labels, ready, localities }) => ({
    labels: { ...labels, ...merged.subsets.find((subset) => subset.name === name)?.labels },
    ready,
    localities,
  }));
  groups.push({ labels: {}, ready: spec.ready - inSubsets, localities: spec.localities });
  return groups
    .filter(({ ready }) => ready > 0)
    .flatMap(({ labels, ready, localities }) =>
      spec.gateways.map((gateway) => endpointOf(each, merged, gateway, { labels, localities, weight: ready })),
    );
}

function idleEndpoints(each: Export, merged: MergedService): EntryEndpoint[] {
  const about = { labels: {}, localities: [], weight: 1 };
  return each.spec.gateways.map((gateway) => endpointOf(each, merged, gateway, about));
}

function endpointOf(
  { cluster, spec }: Export,
  { ports }: MergedService,
  gateway: ExportedGateway,
  about: { readonly labels: Labels; readonly localities: readonly LocalityShare[]; readonly weight: number },
): EntryEndpoint {
  const own = ports.filter(({ port }) => spec.ports.some((each) => each.port === port));
  const locality = gateway.locality || localityOf(about.localities);
  const lacks = own.length < ports.length;
  return {
    address: gateway.address,
    ports: Object.fromEntries(own.map(({ name }) => [name, gateway.port])),
    labels: {
      ...about.labels,
      ...labelsOf(cluster),
      ...(lacks ? { [PORTS_LABEL]: 'listed' } : {}),
    },
    ...(locality === '' ? {} : { locality }),
    weight: about.weight,
  };
}

function labelsOf(cluster: string): Labels {
  return { [SHORT_CLUSTER_LABEL]: cluster, [CLUSTER_LABEL]: cluster };
}

/** What all of them have in common; '' where that is nothing. */
function localityOf(localities: readonly LocalityShare[]): string {
  const there = localities.filter(({ ready }) => ready > 0).map(({ locality }) => locality.split('/'));
  const [first, ...rest] = there;
  if (first === undefined) return '';
  const end = first.findIndex((part, i) => rest.some((other) => other[i] !== part));
  return (end < 0 ? first : first.slice(0, end)).join('/');
}
