// SPDX-License-Identifier: Apache-2.0
// A mesh from YAML files alone, for tests, benchmarks and trying things out: no cluster, no tokens, and a CA that nobody
// else trusts.
import { isIPv6 } from 'node:net';
import type { Logger } from 'pino';
import { startAdminServer } from '../admin/server.ts';
import { asShown, type Diagnostic } from '../api/diagnostics.ts';
import { Authority } from '../identity/authority.ts';
import { makeSelfSignedCa } from '../identity/ca-material.ts';
import { systemClock } from '../identity/renewal.ts';
import { WorkloadSecrets } from '../identity/workload-secrets.ts';
import { MeshStore } from '../model/store.ts';
import type { SourceListener } from '../sources/contract.ts';
import { FileSource } from '../sources/file.ts';
import { startXdsServer, trustLoopback } from '../xds/server.ts';
import { createCompile } from './compile.ts';
import { IdlePatches, type ProxyPatches } from './findings/idle-patches.ts';
import { MeshEngine } from './mesh-engine.ts';
import { ISTIO_NAMESPACE } from './mesh-resources.ts';
import { createMetrics } from './metrics.ts';
import { followGatewayNames } from './networks/gateway-names.ts';
import { ProxySecrets } from './secrets/proxy-secrets.ts';
import { GivenSecrets } from './secrets/secret-reader.ts';
import { AdsBackend } from './streams/ads-backend.ts';
import type { Refusal } from './streams/refusals.ts';
import { DiagnosticLog, RefusalLog, XdsLog } from './streams/xds-log.ts';

const LOOPBACK_CONNECTIONS = 50_000;

export interface ServeOptions {
  readonly configDir: string;
  /** A loopback address: there is no TLS, and whoever connects is believed. */
  readonly host: string;
  readonly port: number;
  readonly adminPort: number;
  /** Cluster of the files' objects, and of proxies that do not name theirs. */
  readonly cluster: string;
  readonly trustDomain: string;
  readonly dnsDomain: string;
  /** Give the proxies keys, of a CA that lives as long as the process. */
  readonly keys: boolean;
  readonly log: Logger;
  readonly onListening?: (ports: { xds: number; admin: number }) => void;
}

/**
 * Serves ADS in plaintext until `signal` aborts; files are read again whenever they change.
 * @throws Error when the address is not a loopback one, when it is taken, or when there is no such directory
 */
export async function serve(options: ServeOptions, signal: AbortSignal): Promise<void> {
  const { configDir, host, port, cluster, trustDomain, dnsDomain, log } = options;
  if (!isLoopback(host)) {
    throw new Error(`${host} is not a loopback address: configuration is served in plaintext to 127.0.0.1 or ::1 only`);
  }
  const metrics = createMetrics();
  const diagnosticLog = new DiagnosticLog(log);
  const xdsLog = new XdsLog(log);
  const engine = new MeshEngine({
    store: new MeshStore({ trustDomain, dnsDomain, rootNamespace: ISTIO_NAMESPACE, configCluster: cluster }),
    compile: createCompile('ads'),
    clusters: [cluster],
    onSynced: () => log.info({ configDir }, 'the files have been read'),
    onProblems: (problems) => {
      for (const { where, message, cure } of problems) log.error({ where, cure }, message);
    },
    onDiagnostics: (diagnostics) => diagnosticLog.take(diagnostics),
    onGatewayNames: (names) => follower.follow('meshNetworks', names),
  });
  const follower = followGatewayNames({ answer: (addresses) => engine.answer(addresses), trouble: () => {}, log });
  const refusalLog = new RefusalLog(log);
  const onRefusal = (refusal: Refusal): void => {
    refusalLog.take(refusal);
    metrics.refused(refusal.typeUrl);
  };
  const patchLog = new DiagnosticLog(log);
  const idlePatches = new IdlePatches((diagnostics) => patchLog.take(diagnostics));
  signal.addEventListener('abort', () => idlePatches.close());
  const onPatches = (stream: object, patches: ProxyPatches | undefined) => idlePatches.note(stream, patches);
  const onRefusalError = (error: Error) => refusalLog.failed(error);
  const told = { onRefusal, onRefusalError, onPatches, onCompiled: metrics.compiled };
  const secrets = options.keys ? throwawayKeys(trustDomain) : undefined;
  const keys = secrets === undefined ? {} : { secrets };
  let aboutSecrets: readonly Diagnostic[] = [];
  const given = new GivenSecrets();
  const secretLog = new DiagnosticLog(log);
  const named = new ProxySecrets({
    reader: given,
    clock: systemClock,
    onDiagnostics: (diagnostics) => {
      aboutSecrets = diagnostics;
      secretLog.take(diagnostics);
    },
  });
  const xds = await startXdsServer(
    {
      listen: { host, port },
      authenticator: trustLoopback({
        trustDomain,
        clusterName: cluster,
        namespace: '',
        serviceAccount: '',
        podName: '',
        podUid: '',
      }),
      ads: new AdsBackend({ engine, trustDomain, cluster, identity: 'node', named, ...told, ...keys }),
      // All of them have the one address of loopback.
      limits: { maxConnections: LOOPBACK_CONNECTIONS, maxConnectionsPerAddress: LOOPBACK_CONNECTIONS },
      observe: (event) => {
        metrics.xds(event);
        xdsLog.take(event);
      },
      onError: (error, about) => xdsLog.failed(error, about),
    },
    signal,
  );
  try {
    const views = {
      missing: () => (engine.isSynced ? [] : ['the files']),
      metrics: async () => ({ contentType: metrics.registry.contentType, text: await metrics.registry.metrics() }),
      debug: {
        proxies: () => xds.streams(),
        diagnostics: () => [...engine.diagnostics, ...aboutSecrets].map(asShown),
        problems: () => engine.problems,
      },
    };
    const admin = await startAdminServer({ host, port: options.adminPort }, views, signal);
    log.info({ host, xds: xds.port, admin: admin.port }, 'listening');
    options.onListening?.({ xds: xds.port, admin: admin.port });
    await Promise.all([
      new FileSource(cluster, configDir).run(withSecrets(engine.listener(configDir), given), signal),
      follower.run(signal),
    ]);
  } finally {
    await xds.close();
    named.close();
    secrets?.close();
  }
}

/** Secrets go apart from the objects that the mesh is made of. */
function withSecrets(listener: SourceListener, given: GivenSecrets): SourceListener {
  return {
    ...listener,
    events: (batch) => {
      for (const event of batch) {
        if (event.kind === 'synced' || event.object.kind !== 'Secret') continue;
        if (event.kind === 'upsert') given.upsert(event.object);
        else given.delete(event.object);
      }
      listener.events(batch);
    },
  };
}

/** So that proxies on this machine can speak mutual TLS with one another; nobody else trusts this CA. */
function throwawayKeys(trustDomain: string): WorkloadSecrets {
  const nowMs = Date.now();
  const ca = makeSelfSignedCa({ organization: trustDomain, commonName: 'isthmus serve', days: 365, nowMs });
  return new WorkloadSecrets(new Authority(ca, nowMs));
}

function isLoopback(host: string): boolean {
  return isIPv6(host) ? host === '::1' : /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}
