// SPDX-License-Identifier: Apache-2.0
// One container of a pod through all its lives: image, start, probes, end, back-off, next start.
import type { ContainerExit, RunningContainer } from '../container/container-runtime.ts';
import type { LogFile } from '../container/log-file.ts';
import type { Container, ContainerState, ContainerStatus } from '../pod-types.ts';
import { ContainerConfigError } from './environment.ts';
import { type HandlerTarget, runHandler } from './handler.ts';
import type { PodEvent } from './object-source.ts';
import { pause } from './pause.ts';
import { runProbe } from './probe-loop.ts';

export interface ImageProgramRef {
  readonly entrypoint: readonly string[];
  readonly defaultArgs?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly user?: number;
}

export type ImageLookup = (
  image: string,
) =>
  | { readonly kind: 'program'; readonly program: ImageProgramRef }
  | { readonly kind: 'unknown'; readonly closest: readonly string[] };

export interface StartedContainer {
  readonly running: RunningContainer;
  readonly target: HandlerTarget;
  readonly log: LogFile;
}

/** What the loop needs of its pod. */
export interface ContainerHost {
  readonly resolveImage: ImageLookup;
  readonly backoffMs: { readonly first: number; readonly cap: number; readonly resetAfter: number };
  /** @throws ContainerConfigError, or Error when the set-up failed */
  start(container: Container, program: ImageProgramRef, attempt: number): Promise<StartedContainer>;
  record(event: PodEvent): void;
  changed(): void;
  /** terminationGracePeriodSeconds of the pod. */
  graceMs(): number;
}

export type RestartRule = 'always' | 'onFailure' | 'never';

const CONFIG_RETRY_MS = 2_000;
const PULL_RETRY_MS = 1_000;
const HOOK_TIMEOUT_MS = 30_000;

export class ContainerLoop {
  spec: Container;
  running: RunningContainer | undefined;
  log: LogFile | undefined;
  /** Which start the log and the state belong to. */
  attempt: number;
  #state: ContainerState = { waiting: { reason: 'PodInitializing' } };
  #lastState: ContainerState = {};
  #containerId = '';
  #isReady = false;
  #isStarted = false;
  #crashes = 0;
  #mustRestart = false;
  readonly #isLost: boolean = false;
  #target: HandlerTarget | undefined;
  #killAt: (deadline: number) => void = () => {};
  readonly #host: ContainerHost;
  readonly #rule: RestartRule;
  readonly #stop = new AbortController();
  #change = new AbortController();
  #done: Promise<void> = Promise.resolve();

  /**
   * @param restartCount how often it had been started again before this node process
   * @param waiting the reason until it starts
   * @param lost what is known of a container that ended with an earlier node process and must not start again
   */
  constructor(
    spec: Container,
    rule: RestartRule,
    host: ContainerHost,
    restartCount: number,
    waiting: string,
    lost?: ContainerStatus,
  ) {
    this.spec = spec;
    this.#rule = rule;
    this.#host = host;
    this.attempt = restartCount;
    this.#state = lost ? { terminated: endOfLost(lost) } : { waiting: { reason: waiting } };
    this.#containerId = lost?.containerID ?? '';
    this.#isLost = lost !== undefined;
  }

  get name(): string {
    return this.spec.name;
  }
  get state(): ContainerState {
    return this.#state;
  }
  get isReady(): boolean {
    return this.#isReady;
  }
  get isStarted(): boolean {
    return this.#isStarted;
  }

  status(): ContainerStatus {
    return {
      name: this.spec.name,
      image: this.spec.image,
      imageID: this.#containerId === '' ? '' : `isthmus://${this.spec.image}`,
      ...(this.#containerId !== '' && { containerID: this.#containerId }),
      ready: this.#isReady,
      started: this.#isStarted,
      restartCount: this.attempt,
      state: this.#state,
      lastState: this.#lastState,
    };
  }

  /** Shown as the reason until the container is started. */
  wait(reason: string, message?: string): void {
    this.#setState({ waiting: { reason, ...(message !== undefined && { message }) } });
  }

  /** Runs until the rule says that it is over, or `stop`. Resolves with the last exit code (undefined: never ran). */
  run(): Promise<number | undefined> {
    const result = this.#run();
    this.#done = result.then(() => {});
    return result;
  }

  /** Resolves when the container's startup probe has passed (or it has none and runs), or the loop is stopped. */
  async started(): Promise<void> {
    while (!this.#isStarted && !this.#stop.signal.aborted) await this.#nextChange();
  }

  /** Takes over a changed image: the container is replaced. */
  update(spec: Container): void {
    const isChanged = spec.image !== this.spec.image;
    this.spec = spec;
    if (!isChanged) return;
    this.#host.record(this.#event('Normal', 'Killing', `Container ${this.name} definition changed, will be restarted`));
    this.#mustRestart = true;
    this.#crashes = 0;
    if (this.running) void this.#terminate(this.running, this.#host.graceMs());
    this.#notify();
  }

  /** preStop, SIGTERM, and SIGKILL after the grace period. Resolves when it is gone. A later call can only hurry. */
  async stop(graceMs: number): Promise<void> {
    const first = !this.#stop.signal.aborted;
    this.#stop.abort();
    if (this.running && first) {
      this.#host.record(this.#event('Normal', 'Killing', `Stopping container ${this.name}`));
      await this.#terminate(this.running, graceMs);
    } else {
      this.#killAt(Date.now() + graceMs);
    }
    await this.#done;
  }

  async #run(): Promise<number | undefined> {
    if (this.#isLost) return this.#state.terminated?.exitCode;
    let lastExit: number | undefined;
    while (!this.#stop.signal.aborted) {
      const started = await this.#startOnce();
      if (!started) continue;
      const exit = await this.#supervise(started);
      lastExit = exit.exitCode;
      if (this.#stop.signal.aborted) break;
      const shouldRestart =
        this.#mustRestart || this.#rule === 'always' || (this.#rule === 'onFailure' && exit.exitCode !== 0);
      if (!shouldRestart) break;
      await this.#backOff(started.running.startedAt, exit);
    }
    return lastExit;
  }

  /** undefined after a failure that was waited out: try again. */
  async #startOnce(): Promise<StartedContainer | undefined> {
    this.#mustRestart = false;
    const image = this.#host.resolveImage(this.spec.image);
    if (image.kind === 'unknown') {
      await this.#waitForImage(image.closest);
      return undefined;
    }
    try {
      return await this.#startUnlessStopped(image.program);
    } catch (error) {
      if (this.#stop.signal.aborted) return undefined;
      const isConfig = error instanceof ContainerConfigError;
      const reason = isConfig ? 'CreateContainerConfigError' : 'RunContainerError';
      const message = (error as Error).message;
      if (this.#state.waiting?.message !== message)
        this.#host.record(this.#event('Warning', 'Failed', `Error: ${message}`));
      this.wait(reason, message);
      await this.#pause(CONFIG_RETRY_MS);
      return undefined;
    }
  }

  /** A start may wait for objects of the cluster; the end of the pod must not wait for the start. */
  async #startUnlessStopped(program: ImageProgramRef): Promise<StartedContainer> {
    const starting = this.#host.start(this.spec, program, this.attempt);
    const { signal } = this.#stop;
    if (!signal.aborted) {
      let abort = () => {};
      const aborted = new Promise<void>((resolve) => {
        abort = resolve;
        signal.addEventListener('abort', abort, { once: true });
      });
      await Promise.race([starting, aborted]);
      signal.removeEventListener('abort', abort);
      if (!signal.aborted) return starting;
    }
    // What starts all the same is not to stay.
    starting.then(({ running }) => running.kill('SIGKILL')).catch(() => {});
    throw new Error('the pod is being stopped');
  }

  /** The catalogue does not change while we run: only another image helps. */
  async #waitForImage(closest: readonly string[]): Promise<void> {
    const message = `image "${this.spec.image}" is not in the sandbox's catalogue (see: isthmus sandbox images); closest: ${closest.join(', ')}`;
    this.#host.record(this.#event('Warning', 'Failed', `Failed to pull image "${this.spec.image}": ${message}`));
    this.wait('ErrImagePull', message);
    await this.#pause(PULL_RETRY_MS);
    if (this.#stop.signal.aborted || this.#mustRestart) return;
    this.#host.record(this.#event('Normal', 'BackOff', `Back-off pulling image "${this.spec.image}": ${message}`));
    this.wait('ImagePullBackOff', message);
    while (!this.#stop.signal.aborted && !this.#mustRestart) await this.#nextChange();
  }

  async #supervise({ running, target, log }: StartedContainer): Promise<ContainerExit> {
    this.running = running;
    this.#target = target;
    this.log = log;
    this.#containerId = `isthmus://${running.id}`;
    this.#isStarted = !this.spec.startupProbe;
    this.#isReady = this.#isStarted && !this.spec.readinessProbe;
    this.#host.record(this.#event('Normal', 'Started', `Started container ${this.name}`));
    this.#setState({ running: { startedAt: isoSeconds(running.startedAt) } });
    const ended = new AbortController();
    if (this.#stop.signal.aborted) void this.#terminate(running, 0);
    void this.#probeAll(target, ended.signal);
    const { postStart } = this.spec.lifecycle ?? {};
    if (postStart) void this.#runPostStart(postStart, target);
    const exit = await running.exited;
    ended.abort();
    this.running = undefined;
    this.#isReady = false;
    this.#isStarted = false;
    this.#setState({
      terminated: {
        exitCode: exit.exitCode,
        reason: exit.exitCode === 0 ? 'Completed' : 'Error',
        ...(exit.message !== '' && { message: exit.message }),
        startedAt: isoSeconds(running.startedAt),
        finishedAt: isoSeconds(exit.finishedAt),
        containerID: this.#containerId,
      },
    });
    return exit;
  }

  async #probeAll(target: HandlerTarget, signal: AbortSignal): Promise<void> {
    const { startupProbe, readinessProbe, livenessProbe } = this.spec;
    if (startupProbe) {
      const startup = new AbortController();
      const either = AbortSignal.any([startup.signal, signal]);
      const passed = () => {
        this.#isStarted = true;
        this.#isReady = !readinessProbe;
        startup.abort();
        this.#notify();
      };
      const failed = this.#failureHandler('Startup', true);
      await runProbe(startupProbe, target, true, { passed, failed }, either);
    }
    if (signal.aborted) return;
    if (readinessProbe) {
      const setReady = (isReady: boolean) => {
        if (this.#isReady === isReady) return;
        this.#isReady = isReady;
        this.#notify();
      };
      const report = this.#failureHandler('Readiness', false);
      void runProbe(
        readinessProbe,
        target,
        true,
        {
          passed: () => setReady(true),
          failed: (result, final) => {
            report(result, final);
            if (final) setReady(false);
          },
        },
        signal,
      );
    }
    if (livenessProbe) {
      const failed = this.#failureHandler('Liveness', true);
      void runProbe(livenessProbe, target, false, { passed: () => {}, failed }, signal);
    }
  }

  #failureHandler(kind: string, kills: boolean) {
    return (result: { message: string }, final: boolean) => {
      this.#host.record(this.#event('Warning', 'Unhealthy', `${kind} probe failed: ${result.message}`));
      if (!kills || !final || !this.running) return;
      const message = `Container ${this.name} failed ${kind.toLowerCase()} probe, will be restarted`;
      this.#host.record(this.#event('Normal', 'Killing', message));
      void this.#terminate(this.running, this.#host.graceMs());
    };
  }

  async #runPostStart(hook: NonNullable<NonNullable<Container['lifecycle']>['postStart']>, target: HandlerTarget) {
    const result = await runHandler(hook, target, HOOK_TIMEOUT_MS);
    if (result.succeeded || !this.running) return;
    this.#host.record(this.#event('Warning', 'FailedPostStartHook', `PostStartHook failed: ${result.message}`));
    void this.#terminate(this.running, this.#host.graceMs());
  }

  async #terminate(running: RunningContainer, graceMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    let deadline = Number.POSITIVE_INFINITY;
    this.#killAt = (at) => {
      if (at >= deadline) return;
      deadline = at;
      clearTimeout(timer);
      timer = setTimeout(() => running.kill('SIGKILL'), Math.max(0, at - Date.now()));
    };
    this.#killAt(Date.now() + graceMs);
    const { preStop } = this.spec.lifecycle ?? {};
    if (preStop && graceMs > 0) await this.#runPreStop(preStop, running, graceMs);
    running.kill('SIGTERM');
    await running.exited;
    clearTimeout(timer);
  }

  async #runPreStop(
    hook: NonNullable<NonNullable<Container['lifecycle']>['preStop']>,
    running: RunningContainer,
    graceMs: number,
  ) {
    const target = this.#target;
    if (target?.running !== running) return;
    const hooked = runHandler(hook, target, graceMs);
    const result = await Promise.race([hooked, running.exited.then(() => undefined)]);
    if (result && !result.succeeded) {
      this.#host.record(this.#event('Warning', 'FailedPreStopHook', `PreStopHook failed: ${result.message}`));
    }
  }

  async #backOff(startedAt: Date, exit: ContainerExit): Promise<void> {
    const { first, cap, resetAfter } = this.#host.backoffMs;
    if (exit.finishedAt.getTime() - startedAt.getTime() > resetAfter) this.#crashes = 0;
    // The first restart comes at once, the next after 10 s, 20 s...
    const delayMs = this.#crashes === 0 || this.#mustRestart ? 0 : Math.min(cap, first * 2 ** (this.#crashes - 1));
    this.#crashes++;
    this.#lastState = this.#state;
    if (delayMs > 0) {
      const message = `back-off ${Math.round(delayMs / 1000)}s restarting failed container=${this.name}`;
      this.#host.record(this.#event('Warning', 'BackOff', `Back-off restarting failed container ${this.name}`));
      this.wait('CrashLoopBackOff', message);
      await this.#pause(delayMs);
    }
    if (!this.#stop.signal.aborted) this.attempt++;
  }

  /** Ends early when the loop is stopped or the container's image has changed. */
  async #pause(ms: number): Promise<void> {
    const until = Date.now() + ms;
    while (Date.now() < until && !this.#stop.signal.aborted && !this.#mustRestart) {
      await pause(until - Date.now(), AbortSignal.any([this.#change.signal, this.#stop.signal]));
    }
  }

  #nextChange(): Promise<void> {
    return pause(2 ** 30, AbortSignal.any([this.#change.signal, this.#stop.signal]));
  }

  #setState(state: ContainerState): void {
    this.#state = state;
    this.#notify();
  }

  #notify(): void {
    this.#change.abort();
    this.#change = new AbortController();
    this.#host.changed();
  }

  #event(type: PodEvent['type'], reason: string, message: string): PodEvent {
    return { type, reason, message, fieldPath: `spec.containers{${this.name}}` };
  }
}

/** A container that was done keeps its end; one that ran was killed together with the node process. */
function endOfLost(lost: ContainerStatus): NonNullable<ContainerState['terminated']> {
  if (lost.state.terminated) return lost.state.terminated;
  return {
    exitCode: 137,
    reason: 'Error',
    message: 'the node process that ran the container ended',
    startedAt: lost.state.running?.startedAt ?? isoSeconds(new Date()),
    finishedAt: isoSeconds(new Date()),
    containerID: lost.containerID ?? '',
  };
}

function isoSeconds(date: Date): string {
  return date.toISOString().replace(/\.\d+Z$/, 'Z');
}
