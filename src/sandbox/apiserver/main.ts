// SPDX-License-Identifier: Apache-2.0
// The API server as a process: state, security, core, HTTPS, until the signal.
import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import pino from 'pino';
import type { KubeObject } from '../../kube/types.ts';
import { watchDescriptors } from '../../process/descriptors.ts';
import { logOutput } from '../../process/log-output.ts';
import { trackUpdate } from './apply/managed-fields.ts';
import { bootstrapObjects } from './bootstrap.ts';
import { createClusterObjects, OWN_MANAGER, ownWrite } from './cluster-objects.ts';
import { establishCustomResources } from './crd/establish.ts';
import { apiServices, componentStatuses } from './discovery/api-services.ts';
import { pkiPaths } from './pki.ts';
import { builtinKinds } from './resources/builtin-kinds.ts';
import { Registry } from './resources/registry.ts';
import type { Core } from './rest/context.ts';
import { timestamp } from './rest/create.ts';
import { builtinType, loadBuiltinTypes } from './schema/builtin.ts';
import { createSecurity } from './security.ts';
import { ApiServer } from './server.ts';
import { SqliteStore } from './storage/sqlite-store.ts';

export interface ApiServerOptions {
  readonly clusterName: string;
  /** Holds state.db, and pki/ as ensureClusterPki wrote it. */
  readonly dataDir: string;
  readonly listen: { readonly host: string; readonly port: number };
  /** IPs that clients reach this server at; the endpoints of the kubernetes Service. */
  readonly advertiseAddresses: readonly string[];
  readonly serviceCidr?: string;
  readonly nodePortRange?: { readonly from: number; readonly to: number };
  /** How many events the log keeps for watchers that come back; default 2000. */
  readonly keepEvents?: number;
  /** How often a watch that wants bookmarks gets one; default a minute. */
  readonly bookmarkIntervalMs?: number;
}

const DEFAULT_SERVICE_CIDR = '10.96.0.0/16';
const DEFAULT_NODE_PORTS = { from: 30_000, to: 32_767 };

const DEFAULT_BOOKMARK_INTERVAL_MS = 60_000;

type Log = Core['log'];

/** Serves until `signal` aborts; then ends watches, closes the store and resolves. */
export async function runApiServer(options: ApiServerOptions, signal: AbortSignal): Promise<void> {
  const logger = pino({ name: 'apiserver', base: { cluster: options.clusterName } }, logOutput());
  const log: Log = (level, message, fields) => logger[level](fields ?? {}, message);
  const running = await startApiServer(options, log, signal);
  log('info', 'serving', { host: options.listen.host, port: running.port });
  await running.closed;
}

export interface RunningApiServer {
  /** The port listened on; the one asked for unless that was 0. */
  readonly port: number;
  /** Resolves when everything is closed after the signal. */
  readonly closed: Promise<void>;
}

/** As runApiServer, but resolves once the server listens. */
export async function startApiServer(
  options: ApiServerOptions,
  log: Log,
  signal: AbortSignal,
): Promise<RunningApiServer> {
  mkdirSync(options.dataDir, { recursive: true, mode: 0o700 });
  const store = new SqliteStore(join(options.dataDir, 'state.db'), {
    ...(options.keepEvents ? { keepEvents: options.keepEvents } : {}),
    report: (error) => log('error', 'a watcher of the store failed', { error: String(error) }),
  });
  const stop = new AbortController();
  try {
    const server = await assemble(options, store, log, stop.signal);
    const { host, port } = options.listen;
    await listen(server, host, port);
    const actual = (server.address() as AddressInfo).port;
    void watchDescriptors(
      {
        short: (message, isNews) => {
          if (isNews) log('error', message);
        },
        enough: () => log('info', 'there are enough file descriptors again'),
      },
      stop.signal,
    );
    const closed = whenAborted(signal).then(async () => {
      stop.abort();
      await close(server);
      store.close();
    });
    return { port: actual, closed };
  } catch (error) {
    stop.abort();
    store.close();
    throw error;
  }
}

async function assemble(options: ApiServerOptions, store: SqliteStore, log: Log, signal: AbortSignal): Promise<Server> {
  const now = () => new Date();
  const types = loadBuiltinTypes();
  const kinds = builtinKinds(types);
  let registry = new Registry(kinds);
  const objects = createClusterObjects({ store, registry: () => registry, now, newUid: randomUUID });
  const serviceCidr = options.serviceCidr ?? DEFAULT_SERVICE_CIDR;
  const address = options.advertiseAddresses[0] ?? options.listen.host;
  const { clusterName, dataDir } = options;
  const server = `https://${address}:${options.listen.port}`;
  const security = await createSecurity({ clusterName, dataDir, server, objects, now, log, signal });
  registry = new Registry(kinds, security.virtualResources);
  const core: Core = {
    store,
    registry,
    types,
    security,
    computed: new Map([
      ...security.computed,
      ['apiservices.apiregistration.k8s.io', apiServices(() => registry, timestamp(now()))],
      ['componentstatuses', componentStatuses()],
    ]),
    serviceCidr,
    nodePortRange: options.nodePortRange ?? DEFAULT_NODE_PORTS,
    now,
    random: Math.random,
    newUid: randomUUID,
    bookmarkIntervalMs: options.bookmarkIntervalMs ?? DEFAULT_BOOKMARK_INTERVAL_MS,
    log,
    signal,
  };
  const metadata = builtinType(types, 'meta.v1.ObjectMeta');
  const crds = registry.byResource({ group: 'apiextensions.k8s.io', resource: 'customresourcedefinitions' })!;
  const track = (object: KubeObject, old: KubeObject) =>
    trackUpdate(object, old, ownWrite(crds, now, 'status'), OWN_MANAGER);
  establishCustomResources({ store, registry, metadata, now: () => timestamp(now()), track, log });
  const addresses = options.advertiseAddresses;
  bootstrapObjects({ objects, rbac: security.bootstrapObjects(), serviceCidr, addresses, port: options.listen.port });
  const paths = pkiPaths(dataDir);
  return new ApiServer(core).createServer({
    cert: readFileSync(paths.servingCert),
    key: readFileSync(paths.servingKey),
    ca: readFileSync(paths.caCert),
  });
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const cure =
        error.code === 'EADDRINUSE' ? ' Another process has this port: stop it, or choose another port.' : '';
      reject(new Error(`API server: cannot listen on ${host}:${port}: ${error.message}.${cure}`));
    });
    server.listen(port, host, () => resolve());
  });
}

function whenAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

/** Lets running answers end, but not for long. */
function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    // More than once: what is amid its TLS handshake counts as a connection only afterwards.
    const force = setInterval(() => server.closeAllConnections(), 500);
    server.close(() => {
      clearInterval(force);
      resolve();
    });
    server.closeIdleConnections();
  });
}
