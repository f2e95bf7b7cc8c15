// SPDX-License-Identifier: Apache-2.0
// The control plane of one cluster: pilot, CA, injector and validator in one process.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { type AdminViews, startAdminServer } from '../admin/server.ts';
import type { Authority } from '../identity/authority.ts';
import { DEFAULT_LIFETIME_MS } from '../identity/authority.ts';
import { RenewedCertificate, systemClock } from '../identity/renewal.ts';
import { WorkloadSecrets } from '../identity/workload-secrets.ts';
import { INJECTOR_CONFIG_MAP } from '../injector/settings.ts';
import { type KubeClient, KubeError } from '../kube/client.ts';
import { MeshStore } from '../model/store.ts';
import { KubeSource } from '../sources/kube.ts';
import type { ControlPlaneEndpoint } from '../xds/envoy-client.ts';
import type { TlsIdentity } from '../xds/grpc/server.ts';
import { startXdsServer, type XdsServer } from '../xds/server.ts';
import { AdsBackend, type Refusal } from './ads-backend.ts';
import { loadAuthority, superviseAuthority } from './ca-secret.ts';
import { createCompile } from './compile.ts';
import { FollowedSettings } from './followed-settings.ts';
import { MeshEngine } from './mesh-engine.ts';
import { ISTIO_NAMESPACE, meshResources } from './mesh-resources.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { RefusalEvents } from './refusal-events.ts';
import { RootCertDistributor } from './root-cert-distributor.ts';
import { SdsBackend } from './sds-backend.ts';
import { TokenAuthenticator } from './token-authenticator.ts';
import { keepWebhooksTrusting } from './webhook-registration.ts';
import { startWebhooks, type Webhooks } from './webhooks.ts';
import { DiagnosticLog, logRefusal, logXdsEvent, ProblemLog } from './xds-log.ts';

/** What one process does of it. Where another cluster's plane is the pilot, the others stay at home. */
export const ROLES = ['pilot', 'ca', 'injector', 'validator'] as const;
export type Role = (typeof ROLES)[number];

export interface ControlPlaneOptions {
  readonly client: KubeClient;
  /** The cluster's name in the mesh. */
  readonly cluster: string;
  readonly trustDomain: string;
  readonly dnsDomain: string;
  /** Default: all. */
  readonly roles?: ReadonlySet<Role>;
  readonly host: string;
  /** 0 takes a free one. */
  readonly ports: { readonly xds: number; readonly admin: number; readonly webhooks: number };
  readonly log: Logger;
  /** Names by which proxies reach this process, besides those of its Services. */
  readonly serverNames?: readonly string[];
  /** Where the proxies get their keys, if not at SDS_ADDRESS. */
  readonly secrets?: ControlPlaneEndpoint;
  /** Told once everything listens. */
  readonly onListening?: (ports: { xds: number; admin: number; webhooks: number }) => void;
}

export const TOKEN_AUDIENCE = 'istio-ca';
/** Services that lead to this process: names under which it must prove itself. */
const SERVICES = ['istio-pilot', 'istio-citadel', 'istio-sidecar-injector', 'istiod'];
const START_RETRY_MS = 2_000;

/**
 * Runs until `signal` aborts, then ends every stream and resolves.
 * @throws CaError when the CA's Secret cannot be used; Error when a port is taken
 */
export async function runControlPlane(options: ControlPlaneOptions, signal: AbortSignal): Promise<void> {
  const lifetime = new AbortController();
  const stop = (): void => lifetime.abort();
  if (signal.aborted) return;
  signal.addEventListener('abort', stop, { once: true });
  const plane = new ControlPlane(options, lifetime.signal);
  try {
    await plane.run();
  } finally {
    signal.removeEventListener('abort', stop);
    lifetime.abort();
    await plane.close();
  }
}

class ControlPlane {
  readonly #options: ControlPlaneOptions;
  readonly #signal: AbortSignal;
  readonly #metrics: Metrics = createMetrics();
  readonly #engine: MeshEngine;
  readonly #closers: (() => void | Promise<void>)[] = [];
  readonly #roles: ReadonlySet<Role>;
  readonly #settings = new FollowedSettings();
  #xds: XdsServer | undefined;
  #secrets: WorkloadSecrets | undefined;
  #webhooks: Webhooks | undefined;
  #refusals: (Refusal & { at: string })[] = [];

  constructor(options: ControlPlaneOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
    this.#roles = options.roles ?? new Set(ROLES);
    const { cluster, trustDomain, dnsDomain, log } = options;
    const diagnosticLog = new DiagnosticLog(log);
    const problemLog = new ProblemLog(log);
    this.#engine = new MeshEngine({
      store: new MeshStore({ trustDomain, dnsDomain, rootNamespace: ISTIO_NAMESPACE, configCluster: cluster }),
      compile: createCompile(options.secrets),
      clusters: this.#roles.has('pilot') ? [cluster] : [],
      onSynced: () => log.info({ cluster }, 'the cluster’s objects have been read'),
      onProblems: (problems) => problemLog.take(problems),
      onDiagnostics: (diagnostics) => {
        diagnosticLog.take(diagnostics);
        const count = (severity: string) => diagnostics.filter((d) => d.severity === severity).length;
        this.#metrics.objects(count('error'), count('warning'));
      },
    });
  }

  async run(): Promise<void> {
    const { client, cluster, trustDomain, host, ports, log } = this.#options;
    const signal = this.#signal;
    // First of all, so that a probe learns what is missing.
    const admin = await startAdminServer({ host, port: ports.admin }, this.#adminViews(), signal);
    const authority = await untilReachable(() => loadAuthority(client, trustDomain, Date.now(), log), log, signal);
    if (authority === undefined) return;
    const roots = new RootCertDistributor(client, authority.rootPem, log);
    const roles = this.#roles;
    const tasks = [
      roots.run(signal),
      superviseAuthority(client, authority, log, signal),
      ...(roles.has('pilot')
        ? [new KubeSource(cluster, client, meshResources()).run(this.#engine.listener(cluster), signal)]
        : []),
      ...(roles.has('injector') ? [this.#settings.run(client, log, signal)] : []),
      ...(this.#hasWebhooks ? [keepWebhooksTrusting(client, authority.rootPem, log, signal)] : []),
    ];
    // A watch ends early only by a bug of ours: better to start anew than to go on half blind.
    const broken = Promise.all(tasks);
    broken.catch(() => {});
    const certificate = this.#servingCertificate(authority);
    if (this.#hasWebhooks) await this.#startWebhooks(roots, certificate);
    if (this.#hasXds) await this.#startXds(authority, certificate);
    const listening = { xds: this.#xds?.port ?? 0, webhooks: this.#webhooks?.port ?? 0, admin: admin.port };
    log.info({ ...listening, roles: [...roles] }, 'listening');
    this.#options.onListening?.(listening);
    await broken;
  }

  async close(): Promise<void> {
    for (const close of this.#closers.toReversed()) await close();
  }

  #servingCertificate(authority: Authority): RenewedCertificate {
    const { dnsDomain, log, serverNames = [] } = this.#options;
    const ofServices = SERVICES.flatMap((name) => {
      const short = `${name}.${ISTIO_NAMESPACE}`;
      return [short, `${short}.svc`, `${short}.svc.${dnsDomain}`];
    });
    const names = [...ofServices, ...serverNames];
    const changed = (): void => {
      log.info('the control plane’s own certificate has been renewed');
      for (const apply of this.#onRenewal) apply();
    };
    const issue = () => authority.issueServer(names, DEFAULT_LIFETIME_MS, Date.now());
    const failed = (error: Error): void => {
      log.error({ err: error.message }, 'the control plane’s own certificate could not be renewed; trying again');
    };
    const certificate = new RenewedCertificate(issue, { changed, failed }, systemClock);
    this.#closers.push(() => certificate.close());
    return certificate;
  }

  readonly #onRenewal: (() => void)[] = [];

  get #hasWebhooks(): boolean {
    return this.#roles.has('injector') || this.#roles.has('validator');
  }

  get #hasXds(): boolean {
    return this.#roles.has('pilot') || this.#roles.has('ca');
  }

  async #startWebhooks(roots: RootCertDistributor, certificate: RenewedCertificate): Promise<void> {
    const { host, ports, log } = this.#options;
    const webhooks = await startWebhooks({
      host,
      port: ports.webhooks,
      tls: () => tlsOf(certificate),
      injects: this.#roles.has('injector'),
      validates: this.#roles.has('validator'),
      settings: () => this.#settings.current,
      roots,
      meshIndex: () => this.#engine.snapshot.index,
      metrics: this.#metrics,
      log,
    });
    this.#onRenewal.push(() => webhooks.renewed());
    this.#closers.push(() => webhooks.close());
    this.#webhooks = webhooks;
  }

  async #startXds(authority: Authority, certificate: RenewedCertificate): Promise<void> {
    const { client, cluster, trustDomain, host, ports, log } = this.#options;
    const events = new RefusalEvents(client, log);
    const secrets = new WorkloadSecrets(authority, {
      onError: (error, id) => log.error({ id, err: error.message }, 'a workload’s certificate could not be issued'),
    });
    this.#closers.push(() => secrets.close());
    this.#secrets = secrets;
    const onRefusal = (refusal: Refusal): void => {
      logRefusal(log, refusal);
      this.#metrics.refused(refusal.typeUrl);
      this.#refusals = [...this.#refusals.slice(-99), { ...refusal, at: new Date().toISOString() }];
      void events.tell(refusal);
    };
    const observe = this.#metrics.tokenReviewed;
    const onCompiled = this.#metrics.compiled;
    const engine = this.#engine;
    const ads = new AdsBackend({ engine, trustDomain, cluster, identity: 'token', onRefusal, onCompiled });
    const sds = new SdsBackend(secrets, (proxy, message) =>
      log.error({ proxy, reason: message }, 'Envoy refused its secrets'),
    );
    const server = await startXdsServer(
      {
        listen: { host, port: ports.xds },
        tls: tlsOf(certificate),
        authenticator: new TokenAuthenticator({
          client,
          audience: TOKEN_AUDIENCE,
          trustDomain,
          clusterName: cluster,
          observe,
        }),
        ...(this.#roles.has('pilot') ? { ads } : {}),
        ...(this.#roles.has('ca') ? { sds } : {}),
        observe: (event) => {
          this.#metrics.xds(event);
          logXdsEvent(log, event);
        },
        onError: (error, about) => {
          if (about === 'handler') log.error({ err: error }, 'a discovery stream failed');
          else log.debug({ err: error.message }, 'a connection failed');
        },
      },
      this.#signal,
    );
    this.#onRenewal.push(() => server.setTls(tlsOf(certificate)));
    this.#closers.push(() => server.close());
    this.#xds = server;
  }

  #adminViews(): AdminViews {
    return {
      missing: () => [
        ...(this.#engine.isSynced ? [] : ['the cluster’s objects']),
        ...(this.#roles.has('injector') && this.#settings.current === undefined
          ? [`ConfigMap ${INJECTOR_CONFIG_MAP}`]
          : []),
        ...(this.#hasWebhooks && this.#webhooks === undefined ? ['the webhooks'] : []),
        ...(this.#hasXds && this.#xds === undefined ? ['the discovery server'] : []),
      ],
      metrics: async () => ({
        contentType: this.#metrics.registry.contentType,
        text: await this.#metrics.registry.metrics(),
      }),
      debug: {
        proxies: () => this.#xds?.streams() ?? [],
        certificates: () => this.#secrets?.status() ?? {},
        refusals: () => this.#refusals,
        diagnostics: () => this.#engine.diagnostics,
        problems: () => this.#engine.problems,
      },
    };
  }
}

function tlsOf(certificate: RenewedCertificate): TlsIdentity {
  return { certPem: certificate.current.chainPem, keyPem: certificate.current.keyPem };
}

/** Tries until the API server can be reached; undefined when `signal` aborts first. Its refusals are thrown. */
async function untilReachable<T>(attempt: () => Promise<T>, log: Logger, signal: AbortSignal): Promise<T | undefined> {
  while (!signal.aborted) {
    try {
      return await attempt();
    } catch (error) {
      // The client puts what stopped it behind its own words.
      const isNetwork = !(error instanceof KubeError) && (error as Error).cause instanceof Error;
      const isBusy = error instanceof KubeError && error.code >= 500;
      if (!isNetwork && !isBusy) throw error;
      log.warn({ err: (error as Error).message }, 'the API server cannot be reached; trying again');
    }
    await sleep(START_RETRY_MS, undefined, { signal }).catch(() => {});
  }
  return undefined;
}
