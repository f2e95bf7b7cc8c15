// SPDX-License-Identifier: Apache-2.0
// What the DNS says to a pod: its search domains, the cluster's own names (the Kubernetes DNS specification), and those that
// istiocoredns answers. Everything else is the world's.
import { isIP } from 'node:net';
import { closestName } from '../api/closest-name.ts';
import { EXPORT_ANNOTATION } from '../api/export-names.ts';
import { isUnder, lookUp, normalizeName } from '../dns/global-names.ts';
import type { KubeObject } from '../kube/types.ts';
import type { Mesh, MeshCluster } from './mesh.ts';
import type { Why } from './path.ts';
import { addressesOfPod, isOnHostNetwork, isPod } from './pods.ts';
import { whyOf } from './why.ts';

export type Resolution =
  | {
      readonly kind: 'found';
      /** The full name that was found; the host itself for an address. */
      readonly name: string;
      /** Which of several is dialled, the DNS decides. */
      readonly addresses: readonly string[];
      readonly why: readonly Why[];
      /** Of an ExternalName service: what it stands for. */
      readonly alias?: string;
    }
  /** A name of the world outside: what it leads to is not known here. */
  | { readonly kind: 'outside'; readonly name: string; readonly why: readonly Why[] }
  | { readonly kind: 'none'; readonly text: string; readonly cure: string; readonly why: readonly Why[] };

const CLUSTER_DOMAIN = 'cluster.local';
const NDOTS = 5;
const MAX_ALIASES = 8;

interface DnsText {
  readonly spec?: {
    readonly dnsPolicy?: string;
    readonly dnsConfig?: {
      readonly searches?: readonly string[];
      readonly options?: readonly { readonly name?: string; readonly value?: string }[];
    };
  };
}

interface ServiceText {
  readonly spec?: {
    readonly type?: string;
    readonly clusterIP?: string;
    readonly clusterIPs?: readonly string[];
    readonly externalName?: string;
  };
}

export function resolveName(mesh: Mesh, cluster: MeshCluster, pod: KubeObject, host: string): Resolution {
  if (isIP(host) !== 0) return { kind: 'found', name: host, addresses: [host], why: [] };
  const { spec } = pod as KubeObject & DnsText;
  const config = spec?.dnsConfig;
  const policy = spec?.dnsPolicy ?? 'ClusterFirst';
  const isCluster = policy === 'ClusterFirstWithHostNet' || (policy === 'ClusterFirst' && !isOnHostNetwork(pod));
  const namespace = pod.metadata.namespace ?? '';
  const own = isCluster ? [`${namespace}.svc.${CLUSTER_DOMAIN}`, `svc.${CLUSTER_DOMAIN}`, CLUSTER_DOMAIN] : [];
  const searches = [...own, ...(config?.searches ?? [])];
  const ndots = Number(config?.options?.find(({ name }) => name === 'ndots')?.value ?? (isCluster ? NDOTS : 1));
  const name = host.toLowerCase();
  const plain = normalizeName(name);
  const dots = plain.split('.').length - 1;
  const searched = name.endsWith('.') ? [] : searches.map((domain) => `${plain}.${normalizeName(domain)}`);
  const tried = dots >= ndots ? [plain, ...searched] : [...searched, plain];
  // Its node's servers know nothing of the cluster.
  const answers = tried.map((each) => (isCluster ? answer(mesh, cluster, each) : strange(each)));
  return (
    answers.find((each) => each.kind === 'found') ??
    answers.find((each) => each.kind === 'outside') ??
    nowhere(mesh, answers, { cluster, host, namespace })
  );
}

type Answer =
  | Resolution
  | { readonly kind: 'empty'; readonly text: string; readonly cure: string; readonly why: readonly Why[] };

/** One question, without any search. */
function answer(mesh: Mesh, cluster: MeshCluster, name: string, hops = 0): Answer {
  if (isUnder(name, CLUSTER_DOMAIN)) return ofCluster(mesh, cluster, name, hops);
  const zone = cluster.zones.find((each) => isUnder(name, each));
  if (zone !== undefined) return ofZone(mesh, cluster, name, zone);
  return strange(name);
}

/** A name of one word, or of a zone that is only the mesh's, is nobody's outside. */
function strange(name: string): Answer {
  const isWorldly = name.includes('.') && !/\.(global|local)$/.test(name);
  return isWorldly ? { kind: 'outside', name, why: [] } : unknownName(name);
}

function unknownName(name: string): Extract<Resolution, { kind: 'none' }> {
  return { kind: 'none', text: `nobody knows the name ${name}`, cure: 'see whether it is spelt right', why: [] };
}

function ofCluster(mesh: Mesh, cluster: MeshCluster, name: string, hops: number): Answer {
  const rest = name.slice(0, -CLUSTER_DOMAIN.length - 1).split('.');
  if (rest.at(-1) !== 'svc' || rest.length < 3) return unknownName(name);
  const [namespace, service] = [rest.at(-2)!, rest.at(-3)!];
  const seen = mesh.object(cluster.id, 'Service', namespace, service);
  if (seen === undefined) return unknownName(name);
  const why = [whyOf(mesh, cluster.id, seen.object, 'spec.clusterIP')];
  const { spec } = seen.object as KubeObject & ServiceText;
  if (rest.length > 3) return ofPodName(mesh, cluster, { name, service, namespace, hostname: rest.at(-4)! }, why);
  if (spec?.type === 'ExternalName') {
    const alias = normalizeName(spec.externalName ?? '');
    const end = hops < MAX_ALIASES ? answer(mesh, cluster, alias, hops + 1) : unknownName(alias);
    const named = [whyOf(mesh, cluster.id, seen.object, 'spec.externalName'), ...end.why];
    return end.kind === 'found' ? { ...end, name, alias, why: named } : { ...end, why: named };
  }
  const ips = (spec?.clusterIPs ?? [spec?.clusterIP ?? '']).filter((ip) => ip !== '');
  if (!ips.includes('None')) {
    if (ips.length > 0) return { kind: 'found', name, addresses: ips, why };
    return {
      kind: 'empty',
      text: `Service ${namespace}/${service} has no address yet`,
      cure: 'wait for its clusterIP',
      why,
    };
  }
  const addresses = podsOfHeadless(cluster, `${service}.${namespace}.svc.${CLUSTER_DOMAIN}`);
  if (addresses.length > 0) return { kind: 'found', name, addresses, why };
  return {
    kind: 'empty',
    text: `Service ${namespace}/${service} is headless, and has no ready pod in ${cluster.id}: its name leads nowhere`,
    cure: `see its pods: kubectl -n ${namespace} get endpointslices -l kubernetes.io/service-name=${service}`,
    why,
  };
}

/** A DNS server gives those of its own cluster. */
function podsOfHeadless({ name, plane }: MeshCluster, host: string): readonly string[] {
  const [service] = plane.snapshot.index.servicesByHost.get(host) ?? [];
  const states = service && plane.snapshot.index.headless.get(service.key);
  const known = states?.[name as keyof typeof states];
  return known?.addresses ?? [];
}

/** `HOSTNAME.SERVICE.NAMESPACE.svc...`, as pods of a StatefulSet have it. */
function ofPodName(
  mesh: Mesh,
  cluster: MeshCluster,
  wanted: { name: string; service: string; namespace: string; hostname: string },
  why: readonly Why[],
): Answer {
  const { name, service, namespace, hostname } = wanted;
  const pod = cluster.objects.find(({ object }) => {
    const { spec } = object as KubeObject & { spec?: { hostname?: string; subdomain?: string } };
    return (
      isPod(object) &&
      object.metadata.namespace === namespace &&
      spec?.hostname === hostname &&
      spec.subdomain === service
    );
  });
  if (pod === undefined) return unknownName(name);
  return {
    kind: 'found',
    name,
    addresses: addressesOfPod(pod.object),
    why: [...why, whyOf(mesh, cluster.id, pod.object)],
  };
}

function ofZone(mesh: Mesh, cluster: MeshCluster, name: string, zone: string): Answer {
  const names = mesh.namesIn(cluster, zone);
  const found = lookUp(names, name);
  const owner = names.get(name) ?? names.get(name.replace(/^[^.]+/, '*'));
  const [namespace = '', entry = ''] = owner?.serviceEntry.split('/') ?? [];
  const seen = owner && mesh.object(cluster.id, 'ServiceEntry', namespace, entry);
  const why = seen ? [whyOf(mesh, cluster.id, seen.object, 'spec.addresses')] : [];
  if (found.kind === 'addresses') return { kind: 'found', name, addresses: found.addresses, why };
  if (found.kind === 'unknown' || owner === undefined) return unknownName(name);
  const text = `ServiceEntry ${owner.serviceEntry} gives ${name} no address`;
  return {
    kind: 'empty',
    text,
    cure: 'write an address of 240.0.0.0/4 into spec.addresses, or none and wait a moment',
    why,
  };
}

/** Every answer is that there is nothing: what is nearest to one is told. */
function nowhere(
  mesh: Mesh,
  answers: readonly Answer[],
  { cluster, host, namespace }: { cluster: MeshCluster; host: string; namespace: string },
): Resolution {
  const empty = answers.find(({ kind }) => kind === 'empty');
  if (empty !== undefined && 'text' in empty) return { ...empty, kind: 'none' };
  const [, zone] = /\.(global|clusterset\.local)\.?$/i.exec(host) ?? [];
  if (zone !== undefined && !cluster.zones.includes(zone)) {
    const text = `nothing leads names below .${zone} to istiocoredns in ${cluster.id}: ${host} does not resolve`;
    return { kind: 'none', text, cure: 'isthmus analyze says what the cluster’s DNS wants (ISM0313)', why: [] };
  }
  const text = `nobody knows the name ${host} in ${cluster.id}`;
  const [name = '', where = namespace] = normalizeName(host.toLowerCase()).split('.');
  const others = [...mesh.clusters.values()].filter(
    ({ id }) => id !== cluster.id && mesh.object(id, 'Service', where, name),
  );
  const elsewhere = others[0];
  if (elsewhere !== undefined) {
    const service = mesh.object(elsewhere.id, 'Service', where, name)!;
    const cure = `${elsewhere.id} has Service ${where}/${name}: export it there (annotation ${EXPORT_ANNOTATION}: "true"), or create a Service of that name in ${cluster.id} too`;
    return { kind: 'none', text, cure, why: [whyOf(mesh, elsewhere.id, service.object)] };
  }
  const inCluster = cluster.objects.flatMap(({ object: { kind, metadata } }) => (kind === 'Service' ? [metadata] : []));
  const namesake = inCluster.find((metadata) => metadata.name === name);
  if (namesake !== undefined) {
    const cure = `namespace ${namesake.namespace} has a Service ${name}: ask for ${name}.${namesake.namespace}`;
    return { kind: 'none', text, cure, why: [] };
  }
  const guess = closestName(
    name,
    inCluster.flatMap((metadata) => (metadata.namespace === where ? [metadata.name ?? ''] : [])),
  );
  const cure = guess === undefined ? `create a Service or a ServiceEntry of that name` : `did you mean ${guess}?`;
  return { kind: 'none', text, cure, why: [] };
}
