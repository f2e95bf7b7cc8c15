// SPDX-License-Identifier: Apache-2.0
import type { Diagnostic } from '../api/diagnostics.ts';
import { refOf } from '../api/kind.ts';
import { decodeService, selects } from '../api/kubernetes.ts';
import { spiffeId } from '../api/names.ts';
import { type Mesh, type MeshCluster, type ProxyResources, ROOT_NAMESPACE } from '../explain/mesh.ts';
import { reasonToSkip } from '../injector/inject.ts';
import type { Pod } from '../injector/pod.ts';
import { PROXY_CONTAINER } from '../injector/proxy-container.ts';
import type { KubeObject } from '../kube/types.ts';
import { chooseSidecar } from '../model/sidecar-scope.ts';
import { describeService } from './describe-service.ts';
import type { PodFact, RuleFact } from './facts.ts';
import { problemsOf } from './problems.ts';
import { ruleFact } from './routes.ts';

/** @param problems of the cluster: `findProblems` */
export function describePod(
  mesh: Mesh,
  cluster: MeshCluster,
  object: KubeObject,
  problems: readonly Diagnostic[],
): PodFact {
  const pod = object as Pod;
  const { namespace = '', name = '', labels = {} } = pod.metadata;
  const proxy = mesh.proxyOf(cluster, pod);
  const kind = mesh.placeOf(cluster, pod).proxy;
  const services = cluster.objects
    .map((each) => each.object)
    .filter((each) => each.kind === 'Service' && each.apiVersion === 'v1' && each.metadata.namespace === namespace)
    .filter((each) => {
      const { selector } = decodeService(each, cluster.name);
      return selector !== undefined && Object.keys(selector).length > 0 && selects(selector, labels);
    });
  const caller = kind === 'sidecar' ? proxy : undefined;
  const rules = proxy === undefined ? [] : rulesOf(cluster, proxy);
  return {
    kind: 'Pod',
    cluster: cluster.id,
    namespace,
    name,
    phase: String(pod.status?.phase ?? 'not known'),
    proxy: kind,
    because: kind === 'none' ? whyNone(cluster, pod, namespace) : imageOf(pod),
    ...(kind !== 'none' && {
      identity: spiffeId(cluster.plane.trustDomain, namespace, pod.spec.serviceAccountName ?? 'default'),
    }),
    ports: portsOf(pod),
    mtls: mtlsOf(kind, proxy),
    services: services.map((service) =>
      describeService({ mesh, cluster, service, problems, caller, podLabels: labels }),
    ),
    rules,
    problems: problemsOf(problems, [refOf(pod), ...rules]),
  };
}

/** In the injector's own words. */
function whyNone(cluster: MeshCluster, pod: Pod, namespace: string): string {
  const labels = cluster.objects.find(({ object }) => object.kind === 'Namespace' && object.metadata.name === namespace)
    ?.object.metadata.labels;
  const skipped = reasonToSkip(pod, namespace, labels ?? {});
  if (skipped !== undefined) return skipped;
  return `namespace ${namespace} is enabled for injection; the pod is older than that, or the injector was away: make it anew (kubectl rollout restart)`;
}

function imageOf({ spec }: Pod): string {
  return (
    [...spec.containers, ...(spec.initContainers ?? [])].find(({ name }) => name === PROXY_CONTAINER)?.image ??
    'not known'
  );
}

function portsOf({ spec }: Pod): PodFact['ports'] {
  return [...spec.containers, ...(spec.initContainers ?? [])].flatMap(({ name, ports = [] }) =>
    ports.flatMap(({ containerPort, protocol = 'TCP' }) =>
      containerPort === undefined ? [] : [{ container: name, port: containerPort, protocol }],
    ),
  );
}

function mtlsOf(kind: PodFact['proxy'], proxy: ProxyResources | undefined): string {
  if (kind === 'none') return 'none: anybody who reaches it is let in, in plain text';
  if (kind === 'gateway') return 'as its Gateways say';
  return proxy?.compiled.intent.inbound === undefined
    ? 'not known yet: its proxy has no address'
    : 'STRICT: only mutual TLS of the mesh is let in';
}

/** What shapes its proxy besides the rules of services. */
function rulesOf(cluster: MeshCluster, { proxy, compiled }: ProxyResources): RuleFact[] {
  const { index } = cluster.plane.snapshot;
  const sidecar = chooseSidecar(index.sidecars, proxy, index.settings);
  const gateways = index.gateways.filter(
    ({ spec }) => proxy.kind === 'gateway' && selects(spec.selector, proxy.labels),
  );
  const origins = [...(compiled.patches?.all ?? []), ...compiled.intent.telemetry.origins].map(({ object }) =>
    ruleFact({ object, field: '' }),
  );
  const rules = [
    ...gateways.map(({ ref }) => ruleFact({ object: ref, field: '' })),
    ...(sidecar === undefined ? [] : [ruleFact({ object: sidecar.ref, field: '' })]),
    ...origins,
    ...index.proxyConfigs
      .filter(
        ({ ref, spec }) =>
          [proxy.namespace, ROOT_NAMESPACE].includes(ref.namespace) &&
          selects(spec.selector?.matchLabels ?? {}, proxy.labels),
      )
      .map(({ ref }) => ruleFact({ object: ref, field: '' })),
  ];
  return [...new Map(rules.map((rule) => [JSON.stringify(rule), rule])).values()];
}
