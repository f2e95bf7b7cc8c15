// SPDX-License-Identifier: Apache-2.0
// Pods of both IP families, or of one, as network namespaces on one bridge: the sandbox's have IPv4 alone.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { runCommand, runScript } from '../../src/sandbox/network/command.ts';
import type { PodAnswer, PodCall } from './pod-app.ts';

const APP = fileURLToPath(new URL('./pod-app.ts', import.meta.url));
export const BRIDGE = { v4: '10.88.0.1', v6: 'fd88::1' };

export interface PodSpec {
  readonly name: string;
  readonly v4?: string;
  readonly v6?: string;
}

/** In the current network namespace, which becomes the pods' node. */
export async function buildBridge(): Promise<void> {
  await runScript(`
    ip link set lo up
    ip link add pods type bridge
    ip link set pods up
    ip address add ${BRIDGE.v4}/24 dev pods
    ip address add ${BRIDGE.v6}/64 dev pods nodad
  `);
}

export class TestPod {
  readonly spec: PodSpec;
  readonly dir: string;
  /** A program that runs another one in this pod. */
  readonly enter: readonly string[];
  readonly #app: ChildProcessWithoutNullStreams;
  readonly #answers = new Map<number, (answer: PodAnswer) => void>();
  #asked = 0;

  private constructor(spec: PodSpec, dir: string, pid: number) {
    this.spec = spec;
    this.dir = dir;
    this.enter = ['nsenter', `--net=/proc/${pid}/ns/net`, `--mount=/proc/${pid}/ns/mnt`, '--'];
    const [command = '', ...args] = [...this.enter, process.execPath, APP, spec.name];
    this.#app = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#app.stderr.pipe(process.stderr);
    createInterface(this.#app.stdout).on('line', (line) => {
      const { id, answer } = JSON.parse(line) as { id: number; answer: PodAnswer };
      this.#answers.get(id)?.(answer);
    });
  }

  /** @param hosts the pod's /etc/hosts; `secrets`: files of its /var/run/secrets, by their paths there */
  static async start(
    spec: PodSpec,
    dir: string,
    { hosts, secrets }: { readonly hosts: string; readonly secrets: Readonly<Record<string, string>> },
  ): Promise<TestPod> {
    mkdirSync(dir);
    writeFileSync(join(dir, 'hosts'), hosts);
    // Nobody there: what is in no file is not found at once.
    writeFileSync(join(dir, 'resolv.conf'), 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n');
    const files = Object.entries(secrets).map(([path, text], i) => {
      writeFileSync(join(dir, `secret-${i}`), text);
      return `mkdir -p "$(dirname /run/secrets/${path})" && cp ${join(dir, `secret-${i}`)} /run/secrets/${path}`;
    });
    const script = [
      'set -e',
      'mount -t tmpfs tmpfs /run',
      ...files,
      `mount --bind ${join(dir, 'hosts')} /etc/hosts`,
      `mount --bind ${join(dir, 'resolv.conf')} /etc/resolv.conf`,
      'echo ready',
      'exec sleep infinity',
    ].join('\n');
    const holder = spawn('unshare', ['--net', '--mount', 'sh', '-c', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const said = await Promise.race([once(holder.stdout, 'data'), once(holder, 'exit')]);
    if (String(said[0]).trim() !== 'ready') throw new Error(`pod ${spec.name} did not start: ${said}`);
    const pid = holder.pid!;
    await plug(spec, pid);
    return new TestPod(spec, dir, pid);
  }

  /** A program in this pod, to its end. */
  run(command: readonly string[]): Promise<string> {
    const [program = '', ...args] = [...this.enter, ...command];
    return runCommand(program, args);
  }

  ask(call: PodCall): Promise<PodAnswer> {
    const id = ++this.#asked;
    return new Promise((resolve) => {
      this.#answers.set(id, resolve);
      this.#app.stdin.write(`${JSON.stringify({ id, call })}\n`);
    });
  }
}

/** With a default route of each family, for the addresses of Services, which are nobody's. */
async function plug({ name, v4, v6 }: PodSpec, pid: number): Promise<void> {
  const inPod = (command: string) => `nsenter --net=/proc/${pid}/ns/net ip ${command}`;
  await runScript(
    [
      `ip link add ${name} type veth peer name eth0 netns ${pid}`,
      `ip link set ${name} master pods up`,
      inPod('link set lo up'),
      inPod('link set eth0 up'),
      ...(v4 === undefined
        ? []
        : [inPod(`address add ${v4}/24 dev eth0`), inPod(`route add default via ${BRIDGE.v4}`)]),
      ...(v6 === undefined
        ? []
        : [inPod(`address add ${v6}/64 dev eth0 nodad`), inPod(`-6 route add default via ${BRIDGE.v6}`)]),
    ].join('\n'),
  );
}
