// SPDX-License-Identifier: Apache-2.0
// hostPort of pods: the port on the node's address leads to the container, whoever asks, from whichever cluster.
import type { KubeObject } from '../../kube/types.ts';
import { type Forward, type ForwardOptions, forwardTcp, type Target } from './tcp-forward.ts';
import { forwardUdp } from './udp-forward.ts';

export interface HostPortOptions extends Pick<ForwardOptions, 'random' | 'drainMs'> {
  readonly nodeAddress: string;
  onError(where: string, error: Error): void;
}

interface RawPort {
  readonly hostPort?: number;
  readonly containerPort: number;
  readonly protocol?: string;
}

interface Entry {
  readonly pod: string;
  readonly forward: Promise<Forward | undefined>;
}

/** A port whose former pod is still closing is tried again; one that is somebody else's (6443), more and more seldom. */
const FIRST_RETRY_MS = 200;
const LAST_RETRY_MS = 60_000;

export class HostPorts {
  readonly #options: HostPortOptions;
  /** Pod -> `TCP 8080` -> where it leads. */
  readonly #wanted = new Map<string, Map<string, Target>>();
  /** `TCP 8080` -> who has it. */
  readonly #entries = new Map<string, Entry>();
  /** `TCP 8080` -> when to try again, if it fails again. */
  readonly #retryMs = new Map<string, number>();
  #isClosed = false;

  constructor(options: HostPortOptions) {
    this.#options = options;
  }

  upsert(pod: KubeObject): void {
    const wanted = readHostPorts(pod);
    if (wanted.size === 0) this.#wanted.delete(keyOf(pod));
    else this.#wanted.set(keyOf(pod), wanted);
    this.#reconcile();
  }

  remove(pod: KubeObject): void {
    if (this.#wanted.delete(keyOf(pod))) this.#reconcile();
  }

  close(): void {
    this.#isClosed = true;
    this.#wanted.clear();
    this.#reconcile();
  }

  #reconcile(): void {
    for (const [port, entry] of this.#entries) {
      if (this.#wanted.get(entry.pod)?.has(port)) continue;
      this.#entries.delete(port);
      void entry.forward.then((forward) => forward?.close());
    }
    if (this.#isClosed) return;
    for (const [pod, ports] of this.#wanted) {
      for (const port of ports.keys()) if (!this.#entries.has(port)) this.#entries.set(port, this.#open(pod, port));
    }
  }

  #open(pod: string, port: string): Entry {
    const [protocol, number] = port.split(' ');
    const { nodeAddress, random, drainMs, onError } = this.#options;
    const options: ForwardOptions = {
      address: nodeAddress,
      port: Number(number),
      targets: () => [this.#wanted.get(pod)?.get(port)].filter((target) => target !== undefined),
      random,
      drainMs,
      onError: (error) => onError(`host port ${port} of ${pod}`, error),
    };
    const entry: Entry = {
      pod,
      forward: (protocol === 'UDP' ? forwardUdp : forwardTcp)(options).then(
        (forward) => {
          this.#retryMs.delete(port);
          return forward;
        },
        (error: Error) => {
          options.onError(error);
          const delayMs = this.#retryMs.get(port) ?? FIRST_RETRY_MS;
          this.#retryMs.set(port, Math.min(delayMs * 2, LAST_RETRY_MS));
          setTimeout(() => {
            if (this.#entries.get(port) === entry) this.#entries.delete(port);
            this.#reconcile();
          }, delayMs).unref();
          return undefined;
        },
      ),
    };
    return entry;
  }
}

function keyOf({ metadata }: KubeObject): string {
  return `${metadata.namespace}/${metadata.name}`;
}

/** Of a pod that has an address and is not over. */
function readHostPorts(pod: KubeObject): Map<string, Target> {
  const { podIP, phase } = (pod['status'] ?? {}) as { podIP?: string; phase?: string };
  if (!podIP || phase === 'Succeeded' || phase === 'Failed') return new Map();
  const { containers = [] } = (pod['spec'] ?? {}) as { containers?: { ports?: RawPort[] }[] };
  const ports = containers.flatMap((container) => container.ports ?? []);
  return new Map(
    ports.flatMap(({ hostPort, containerPort, protocol = 'TCP' }) =>
      hostPort ? [[`${protocol} ${hostPort}`, { address: podIP, port: containerPort }] as const] : [],
    ),
  );
}
