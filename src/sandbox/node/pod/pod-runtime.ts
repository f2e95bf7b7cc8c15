// SPDX-License-Identifier: Apache-2.0
// One pod from its first process to its last: network, volumes, init containers, containers, end.
import { join } from 'node:path';
import type { PodAttachment, PodNetwork } from '../../network/pod-network.ts';
import type { ContainerRuntime, RunningContainer } from '../container/container-runtime.ts';
import { SharedProcesses } from '../container/shared-processes.ts';
import type { Container, ContainerStatus, Pod, PodCondition, PodStatus } from '../pod-types.ts';
import { type ContainerHost, ContainerLoop, type ImageLookup, type RestartRule } from './container-loop.ts';
import { type PodGround, startContainer } from './container-starter.ts';
import type { DnsSettings } from './etc-files.ts';
import type { ObjectSource, PodEvent } from './object-source.ts';
import { pause } from './pause.ts';
import { buildPodStatus } from './pod-status.ts';
import { PodStorage } from './pod-storage.ts';
import { PodVolumes } from './pod-volumes.ts';
import { findNotices, findPrivileges, findRefusals, findUngranted } from './security.ts';

export interface PodDependencies {
  readonly runtime: ContainerRuntime;
  readonly network: PodNetwork;
  readonly objects: ObjectSource;
  readonly resolveImage: ImageLookup;
  readonly nodeAddress: string;
  readonly dns: DnsSettings;
  /** On disk, one folder per pod below it: logs and emptyDir volumes. */
  readonly podsDir: string;
  /** What persistent volumes are directories of. */
  readonly nodeDisk: string;
  /** First delay, its doubling's end, and after which time in peace the count begins anew. */
  readonly backoffMs?: { readonly first: number; readonly cap: number; readonly resetAfter: number };
  /** How often a pod's use of the disk is compared with its limits. */
  readonly storageCheckMs?: number;
  record(pod: Pod, event: PodEvent): void;
  /** The pod's status may have changed. */
  changed(runtime: PodRuntime): void;
}

const BACKOFF_MS = { first: 10_000, cap: 300_000, resetAfter: 600_000 };
const NETWORK_RETRY_MS = 1_000;
const EVICTION_GRACE_MS = 1_000;
const MAX_TIMER_MS = 2 ** 31 - 1;

export class PodRuntime {
  readonly uid: string;
  pod: Pod;
  readonly #dependencies: PodDependencies;
  readonly #containers: ContainerLoop[];
  readonly #initContainers: ContainerLoop[];
  readonly #ephemeralContainers: ContainerLoop[] = [];
  readonly #storage: PodStorage;
  readonly #startTime: string;
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  #attachment: PodAttachment | undefined;
  #volumes: PodVolumes | undefined;
  #processes: SharedProcesses | undefined;
  #isInitialized = false;
  #hasFailedInit = false;
  #isFinished = false;
  #failure: { readonly reason: string; readonly message: string } | undefined;
  #stopping: Promise<void> | undefined;
  #lastStatus: PodStatus | undefined;

  /** Starts the pod. */
  constructor(pod: Pod, dependencies: PodDependencies) {
    this.pod = pod;
    this.uid = pod.metadata.uid ?? '';
    this.#dependencies = dependencies;
    this.#storage = new PodStorage(
      join(dependencies.podsDir, this.uid),
      join(dependencies.runtime.memoryDir, 'pods', this.uid),
    );
    this.#startTime = pod.status?.startTime ?? new Date().toISOString().replace(/\.\d+Z$/, 'Z');
    const restartPolicy = pod.spec.restartPolicy ?? 'Always';
    const rule: RestartRule = restartPolicy === 'Always' ? 'always' : restartPolicy === 'Never' ? 'never' : 'onFailure';
    const initRule = (spec: Container): RestartRule =>
      spec.restartPolicy === 'Always' ? 'always' : rule === 'never' ? 'never' : 'onFailure';
    this.#initContainers = (pod.spec.initContainers ?? []).map((spec) => this.#loop(spec, initRule(spec)));
    this.#containers = pod.spec.containers.map((spec) => this.#loop(spec, rule));
    this.#done = this.#run();
    this.#armDeadline();
  }

  get podIp(): string | undefined {
    return this.#attachment?.ip;
  }

  /** Name under /run/netns, while the pod has its network. */
  get netns(): string | undefined {
    return this.#attachment?.netns;
  }

  get isStopping(): boolean {
    return this.#stopping !== undefined;
  }

  /** All containers have ended and none will start again. */
  get isFinished(): boolean {
    return this.#isFinished;
  }

  status(): PodStatus {
    if (isOver(this.pod) && this.#lastStatus === undefined) return this.pod.status ?? {};
    const statusesOf = (loops: readonly ContainerLoop[]): ContainerStatus[] => loops.map((loop) => loop.status());
    this.#lastStatus = buildPodStatus(
      {
        pod: this.pod,
        hostIp: this.#dependencies.nodeAddress,
        podIp: this.podIp,
        startTime: this.#startTime,
        containers: statusesOf(this.#containers),
        initContainers: this.#initContainers.map((loop) => this.#initStatus(loop)),
        ephemeralContainers: statusesOf(this.#ephemeralContainers),
        failure: this.#failure,
        isInitialized: this.#isInitialized,
        hasFailedInit: this.#hasFailedInit,
        isStopping: this.isStopping,
        now: new Date(),
      },
      { ...this.pod.status, conditions: this.#knownConditions() },
    );
    return this.#lastStatus;
  }

  /** Of any kind, in the order of the spec. */
  get runningContainers(): { readonly name: string; readonly running: RunningContainer }[] {
    return this.#loops().flatMap(({ name, running }) => (running ? [{ name, running }] : []));
  }

  /** The container's loop, of any kind; undefined when the pod has none of that name. */
  container(name: string): ContainerLoop | undefined {
    return this.#loops().find((loop) => loop.name === name);
  }

  #loops(): ContainerLoop[] {
    return [...this.#initContainers, ...this.#containers, ...this.#ephemeralContainers];
  }

  /** Where the output of a container's start number `attempt` is. */
  logPath(container: string, attempt: number): string {
    return this.#storage.logPath(container, attempt);
  }

  /** Takes over what may change in a pod: labels, annotations, images, others' conditions. */
  update(pod: Pod): void {
    this.pod = pod;
    this.#volumes?.update(pod);
    if (this.isStopping) return;
    for (const spec of [...pod.spec.containers, ...(pod.spec.initContainers ?? [])]) {
      this.container(spec.name)?.update(spec);
    }
    this.#startEphemeralContainers();
  }

  /** Ends the pod: containers together, then sidecars, then network and files. May be called again to hurry. */
  stop(graceMs: number): Promise<void> {
    if (this.#stopping) {
      void this.#stopContainers(graceMs);
      return this.#stopping;
    }
    this.#stopping = this.#end(graceMs);
    this.#changed();
    return this.#stopping;
  }

  async #end(graceMs: number): Promise<void> {
    this.#stop.abort();
    await this.#stopContainers(graceMs);
    await this.#done;
    await this.#detach();
    this.#changed();
  }

  /**
   * Every preStop hook begins now. Sidecars get their SIGTERM when the containers, and the sidecars that started after
   * them, have ended. https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
   */
  async #stopContainers(graceMs: number): Promise<void> {
    const isSidecar = (loop: ContainerLoop) => loop.spec.restartPolicy === 'Always';
    const others = [...this.#containers, ...this.#ephemeralContainers, ...this.#initContainers].filter(
      (loop) => !isSidecar(loop),
    );
    let before: Promise<unknown> = Promise.all(others.map((loop) => loop.stop(graceMs)));
    for (const sidecar of this.#initContainers.filter(isSidecar).reverse()) {
      before = Promise.all([before, sidecar.stop(graceMs, before)]);
    }
    await before;
    this.#processes?.stop();
  }

  /** Ends the pod because it harms others or would. */
  evict(message: string, graceMs: number): Promise<void> {
    this.#record({ type: 'Warning', reason: 'Evicted', message });
    return this.#fail('Evicted', message, graceMs);
  }

  /** What it keeps on the node's disk, in bytes. */
  diskUsage(): Promise<number> {
    return this.#storage.diskUsage();
  }

  /** Ends the pod for a reason of the node's own: its object stays, Failed. */
  async #fail(reason: string, message: string, graceMs: number): Promise<void> {
    if (this.#stop.signal.aborted) return;
    this.#failure = { reason, message };
    this.#stop.abort();
    await this.#stopContainers(graceMs);
    await this.#done;
    this.#isFinished = true;
    this.#changed();
    if (!this.isStopping) await this.#detach();
  }

  /** Kills its processes and nothing more: the node process is about to end. */
  async abandon(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#loops().map((loop) => loop.stop(0)));
    this.#processes?.stop();
  }

  /** spec.activeDeadlineSeconds. https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#detailed-behavior */
  #armDeadline(): void {
    const seconds = this.pod.spec.activeDeadlineSeconds;
    if (seconds === undefined || isOver(this.pod)) return;
    const leftMs = Date.parse(this.#startTime) + seconds * 1000 - Date.now();
    const timer = setTimeout(
      () => {
        const message = 'Pod was active on the node longer than the specified deadline';
        this.#record({ type: 'Normal', reason: 'DeadlineExceeded', message });
        void this.#fail('DeadlineExceeded', message, this.#graceMs());
      },
      Math.min(Math.max(leftMs, 0), MAX_TIMER_MS),
    );
    this.#stop.signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
  }

  /** Removes what the pod left on the node: logs too. Its processes must be gone. */
  removeFiles(): Promise<void> {
    return this.#storage.remove();
  }

  async #run(): Promise<void> {
    try {
      if (isOver(this.pod)) {
        // Done under an earlier node process: only its logs are of interest.
        this.#isFinished = true;
        return;
      }
      if (this.#isRefused()) return;
      const attachment = await this.#attach();
      if (!attachment) return;
      await this.#mountVolumes(attachment);
      const evict = (message: string) => void this.evict(message, EVICTION_GRACE_MS);
      void this.#storage.watch(this.pod, evict, this.#stop.signal, this.#dependencies.storageCheckMs);
      if (this.#stop.signal.aborted) return;
      if (!(await this.#runInitContainers())) return;
      this.#isInitialized = true;
      this.#changed();
      this.#startEphemeralContainers();
      await this.#runContainers();
      await this.#finish();
    } catch (error) {
      this.#record({
        type: 'Warning',
        reason: 'FailedSync',
        message: `error syncing pod: ${(error as Error).message}`,
      });
      for (const loop of this.#containers)
        if (loop.state.waiting) loop.wait('RunContainerError', (error as Error).message);
    }
  }

  /** In the order of the spec: what follows a container with a postStart hook waits for the hook. */
  async #runContainers(): Promise<void> {
    const runs: Promise<unknown>[] = [];
    for (const loop of this.#containers) {
      runs.push(loop.run());
      if (loop.spec.lifecycle?.postStart) await loop.begun;
    }
    await Promise.all(runs);
  }

  /** Those that are new; only a pod whose containers are being started takes them. */
  #startEphemeralContainers(): void {
    if (!this.#isInitialized || this.#isFinished || this.#stop.signal.aborted) return;
    for (const spec of this.pod.spec.ephemeralContainers ?? []) {
      if (this.container(spec.name)) continue;
      const loop = this.#loop(spec, 'never');
      this.#ephemeralContainers.push(loop);
      for (const message of findUngranted(spec)) this.#record({ type: 'Normal', reason: 'NotSupported', message });
      if (!this.#refuse([loop], findPrivileges(spec))) void loop.run();
    }
  }

  #isRefused(): boolean {
    const refusals = findRefusals(this.pod);
    if (refusals.length === 0) {
      for (const notice of findNotices(this.pod, this.#dependencies.runtime.rootless)) {
        this.#record({ type: 'Normal', reason: 'NotSupported', message: notice });
      }
      return false;
    }
    return this.#refuse([...this.#initContainers, ...this.#containers], refusals);
  }

  #refuse(loops: readonly ContainerLoop[], refusals: readonly string[]): boolean {
    if (refusals.length === 0) return false;
    const message = refusals.join('; ');
    const text = `The sandbox does not run ${loops.length === 1 ? 'this container' : 'this pod'}: ${message}`;
    this.#record({ type: 'Warning', reason: 'FailedValidation', message: text });
    for (const loop of loops) loop.wait('CreateContainerConfigError', message);
    return true;
  }

  async #attach(): Promise<PodAttachment | undefined> {
    while (!this.#stop.signal.aborted) {
      try {
        this.#attachment = await this.#dependencies.network.attach(this.uid);
        this.#changed();
        return this.#attachment;
      } catch (error) {
        const message = `Failed to create pod sandbox: ${(error as Error).message}`;
        this.#record({ type: 'Warning', reason: 'FailedCreatePodSandBox', message });
        await pause(NETWORK_RETRY_MS, this.#stop.signal);
      }
    }
    return undefined;
  }

  async #mountVolumes(attachment: PodAttachment): Promise<void> {
    const { runtime, objects, nodeAddress } = this.#dependencies;
    await this.#storage.mountMemory(this.pod);
    if (this.pod.spec.shareProcessNamespace) this.#processes = await SharedProcesses.start(runtime.rootless);
    this.#volumes = new PodVolumes({
      pod: this.pod,
      place: { podIp: attachment.ip, hostIp: nodeAddress },
      diskFolder: this.#storage.diskVolumes,
      memoryFolder: this.#storage.memoryVolumes,
      nodeDisk: this.#dependencies.nodeDisk,
      objects,
      rootless: runtime.rootless,
      signal: this.#stop.signal,
    });
    await this.#volumes.ready((message) => this.#record({ type: 'Warning', reason: 'FailedMount', message }));
  }

  /** false when one failed for good or the pod is to end. */
  async #runInitContainers(): Promise<boolean> {
    for (const loop of this.#initContainers) {
      if (loop.spec.restartPolicy === 'Always') {
        void loop.run();
        await loop.started();
        continue;
      }
      const exitCode = await loop.run();
      if (this.#stop.signal.aborted) return false;
      if (exitCode === 0) continue;
      this.#hasFailedInit = true;
      await this.#finish();
      return false;
    }
    return !this.#stop.signal.aborted;
  }

  /** The work is over: sidecars end, the address becomes free; status and logs stay until the pod is deleted. */
  async #finish(): Promise<void> {
    if (this.#stop.signal.aborted) return;
    await this.#stopContainers(this.#graceMs());
    this.#stop.abort();
    this.#isFinished = true;
    this.#changed();
    await this.#detach();
  }

  async #detach(): Promise<void> {
    if (!this.#attachment) return;
    try {
      await this.#dependencies.network.detach(this.uid);
    } catch (error) {
      this.#record({ type: 'Warning', reason: 'FailedKillPod', message: (error as Error).message });
    }
  }

  #loop(spec: Container, rule: RestartRule): ContainerLoop {
    const before = [
      ...(this.pod.status?.containerStatuses ?? []),
      ...(this.pod.status?.initContainerStatuses ?? []),
      ...(this.pod.status?.ephemeralContainerStatuses ?? []),
    ].find(({ name }) => name === spec.name);
    // It ran under an earlier node process, which is gone and with it the container.
    const hasRun = before?.containerID !== undefined;
    const mustStay = hasRun && (rule === 'never' || isOver(this.pod));
    const host: ContainerHost = {
      resolveImage: this.#dependencies.resolveImage,
      backoffMs: this.#dependencies.backoffMs ?? BACKOFF_MS,
      start: (container, program, attempt, signal) => {
        const ground = this.#ground();
        return startContainer(container, program, attempt, ground, this.#dependencies, signal);
      },
      record: (event) => this.#record(event),
      changed: () => this.#changed(),
      podTitle: () => `${this.pod.metadata.name}_${this.pod.metadata.namespace}(${this.uid})`,
      graceMs: () => this.#graceMs(),
    };
    const waiting = this.pod.spec.initContainers?.length ? 'PodInitializing' : 'ContainerCreating';
    const attempt = (before?.restartCount ?? 0) + (hasRun && !mustStay ? 1 : 0);
    const lost = mustStay ? before : undefined;
    return new ContainerLoop(spec, rule, host, attempt, waiting, lost, hasRun && !mustStay ? before : undefined);
  }

  #ground(): PodGround {
    const attachment = this.#attachment;
    const volumes = this.#volumes;
    if (!attachment || !volumes) throw new Error('the pod has no network or volumes yet');
    return {
      pod: this.pod,
      attachment,
      volumes,
      sharedMemoryFolder: this.#storage.sharedMemory,
      terminationFolder: this.#storage.terminationMessages,
      logPath: (container, attempt) => this.logPath(container, attempt),
      running: (container) => this.container(container)?.running,
      processesOf: this.#processes?.pid,
    };
  }

  #graceMs(): number {
    return (this.pod.spec.terminationGracePeriodSeconds ?? 30) * 1000;
  }

  /** Others' conditions from the newest object, our own from what we said last: a patch comes back late. */
  #knownConditions(): PodCondition[] {
    const fromObject = this.pod.status?.conditions ?? [];
    const isOwn = ({ type }: PodCondition) => OWN_CONDITIONS.includes(type);
    const own = (this.#lastStatus?.conditions ?? fromObject).filter(isOwn);
    return [...own, ...fromObject.filter((condition) => !isOwn(condition))];
  }

  /** An init container that is done is ready, as the kubelet says. */
  #initStatus(loop: ContainerLoop): ContainerStatus {
    const status = loop.status();
    return { ...status, ready: status.ready || status.state.terminated?.exitCode === 0 };
  }

  #record(event: PodEvent): void {
    this.#dependencies.record(this.pod, event);
  }

  #changed(): void {
    this.#dependencies.changed(this);
  }
}

const OWN_CONDITIONS = ['PodReadyToStartContainers', 'Initialized', 'Ready', 'ContainersReady'];

function isOver({ status }: Pod): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed';
}
