// SPDX-License-Identifier: Apache-2.0
// Stock kubectl against handleExecUpgrade behind a small stand-in for an API server that knows one pod.
import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Duplex, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { handleExecUpgrade } from './exec-server.ts';
import type { ExecRun } from './exec-session.ts';

const POD = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'default' },
  spec: { containers: [{ name: 'c' }], nodeName: 'n' },
  status: { phase: 'Running' },
};

/** As much of an API server as kubectl asks before it upgrades. */
function answer(path: string): unknown {
  switch (path) {
    case '/version':
      return { major: '1', minor: '32', gitVersion: 'v1.32.0' };
    case '/api':
      return { kind: 'APIVersions', versions: ['v1'] };
    case '/apis':
      return { kind: 'APIGroupList', apiVersion: 'v1', groups: [] };
    case '/api/v1':
      return {
        kind: 'APIResourceList',
        groupVersion: 'v1',
        resources: [{ name: 'pods', singularName: 'pod', namespaced: true, kind: 'Pod', verbs: ['get'] }],
      };
    default:
      return POD;
  }
}

let cacheDir: string;
let server: Server;
let run: ExecRun;
let protocols: string[];
let commands: string[][];

beforeEach(async () => {
  protocols = [];
  commands = [];
  cacheDir = mkdtempSync(join(tmpdir(), 'isthmus-exec-'));
  server = createServer((req, res) => {
    res.setHeader('Content-Type', 'application/json');
    res.end(JSON.stringify(answer(new URL(req.url ?? '/', 'http://x').pathname)));
  });
  server.on('upgrade', (req, socket: Duplex, head: Buffer) => {
    const query = new URL(req.url ?? '/', 'http://x').searchParams;
    const asked = (name: string) => query.get(name) === 'true';
    protocols.push(String(req.headers.upgrade).toLowerCase());
    commands.push(query.getAll('command'));
    void handleExecUpgrade(req, socket, head, (io) => run(io), {
      stdin: asked('stdin'),
      stdout: asked('stdout'),
      stderr: asked('stderr'),
      tty: asked('tty'),
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
  rmSync(cacheDir, { recursive: true });
});

interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

function startKubectl(webSockets: boolean, flags: string[]): ChildProcessWithoutNullStreams {
  const { port } = server.address() as AddressInfo;
  const common = ['--server', `http://127.0.0.1:${port}`, '--cache-dir', cacheDir];
  return spawn('kubectl', [...common, 'exec', ...flags, 'p', '--', 'the', 'command'], {
    env: { ...process.env, KUBECONFIG: '/dev/null', KUBECTL_REMOTE_COMMAND_WEBSOCKETS: String(webSockets) },
  });
}

async function kubectlExec(webSockets: boolean, flags: string[], input?: string | Readable): Promise<Outcome> {
  const { port } = server.address() as AddressInfo;
  const child = spawn(
    'kubectl',
    ['--server', `http://127.0.0.1:${port}`, 'exec', ...flags, 'p', '--', 'the', 'command'],
    {
      env: { ...process.env, KUBECONFIG: '/dev/null', KUBECTL_REMOTE_COMMAND_WEBSOCKETS: String(webSockets) },
    },
  );
  if (input instanceof Readable) input.pipe(child.stdin);
  else child.stdin.end(input ?? '');
  child.stdin.on('error', () => undefined);
  const [stdout, stderr, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise<number | null>((resolve) => child.once('close', resolve)),
  ]);
  return { code, stdout, stderr };
}

/** The minor version of the kubectl on PATH; undefined when there is none. */
function kubectlMinor(): number | undefined {
  try {
    const answer = execFileSync('kubectl', ['version', '--client', '-o', 'json'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return Number.parseInt(JSON.parse(answer.toString()).clientVersion.minor, 10);
  } catch {
    return undefined;
  }
}

const minor = kubectlMinor();
const cases = [
  { name: 'SPDY', webSockets: false, upgrade: 'spdy/3.1', skip: minor === undefined },
  // Older ones know SPDY only, whatever the environment says.
  { name: 'WebSocket', webSockets: true, upgrade: 'websocket', skip: minor === undefined || minor < 29 },
];

for (const { name, webSockets, upgrade, skip } of cases) {
  describe.skipIf(skip)(`kubectl exec over ${name}`, () => {
    test('output, error output and success', async () => {
      run = async (io) => {
        io.stdout.write('out\n');
        io.stderr.write('err\n');
        return { exitCode: 0 };
      };
      expect(await kubectlExec(webSockets, [])).toEqual({ code: 0, stdout: 'out\n', stderr: 'err\n' });
      expect(protocols).toEqual([upgrade]);
      expect(commands).toEqual([['the', 'command']]);
    });

    test('the exit code arrives', async () => {
      run = async () => ({ exitCode: 42 });
      const outcome = await kubectlExec(webSockets, []);
      expect(outcome).toMatchObject({ code: 42, stderr: 'command terminated with exit code 42\n' });
    });

    test('a command that cannot be run is told with its reason', async () => {
      run = async () => {
        throw new Error('container "c" has no /bin/sh');
      };
      const outcome = await kubectlExec(webSockets, []);
      expect(outcome.code).toBe(1);
      expect(outcome.stderr).toContain('container "c" has no /bin/sh');
    });

    test('standard input ends when the client ends it', async () => {
      run = async (io) => {
        io.stdout.write((await text(io.stdin!)).toUpperCase());
        return { exitCode: 0 };
      };
      // Before v5 a WebSocket could not say so: this needs the CLOSE signal.
      expect(await kubectlExec(webSockets, ['-i'], 'hello')).toMatchObject({ code: 0, stdout: 'HELLO' });
    });

    test('megabytes pass both ways unharmed, to a slow reader too', async () => {
      const size = 5_000_000;
      run = async (io) => {
        let received = 0;
        for await (const chunk of io.stdin!) {
          received += (chunk as Buffer).length;
          if (received < 300_000) await new Promise((resolve) => setTimeout(resolve, 5));
        }
        for (let sent = 0; sent < size; sent += 100_000) {
          if (!io.stdout.write(Buffer.alloc(100_000, 'x'))) {
            await new Promise((resolve) => io.stdout.once('drain', resolve));
          }
        }
        io.stderr.write(String(received));
        return { exitCode: 0 };
      };
      const outcome = await kubectlExec(webSockets, ['-i'], 'y'.repeat(size));
      expect(outcome.code).toBe(0);
      expect(outcome.stderr).toBe(String(size));
      expect(outcome.stdout.length).toBe(size);
    });

    test('the program hears that its client has gone', async () => {
      const gone = Promise.withResolvers<void>();
      const started = Promise.withResolvers<void>();
      run = async (io) => {
        io.signal.addEventListener('abort', () => gone.resolve());
        started.resolve();
        await gone.promise;
        return { exitCode: 0 };
      };
      const child = startKubectl(webSockets, []);
      await started.promise;
      child.kill('SIGKILL');
      await gone.promise;
    });
  });
}

test('a request for no stream at all is refused', async () => {
  run = async () => ({ exitCode: 0 });
  server.removeAllListeners('upgrade');
  server.on('upgrade', (req, socket: Duplex, head: Buffer) => void handleExecUpgrade(req, socket, head, run));
  const { port } = server.address() as AddressInfo;
  const response = await fetchUpgrade(port, '/exec/default/p/c?command=ls', {
    Upgrade: 'SPDY/3.1',
    Connection: 'Upgrade',
  });
  expect(response).toContain('400 Bad Request');
  expect(response).toContain('you must specify at least 1 of stdin, stdout, stderr');
});

async function fetchUpgrade(port: number, path: string, headers: Record<string, string>): Promise<string> {
  const { connect } = await import('node:net');
  const socket = connect(port, '127.0.0.1');
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`POST ${path} HTTP/1.1\r\nHost: x\r\n${lines.join('')}\r\n`);
  return text(socket);
}

test('nothing is sent to a WebSocket client before it reads: kubectl would drop it', async () => {
  run = async ({ stdout }) => {
    stdout.write('at once');
    return { exitCode: 0 };
  };
  const { port } = server.address() as AddressInfo;
  const url = `ws://127.0.0.1:${port}/api/v1/namespaces/default/pods/p/exec?stdout=true&command=true`;
  const client = new WebSocket(url, 'v5.channel.k8s.io', { autoPong: false });
  const seen: string[] = [];
  client.on('message', (data: Buffer) => seen.push(`${data[0]}:${data.subarray(1)}`));
  await once(client, 'ping');
  expect(seen).toEqual([]);
  client.pong();
  await once(client, 'close');
  expect(seen.slice(0, 2)).toEqual(['1:', '1:at once']);
});
