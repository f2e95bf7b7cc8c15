// SPDX-License-Identifier: Apache-2.0
// The replicas of a cluster's control plane, and what each of them says when it is asked from inside its own pod: /debug
// answers nobody else.
import type { KubeClient } from '../../kube/client.ts';
import { imageTag } from '../../kube/image-tag.ts';
import { PODS } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';
import type { FederationView } from '../../runtime/federation/federation-view.ts';
import { ISTIO_NAMESPACE } from '../../runtime/mesh-resources.ts';
import { UserError } from '../user-error.ts';
import { runInPod } from './run-in-pod.ts';
import type { ReplicaReport, ReportedRefusal, ReportedStream } from './states.ts';

/** A pod of the control plane. */
export interface PlanePod {
  readonly name: string;
  /** `istiod`, or what a remote cluster has: `istio-citadel`, `istio-sidecar-injector`. */
  readonly component: string;
  readonly container: string;
  /** The tag of its image. */
  readonly version: string;
  /** Its containers run, and it is not ending. */
  readonly isRunning: boolean;
}

const PILOT = 'istiod';
const COMPONENTS = [PILOT, 'istio-citadel', 'istio-sidecar-injector'];
const DEBUG_URL = 'http://127.0.0.1:15014/debug';

/** Sorted by component, then name. */
export async function listPlanePods(client: KubeClient): Promise<PlanePod[]> {
  const labelSelector = `app in (${COMPONENTS.join(',')})`;
  const { items } = await client.list(PODS, { namespace: ISTIO_NAMESPACE, labelSelector });
  const order = ({ component, name }: PlanePod) => `${COMPONENTS.indexOf(component)} ${name}`;
  return items.map(planePod).sort((a, b) => (order(a) < order(b) ? -1 : 1));
}

function planePod({ metadata, spec, status }: KubeObject): PlanePod {
  const [container] =
    (spec as { containers?: readonly { name: string; image: string }[] } | undefined)?.containers ?? [];
  const { phase } = (status ?? {}) as { phase?: string };
  return {
    name: metadata.name ?? '',
    component: metadata.labels?.['app'] ?? '',
    container: container?.name ?? '',
    version: imageTag(container?.image ?? ''),
    isRunning: phase === 'Running' && metadata.deletionTimestamp === undefined,
  };
}

/** Another cluster's control plane rules the proxies here. */
export function isServed(pods: readonly PlanePod[]): boolean {
  return pods.length > 0 && pods.every(({ component }) => component !== PILOT);
}

export function servedNote(context: string): string {
  return `${context} has no control plane of its own: that of another cluster rules its proxies`;
}

/** Those that can be asked about proxies, registries and peers. */
export function runningPilots(pods: readonly PlanePod[]): PlanePod[] {
  return pods.filter(({ component, isRunning }) => component === PILOT && isRunning);
}

/** The pods to ask. @throws UserError with the cure when there is none */
export function demandPilots(pods: readonly PlanePod[], context: string): PlanePod[] {
  const running = runningPilots(pods);
  const pilots = pods.filter(({ component }) => component === PILOT);
  if (running.length > 0) return running;
  if (pilots.length > 0) {
    const names = pilots.map(({ name }) => name).join(', ');
    const cure = `kubectl --context ${context} -n ${ISTIO_NAMESPACE} describe pod, and its logs, say why`;
    throw new UserError(`the control plane of ${context} does not run (${names}): ${cure}`);
  }
  if (isServed(pods)) throw new UserError(`${servedNote(context)}; name that cluster’s context with --context`);
  const cure = `install one (isthmus install --context ${context}), or name another cluster with --context`;
  throw new UserError(`${context} has no control plane (no pod of istiod in ${ISTIO_NAMESPACE}): ${cure}`);
}

export interface PlaneReports {
  readonly reports: readonly ReplicaReport[];
  /** Replicas that did not answer, and why. */
  readonly notes: readonly string[];
}

/** Asks every replica. @throws UserError when none answers */
export async function askPilots(client: KubeClient, pilots: readonly PlanePod[]): Promise<PlaneReports> {
  const asked = await Promise.allSettled(
    pilots.map(async (pod): Promise<ReplicaReport> => {
      const [streams, refusals] = await Promise.all([
        askPlane(client, pod, 'proxies') as Promise<ReportedStream[]>,
        askPlane(client, pod, 'refusals') as Promise<ReportedRefusal[]>,
      ]);
      return { istiod: pod.name, streams, refusals };
    }),
  );
  const notes = asked.flatMap((result, index) =>
    result.status === 'fulfilled'
      ? []
      : [`pod ${ISTIO_NAMESPACE}/${pilots[index]!.name} did not answer: ${(result.reason as Error).message}`],
  );
  const reports = asked.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  if (reports.length > 0) return { reports, notes };
  const cure = `who asks needs the right to create pods/exec in ${ISTIO_NAMESPACE}, and the pod must be ready`;
  throw new UserError(`${notes.join('; ')} (${cure})`);
}

/** What the pod shows below /debug. @throws Error when it does not answer */
export async function askPlane(
  client: KubeClient,
  { name, container }: Pick<PlanePod, 'name' | 'container'>,
  view: string,
): Promise<unknown> {
  const command = ['curl', '-sSf', '-m', '20', `${DEBUG_URL}/${view}`];
  return JSON.parse(await runInPod(client, { namespace: ISTIO_NAMESPACE, pod: name, container, command }));
}

/** The same of each of them; those that do not answer are left out. */
export async function askAnswering<T>(client: KubeClient, pods: readonly PlanePod[], view: string): Promise<T[]> {
  const asked = await Promise.allSettled(pods.map((pod) => askPlane(client, pod, view) as Promise<T>));
  return asked.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
}

/** What the replica says that keeps exports and imports; undefined where none says that it does. */
export async function askLeader(client: KubeClient, pilots: readonly PlanePod[]): Promise<FederationView | undefined> {
  return (await askAnswering<FederationView>(client, pilots, 'federation')).find(({ leader }) => leader);
}
