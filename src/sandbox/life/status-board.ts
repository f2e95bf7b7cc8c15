// SPDX-License-Identifier: Apache-2.0
// What the supervisor knows of its clusters, and the file that tells it to the host.
import { writeAtomically } from '../atomic-file.ts';
import { type ClusterLayout, paths, type SandboxConfig } from '../layout.ts';
import type { ComponentStatus } from './component-process.ts';
import { type ClusterReadiness, isReady, type SandboxStatus } from './status-file.ts';

const RETRY_MS = 1_000;

/** The status file, always complete. */
export class StatusBoard {
  readonly #file: string;
  readonly #startedAt = new Date().toISOString();
  readonly #clusters: readonly ClusterLayout[];
  readonly #components = new Map<string, { status: ComponentStatus; cluster: ClusterLayout | undefined }>();
  readonly #answers = new Map<ClusterLayout, Pick<ClusterReadiness, 'api' | 'node'>>();
  /** `cluster1 node`: said that it serves, in this life of its process. */
  readonly #serving = new Set<string>();
  readonly #cutOff = new Set<ClusterLayout>();
  #readyAt: string | undefined;
  #isStopping = false;
  #written = '';
  #retry: NodeJS.Timeout | undefined;

  constructor(config: SandboxConfig, clusters: readonly ClusterLayout[]) {
    this.#file = paths.status(config.stateDir);
    this.#clusters = clusters;
    this.#write();
  }

  component(status: ComponentStatus, cluster?: ClusterLayout): void {
    this.#components.set(status.name, { status, cluster });
    this.#write();
  }

  serves(cluster: ClusterLayout, component: string, isServing: boolean): void {
    if (isServing) this.#serving.add(`${cluster.name} ${component}`);
    else this.#serving.delete(`${cluster.name} ${component}`);
    this.#write();
  }

  /** What the API server says. */
  answers(cluster: ClusterLayout, answers: Pick<ClusterReadiness, 'api' | 'node'>): void {
    this.#answers.set(cluster, answers);
    this.#write();
  }

  /** A resumed cluster's Node object still says Ready from its former life: the process must have said so, too. */
  readiness(cluster: ClusterLayout): ClusterReadiness {
    const { api, node } = this.#answers.get(cluster) ?? { api: false, node: false };
    const serves = (component: string) => this.#serving.has(`${cluster.name} ${component}`);
    return { api, node: node && serves('node'), dns: serves('net') };
  }

  connected(cluster: ClusterLayout, isConnected: boolean): void {
    if (isConnected) this.#cutOff.delete(cluster);
    else this.#cutOff.add(cluster);
    this.#write();
  }

  stopping(): void {
    this.#isStopping = true;
    this.#write();
  }

  #write(): void {
    const componentsOf = (wanted: ClusterLayout | undefined) =>
      [...this.#components.values()].filter(({ cluster }) => cluster === wanted).map(({ status }) => status);
    const status: SandboxStatus = {
      phase: 'starting',
      startedAt: this.#startedAt,
      clusters: this.#clusters.map((cluster) => ({
        name: cluster.name,
        server: cluster.server,
        network: cluster.network,
        podCidr: cluster.podCidr,
        ready: this.readiness(cluster),
        connected: !this.#cutOff.has(cluster),
        components: componentsOf(cluster),
      })),
      components: componentsOf(undefined),
    };
    if (isReady(status)) this.#readyAt ??= new Date().toISOString();
    const phase = this.#isStopping ? 'stopping' : isReady(status) ? 'ready' : 'starting';
    const whole: SandboxStatus = { ...status, phase, ...(this.#readyAt ? { readyAt: this.#readyAt } : {}) };
    const text = `${JSON.stringify(whole, undefined, 2)}\n`;
    if (text === this.#written) return;
    clearTimeout(this.#retry);
    try {
      writeAtomically(this.#file, text);
      this.#written = text;
    } catch {
      // The clusters run as well without it: a full disk must not end them.
      this.#retry = setTimeout(() => this.#write(), RETRY_MS).unref();
    }
  }
}
