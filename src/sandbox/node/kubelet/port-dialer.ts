// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { Duplex, type Readable } from 'node:stream';
import { PRIVILEGED_ENVIRONMENT } from '../container/privileged-environment.ts';

const CONNECT_TIMEOUT_MS = 10_000;

/** Runs in the pod's network namespace; descriptor 3 tells that the connection stands. */
const RELAY = `
const socket = require('net').connect(Number(process.argv[1]), '127.0.0.1');
socket.on('error', (error) => { process.stderr.write(error.message); process.exit(1); });
socket.on('connect', () => {
  require('fs').writeSync(3, 'connected');
  process.stdin.pipe(socket).pipe(process.stdout);
});
`;

/**
 * Connects to a port on the pod's own loopback, as port-forward does: that also reaches programs that listen on
 * 127.0.0.1 only, and goes past the pod's redirect rules. A process cannot change its network namespace and come back,
 * so each connection has a small one of its own.
 * @throws Error with what the connection failed of
 */
export function dialInNamespace(netns: string, port: number): Promise<Duplex> {
  const command = [`--net=/run/netns/${netns}`, 'setpriv', '--pdeathsig', 'KILL', '--no-new-privs'];
  const child = spawn('nsenter', [...command, process.execPath, '-e', RELAY, String(port)], {
    env: PRIVILEGED_ENVIRONMENT,
    cwd: '/',
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
  });
  child.stdin.on('error', () => {});
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    said += chunk;
  });
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => child.kill('SIGKILL'), CONNECT_TIMEOUT_MS);
    (child.stdio[3] as Readable).once('data', () => {
      clearTimeout(timer);
      const stream = Duplex.from({ readable: child.stdout, writable: child.stdin });
      stream.once('close', () => child.kill('SIGKILL'));
      resolve(stream);
    });
    child.once('error', reject);
    child.once('close', () => {
      clearTimeout(timer);
      reject(new Error(`failed to connect to localhost:${port} inside namespace "${netns}": ${said || 'timed out'}`));
    });
  });
}
