// SPDX-License-Identifier: Apache-2.0
// The pod that somebody means by POD, POD.NAMESPACE or deploy/NAME, and its proxy.
import { closestName } from '../../api/closest-name.ts';
import { PROXY_CONTAINER } from '../../injector/proxy-container.ts';
import type { KubeClient } from '../../kube/client.ts';
import { DAEMON_SETS, DEPLOYMENTS, PODS, REPLICA_SETS, SERVICES, STATEFUL_SETS } from '../../kube/resources.ts';
import type { KubeObject, ResourceType } from '../../kube/types.ts';
import { UserError } from '../user-error.ts';

export interface PodName {
  /** undefined: a pod. */
  readonly type: ResourceType | undefined;
  readonly name: string;
  readonly namespace: string;
}

const TYPES: readonly [names: readonly string[], type: ResourceType | undefined][] = [
  [['pod', 'pods', 'po'], undefined],
  [['deployment', 'deployments', 'deploy'], DEPLOYMENTS],
  [['statefulset', 'statefulsets', 'sts'], STATEFUL_SETS],
  [['daemonset', 'daemonsets', 'ds'], DAEMON_SETS],
  [['replicaset', 'replicasets', 'rs'], REPLICA_SETS],
  [['service', 'services', 'svc'], SERVICES],
];

/** `productpage-v1-6b7.default`, `deploy/productpage-v1`, `svc/reviews.books`. @throws UserError on a type that has no pods */
export function readPodName(text: string, namespace: { named?: string | undefined; current: string }): PodName {
  const [, kind, rest] = /^(?:([^/]+)\/)?([^/]+)$/.exec(text) ?? [];
  if (rest === undefined) throw new UserError(`${text} is no pod: write POD.NAMESPACE, or TYPE/NAME.NAMESPACE`, 2);
  const known = TYPES.find(([names]) => kind === undefined || names.includes(kind.toLowerCase()));
  if (known === undefined) {
    const types = TYPES.map(([[name]]) => name).join(', ');
    throw new UserError(`${kind} has no pods of its own: use one of ${types}`, 2);
  }
  const [, type] = known;
  const dot = rest.lastIndexOf('.');
  // With -n, a dot is a part of the name, unless what follows it is that namespace.
  if (dot > 0 && (namespace.named === undefined || rest.slice(dot + 1) === namespace.named))
    return { type, name: rest.slice(0, dot), namespace: rest.slice(dot + 1) };
  return { type, name: rest, namespace: namespace.named ?? namespace.current };
}

/** The pod itself, or of a workload's pods one that runs. @throws UserError when there is none */
export async function findPod(client: KubeClient, { type, name, namespace }: PodName): Promise<KubeObject> {
  if (type === undefined) {
    const pod = await client.get(PODS, name, namespace);
    if (pod !== undefined) return pod;
    const names = (await client.list(PODS, { namespace })).items.map(({ metadata }) => metadata.name ?? '');
    throw new UserError(`there is no pod ${name} in namespace ${namespace}${hint(name, names)}`);
  }
  const owner = await client.get(type, name, namespace);
  if (owner === undefined) {
    const names = (await client.list(type, { namespace })).items.map(({ metadata }) => metadata.name ?? '');
    throw new UserError(`there is no ${type.kind} ${name} in namespace ${namespace}${hint(name, names)}`);
  }
  const labelSelector = Object.entries(selectorOf(owner))
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
  if (labelSelector === '') throw new UserError(`${type.kind} ${namespace}/${name} selects no pods: name a pod`);
  const { items } = await client.list(PODS, { namespace, labelSelector });
  const running = items.filter((pod) => pod.metadata.deletionTimestamp === undefined && phaseOf(pod) === 'Running');
  const [pod] = running.sort((a, b) => ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1));
  if (pod !== undefined) return pod;
  throw new UserError(`no pod of ${type.kind} ${namespace}/${name} runs: kubectl -n ${namespace} get pods says why`);
}

/** @throws UserError for a pod without a proxy */
export function demandProxy(pod: KubeObject): void {
  const { containers = [], initContainers = [] } = (pod['spec'] ?? {}) as Record<string, readonly { name: string }[]>;
  if ([...containers, ...initContainers].some(({ name }) => name === PROXY_CONTAINER)) return;
  const { name, namespace } = pod.metadata;
  const cure = `isthmus describe pod ${name}.${namespace} says why`;
  throw new UserError(`pod ${namespace}/${name} has no proxy (no container ${PROXY_CONTAINER}): ${cure}`);
}

function selectorOf({ spec }: KubeObject): Readonly<Record<string, string>> {
  const { selector } = (spec ?? {}) as { selector?: Record<string, string> & { matchLabels?: Record<string, string> } };
  return selector?.matchLabels ?? selector ?? {};
}

function phaseOf({ status }: KubeObject): unknown {
  return (status as { phase?: unknown } | undefined)?.phase;
}

function hint(name: string, names: readonly string[]): string {
  const meant = closestName(name, [...names]) ?? names.find((other) => other.startsWith(name));
  return meant === undefined ? '; POD.NAMESPACE or -n names another' : `; did you mean ${meant}?`;
}
