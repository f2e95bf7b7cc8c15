// SPDX-License-Identifier: Apache-2.0
// The life of a sandbox as a user leads it, with stock kubectl. Root or rootless: whatever this user is.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { processesOf, root, sandboxObstacle, TestSandbox } from '../fixture/sandbox.ts';
import { eventually } from '../fixture/waiting.ts';

const obstacle = sandboxObstacle('kubectl');

interface Report {
  state: string;
  message?: string;
  kubeconfig: string;
  apiProxy: string;
  clusters: { name: string; gateway: { url: string }; components: { name: string; pid: number; restarts: number }[] }[];
}

interface HostRecord {
  keeper: { pid: number };
  unshare: { pid: number };
}

const DETAILS = `
apiVersion: v1
kind: Service
metadata: { name: details }
spec:
  ports: [{ port: 9080, name: http }]
  selector: { app: details }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: details }
spec:
  replicas: 1
  selector: { matchLabels: { app: details } }
  template:
    metadata: { labels: { app: details } }
    spec:
      containers:
      - name: details
        image: istio/examples-bookinfo-details-v1:1.10.0
`;

describe.skipIf(obstacle !== undefined)(`a sandbox${obstacle ? ` (skipped: ${obstacle})` : ''}`, () => {
  let sandbox: TestSandbox;
  let stateDir: string;

  const record = () => JSON.parse(readFileSync(join(stateDir, 'host.json'), 'utf8')) as HostRecord;
  const report = async () =>
    JSON.parse((await sandbox.isthmus('sandbox', 'status', '--name', sandbox.name, '-o', 'json')).stdout) as Report;
  /** The sandbox's first process, by its id on the host. */
  const firstProcess = () => {
    const { pid } = record().unshare;
    return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim());
  };
  const details = (...args: string[]) => sandbox.kubectl('--context', 'cluster1', ...args);

  beforeAll(async () => {
    sandbox = new TestSandbox('life');
    stateDir = join(sandbox.dir, 'state/sandbox', sandbox.name);
    await sandbox.up();
  }, 120_000);
  afterAll(async () => {
    expect(await sandbox.down()).toEqual([]);
  }, 60_000);

  it('has two clusters that stock kubectl talks to', async () => {
    for (const context of ['cluster1', 'cluster2']) {
      expect(await sandbox.kubectl('--context', context, 'get', 'nodes', '--no-headers')).toMatch(
        new RegExp(`^${context}-node\\s+Ready`),
      );
    }
    expect(await sandbox.kubectl('config', 'current-context')).toBe('cluster1\n');
  });

  it('keeps its files to its user and its ports to this machine', async () => {
    for (const file of filesBelow(stateDir)) {
      const mode = statSync(file).mode & 0o777;
      // What pods may read lies behind a directory that nobody else may enter.
      if (!file.includes('/node/')) expect([file, (mode & 0o077).toString(8)]).toEqual([file, '0']);
    }
    expect(statSync(stateDir).mode & 0o077).toBe(0);
    const { apiProxy, clusters } = await report();
    const ports = [apiProxy, ...clusters.map(({ gateway }) => gateway.url)].map((url) => Number(new URL(url).port));
    for (const port of ports) expect(listeningAddresses(port)).toEqual(['127.0.0.1']);
  });

  it('says so when it is started again', async () => {
    const { stdout, code } = await sandbox.isthmus('sandbox', 'up', '--name', sandbox.name);
    expect([code, stdout]).toEqual([0, expect.stringContaining('is running already')]);
    const other = await sandbox.isthmus('sandbox', 'up', '--name', sandbox.name, '--clusters', '3');
    expect([other.code, other.stderr]).toEqual([
      1,
      expect.stringMatching(/running with 2 clusters, not 3\..*sandbox down/),
    ]);
  });

  it('a gateway that is not there is a sentence', async () => {
    const answer = await fetch(sandbox.gateway('cluster2'));
    expect([answer.status, await answer.text()]).toEqual([
      503,
      'cluster2 has no istio-ingressgateway. Install the mesh: isthmus install --context cluster2\n',
    ]);
  });

  it('runs a Deployment, with logs, exec, and names', async () => {
    await sandbox.bash(`kubectl --context cluster1 apply -f - <<'EOF'\n${DETAILS}\nEOF`);
    await details('rollout', 'status', 'deployment/details', '--timeout=60s');
    expect(await details('exec', 'deploy/details', '--', 'node', '-e', 'console.log(1 + 1)')).toBe('2\n');
    const ask = 'fetch("http://details.default:9080/details/0").then((r) => r.json()).then((b) => console.log(b.id))';
    // A rollout is complete a moment before every proxy of the service knows of its endpoint.
    await eventually(async () => (await details('exec', 'deploy/details', '--', 'node', '-e', ask)) === '0\n');
    const unknown = 'require("dns").lookup("nothing.default", (e) => console.log(e.code))';
    expect(await details('exec', 'deploy/details', '--', 'node', '-e', unknown)).toBe('ENOTFOUND\n');
    expect(await details('logs', 'deploy/details')).not.toBe('');
  });

  it('starts a component again that is killed, and remembers what it was told', async () => {
    await details('create', 'configmap', 'kept', '--from-literal=a=b');
    const before = (await report()).clusters[0]!.components.find(({ name }) => name === 'cluster1-apiserver')!;
    process.kill(hostPid(firstProcess(), before.pid), 'SIGKILL');
    const after = await eventually(async () => {
      const now = (await report()).clusters[0]!.components.find(({ name }) => name === before.name)!;
      return now.restarts === before.restarts + 1 && now;
    });
    expect(after.pid).not.toBe(before.pid);
    await eventually(
      async () => (await details('get', 'configmap', 'kept', '-o', 'jsonpath={.data.a}').catch(() => '')) === 'b',
    );
  });

  it('leaves no zombies to its first process', async () => {
    await details('exec', 'deploy/details', '--', 'sh', '-c', '(sh -c "sleep 0.1" &)').catch(() => {});
    await sleep(500);
    expect(zombiesOf(firstProcess())).toEqual([]);
  });

  it('another one lives beside it', async () => {
    const second = `${sandbox.name}-b`;
    try {
      const { stdout } = await sandbox.must('sandbox', 'up', '--name', second, '--clusters', '1', '-o', 'json');
      const { kubeconfig, apiProxy } = JSON.parse(stdout) as Report;
      expect(apiProxy).not.toBe((await report()).apiProxy);
      expect(await sandbox.kubectl('--kubeconfig', kubeconfig, 'get', 'pods', '-A', '--no-headers')).toBe('');
      expect(await details('get', 'pods', '--no-headers')).toMatch(/Running/);
    } finally {
      await sandbox.must('sandbox', 'down', '--name', second);
    }
    expect(existsSync(join(sandbox.dir, 'state/sandbox', second))).toBe(false);
  });

  it('killed, it is gone as a whole; started again, it has what it had', async () => {
    const { keeper } = record();
    const first = firstProcess();
    process.kill(keeper.pid, 'SIGKILL');
    await eventually(async () => !existsSync(`/proc/${first}/exe`));
    const failed = await report();
    expect([failed.state, failed.clusters]).toEqual(['failed', []]);
    const { stdout } = await sandbox.must('sandbox', 'up', '--name', sandbox.name);
    expect(stdout).toMatch(/is ready again after .* with the objects it had/);
    expect(await details('get', 'configmap', 'kept', '-o', 'jsonpath={.data.a}')).toBe('b');
    await eventually(async () => {
      const ask = 'fetch("http://details.default:9080/details/0").then((r) => console.log(r.status))';
      return (await details('exec', 'deploy/details', '--', 'node', '-e', ask).catch(() => '')) === '200\n';
    });
  }, 120_000);

  it('refuses a port that is taken, and says what to do', async () => {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const name = `${sandbox.name}-c`;
    const result = await sandbox.isthmus('sandbox', 'up', '--name', name, '--api-port', `${port}`);
    server.close();
    expect([result.code, result.stderr]).toEqual([
      1,
      expect.stringMatching(new RegExp(`Port ${port} .* is taken .*ss -ltnp`)),
    ]);
    await sandbox.must('sandbox', 'down', '--name', name);
  });

  it('down is for sandboxes that are not there, too', async () => {
    const result = await sandbox.isthmus('sandbox', 'down', '--name', 'never-there');
    expect([result.code, result.stderr]).toEqual([0, 'There was no sandbox "never-there".\n']);
  });
});

describe.skipIf(obstacle !== undefined)('an interrupted start', () => {
  it.each(['SIGINT', 'SIGKILL'] as const)(
    'by %s leaves nothing, at any moment [needs namespaces]',
    async (signal) => {
      const sandbox = new TestSandbox('int');
      try {
        for (const delayMs of [30, 100, 200, 400, 900, 1_600]) {
          // Told to stop, `up` ends with 1; before it listens to signals, or after it is done, it does not.
          const wasStopped = (await interruptedStart(sandbox, signal, delayMs)) === 1;
          if (!wasStopped) await sandbox.must('sandbox', 'down', '--name', sandbox.name);
          expect([delayMs, processesOf(sandbox.dir)]).toEqual([delayMs, []]);
        }
        await sandbox.up('--clusters', '1');
      } finally {
        expect(await sandbox.down()).toEqual([]);
      }
    },
    120_000,
  );
});

async function interruptedStart(sandbox: TestSandbox, signal: NodeJS.Signals, delayMs: number): Promise<number | null> {
  const entry = join(root, 'dist/isthmus.mjs');
  const args = [entry, 'sandbox', 'up', '--name', sandbox.name, '--clusters', '1'];
  const child = spawn(process.execPath, args, { env: sandbox.env, stdio: 'ignore' });
  setTimeout(() => child.kill(signal), delayMs);
  return (await once(child, 'exit'))[0] as number | null;
}

function filesBelow(dir: string): string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** From /proc/net/tcp: IPv4 addresses of sockets that listen on `port`. */
function listeningAddresses(port: number): string[] {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0');
  return readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local, , state]) => state === '0A' && local?.endsWith(`:${wanted}`))
    .map(([, local]) => Buffer.from(local!.split(':')[0]!, 'hex').reverse().join('.'));
}

/** The host's id of a process that is `pid` in the namespace of `first`. */
function hostPid(first: number, pid: number): number {
  const found = readdirSync('/proc').find((candidate) => {
    if (!/^\d+$/.test(candidate)) return false;
    try {
      const ids = /^NSpid:\t(.*)$/m.exec(readFileSync(`/proc/${candidate}/status`, 'utf8'))?.[1]?.split('\t');
      return ids?.length === 2 && ids[1] === `${pid}` && isDescendant(Number(candidate), first);
    } catch {
      return false;
    }
  });
  if (found === undefined) throw new Error(`no process ${pid} in the sandbox`);
  return Number(found);
}

function parentOf(pid: number): number {
  return Number(/^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
}

function isDescendant(pid: number, ancestor: number): boolean {
  for (let current = pid; current > 1; current = parentOf(current)) if (current === ancestor) return true;
  return false;
}

function zombiesOf(parent: number): string[] {
  const { stdout } = spawnSync('ps', ['-e', '-o', 'ppid=,stat=,pid=,comm='], { encoding: 'utf8' });
  return stdout.split('\n').filter((line) => {
    const [ppid, stat] = line.trim().split(/\s+/);
    return ppid === String(parent) && stat?.startsWith('Z');
  });
}
