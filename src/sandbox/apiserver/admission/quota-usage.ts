// SPDX-License-Identifier: Apache-2.0
// What objects use of what a ResourceQuota limits. https://kubernetes.io/docs/concepts/policy/resource-quotas/
import type { KubeObject } from '../../../kube/types.ts';
import { quantityNano, sumQuantities } from '../schema/quantity.ts';
import type { GroupResource } from '../status.ts';

/** Resource name ("pods", "requests.cpu", "count/jobs.batch") -> quantity. */
export type Usage = Record<string, string>;

export interface ResourceQuota extends KubeObject {
  spec?: {
    hard?: Usage;
    scopes?: string[];
    scopeSelector?: { matchExpressions?: { scopeName: string; operator: string; values?: string[] }[] };
  };
  status?: { hard?: Usage; used?: Usage };
}

interface Container {
  name: string;
  restartPolicy?: string;
  resources?: { limits?: Usage; requests?: Usage };
}

interface PodSpec {
  containers?: Container[];
  initContainers?: Container[];
  overhead?: Usage;
  activeDeadlineSeconds?: number;
  priorityClassName?: string;
  affinity?: { podAffinity?: object; podAntiAffinity?: object };
}

const core = (resource: string): GroupResource => ({ group: '', resource });
const PODS = core('pods');
/** Counted under their own names, without count/. */
const PLAIN = [
  'configmaps',
  'persistentvolumeclaims',
  'replicationcontrollers',
  'resourcequotas',
  'secrets',
  'services',
];
const CLASS_SUFFIX = '.storageclass.storage.k8s.io/';
/** Of pods, these stand in a quota with and without "requests.". */
const BARE = ['cpu', 'memory', 'ephemeral-storage'];

/** Whose objects a name in `hard` counts; undefined for a name that nothing is known about. */
export function countedType(name: string): GroupResource | undefined {
  if (name.startsWith('count/')) {
    const [resource = '', ...group] = name.slice('count/'.length).split('.');
    return { group: group.join('.'), resource };
  }
  if (PLAIN.includes(name)) return core(name);
  if (name.startsWith('services.')) return core('services');
  if (name === 'requests.storage' || name.includes(CLASS_SUFFIX)) return core('persistentvolumeclaims');
  if (name === 'pods' || BARE.includes(name) || /^(requests|limits)\./.test(name)) return PODS;
  return undefined;
}

/** What one object uses, by every name under which a quota may limit it. */
export function objectUsage(type: GroupResource, object: KubeObject): Usage {
  const counted: Usage = { [`count/${type.group ? `${type.resource}.${type.group}` : type.resource}`]: '1' };
  if (type.group !== '') return counted;
  if (PLAIN.includes(type.resource)) counted[type.resource] = '1';
  if (type.resource === 'pods') return { ...counted, ...podUsage(object) };
  if (type.resource === 'services') return { ...counted, ...serviceUsage(object) };
  if (type.resource === 'persistentvolumeclaims') return { ...counted, ...claimUsage(object) };
  return counted;
}

/** A pod that has ended uses nothing any more. */
function podUsage(pod: KubeObject): Usage {
  const { phase } = (pod['status'] ?? {}) as { phase?: string };
  if (phase === 'Succeeded' || phase === 'Failed') return {};
  const usage: Usage = { pods: '1' };
  for (const [name, quantity] of Object.entries(podResources(pod, 'requests'))) {
    usage[`requests.${name}`] = quantity;
    if (BARE.includes(name)) usage[name] = quantity;
  }
  for (const [name, quantity] of Object.entries(podResources(pod, 'limits'))) usage[`limits.${name}`] = quantity;
  return usage;
}

/** Containers run side by side, init containers one after the other before them, sidecars along with both. */
function podResources(pod: KubeObject, kind: 'requests' | 'limits'): Usage {
  const { containers = [], initContainers = [], overhead = {} } = (pod['spec'] ?? {}) as PodSpec;
  const of = (container: Container) => container.resources?.[kind] ?? {};
  const sidecars = initContainers.filter(({ restartPolicy }) => restartPolicy === 'Always');
  const total = sum([...containers, ...sidecars].map(of));
  let started: Usage = {};
  for (const container of initContainers) {
    const running = sum([started, of(container)]);
    if (container.restartPolicy === 'Always') started = running;
    for (const [name, quantity] of Object.entries(running)) total[name] = larger(total[name], quantity);
  }
  const extra = Object.fromEntries(Object.entries(overhead).filter(([name]) => kind === 'requests' || name in total));
  return sum([total, extra]);
}

export function sum(parts: readonly Usage[]): Usage {
  const names = new Set(parts.flatMap((part) => Object.keys(part)));
  return Object.fromEntries([...names].map((name) => [name, sumQuantities(parts.flatMap((part) => part[name] ?? []))]));
}

function larger(a: string | undefined, b: string): string {
  return a !== undefined && nano(a) >= nano(b) ? a : b;
}

export function nano(quantity: string | undefined): bigint {
  return quantityNano(quantity ?? '0') ?? 0n;
}

function serviceUsage(service: KubeObject): Usage {
  const { type, ports = [] } = (service['spec'] ?? {}) as { type?: string; ports?: { nodePort?: number }[] };
  const usage: Usage = {};
  if (type === 'LoadBalancer') usage['services.loadbalancers'] = '1';
  const nodePorts = type === 'NodePort' ? ports.length : ports.filter(({ nodePort }) => nodePort).length;
  if (nodePorts > 0) usage['services.nodeports'] = String(nodePorts);
  return usage;
}

function claimUsage(claim: KubeObject): Usage {
  const { resources, storageClassName } = (claim['spec'] ?? {}) as {
    resources?: { requests?: Usage };
    storageClassName?: string;
  };
  const storage = resources?.requests?.['storage'] ?? '0';
  const usage: Usage = { 'requests.storage': storage };
  if (storageClassName) {
    usage[`${storageClassName}${CLASS_SUFFIX}requests.storage`] = storage;
    usage[`${storageClassName}${CLASS_SUFFIX}persistentvolumeclaims`] = '1';
  }
  return usage;
}

/** Whether a quota is about this object: its scopes speak of pods alone. */
export function inScope(quota: ResourceQuota, type: GroupResource, object: KubeObject): boolean {
  const { scopes = [], scopeSelector } = quota.spec ?? {};
  const terms = [
    ...scopes.map((scopeName) => ({ scopeName, operator: 'Exists', values: [] as string[] })),
    ...(scopeSelector?.matchExpressions ?? []).map((term) => ({ values: [], ...term })),
  ];
  if (terms.length === 0) return true;
  if (type.group !== '' || type.resource !== 'pods') return false;
  return terms.every(({ scopeName, operator, values }) => scopeHolds(scopeName, operator, values, object));
}

function scopeHolds(scope: string, operator: string, values: readonly string[], pod: KubeObject): boolean {
  const spec = (pod['spec'] ?? {}) as PodSpec;
  const bestEffort = [...(spec.containers ?? []), ...(spec.initContainers ?? [])].every(({ resources }) =>
    ['cpu', 'memory'].every((name) => !resources?.limits?.[name] && !resources?.requests?.[name]),
  );
  switch (scope) {
    case 'Terminating':
      return spec.activeDeadlineSeconds !== undefined;
    case 'NotTerminating':
      return spec.activeDeadlineSeconds === undefined;
    case 'BestEffort':
      return bestEffort;
    case 'NotBestEffort':
      return !bestEffort;
    case 'CrossNamespacePodAffinity':
      return /"(namespaces|namespaceSelector)":/.test(JSON.stringify(spec.affinity ?? {}));
    case 'PriorityClass': {
      const name = spec.priorityClassName ?? '';
      if (operator === 'Exists') return name !== '';
      if (operator === 'DoesNotExist') return name === '';
      return values.includes(name) === (operator === 'In');
    }
    default:
      return false;
  }
}

/** What is used now of each name in the quota's `hard` that something is known about. */
export function usedOf(quota: ResourceQuota, list: (type: GroupResource) => readonly KubeObject[]): Usage {
  const names = Object.keys(quota.spec?.hard ?? {});
  const totals = new Map<string, Usage>();
  const totalOf = (type: GroupResource): Usage => {
    const key = `${type.resource}.${type.group}`;
    const known =
      totals.get(key) ??
      sum(
        list(type)
          .filter((object) => inScope(quota, type, object))
          .map((object) => objectUsage(type, object)),
      );
    totals.set(key, known);
    return known;
  };
  return Object.fromEntries(
    names.flatMap((name) => {
      const type = countedType(name);
      return type ? [[name, totalOf(type)[name] ?? '0']] : [];
    }),
  );
}

/** Names of cpu and memory in `hard` that a pod must state, and the containers that do not. */
export function unstated(pod: KubeObject, hard: Usage): Map<string, string[]> {
  const { containers = [], initContainers = [] } = (pod['spec'] ?? {}) as PodSpec;
  const missing = new Map<string, string[]>();
  for (const name of Object.keys(hard).sort()) {
    const [kind, resource] = BARE.includes(name) ? ['requests', name] : name.split('.');
    if (!resource || !['cpu', 'memory'].includes(resource) || !['requests', 'limits'].includes(kind!)) continue;
    const without = [...containers, ...initContainers].filter(
      ({ resources }) => resources?.[kind as 'requests' | 'limits']?.[resource] === undefined,
    );
    if (without.length > 0) missing.set(name, without.map((container) => container.name).sort());
  }
  return missing;
}
