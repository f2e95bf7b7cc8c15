// SPDX-License-Identifier: Apache-2.0
// One container of a pod through all its lives: image, start, probes, end, back-off, next start.
import type { ContainerExit, RunningContainer } from '../container/container-runtime.ts';
import type { LogFile } from '../container/log-file.ts';
import { readLogEnd } from '../container/log-reader.ts';
import type { Container, ContainerState, ContainerStatus } from '../pod-types.ts';
import { ContainerEnding } from './container-ending.ts';
import { ContainerProbes, type ProbeListener } from './container-probes.ts';
import { ContainerConfigError } from './environment.ts';
import { type HandlerTarget, runHandler } from './handler.ts';
import type { PodEvent } from './object-source.ts';
import { pause } from './pause.ts';

export interface ImageProgramRef {
  readonly entrypoint: readonly string[];
  readonly defaultArgs?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly user?: number;
  readonly workingDir?: string;
  /** Folders of the machine that the container sees, read-only. */
  readonly hostFolders?: readonly string[];
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
  /**
   * When the signal aborts, it rejects soon, and nothing runs then.
   * @throws ContainerConfigError, or Error when the set-up failed
   */
  start(
    container: Container,
    program: ImageProgramRef,
    attempt: number,
    signal: AbortSignal,
  ): Promise<StartedContainer>;
  record(event: PodEvent): void;
  changed(): void;
  /** `name_namespace(uid)`, as the kubelet's messages say it. */
  podTitle(): string;
  /** terminationGracePeriodSeconds of the pod. */
  graceMs(): number;
}

export type RestartRule = 'always' | 'onFailure' | 'never';

const CONFIG_RETRY_MS = 2_000;
const PULL_RETRY_MS = 1_000;
/** setTimeout's longest: a postStart hook has no time limit. */
const NO_TIMEOUT_MS = 2 ** 31 - 1;

export class ContainerLoop {
  spec: Container;
  running: RunningContainer | undefined;
  log: LogFile | undefined;
  /** Which start the log and the state belong to. */
  attempt: number;
  #state: ContainerState = { waiting: { reason: 'PodInitializing' } };
  #lastState: ContainerState = {};
  #containerId = '';
  #probes: ContainerProbes | undefined;
  #ending: ContainerEnding | undefined;
  #crashes = 0;
  #mustRestart = false;
  readonly #isLost: boolean = false;
  #target: HandlerTarget | undefined;
  readonly #host: ContainerHost;
  readonly #rule: RestartRule;
  readonly #stop = new AbortController();
  #change = new AbortController();
  #done: Promise<void> = Promise.resolve();
  readonly #begun = Promise.withResolvers<void>();

  /**
   * @param restartCount how often it had been started again before this node process
   * @param waiting the reason until it starts
   * @param lost what is known of a container that ended with an earlier node process and must not start again
   * @param before what is known of one that ended so and starts again
   */
  constructor(
    spec: Container,
    rule: RestartRule,
    host: ContainerHost,
    restartCount: number,
    waiting: string,
    lost?: ContainerStatus,
    before?: ContainerStatus,
  ) {
    this.spec = spec;
    this.#rule = rule;
    this.#host = host;
    this.attempt = restartCount;
    this.#state = lost ? { terminated: endOfLost(lost) } : { waiting: { reason: waiting } };
    this.#containerId = lost?.containerID ?? '';
    this.#isLost = lost !== undefined;
    if (before) this.#lastState = { terminated: endOfLost(before) };
  }

  get name(): string {
    return this.spec.name;
  }
  get state(): ContainerState {
    return this.#state;
  }
  get isReady(): boolean {
    return this.#probes?.isReady ?? false;
  }
  get isStarted(): boolean {
    return this.#probes?.isStarted ?? false;
  }

  status(): ContainerStatus {
    return {
      name: this.spec.name,
      image: this.spec.image,
      imageID: this.#containerId === '' ? '' : `isthmus://${this.spec.image}`,
      ...(this.#containerId !== '' && { containerID: this.#containerId }),
      ready: this.isReady,
      started: this.isStarted,
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
    this.#done = result.then(() => this.#begun.resolve());
    return result;
  }

  /** Resolves when the first start is over, its postStart hook included, be it with success or not. */
  get begun(): Promise<void> {
    return this.#begun.promise;
  }

  /** Resolves when the container's startup probe has passed (or it has none and runs), or the loop is stopped. */
  async started(): Promise<void> {
    while (!this.isStarted && !this.#stop.signal.aborted) await this.#nextChange();
  }

  /** Takes over a changed image: the container is replaced. */
  update(spec: Container): void {
    const isChanged = spec.image !== this.spec.image;
    this.spec = spec;
    if (!isChanged) return;
    this.#host.record(this.#event('Normal', 'Killing', `Container ${this.name} definition changed, will be restarted`));
    this.#mustRestart = true;
    this.#crashes = 0;
    if (this.running && this.#target && !this.#ending) {
      this.#end({ running: this.running, target: this.#target }, this.#host.graceMs());
    }
    this.#notify();
  }

  /**
   * Ends the container for good: preStop, SIGTERM, and SIGKILL after the grace period. Resolves when it is gone.
   * A later call can only hurry.
   * @param turn SIGTERM waits for this, within the grace period
   */
  async stop(graceMs: number, turn?: Promise<unknown>): Promise<void> {
    this.#stop.abort();
    if (this.#ending) {
      this.#ending.hurry(graceMs);
    } else if (this.running && this.#target) {
      this.#host.record(this.#event('Normal', 'Killing', `Stopping container ${this.name}`));
      this.#end({ running: this.running, target: this.#target }, graceMs, turn);
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
      // Not again at every try of a container that cannot be made yet.
      if (!this.#state.waiting?.reason.endsWith('Error')) this.#recordImage();
      return await this.#host.start(this.spec, image.program, this.attempt, this.#stop.signal);
    } catch (error) {
      if (this.#stop.signal.aborted) return undefined;
      const isConfig = error instanceof ContainerConfigError;
      const reason = isConfig ? 'CreateContainerConfigError' : 'RunContainerError';
      const message = (error as Error).message;
      if (this.#state.waiting?.message !== message) {
        this.#host.record(this.#event('Warning', 'Failed', `Error: ${message}`));
      }
      this.wait(reason, message);
      this.#begun.resolve();
      await this.#pause(CONFIG_RETRY_MS);
      return undefined;
    }
  }

  /** Nothing is pulled, and the events say what they would say of an image that the machine has. */
  #recordImage(): void {
    const { image, imagePullPolicy } = this.spec;
    if (imagePullPolicy === 'Always') {
      this.#host.record(this.#event('Normal', 'Pulling', `Pulling image "${image}"`));
      const message = `Successfully pulled image "${image}": it is in the sandbox's catalogue`;
      this.#host.record(this.#event('Normal', 'Pulled', message));
    } else {
      this.#host.record(this.#event('Normal', 'Pulled', `Container image "${image}" already present on machine`));
    }
  }

  /** Another image helps, or a program that the user adds to the catalogue. */
  async #waitForImage(closest: readonly string[]): Promise<void> {
    const { image } = this.spec;
    const message =
      `image "${image}" is not in the sandbox's catalogue (see: isthmus sandbox images); closest: ` +
      `${closest.join(', ')}. A program of your own gets this name by: isthmus sandbox images add FILE`;
    this.#host.record(this.#event('Warning', 'Failed', `Failed to pull image "${image}": ${message}`));
    this.#begun.resolve();
    if (this.spec.imagePullPolicy === 'Never') {
      this.#host.record(this.#event('Warning', 'Failed', 'Error: ErrImageNeverPull'));
      this.wait('ErrImageNeverPull', `Container image "${image}" is not present with pull policy of Never: ${message}`);
      await this.#untilImage();
      return;
    }
    this.#host.record(this.#event('Warning', 'Failed', 'Error: ErrImagePull'));
    this.wait('ErrImagePull', message);
    await this.#pause(PULL_RETRY_MS);
    if (this.#stop.signal.aborted || this.#mustRestart) return;
    this.#host.record(this.#event('Normal', 'BackOff', `Back-off pulling image "${image}": ${message}`));
    this.#host.record(this.#event('Warning', 'Failed', 'Error: ImagePullBackOff'));
    this.wait('ImagePullBackOff', message);
    await this.#untilImage();
  }

  /** To look costs nothing, and who has just added a program is waiting. */
  async #untilImage(): Promise<void> {
    do {
      await this.#pause(PULL_RETRY_MS);
    } while (
      !this.#stop.signal.aborted &&
      !this.#mustRestart &&
      this.#host.resolveImage(this.spec.image).kind === 'unknown'
    );
  }

  async #supervise(started: StartedContainer): Promise<ContainerExit> {
    const { running } = started;
    this.running = running;
    this.log = started.log;
    this.#containerId = `isthmus://${running.id}`;
    this.#host.record(this.#event('Normal', 'Created', `Created container: ${this.name}`));
    this.#host.record(this.#event('Normal', 'Started', `Started container ${this.name}`));
    const ended = new AbortController();
    if (this.#stop.signal.aborted) this.#end(started, 0);
    void this.#bringUp(started, ended.signal);
    const exit = await running.exited;
    const message = exit.message || (await this.#messageFromLog(exit, started.log));
    ended.abort();
    this.running = undefined;
    this.#probes = undefined;
    this.#ending = undefined;
    this.#target = undefined;
    this.#setState({
      terminated: {
        exitCode: exit.exitCode,
        reason: exit.reason,
        ...(message !== '' && { message }),
        startedAt: isoSeconds(running.startedAt),
        finishedAt: isoSeconds(exit.finishedAt),
        containerID: this.#containerId,
      },
    });
    return exit;
  }

  async #messageFromLog({ exitCode }: ContainerExit, log: LogFile): Promise<string> {
    if (exitCode === 0 || this.spec.terminationMessagePolicy !== 'FallbackToLogsOnError') return '';
    return readLogEnd(log.path);
  }

  /** Until postStart is done the container does not count as running, and nobody asks its probes. */
  async #bringUp(started: StartedContainer, ended: AbortSignal): Promise<void> {
    const { running, target } = started;
    this.#target = target;
    const { postStart } = this.spec.lifecycle ?? {};
    if (postStart) {
      const result = await Promise.race([runHandler(postStart, target, NO_TIMEOUT_MS), running.exited]);
      if (ended.aborted || !('succeeded' in result)) return;
      if (!result.succeeded) {
        this.#host.record(this.#event('Warning', 'FailedPostStartHook', `PostStartHook failed: ${result.message}`));
        this.wait('PostStartHookError', `PostStartHook failed: ${result.message}`);
        this.#restart(started, 'FailedPostStartHook', this.#host.graceMs());
        return;
      }
    }
    const listener: ProbeListener = {
      changed: () => this.#notify(),
      unhealthy: (message) => this.#host.record(this.#event('Warning', 'Unhealthy', message)),
      condemned: (kind, probe) => {
        const seconds = probe.terminationGracePeriodSeconds;
        const graceMs = seconds === undefined ? this.#host.graceMs() : seconds * 1000;
        this.#restart(started, `Container ${this.name} failed ${kind} probe, will be restarted`, graceMs);
      },
    };
    this.#probes = new ContainerProbes(this.spec, target, listener, ended);
    if (this.#ending) this.#probes.stopJudging();
    this.#setState({ running: { startedAt: isoSeconds(running.startedAt) } });
    this.#begun.resolve();
  }

  /** Ends the container for the sake of its next start. */
  #restart(started: StartedContainer, message: string, graceMs: number): void {
    if (this.#ending) return;
    this.#host.record(this.#event('Normal', 'Killing', message));
    this.#end(started, graceMs);
  }

  /** @param turn see EndingPlan */
  #end({ running, target }: Pick<StartedContainer, 'running' | 'target'>, graceMs: number, turn?: Promise<unknown>) {
    this.#probes?.stopJudging();
    const { preStop } = this.spec.lifecycle ?? {};
    this.#ending = new ContainerEnding(running, {
      graceMs,
      turn,
      preStop: preStop && ((timeoutMs) => runHandler(preStop, target, timeoutMs)),
      hookFailed: (message) =>
        this.#host.record(this.#event('Warning', 'FailedPreStopHook', `PreStopHook failed: ${message}`)),
    });
  }

  async #backOff(startedAt: Date, exit: ContainerExit): Promise<void> {
    const { first, cap, resetAfter } = this.#host.backoffMs;
    if (exit.finishedAt.getTime() - startedAt.getTime() > resetAfter) this.#crashes = 0;
    // The first restart comes at once, the next after 10 s, 20 s...
    const delayMs = this.#crashes === 0 || this.#mustRestart ? 0 : Math.min(cap, first * 2 ** (this.#crashes - 1));
    this.#crashes++;
    this.#lastState = this.#state;
    if (delayMs > 0) {
      const pod = this.#host.podTitle();
      const message = `back-off ${backoffText(delayMs)} restarting failed container=${this.name} pod=${pod}`;
      const text = `Back-off restarting failed container ${this.name} in pod ${pod}`;
      this.#host.record(this.#event('Warning', 'BackOff', text));
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

/** As Go prints durations: 10s, 1m20s, 5m0s. */
function backoffText(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}

function isoSeconds(date: Date): string {
  return date.toISOString().replace(/\.\d+Z$/, 'Z');
}
