// SPDX-License-Identifier: Apache-2.0
import { DESTINATION_RULE } from '../api/destination-rule.ts';
import type { Diagnostic } from '../api/diagnostics.ts';
import { complaintsOf } from '../api/export-conditions.ts';
import {
  EXPORT_ANNOTATION,
  MANAGED_BY,
  MANAGED_BY_LABEL,
  SERVICE_LABEL,
  SERVICE_NAMESPACE_LABEL,
} from '../api/export-names.ts';
import { decodeObject, refOf } from '../api/kind.ts';
import { decodeService, selects } from '../api/kubernetes.ts';
import type { Mesh, MeshCluster, ProxyResources } from '../explain/mesh.ts';
import type { DestinationIntent } from '../intent/destination-types.ts';
import type { KubeObject } from '../kube/types.ts';
import { countEndpoints } from './endpoints.ts';
import type { ClusterFact, EntryFact, RouteFact, ServiceFact, SubsetFact } from './facts.ts';
import { problemsOf } from './problems.ts';
import { chainFact, leadsTo, routeFact, routesOf } from './routes.ts';

export interface DescribeServiceOptions {
  readonly mesh: Mesh;
  readonly cluster: MeshCluster;
  readonly service: KubeObject;
  /** Of the cluster: `findProblems`. */
  readonly problems: readonly Diagnostic[];
  /** As whom its rules are seen; undefined: as the nearest pod with a sidecar. */
  readonly caller?: ProxyResources | undefined;
  /** Whose subsets are told. */
  readonly podLabels?: Readonly<Record<string, string>> | undefined;
}

export function describeService(options: DescribeServiceOptions): ServiceFact {
  const { mesh, cluster, service } = options;
  const { namespace = '', name = '' } = service.metadata;
  const decoded = decodeService(service, cluster.name);
  const host = `${name}.${namespace}.svc.cluster.local`;
  const caller = options.caller ?? findCaller(mesh, cluster, namespace);
  const { nameable, destinations: named } = caller?.compiled.intent ?? { destinations: new Map() };
  const destinations = [...(nameable ?? named).values()].filter(({ ref, use }) => ref.host === host && use === 'proxy');
  const routes = caller === undefined ? [] : routesTo(caller, host);
  const entries = entriesTo(mesh, cluster, host);
  const rule = destinations.find((destination) => destination.rule !== undefined)?.rule;
  const destinationRule = rule && {
    kind: rule.kind,
    namespace: rule.namespace,
    name: rule.name,
    subsets: subsetsOf(destinations, cluster, options.podLabels),
    policy: policyOf(mesh, cluster, rule),
  };
  const rules = [...routes, ...entries.flatMap((entry) => entry.routes)].map((route) => route.rule);
  return {
    kind: 'Service',
    cluster: cluster.id,
    namespace,
    name,
    host,
    addresses: decoded.headless ? ['headless'] : decoded.clusterIps,
    ports: decoded.ports.map(({ name: portName, number, targetPort, protocol }) => {
      return { name: portName, port: number, targetPort: String(targetPort), protocol };
    }),
    ...(caller && { seenBy: `${caller.proxy.namespace}/${caller.proxy.podName}` }),
    ...(destinationRule && { destinationRule }),
    routes,
    entries,
    security: securityOf(destinations),
    endpoints: countEndpoints(cluster, host),
    clusters: [...mesh.clusters.values()].map((each) => clusterFact(each, namespace, name)),
    problems: problemsOf(options.problems, [refOf(service), ...(destinationRule ? [destinationRule] : []), ...rules]),
  };
}

/** Of the same namespace if there is one, and no gateway. */
function findCaller(mesh: Mesh, cluster: MeshCluster, namespace: string): ProxyResources | undefined {
  const pods = cluster.objects
    .map(({ object }) => object)
    .filter(({ kind, apiVersion }) => kind === 'Pod' && apiVersion === 'v1');
  const near = pods.filter(({ metadata }) => metadata.namespace === namespace);
  for (const pod of [...near, ...pods]) {
    const found = mesh.proxyOf(cluster, pod);
    if (found?.compiled.intent.kind === 'sidecar') return found;
  }
  return undefined;
}

function routesTo({ compiled: { intent } }: ProxyResources, host: string): RouteFact[] {
  const { httpPorts, tcpPorts } = intent.outbound ?? {};
  const isHost = (name: string): boolean => name === host || name.startsWith(`${host}:`);
  const http = [...(httpPorts?.values() ?? [])].flatMap(({ table, port }) => routesOf(table, port, isHost));
  const chains = [...(httpPorts?.values() ?? []), ...(tcpPorts?.values() ?? [])].flatMap(({ port, chains: all }) =>
    all.filter(({ to }) => to.some(({ ref }) => ref.host === host)).map((chain) => chainFact(chain, port)),
  );
  // What Services alone make is what everybody expects.
  return [...http, ...chains].filter(({ rule }) => rule.kind !== 'Service');
}

/** Routes of gateways that lead to the host. */
function entriesTo(mesh: Mesh, cluster: MeshCluster, host: string): EntryFact[] {
  const found = new Map<string, EntryFact>();
  for (const { object } of cluster.objects) {
    if (object.kind !== 'Pod' || object.apiVersion !== 'v1') continue;
    const proxy = mesh.proxyOf(cluster, object);
    const { gateway } = proxy?.compiled.intent ?? {};
    if (proxy === undefined || gateway === undefined) continue;
    const of = {
      gateway: `${proxy.proxy.namespace}/${mesh.placeOf(cluster, object).workload}`,
      addresses: addressesOf(cluster, object),
    };
    // Pods of one gateway say the same.
    const add = ({ routes, ...entry }: EntryFact) =>
      found.set(JSON.stringify({ ...entry, routes }), { ...entry, routes });
    const tables = [
      ...gateway.httpPorts.map(({ table, port }) => ({ table, port, tls: false })),
      ...gateway.tcpPorts.flatMap(({ https, port }) => https.map(({ table }) => ({ table, port, tls: true }))),
    ];
    for (const { table, port, tls } of tables) {
      for (const { domains, routes: all } of table.hosts.values()) {
        const routes = all.filter(({ action }) => leadsTo(action, host)).map((route) => routeFact(route, port));
        if (routes.length > 0) add({ ...of, hosts: domains, tls, routes });
      }
    }
    for (const { chains, port } of gateway.tcpPorts) {
      // What passes by 15443 comes from other clusters: told with them.
      const led = chains.filter(
        ({ to, origin, use }) =>
          use === 'proxy' && origin.object.kind === 'VirtualService' && to.some(({ ref }) => ref.host === host),
      );
      for (const chain of led) add({ ...of, hosts: chain.serverNames, tls: false, routes: [chainFact(chain, port)] });
    }
  }
  return [...found.values()];
}

/** Of the Services that select a gateway's pod: what their load balancers give. */
function addressesOf(cluster: MeshCluster, pod: KubeObject): string[] {
  const { namespace, labels = {} } = pod.metadata;
  return cluster.objects.flatMap(({ object }) => {
    if (object.kind !== 'Service' || object.metadata.namespace !== namespace) return [];
    const { selector, externalAddresses } = decodeService(object, cluster.name);
    return selector !== undefined && Object.keys(selector).length > 0 && selects(selector, labels)
      ? [...externalAddresses]
      : [];
  });
}

function subsetsOf(
  destinations: readonly DestinationIntent[],
  cluster: MeshCluster,
  podLabels: DescribeServiceOptions['podLabels'],
): SubsetFact[] {
  const found = new Map<string, SubsetFact>();
  for (const { ref, discovery } of destinations) {
    if (ref.subset === '' || found.has(ref.subset)) continue;
    const labels = discovery.kind === 'endpoints' ? discovery.filter.labels : {};
    const set = discovery.kind === 'endpoints' ? (cluster.plane.snapshot.endpoints.get(discovery.service) ?? []) : [];
    const endpoints = set.filter((endpoint) => selects(labels, endpoint.labels)).length;
    found.set(ref.subset, {
      name: ref.subset,
      labels,
      endpoints,
      ...(podLabels && { hasPod: selects(labels, podLabels) }),
    });
  }
  return [...found.values()];
}

/** Which parts of its policy the rule has, by name. */
function policyOf(mesh: Mesh, cluster: MeshCluster, rule: { namespace: string; name: string }): string[] {
  const seen =
    mesh.object(cluster.plane.id, 'DestinationRule', rule.namespace, rule.name) ??
    mesh.object(cluster.id, 'DestinationRule', rule.namespace, rule.name);
  const { trafficPolicy } = (seen && decodeObject(DESTINATION_RULE, seen.object).value?.spec) ?? {};
  if (trafficPolicy === undefined) return [];
  const { tls, portLevelSettings, ...others } = trafficPolicy;
  return [
    ...(tls === undefined ? [] : [`tls ${tls.mode}`]),
    ...Object.entries(others).flatMap(([name, value]) => (value === undefined ? [] : [name])),
    ...portLevelSettings.map(({ port }) => `settings of port ${port.number}`),
  ];
}

function securityOf([destination]: readonly DestinationIntent[]): string {
  switch (destination?.security.kind) {
    case undefined:
      return 'not known: nobody with a sidecar sees it';
    case 'plain':
      return 'plain text';
    case 'mesh':
      return destination.security.when === 'always'
        ? 'mutual TLS of the mesh'
        : 'mutual TLS of the mesh, and plain text to pods without a sidecar';
    default:
      return 'TLS, as its DestinationRule says';
  }
}

function clusterFact(cluster: MeshCluster, namespace: string, name: string): ClusterFact {
  const find = (kind: string) =>
    cluster.objects.find(
      ({ object }) => object.kind === kind && object.metadata.namespace === namespace && object.metadata.name === name,
    )?.object;
  const service = find('Service');
  const selector = service && decodeService(service, cluster.name).selector;
  const pods = cluster.objects.filter(
    ({ object: { kind, metadata } }) =>
      kind === 'Pod' &&
      metadata.namespace === namespace &&
      selector !== undefined &&
      selects(selector, metadata.labels ?? {}),
  );
  const exported = find('ExportedService');
  const imported = cluster.objects.find(
    ({
      object: {
        kind,
        metadata: { labels = {} },
      },
    }) => kind === 'ServiceEntry' && isImport(labels, namespace, name),
  )?.object;
  const kept =
    service?.metadata.annotations?.[EXPORT_ANNOTATION] === 'false' ? [`${EXPORT_ANNOTATION} keeps it home`] : [];
  return {
    cluster: cluster.id,
    hasService: service !== undefined,
    pods: pods.length,
    exportedAs:
      exported === undefined ? [] : [`${name}.${namespace}.global`, `${name}.${namespace}.svc.clusterset.local`],
    remarks: [...kept, ...remarksOn(find('ServiceExport')), ...remarksOn(exported)],
    ...(imported && {
      importedBy: {
        kind: 'ServiceEntry',
        namespace: imported.metadata.namespace ?? '',
        name: imported.metadata.name ?? '',
      },
    }),
  };
}

function isImport(labels: Readonly<Record<string, string>>, namespace: string, name: string): boolean {
  return (
    labels[MANAGED_BY_LABEL] === MANAGED_BY &&
    labels[SERVICE_LABEL] === name &&
    labels[SERVICE_NAMESPACE_LABEL] === namespace
  );
}

/** Of a status: what is not as it should be. */
function remarksOn(object: KubeObject | undefined): string[] {
  if (object === undefined) return [];
  return complaintsOf(object).map(({ type, reason, message }) => `${object.kind} ${type}: ${reason}: ${message}`);
}
