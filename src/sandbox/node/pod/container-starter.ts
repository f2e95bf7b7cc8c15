// SPDX-License-Identifier: Apache-2.0
// From a container's spec to its first process: who it is, its environment, mounts and log.
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { PodAttachment } from '../../network/pod-network.ts';
import type { ContainerRuntime, RunningContainer } from '../container/container-runtime.ts';
import { LogFile, rotatedPath } from '../container/log-file.ts';
import type { ConfigMap, Container, EphemeralContainer, Pod, Secret } from '../pod-types.ts';
import type { ImageProgramRef, StartedContainer } from './container-loop.ts';
import { buildEnvironment, ContainerConfigError, type EnvironmentSources, expandReferences } from './environment.ts';
import { buildEtcFiles, type DnsSettings, homeOf, podHostname } from './etc-files.ts';
import { selectLimits } from './limits.ts';
import type { ObjectSource } from './object-source.ts';
import type { PodVolumes } from './pod-volumes.ts';
import { selectCredentials } from './security.ts';

export interface StarterDependencies {
  readonly runtime: ContainerRuntime;
  readonly objects: ObjectSource;
  readonly nodeAddress: string;
  readonly dns: DnsSettings;
}

/** What the pod has by the time its first container starts. */
export interface PodGround {
  readonly pod: Pod;
  readonly attachment: PodAttachment;
  readonly volumes: PodVolumes;
  readonly sharedMemoryFolder: string;
  readonly terminationFolder: string;
  /** Of one start of a container. */
  logPath(container: string, attempt: number): string;
  /** Another container of the pod, while it runs. */
  running(container: string): RunningContainer | undefined;
  /** The first process of the namespace that its containers share. */
  readonly processesOf: number | undefined;
}

/** Of a container: the present start and the one before it. */
const KEPT_LOGS = 2;

/**
 * Resolves when the program is about to run.
 * @throws ContainerConfigError, Error when the set-up failed or the signal has aborted; nothing runs then
 */
export async function startContainer(
  spec: Container,
  program: ImageProgramRef,
  attempt: number,
  ground: PodGround,
  { runtime, objects, nodeAddress, dns }: StarterDependencies,
  signal: AbortSignal,
): Promise<StartedContainer> {
  const { pod, attachment, volumes } = ground;
  const credentials = selectCredentials(pod, spec, program.user, runtime.rootless);
  const hostname = podHostname(pod);
  const place = { podIp: attachment.ip, hostIp: nodeAddress };
  // What the environment needs of the cluster may take long to come; the end of the pod must not wait for it.
  const environment = await unlessAborted(
    environmentSources(pod, place, objects).then((sources) =>
      buildEnvironment(spec, program.env ?? {}, hostname, homeOf(credentials.uid), sources),
    ),
    signal,
  );
  const log = openLog(ground, spec.name, attempt);
  const running = await runtime.start({
    hostname,
    netns: attachment.netns,
    argv: commandLine(spec, program, environment),
    environment,
    workingDir: spec.workingDir || program.workingDir || '/',
    credentials,
    mounts: volumes.mountsOf(spec, environment),
    hostFolders: program.hostFolders ?? [],
    readOnlyRoot: spec.securityContext?.readOnlyRootFilesystem === true,
    etcFiles: buildEtcFiles(pod, attachment.ip, credentials.uid, credentials.gid, dns),
    sharedMemoryFolder: ground.sharedMemoryFolder,
    terminationFolder: ground.terminationFolder,
    terminationMessagePath: spec.terminationMessagePath,
    log,
    ...selectLimits(pod, spec),
    processesOf: ground.processesOf ?? processesOfTarget(spec, ground),
    stdin: spec.stdin === true || spec.tty === true,
    tty: spec.tty === true,
  });
  if (signal.aborted) {
    running.kill('SIGKILL');
    await running.exited;
    throw new Error('the pod is being stopped');
  }
  return { running, log, target: { runtime, running, container: spec, podIp: attachment.ip } };
}

/** `kubectl debug --target`. @throws ContainerConfigError when the target does not run */
function processesOfTarget(spec: EphemeralContainer, ground: PodGround): number | undefined {
  const target = spec.targetContainerName;
  if (!target) return undefined;
  const pid = ground.running(target)?.pid;
  if (pid === undefined) throw new ContainerConfigError(`unable to find target container "${target}": it does not run`);
  return pid;
}

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(new Error('the pod is being stopped'));
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

async function environmentSources(
  pod: Pod,
  place: { podIp: string; hostIp: string },
  objects: ObjectSource,
): Promise<EnvironmentSources> {
  const namespace = pod.metadata.namespace ?? 'default';
  const own = await objects.services(namespace);
  const master = namespace === 'default' ? [] : await objects.services('default');
  return {
    pod,
    place,
    services: [...master, ...own],
    configMap: (name) => once<ConfigMap>((listener) => objects.observeConfigMap(namespace, name, listener)),
    secret: (name) => once<Secret>((listener) => objects.observeSecret(namespace, name, listener)),
  };
}

function openLog(ground: PodGround, container: string, attempt: number): LogFile {
  const path = ground.logPath(container, attempt);
  mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 });
  const old = ground.logPath(container, attempt - KEPT_LOGS);
  for (const file of [old, rotatedPath(old)]) rmSync(file, { force: true });
  return new LogFile(path);
}

/** `command` replaces the image's entrypoint and its default arguments, `args` only the latter. */
function commandLine(
  spec: Container,
  program: ImageProgramRef,
  environment: Readonly<Record<string, string>>,
): string[] {
  const expand = (words: readonly string[]) => words.map((word) => expandReferences(word, environment));
  if (spec.command?.length) return [...expand(spec.command), ...expand(spec.args ?? [])];
  const args = spec.args?.length ? expand(spec.args) : (program.defaultArgs ?? []);
  return [...program.entrypoint, ...args];
}

/** The first answer of an observation. */
function once<T>(observe: (listener: (object: T | undefined) => void) => () => void): Promise<T | undefined> {
  return new Promise((resolve) => {
    // The listener may be called before `observe` has returned.
    let stop: (() => void) | undefined;
    let isDone = false;
    stop = observe((object) => {
      isDone = true;
      resolve(object);
      stop?.();
    });
    if (isDone) stop();
  });
}
