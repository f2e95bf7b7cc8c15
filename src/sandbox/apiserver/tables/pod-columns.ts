// SPDX-License-Identifier: Apache-2.0
import type { KubeObject } from '../../../kube/types.ts';
import { AGE, age, column, NAME, type TableColumn } from './table.ts';

interface ContainerState {
  waiting?: { reason?: string };
  running?: { startedAt?: string };
  terminated?: { reason?: string; exitCode?: number; signal?: number; finishedAt?: string };
}

interface ContainerStatus {
  name: string;
  ready?: boolean;
  started?: boolean;
  restartCount?: number;
  state?: ContainerState;
  lastState?: ContainerState;
}

interface PodView {
  spec?: {
    containers?: { name: string }[];
    initContainers?: { name: string; restartPolicy?: string }[];
    nodeName?: string;
    readinessGates?: { conditionType: string }[];
  };
  status?: {
    phase?: string;
    reason?: string;
    podIP?: string;
    podIPs?: { ip: string }[];
    nominatedNodeName?: string;
    conditions?: { type: string; status: string; reason?: string }[];
    containerStatuses?: ContainerStatus[];
    initContainerStatuses?: ContainerStatus[];
  };
}

interface PodSummary {
  readonly ready: string;
  readonly status: string;
  readonly restarts: string;
}

const NODE_UNREACHABLE = 'NodeLost';

/** READY, STATUS and RESTARTS, by the rules of the real server's printer. */
export function summarizePod(object: KubeObject, now: Date): PodSummary {
  const pod = object as unknown as PodView;
  const statuses = pod.status?.containerStatuses ?? [];
  const init = summarizeInit(pod);
  const sidecars = (pod.spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
  const total = (pod.spec?.containers?.length ?? 0) + sidecars.length;
  let ready = init.readySidecars;
  let restarts = init.restarts;
  let lastRestart = init.lastRestart;
  let status = init.status ?? pod.status?.reason ?? pod.status?.phase ?? '';
  // A sidecar that was ended after the containers did not fail to start.
  if (!init.status || holds(pod, 'Initialized')) {
    restarts = init.sidecarRestarts;
    lastRestart = init.lastSidecarRestart;
    let running = false;
    for (const container of [...statuses].reverse()) {
      restarts += container.restartCount ?? 0;
      lastRestart = later(lastRestart, container.lastState?.terminated?.finishedAt);
      const reason = stateReason(container.state);
      if (reason) status = reason;
      else if (container.ready && container.state?.running) {
        running = true;
        ready++;
      }
    }
    if (status === 'Completed' && running) status = isReady(pod) ? 'Running' : 'NotReady';
  }
  const { deletionTimestamp } = object.metadata;
  if (deletionTimestamp && pod.status?.reason === NODE_UNREACHABLE) status = 'Unknown';
  else if (deletionTimestamp && !isTerminal(pod.status?.phase)) status = 'Terminating';
  const since = restarts > 0 && lastRestart ? ` (${age(lastRestart, now)} ago)` : '';
  return { ready: `${ready}/${total}`, status, restarts: `${restarts}${since}` };
}

interface InitSummary {
  /** Set while an init container keeps the pod from starting. */
  status: string | undefined;
  restarts: number;
  lastRestart: string | undefined;
  sidecarRestarts: number;
  lastSidecarRestart: string | undefined;
  readySidecars: number;
}

function summarizeInit(pod: PodView): InitSummary {
  const out: InitSummary = {
    status: undefined,
    restarts: 0,
    lastRestart: undefined,
    sidecarRestarts: 0,
    lastSidecarRestart: undefined,
    readySidecars: 0,
  };
  const specs = new Map((pod.spec?.initContainers ?? []).map((one) => [one.name, one]));
  for (const [index, container] of (pod.status?.initContainerStatuses ?? []).entries()) {
    const sidecar = specs.get(container.name)?.restartPolicy === 'Always';
    out.restarts += container.restartCount ?? 0;
    out.lastRestart = later(out.lastRestart, container.lastState?.terminated?.finishedAt);
    if (sidecar) {
      out.sidecarRestarts += container.restartCount ?? 0;
      out.lastSidecarRestart = later(out.lastSidecarRestart, container.lastState?.terminated?.finishedAt);
    }
    const { state } = container;
    if (state?.terminated?.exitCode === 0) continue;
    if (sidecar && container.started) {
      if (container.ready) out.readySidecars++;
      continue;
    }
    const waiting = state?.waiting?.reason;
    if (state?.terminated) out.status = `Init:${stateReason(state)}`;
    else if (waiting && waiting !== 'PodInitializing') out.status = `Init:${waiting}`;
    else out.status = `Init:${index}/${specs.size}`;
    break;
  }
  return out;
}

function stateReason(state: ContainerState | undefined): string | undefined {
  if (state?.waiting?.reason) return state.waiting.reason;
  if (!state?.terminated) return undefined;
  const { reason, signal, exitCode } = state.terminated;
  if (reason) return reason;
  return signal ? `Signal:${signal}` : `ExitCode:${exitCode ?? 0}`;
}

function later(a: string | undefined, b: string | undefined): string | undefined {
  if (!a || !b) return a ?? b;
  return Date.parse(b) > Date.parse(a) ? b : a;
}

function isReady(pod: PodView): boolean {
  return holds(pod, 'Ready');
}

function holds({ status }: PodView, condition: string): boolean {
  return status?.conditions?.some((one) => one.type === condition && one.status === 'True') ?? false;
}

function isTerminal(phase: string | undefined): boolean {
  return phase === 'Failed' || phase === 'Succeeded';
}

function readinessGates(object: KubeObject): string {
  const pod = object as unknown as PodView;
  const gates = pod.spec?.readinessGates ?? [];
  if (gates.length === 0) return '<none>';
  const met = gates.filter(({ conditionType }) =>
    pod.status?.conditions?.some(({ type, status }) => type === conditionType && status === 'True'),
  );
  return `${met.length}/${gates.length}`;
}

const view = (object: KubeObject): PodView => object as unknown as PodView;

export const POD_COLUMNS: readonly TableColumn[] = [
  NAME,
  column('Ready', (pod, now) => summarizePod(pod, now).ready, { description: 'Containers that are ready, of all.' }),
  column('Status', (pod, now) => summarizePod(pod, now).status, { description: 'What the containers are at.' }),
  column('Restarts', (pod, now) => summarizePod(pod, now).restarts, { description: 'Restarts of the containers.' }),
  AGE,
  column('IP', (pod) => view(pod).status?.podIPs?.[0]?.ip ?? view(pod).status?.podIP ?? '<none>', { wide: true }),
  column('Node', (pod) => view(pod).spec?.nodeName ?? '<none>', { wide: true }),
  column('Nominated Node', (pod) => view(pod).status?.nominatedNodeName ?? '<none>', { wide: true }),
  column('Readiness Gates', readinessGates, { wide: true }),
];
