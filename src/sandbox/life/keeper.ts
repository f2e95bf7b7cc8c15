// SPDX-License-Identifier: Apache-2.0
// The sandbox's one process on the host. It holds the ports that the user talks to, and the sandbox's first process as
// its child: neither outlives the other.
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, renameSync, rmSync } from 'node:fs';
import type { Server } from 'node:net';
import type { Writable } from 'node:stream';
import { writeAtomically } from '../atomic-file.ts';
import { paths, type SandboxConfig, SandboxError, sockets } from '../layout.ts';
import { forwardToSocket } from './forwarder.ts';
import { writeHostRecord } from './host-record.ts';
import { identify } from './process-identity.ts';

/** What the supervisor waits for on its lifeline. */
const GO = '\n';
/** How the supervisor's own time to stop its components relates to ours: it needs 1.5 s. */
const STOP_TIMEOUT_MS = 5_000;
/** Ports to try after a default that is taken. */
const PORT_ATTEMPTS = 100;

/** What `up` asks of the keeper: the configuration, with wishes instead of ports. */
export interface KeeperRequest extends Omit<SandboxConfig, 'ports'> {
  readonly ports: { readonly api: PortWish; readonly gateways: readonly PortWish[] };
}

export interface PortWish {
  readonly port: number;
  /** The user named it: another one will not do. */
  readonly isExplicit: boolean;
}

/**
 * Takes the request out of its file and puts this process's name on disk. Whoever removes the file before that is done
 * (`down`, or another `up` after this one's was killed) has called the start off: it throws then. So at every moment
 * there is a file to remove or a name to find.
 */
export function claimRequest(file: string): KeeperRequest {
  const claimed = `${file}.claimed`;
  renameSync(file, claimed);
  const request = JSON.parse(readFileSync(claimed, 'utf8')) as KeeperRequest;
  writeHostRecord(request.stateDir, { keeper: identify(process.pid)! });
  rmSync(claimed);
  return request;
}

/**
 * Starts the sandbox and serves its ports until `signal` aborts or the sandbox ends by itself.
 * @throws SandboxError when a port that the user named is taken, Error when the sandbox ends unasked.
 */
export async function keepSandbox(request: KeeperRequest, signal: AbortSignal): Promise<void> {
  // Sockets are named relatively: see `sockets`.
  process.chdir(request.stateDir);
  const servers: Server[] = [];
  const open = async (wish: PortWish, socket: string) => {
    const server = forwardToSocket(socket);
    servers.push(server);
    return listenOnLoopback(server, wish);
  };
  try {
    const api = await open(request.ports.api, sockets.api);
    const gateways: number[] = [];
    for (const [i, wish] of request.ports.gateways.entries()) gateways.push(await open(wish, sockets.gateway(i + 1)));
    const config: SandboxConfig = { ...request, ports: { api, gateways } };
    writeAtomically(paths.config(config.stateDir), `${JSON.stringify(config, undefined, 2)}\n`);
    await runNamespaces(config, signal);
  } finally {
    for (const server of servers) server.close();
  }
}

async function runNamespaces(config: SandboxConfig, signal: AbortSignal): Promise<void> {
  const child = spawnNamespaces(config);
  const keeper = identify(process.pid)!;
  const unshare = child.pid === undefined ? undefined : identify(child.pid);
  try {
    writeHostRecord(config.stateDir, { keeper, ...(unshare ? { unshare } : {}) });
    // Only now may it touch the state directory: should we have been killed before, nobody would know of it.
    (child.stdio[3] as Writable).write(GO);
    const ending = await childEnds(child, signal);
    if (signal.aborted) return;
    const failure = `the sandbox's first process ended (${ending}); see ${paths.log(config.stateDir, 'host')}`;
    writeHostRecord(config.stateDir, { keeper, failure });
    throw new Error(failure);
  } finally {
    child.kill('SIGKILL');
  }
}

/**
 * Process 1 of the namespace of processes is a shell: it waits for whatever the kernel hands to it, so no zombie stays.
 * The tmpfs on /run hides the host's sockets from the sandbox and gives `ip netns` a place of its own.
 */
const INIT_SCRIPT = `
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/netns
"$@" 3<&3 &
supervisor=$!
rc=0
wait $supervisor || rc=$?
exit $rc
`;

/** setpriv: if we are killed, so is unshare; --kill-child: if unshare is, so is everything in it. */
function spawnNamespaces(config: SandboxConfig): ChildProcess {
  const { node, entry } = config.toolchain;
  const user = config.rootless ? ['--user', '--map-root-user'] : [];
  const command = [
    ...['setpriv', '--pdeathsig', 'KILL', '--'],
    ...['unshare', ...user, '--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc', '--'],
    ...['sh', '-ec', INIT_SCRIPT, 'isthmus-init'],
    ...[node, '--disable-warning=ExperimentalWarning', entry],
    ...['sandbox', 'component', 'supervisor', '--config', paths.config(config.stateDir)],
  ];
  return spawn(command[0]!, command.slice(1), {
    stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
    env: sandboxEnvironment(process.env),
  });
}

/** The user's proxies, NODE_OPTIONS and credentials are none of the sandbox's business. */
function sandboxEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = ['HOME', 'LANG', 'TZ', 'TMPDIR', 'NODE_COMPILE_CACHE', 'ISTHMUS_STATE_DIR', 'ISTHMUS_DEBUG'];
  const entries = kept.filter((name) => env[name] !== undefined).map((name) => [name, env[name]] as const);
  return { ...Object.fromEntries(entries), PATH: sandboxPath(env['PATH']) };
}

/** ip, nft and friends lie in sbin, which a plain user's PATH often leaves out. */
export function sandboxPath(path: string | undefined): string {
  const dirs = (path ?? '').split(':').filter((dir) => dir !== '');
  return [...new Set([...dirs, '/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin'])].join(':');
}

/** Asked to stop, lets go of the lifeline first and kills only what has not ended in time. */
function childEnds(child: ChildProcess, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const lifeline = child.stdio[3] as Writable;
    lifeline.on('error', () => {});
    let killer: NodeJS.Timeout | undefined;
    const stop = () => {
      lifeline.end();
      killer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    };
    child.once('error', reject);
    child.once('exit', (code, name) => {
      clearTimeout(killer);
      signal.removeEventListener('abort', stop);
      resolve(name === null ? `exit code ${code}` : `signal ${name}`);
    });
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}

async function listenOnLoopback(server: Server, wish: PortWish): Promise<number> {
  for (let port = wish.port; ; port++) {
    try {
      await listen(server, port);
      return port;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EACCES') throw new SandboxError(`Port ${port} is for root alone: name one from 1024 on.`);
      if (code !== 'EADDRINUSE') throw error;
      if (wish.isExplicit) {
        throw new SandboxError(
          `Port ${wish.port} on 127.0.0.1 is taken by another program. Name another one, end that program ` +
            `(\`ss -ltnp 'sport = :${wish.port}'\` shows it), or leave the option out: then a free port is chosen.`,
        );
      }
      if (port - wish.port >= PORT_ATTEMPTS) throw error;
    }
  }
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
