// SPDX-License-Identifier: Apache-2.0
// pods/binding (the scheduler's word) and pods/eviction (a deletion that disruption budgets may refuse).
import type { KubeObject, Status } from '../../../kube/types.ts';
import type { SelectorSpec } from '../resources/label-selector-text.ts';
import { builtinType } from '../schema/builtin.ts';
import { DecodeError, decodeObject } from '../schema/decode.ts';
import { selectorFromSpec } from '../selectors/label-selector.ts';
import {
  type ApiError,
  badRequest,
  conflict,
  internalError,
  invalid,
  methodNotAllowed,
  notFound,
  tooManyRequests,
} from '../status.ts';
import { required } from '../validation/causes.ts';
import { mediaType, parseObject, readBody } from './body.ts';
import { keyOf, type ResourceRequest, requestedResource, writeOptions } from './context.ts';
import { timestamp } from './create.ts';
import { type DeleteOptions, deleteNamed } from './delete.ts';

export async function bindPod(request: ResourceRequest): Promise<Status> {
  if (request.request.method !== 'POST') throw methodNotAllowed();
  const { dryRun } = writeOptions(request, 'CreateOptions');
  const binding = (await readTyped(request, 'core.v1.Binding', 'Binding')) as KubeObject & {
    target?: { kind?: string; name?: string };
  };
  const name = request.path.name;
  const target = binding.target?.name;
  if (!target) throw invalid('', 'Binding', name, [required('target.name')]);
  const stored = request.core.store.get(keyOf(request));
  if (!stored) throw notFound(requestedResource(request), name);
  const pod = stored.object;
  const spec = pod['spec'] as { nodeName?: string };
  const type = { group: '', resource: 'pods/binding' };
  if (binding.metadata.uid && binding.metadata.uid !== pod.metadata.uid) {
    throw conflict(
      type,
      name,
      `the UID in the precondition (${binding.metadata.uid}) does not match the UID in record (${pod.metadata.uid}). The object might have been deleted and then recreated`,
    );
  }
  if (pod.metadata.deletionTimestamp)
    throw conflict(type, name, `pod ${name} is being deleted, cannot be assigned to a host`);
  if (spec.nodeName)
    throw conflict(type, name, `pod ${name} is already assigned to node ${JSON.stringify(spec.nodeName)}`);
  const bound: KubeObject = {
    ...pod,
    spec: { ...spec, nodeName: target },
    status: scheduledStatus(pod, timestamp(request.core.now())),
  };
  if (!dryRun) request.core.store.update(stored.key, bound, stored.revision);
  return success();
}

function scheduledStatus(pod: KubeObject, now: string): unknown {
  const status = (pod['status'] ?? {}) as { conditions?: { type: string }[] };
  const others = (status.conditions ?? []).filter(({ type }) => type !== 'PodScheduled');
  const scheduled = { type: 'PodScheduled', status: 'True', lastProbeTime: null, lastTransitionTime: now };
  return { ...status, conditions: [...others, scheduled] };
}

const success = (): Status => ({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 });

export async function evictPod(request: ResourceRequest): Promise<Status> {
  if (request.request.method !== 'POST') throw methodNotAllowed();
  const { dryRun } = writeOptions(request, 'CreateOptions');
  const eviction = (await readTyped(request, 'policy.v1.Eviction', 'Eviction')) as KubeObject & {
    deleteOptions?: DeleteOptions;
  };
  const { name } = request.path;
  if (eviction.metadata.name && eviction.metadata.name !== name) {
    throw badRequest(`name in URL does not match name in Eviction object: ${name} vs ${eviction.metadata.name}`);
  }
  const stored = request.core.store.get(keyOf(request));
  if (!stored) throw notFound(requestedResource(request), name);
  if (!isTerminalPod(stored.object)) spendBudget(request, stored.object, dryRun);
  if (!dryRun) markDisrupted(request);
  const options = { ...eviction.deleteOptions, ...(dryRun ? { dryRun: ['All'] } : {}) };
  await deleteNamed({ ...request, path: { ...request.path, subresource: '' } }, name, options);
  return success();
}

/** Tells the pod's owner why it went. */
function markDisrupted(request: ResourceRequest): void {
  const stored = request.core.store.get(keyOf(request));
  if (!stored || stored.object.metadata.deletionTimestamp) return;
  const status = (stored.object['status'] ?? {}) as { conditions?: { type: string }[] };
  const condition = {
    type: 'DisruptionTarget',
    status: 'True',
    lastProbeTime: null,
    lastTransitionTime: timestamp(request.core.now()),
    reason: 'EvictionByEvictionAPI',
    message: 'Eviction API: evicting',
  };
  const others = (status.conditions ?? []).filter(({ type }) => type !== condition.type);
  const next: KubeObject = { ...stored.object, status: { ...status, conditions: [...others, condition] } };
  request.core.store.update(stored.key, next, stored.revision);
}

function isTerminalPod(pod: KubeObject): boolean {
  const phase = (pod['status'] as { phase?: string } | undefined)?.phase;
  return (
    phase === 'Succeeded' || phase === 'Failed' || phase === 'Pending' || pod.metadata.deletionTimestamp !== undefined
  );
}

interface Budget extends KubeObject {
  spec?: { selector?: SelectorSpec; unhealthyPodEvictionPolicy?: string };
  status?: {
    observedGeneration?: number;
    disruptedPods?: Record<string, string>;
    disruptionsAllowed?: number;
    desiredHealthy?: number;
    currentHealthy?: number;
  };
}

/** A budget whose status was not brought up to date after a change is asked again after this time. */
const BUDGET_RETRY_SECONDS = 10;

/**
 * Takes one disruption from the budget that covers the pod; 429 when it has none left. The controller counts the pod
 * as gone from now on.
 */
function spendBudget(request: ResourceRequest, pod: KubeObject, dryRun: boolean): void {
  const { store } = request.core;
  const budgets = store
    .list('poddisruptionbudgets.policy', request.path.namespace)
    .filter(({ object }) => selectorFromSpec((object as Budget).spec?.selector).matches(pod.metadata.labels));
  const first = budgets[0];
  if (!first) return;
  if (budgets.length > 1) {
    throw internalError(
      'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
    );
  }
  const budget = first.object as Budget;
  const name = budget.metadata.name ?? '';
  const { status = {} } = budget;
  if (!isReadyPod(pod) && mayEvictUnready(budget)) return;
  if ((status.observedGeneration ?? 0) < (budget.metadata.generation ?? 0)) {
    throw overBudget(`The disruption budget ${name} is still being processed by the server.`, BUDGET_RETRY_SECONDS);
  }
  if ((status.disruptionsAllowed ?? 0) <= 0) {
    const { desiredHealthy = 0, currentHealthy = 0 } = status;
    const counts = `needs ${desiredHealthy} healthy pods and has ${currentHealthy} currently`;
    throw overBudget(`The disruption budget ${name} ${counts}`, 0);
  }
  if (dryRun) return;
  const next = {
    ...status,
    disruptionsAllowed: (status.disruptionsAllowed ?? 1) - 1,
    disruptedPods: { ...status.disruptedPods, [pod.metadata.name ?? '']: timestamp(request.core.now()) },
  };
  store.update(first.key, { ...budget, status: next }, first.revision);
}

function overBudget(message: string, retryAfterSeconds: number): ApiError {
  return tooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", retryAfterSeconds, [
    { reason: 'DisruptionBudget', message },
  ]);
}

/** https://kubernetes.io/docs/tasks/run-application/configure-pdb/#unhealthy-pod-eviction-policy */
function mayEvictUnready({ spec, status = {} }: Budget): boolean {
  if (spec?.unhealthyPodEvictionPolicy === 'AlwaysAllow') return true;
  const { desiredHealthy = 0, currentHealthy = 0 } = status;
  return desiredHealthy > 0 && currentHealthy >= desiredHealthy;
}

function isReadyPod(pod: KubeObject): boolean {
  const { conditions = [] } = (pod['status'] ?? {}) as { conditions?: { type: string; status: string }[] };
  return conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
}

/** A body of a built-in type that is not the resource's own. */
export async function readTyped(request: ResourceRequest, typeName: string, kind: string): Promise<KubeObject> {
  const node = builtinType(request.core.types, typeName);
  const { raw } = parseObject(await readBody(request.request), mediaType(request.request), kind, () => node);
  try {
    const decoded = decodeObject(raw, node).value as unknown as KubeObject;
    decoded.metadata ??= {};
    return decoded;
  } catch (error) {
    if (error instanceof DecodeError) throw badRequest(`${kind} cannot be handled as a ${kind}: ${error.message}`);
    throw error;
  }
}
