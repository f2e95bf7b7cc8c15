// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer, type Server as TcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { handlePortForwardUpgrade } from './port-forward.ts';

const POD = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'default' },
  spec: { containers: [{ name: 'c' }], nodeName: 'n' },
  status: { phase: 'Running' },
};
const ANSWERS: Record<string, unknown> = {
  '/version': { major: '1', minor: '32', gitVersion: 'v1.32.0' },
  '/api': { kind: 'APIVersions', versions: ['v1'] },
  '/apis': { kind: 'APIGroupList', apiVersion: 'v1', groups: [] },
  '/api/v1': {
    kind: 'APIResourceList',
    groupVersion: 'v1',
    resources: [{ name: 'pods', singularName: 'pod', namespaced: true, kind: 'Pod', verbs: ['get'] }],
  },
};

let cacheDir: string;
let apiServer: Server;
let target: TcpServer;
let upgrades: string[];
let child: ChildProcess | undefined;

beforeEach(async () => {
  upgrades = [];
  cacheDir = mkdtempSync(join(tmpdir(), 'isthmus-forward-'));
  // Answers only once the client has ended its request: half-closing must pass.
  target = createTcpServer({ allowHalfOpen: true }, (socket) => {
    let received = '';
    socket.on('data', (chunk) => {
      received += chunk;
    });
    socket.on('end', () => socket.end(received.toUpperCase()));
  });
  await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve));
  apiServer = createServer((req, res) => {
    res.setHeader('Content-Type', 'application/json');
    res.end(JSON.stringify(ANSWERS[new URL(req.url ?? '/', 'http://x').pathname] ?? POD));
  });
  apiServer.on('upgrade', (req, socket: Duplex, head: Buffer) => {
    upgrades.push(String(req.headers.upgrade).toLowerCase());
    void handlePortForwardUpgrade(req, socket, head, async (port) => {
      if (port !== 9080) throw new Error('connection refused');
      return connect({ port: (target.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true });
    });
  });
  await new Promise<void>((resolve) => apiServer.listen(0, '127.0.0.1', resolve));
});
afterEach(() => {
  child?.kill('SIGKILL');
  apiServer.closeAllConnections();
  apiServer.close();
  target.close();
  rmSync(cacheDir, { recursive: true });
});

/** Starts kubectl port-forward on a port of its own choice and returns that port, and what it says on stderr. */
async function startForward(webSockets: boolean, remotePort: number): Promise<{ port: number; stderr: () => string }> {
  const server = `http://127.0.0.1:${(apiServer.address() as AddressInfo).port}`;
  const args = ['--server', server, '--cache-dir', cacheDir, 'port-forward', 'pod/p', `:${remotePort}`];
  const kubectl = spawn('kubectl', args, {
    env: { ...process.env, KUBECONFIG: '/dev/null', KUBECTL_PORT_FORWARD_WEBSOCKETS: String(webSockets) },
  });
  child = kubectl;
  let errors = '';
  kubectl.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  const port = await new Promise<number>((resolve, reject) => {
    kubectl.stdout.on('data', (chunk) => {
      const match = /127\.0\.0\.1:(\d+) ->/.exec(String(chunk));
      if (match) resolve(Number(match[1]));
    });
    kubectl.once('close', () => reject(new Error(`kubectl ended: ${errors}`)));
  });
  return { port, stderr: () => errors };
}

function ask(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk;
    });
    socket.once('end', () => resolve(answer));
    socket.once('error', reject);
    socket.end(text);
  });
}

function kubectlMinor(): number {
  try {
    const answer = execFileSync('kubectl', ['version', '--client', '-o', 'json'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return Number.parseInt(JSON.parse(answer.toString()).clientVersion.minor, 10);
  } catch {
    return 0;
  }
}

const minor = kubectlMinor();
const cases: [string, boolean, string, boolean][] = [
  ['SPDY', false, 'spdy/3.1', minor === 0],
  ['WebSocket', true, 'websocket', minor < 30],
];
for (const [name, webSockets, upgrade, skip] of cases) {
  test.skipIf(skip)(`kubectl port-forward over ${name}: several connections, and a closed port`, async () => {
    const { port } = await startForward(webSockets, 9080);
    expect(await Promise.all(['one', 'two', 'x'.repeat(300_000)].map((text) => ask(port, text)))).toEqual([
      'ONE',
      'TWO',
      'X'.repeat(300_000),
    ]);
    expect(upgrades).toContain(upgrade);
    child?.kill('SIGKILL');
    const closed = await startForward(webSockets, 1);
    expect(await ask(closed.port, 'one').catch(() => '')).toBe('');
    await expect.poll(closed.stderr).toContain('error forwarding port 1: connection refused');
  });
}
