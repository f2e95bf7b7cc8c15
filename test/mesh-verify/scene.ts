// SPDX-License-Identifier: Apache-2.0
// Three clusters: two with a control plane each, and one that cluster1's rules; and the ways to break them.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CaFiles } from '../../src/identity/ca-material.ts';
import { type Finished, processesOfSandbox, run, TestSandbox } from '../fixture/sandbox.ts';

export type Cluster = 'cluster1' | 'cluster2' | 'cluster3';
export const CLUSTERS: readonly Cluster[] = ['cluster1', 'cluster2', 'cluster3'];
export const SYSTEM = 'istio-system';
const GATEWAY_OF = { cluster1: '172.31.0.100', cluster2: '172.31.0.120', cluster3: '172.31.0.140' } as const;
const TABLE = 'verify-faults';

export interface Told {
  readonly ok: boolean;
  readonly pairs: readonly { from: string; to: string; model: string; ok: boolean; cause?: string; seen?: string }[];
  readonly findings: readonly {
    readonly cause: string;
    readonly severity: string;
    readonly cluster: string;
    readonly object: string;
    readonly evidence: readonly string[];
    readonly pairs: readonly { from: string; to: string }[];
  }[];
}

export class VerifyScene {
  readonly sandbox = new TestSandbox('meshverify');
  readonly file = join(this.sandbox.dir, 'mesh.yaml');

  async up(): Promise<void> {
    const { sandbox, file } = this;
    await sandbox.up('--clusters', '3');
    await sandbox.must('mesh', 'init', '-o', file);
    const text = readFileSync(file, 'utf8');
    const last = text.lastIndexOf('controlPlane: own');
    writeFileSync(
      file,
      `${text.slice(0, last)}controlPlane: {servedBy: cluster1}${text.slice(last + 'controlPlane: own'.length)}`,
    );
    await sandbox.must('mesh', 'up', '-f', file);
  }

  /** @returns what it told; the exit code has to agree with it */
  async verify(): Promise<Told> {
    const { code, stdout, stderr } = await this.sandbox.isthmus(...this.verifyArgs());
    if (stdout === '') throw new Error(`mesh verify: exit code ${code}\n${stderr}`);
    const told = JSON.parse(stdout) as Told;
    if (code !== (told.ok ? 0 : 1)) throw new Error(`mesh verify: exit code ${code}\n${stdout}`);
    return told;
  }

  verifyArgs(): string[] {
    return ['mesh', 'verify', '-f', this.file, '-o', 'json', '--patience', '3', '--timeout', '20'];
  }

  kubectl(cluster: Cluster, ...args: string[]): Promise<string> {
    return this.sandbox.kubectl('--context', cluster, ...args);
  }

  inSystem(cluster: Cluster, ...args: string[]): Promise<string> {
    return this.kubectl(cluster, '-n', SYSTEM, ...args);
  }

  patch(cluster: Cluster, what: string, patch: unknown): Promise<string> {
    return this.inSystem(cluster, 'patch', ...what.split(' '), '--type', 'merge', '-p', JSON.stringify(patch));
  }

  async apply(cluster: Cluster, object: unknown, verb = 'apply'): Promise<void> {
    const file = join(this.sandbox.dir, `${cluster}.json`);
    writeFileSync(file, JSON.stringify(object));
    await this.kubectl(cluster, verb, '-f', file);
  }

  /** Without what only the server writes, so that it can be made again. */
  async read(cluster: Cluster, ...what: string[]): Promise<Record<string, unknown>> {
    const object = JSON.parse(await this.kubectl(cluster, 'get', ...what, '-o', 'json')) as Record<string, unknown>;
    const { resourceVersion: _v, uid: _u, ...metadata } = object['metadata'] as Record<string, unknown>;
    return { ...object, metadata };
  }

  async giveCa(cluster: Cluster, files: CaFiles): Promise<void> {
    const data = Object.fromEntries(
      Object.entries(files).map(([name, text]) => [name, Buffer.from(text as string).toString('base64')]),
    );
    await this.apply(cluster, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'cacerts', namespace: SYSTEM },
      data,
    });
  }

  async restart(cluster: Cluster, ...deployments: string[]): Promise<void> {
    for (const name of deployments) {
      await this.inSystem(cluster, 'rollout', 'restart', `deployment/${name}`);
      await this.rolledOut(cluster, name);
    }
  }

  async rolledOut(cluster: Cluster, name: string): Promise<void> {
    await this.inSystem(cluster, 'rollout', 'status', `deployment/${name}`, '--timeout=60s');
  }

  /** Packets that arrive at the cluster's router, and that the rule names, vanish. `from`: only those of that cluster. */
  async cut(cluster: Cluster, port: number | undefined, from?: Cluster): Promise<void> {
    const source = from === undefined ? '' : `ip saddr 172.31.0.${10 + Number(from.at(-1))}`;
    const target = `ip daddr ${GATEWAY_OF[cluster]}${port === undefined ? '' : ` tcp dport ${port}`}`;
    const rules = `add table ip ${TABLE}
add chain ip ${TABLE} in { type filter hook input priority -10; }
add rule ip ${TABLE} in ${source} ${target} drop`;
    await this.#nft(cluster, rules);
  }

  mend(cluster: Cluster): Promise<void> {
    return this.#nft(cluster, `delete table ip ${TABLE}`);
  }

  async #nft(cluster: Cluster, commands: string): Promise<void> {
    const routers = processesOfSandbox(this.sandbox, ' component net ');
    const router = routers.find((pid) => {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
        .replaceAll('\0', ' ')
        .trim()
        .endsWith(`--cluster ${cluster.at(-1)}`);
    });
    const user = process.getuid?.() === 0 ? [] : ['-U', '--preserve-credentials'];
    const file = join(this.sandbox.dir, 'faults.nft');
    writeFileSync(file, commands);
    const done = await run('nsenter', ['-t', String(router), ...user, '-n', 'nft', '-f', file], this.sandbox.env);
    if (done.code !== 0) throw new Error(`nft: ${done.stderr}`);
  }

  /** Namespaces of runs, in all clusters. */
  async leftovers(): Promise<string[]> {
    const lists = await Promise.all(
      CLUSTERS.map((cluster) => this.kubectl(cluster, 'get', 'namespaces', '-l', 'isthmus.io/verify', '-o', 'name')),
    );
    return lists.flatMap((text) => text.split('\n').filter((line) => line !== ''));
  }

  status(): Promise<Finished> {
    return this.sandbox.isthmus('mesh', 'status', '-f', this.file, '-o', 'json');
  }
}

/** `cause cluster: pairs`, sorted; a warning begins with `!`. Without what control planes still tell of the fault before. */
export function causesOf({ findings }: Told): string[] {
  return findings
    .filter(({ cause }) => cause !== 'told-by-the-mesh')
    .map(({ cause, cluster, severity, pairs }) => {
      const named = pairs.map(({ from, to }) => `${from.at(-1)}${to.at(-1)}`).sort();
      return `${severity === 'warning' ? '! ' : ''}${cause} ${cluster}:${named.map((pair) => ` ${pair}`).join('')}`;
    })
    .sort();
}
