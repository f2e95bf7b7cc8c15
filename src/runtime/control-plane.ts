// SPDX-License-Identifier: Apache-2.0
// The control plane of one cluster: pilot, CA, injector and validator in one process.
import { hostname } from 'node:os';
import { type AdminViews, startAdminServer } from '../admin/server.ts';
import { asShown, type Diagnostic, refName } from '../api/diagnostics.ts';
import { type Authority, type CaExpiry, DEFAULT_LIFETIME_MS } from '../identity/authority.ts';
import { type Clock, RenewedCertificate, systemClock } from '../identity/renewal.ts';
import { WorkloadSecrets } from '../identity/workload-secrets.ts';
import { INJECTOR_CONFIG_MAP } from '../injector/settings.ts';
import { workloadKey } from '../model/snapshot.ts';
import { MeshStore } from '../model/store.ts';
import type { SourceListener } from '../sources/contract.ts';
import { KubeSource } from '../sources/kube.ts';
import { PILOT_NAMES } from '../xds/envoy-client.ts';
import type { TlsIdentity } from '../xds/grpc/server.ts';
import { startXdsServer, type XdsServer } from '../xds/server.ts';
import { daysLeft, GIVEN, loadAuthority, superviseAuthority, waitForGiven } from './cluster/ca-secret.ts';
import { FollowedSettings } from './cluster/followed-settings.ts';
import { RootCertDistributor } from './cluster/root-cert-distributor.ts';
import { untilReachable } from './cluster/until-reachable.ts';
import { keepWebhooksTrusting } from './cluster/webhook-registration.ts';
import { startWebhooks, type Webhooks } from './cluster/webhooks.ts';
import { createCompile } from './compile.ts';
import { type ControlPlaneOptions, ROLES, type Role } from './control-plane-options.ts';
import { Federation } from './federation/federation.ts';
import { RuleCopies } from './federation/rule-copies.ts';
import { Findings } from './findings/findings.ts';
import { IdlePatches, type ProxyPatches } from './findings/idle-patches.ts';
import { RefusalEvents } from './findings/refusal-events.ts';
import { StatusWriter } from './findings/status-writer.ts';
import { PlaneHealth } from './health/plane-health.ts';
import { MeshEngine } from './mesh-engine.ts';
import { ISTIO_NAMESPACE, meshResources } from './mesh-resources.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { EntryAddresses } from './networks/entry-addresses.ts';
import { EntryNames } from './networks/entry-names.ts';
import { followGatewayNames } from './networks/gateway-names.ts';
import type { NameFollower } from './networks/name-follower.ts';
import { followRoots } from './registries/followed-roots.ts';
import { Registries } from './registries/registries.ts';
import { RegistryFiles } from './registries/registry-files.ts';
import { clusterUidOf } from './registries/remote-registry.ts';
import { createProxySecrets } from './secrets/create-proxy-secrets.ts';
import type { ProxySecrets } from './secrets/proxy-secrets.ts';
import { AdsBackend } from './streams/ads-backend.ts';
import type { Refusal } from './streams/refusals.ts';
import { SdsBackend } from './streams/sds-backend.ts';
import { TokenAuthenticator } from './streams/token-authenticator.ts';
import { DiagnosticLog, ProblemLog, RefusalLog, XdsLog } from './streams/xds-log.ts';

const TOKEN_AUDIENCE = 'istio-ca';
/** Services that lead to this process: names under which it must prove itself. */
const SERVICES = ['istio-pilot', 'istio-citadel', 'istio-sidecar-injector', 'istiod'];
/** The engine waits for it: half a mesh would break traffic. */
const OTHER_CLUSTERS = 'other clusters';
/** And for this, a little: a plane that starts anew must not take gateways from proxies only to give them back. */
const GATEWAY_NAMES = 'names of gateways';
const NAMES_WAIT_MS = 5_000;

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
  readonly #clock: Clock;
  readonly #statuses: StatusWriter;
  readonly #findings: Findings;
  readonly #health: PlaneHealth;
  readonly #names: NameFollower;
  readonly #unread: Set<string>;
  readonly #entryNames: EntryNames;
  readonly #registries: Registries | undefined;
  readonly #federation: Federation | undefined;
  #authenticator: TokenAuthenticator | undefined;
  #authority: Authority | undefined;
  #certificate: RenewedCertificate | undefined;
  #xds: XdsServer | undefined;
  #secrets: WorkloadSecrets | undefined;
  #webhooks: Webhooks | undefined;
  #refusals: (Refusal & { at: string })[] = [];
  #said: Readonly<Record<'objects' | 'secrets' | 'patches', readonly Diagnostic[]>> = {
    objects: [],
    secrets: [],
    patches: [],
  };

  constructor(options: ControlPlaneOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
    this.#roles = options.roles ?? new Set(ROLES);
    this.#unread = new Set([options.cluster, OTHER_CLUSTERS]);
    this.#clock = options.clock ?? systemClock;
    const { client, cluster, trustDomain, dnsDomain, log, replica = hostname() } = options;
    const addresses = new EntryAddresses({ client, log });
    this.#closers.push(() => addresses.close());
    this.#statuses = new StatusWriter({
      client,
      holder: replica,
      log,
      nowMs: this.#clock.nowMs,
      leads: (isLeader) => addresses.lead(isLeader),
    });
    this.#findings = new Findings({
      streams: () => this.#xds?.streams() ?? [],
      changed: (diagnostics) => this.#found(diagnostics),
      accepted: (ref) => log.info({ object: refName(ref) }, 'no proxy refuses the object any more'),
    });
    this.#closers.push(() => this.#findings.close());
    const diagnosticLog = new DiagnosticLog(log);
    const problemLog = new ProblemLog(log);
    this.#engine = new MeshEngine({
      store: new MeshStore({ trustDomain, dnsDomain, rootNamespace: ISTIO_NAMESPACE, configCluster: cluster }),
      compile: createCompile(options.secrets),
      clusters: this.#roles.has('pilot') ? [cluster] : [],
      awaited: this.#roles.has('pilot') ? [OTHER_CLUSTERS, GATEWAY_NAMES] : [],
      onSynced: () => log.info({ cluster }, 'the cluster’s objects have been read'),
      // Those of other clusters are told with their age: registries/.
      onProblems: () => problemLog.take(this.#engine.problems.filter((problem) => problem.cluster === cluster)),
      onDiagnostics: (diagnostics) => {
        diagnosticLog.take(diagnostics);
        this.#said = { ...this.#said, objects: diagnostics };
        this.#tellFindings();
      },
      onGatewayNames: (names) => this.#names.follow('meshNetworks', names),
    });
    const trouble = (message: string, name: string): void => this.#health.tellOfName(message, name);
    this.#names = followGatewayNames({ answer: (addresses) => this.#engine.answer(addresses), trouble, log });
    this.#entryNames = new EntryNames({ trouble, log });
    this.#closers.push(
      this.#engine.subscribe(() => {
        this.#entryNames.take(this.#engine.snapshot.index);
        addresses.take(this.#engine.snapshot.index);
      }),
    );
    this.#health = new PlaneHealth({
      client,
      replica,
      cluster,
      clock: this.#clock,
      log,
      metrics: this.#metrics,
      snapshot: () => this.#engine.snapshot,
    });
    this.#registries = this.#roles.has('pilot') ? this.#createRegistries() : undefined;
    this.#federation = this.#roles.has('pilot') ? this.#createFederation() : undefined;
  }

  #followPatches(): (stream: object, patches: ProxyPatches | undefined) => void {
    const idle = new IdlePatches((patches) => {
      this.#said = { ...this.#said, patches };
      this.#tellFindings();
    });
    this.#closers.push(() => idle.close());
    return (stream, patches) => idle.note(stream, patches);
  }

  #tellFindings(): void {
    this.#findings.take([...this.#said.objects, ...this.#said.secrets, ...this.#said.patches]);
  }

  #found(diagnostics: readonly Diagnostic[]): void {
    const count = (severity: string) => diagnostics.filter((d) => d.severity === severity).length;
    this.#metrics.objects(count('error'), count('warning'));
    this.#statuses.take(diagnostics);
  }

  async run(): Promise<void> {
    const { client, trustDomain, host, ports, log } = this.#options;
    const signal = this.#signal;
    // First of all, so that a probe learns what is missing.
    const admin = await startAdminServer({ host, port: ports.admin }, this.#adminViews(), signal);
    const { nowMs } = this.#clock;
    if (this.#options.requireGivenCa) await untilReachable(() => waitForGiven(client, log, signal), log, signal);
    const authority = await untilReachable(() => loadAuthority(client, trustDomain, nowMs(), log), log, signal);
    if (authority === undefined) return;
    this.#authority = authority;
    const roots = new RootCertDistributor(client, authority.rootPem, log);
    const roles = this.#roles;
    const tasks = [
      roots.run(signal),
      this.#superviseAuthority(authority),
      this.#health.run(signal),
      ...(roles.has('pilot')
        ? [this.#followObjects(), this.#statuses.run(signal), this.#names.run(signal), this.#entryNames.run(signal)]
        : []),
      this.#registries?.run(signal),
      this.#registries && this.#followRoots(this.#registries, signal),
      this.#federation?.run(signal),
      ...(roles.has('injector') ? [this.#settings.run(client, log, signal)] : []),
      ...(this.#hasWebhooks ? [keepWebhooksTrusting(client, authority.rootPem, roles, log, signal)] : []),
    ];
    // A watch ends early only by a bug of ours: better to start anew than to go on half blind.
    const broken = Promise.all(tasks);
    broken.catch(() => {});
    const certificate = this.#servingCertificate();
    if (this.#hasWebhooks) await this.#startWebhooks(roots, certificate);
    if (this.#hasXds) await this.#startXds(certificate);
    const listening = { xds: this.#xds?.port ?? 0, webhooks: this.#webhooks?.port ?? 0, admin: admin.port };
    log.info({ ...listening, roles: [...roles] }, 'listening');
    this.#options.onListening?.(listening);
    await broken;
  }

  async close(): Promise<void> {
    for (const close of this.#closers.toReversed()) await close();
  }

  #createRegistries(): Registries {
    const { client, cluster, registryStateDir, log } = this.#options;
    const engine = this.#engine.listener(OTHER_CLUSTERS);
    const registries = new Registries({
      client,
      local: cluster,
      publish: (batch) => engine.events(batch),
      problems: (standing) => engine.problems(standing),
      endStreams: (gone, why) => {
        this.#authenticator?.forget(gone);
        this.#xds?.endStreams(({ peer }) => peer.clusterName === gone, 'UNAVAILABLE', why);
      },
      onReady: () => {
        this.#engine.arrived(OTHER_CLUSTERS);
        this.#engine.afterwards(() => this.#objectsRead(OTHER_CLUSTERS));
      },
      trouble: (trouble) => this.#health.tellOfRegistry(trouble),
      ...(registryStateDir === undefined ? {} : { files: new RegistryFiles(registryStateDir, log) }),
      log,
      nowMs: this.#clock.nowMs,
    });
    this.#metrics.registries(() => registries.status());
    return registries;
  }

  #createFederation(): Federation {
    const { client, cluster, trustDomain, dnsDomain, log, replica = hostname() } = this.#options;
    const federation = new Federation({
      client,
      cluster,
      dnsDomain,
      trustDomain,
      replica,
      log,
      nowMs: this.#clock.nowMs,
      snapshot: () => this.#engine.snapshot,
      whenRead: () => this.#engine.whenSynced(),
      trouble: (trouble) => this.#health.tellOfRegistry(trouble),
      followers: [new RuleCopies({ client, cluster, log })],
    });
    this.#closers.push(this.#engine.subscribe(() => federation.meshChanged()));
    this.#metrics.federation(() => federation.counts());
    return federation;
  }

  #followRoots(registries: Registries, signal: AbortSignal): Promise<void> {
    const { cluster: own, log } = this.#options;
    const clusters = () =>
      registries.status().flatMap(({ cluster, secret, secretUid, state }) => {
        const reviewer = registries.reviewers().find((other) => other.cluster === cluster);
        if (reviewer === undefined || state !== 'synced') return [];
        return [{ cluster, client: reviewer.client, secret: { name: secret, uid: secretUid } }];
      });
    const ownRootPem = () => this.#authority!.rootPem;
    const trouble = this.#health.tellOfRegistry.bind(this.#health);
    return followRoots({ own, ownRootPem, clusters, trouble, log }, signal);
  }

  #followObjects(): Promise<void> {
    const { client, cluster } = this.#options;
    const engine = this.#engine.listener(cluster);
    let uid: string | undefined;
    const listener: SourceListener = {
      ...engine,
      events: (batch) => {
        this.#statuses.events(batch);
        for (const event of batch) {
          if (event.kind !== 'upsert') continue;
          this.#health.notice(event.object);
          uid ??= clusterUidOf(event.object);
        }
        engine.events(batch);
        this.#engine.afterwards(() => {
          this.#federation?.events(batch);
          if (!batch.some(({ kind }) => kind === 'synced')) return;
          this.#registries?.localRead(uid);
          this.#objectsRead(cluster);
        });
      },
    };
    return new KubeSource(cluster, client, meshResources()).run(listener, this.#signal);
  }

  /** Once all objects are here, so are all names of gateways: they are looked up before any proxy gets its endpoints. */
  #objectsRead(where: string): void {
    if (!this.#unread.delete(where) || this.#unread.size > 0) return;
    void this.#names.settled(NAMES_WAIT_MS).then(() => this.#engine.arrived(GATEWAY_NAMES));
  }

  #superviseAuthority(authority: Authority): Promise<void> {
    const { client, log } = this.#options;
    const { nowMs } = this.#clock;
    const renewed = (next: Authority): void => {
      this.#authority = next;
      this.#secrets?.setAuthority(next);
      this.#certificate?.renew();
    };
    const observe = (expiry: readonly CaExpiry[]): void =>
      this.#metrics.caDaysLeft(
        expiry.map(({ what, notAfterMs }) => ({ certificate: what, days: daysLeft(notAfterMs, nowMs()) })),
      );
    return superviseAuthority(authority, { client, log, nowMs, renewed, observe }, this.#signal);
  }

  #servingCertificate(): RenewedCertificate {
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
    const issue = () => this.#authority!.issueServer(names, DEFAULT_LIFETIME_MS, this.#clock.nowMs());
    const failed = (error: Error): void => {
      log.error({ err: error.message }, 'the control plane’s own certificate could not be renewed; trying again');
    };
    const certificate = new RenewedCertificate(issue, { changed, failed }, this.#clock);
    this.#certificate = certificate;
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
      delivery: () => this.#settings.delivery,
      defaults: () => {
        const { proxyConfigs: configs, settings } = this.#engine.snapshot.index;
        return { mesh: this.#settings.proxyDefaults, configs, rootNamespace: settings.rootNamespace };
      },
      roots,
      meshIndex: () => this.#engine.snapshot.index,
      metrics: this.#metrics,
      log,
    });
    this.#onRenewal.push(() => webhooks.renewed());
    this.#closers.push(() => webhooks.close());
    this.#webhooks = webhooks;
  }

  async #startXds(certificate: RenewedCertificate): Promise<void> {
    const { client, cluster, trustDomain, host, ports, log } = this.#options;
    const { nowMs } = this.#clock;
    const events = new RefusalEvents(client, log);
    const secrets = new WorkloadSecrets(this.#authority!, {
      lifetimeMs: this.#options.workloadLifetimeMs ?? DEFAULT_LIFETIME_MS,
      clock: this.#clock,
      onError: (error, id) => log.error({ id, err: error.message }, 'a workload’s certificate could not be issued'),
    });
    this.#closers.push(() => secrets.close());
    this.#secrets = secrets;
    const refusalLog = new RefusalLog(log);
    const onRefusal = (refusal: Refusal): void => {
      refusalLog.take(refusal);
      this.#metrics.refused(refusal.typeUrl);
      this.#findings.refused(refusal);
      this.#refusals = [...this.#refusals.slice(-99), { ...refusal, at: new Date().toISOString() }];
      void events.tell(refusal);
    };
    const observe = this.#metrics.tokenReviewed;
    const onCompiled = this.#metrics.compiled;
    const engine = this.#engine;
    const named = this.#proxySecrets(events);
    const onRefusalError = (error: Error) => refusalLog.failed(error);
    const told = { onRefusal, onRefusalError, onCompiled, onPatches: this.#followPatches() };
    const ads = new AdsBackend({ engine, trustDomain, cluster, identity: 'token', named, ...told });
    const sds = new SdsBackend(
      secrets,
      cluster,
      (refusal) => refusalLog.secrets(refusal),
      (peer) => engine.snapshot.workloads.get(workloadKey(cluster, peer.namespace, peer.podName))?.facts,
    );
    const xdsLog = new XdsLog(log);
    const registries = this.#registries;
    this.#authenticator = new TokenAuthenticator({
      client,
      audience: TOKEN_AUDIENCE,
      trustDomain,
      clusterName: cluster,
      ...(registries === undefined
        ? {}
        : { others: () => registries.reviewers(), pending: () => registries.pending() }),
      nowMs,
      observe,
    });
    const handshakes = this.#health.handshakes(() => certificate.current);
    const server = await startXdsServer(
      {
        listen: { host, port: ports.xds },
        tls: this.#mutualTls(certificate),
        authenticator: this.#authenticator,
        ...(this.#roles.has('pilot') ? { ads } : {}),
        ...(this.#roles.has('ca') ? { sds } : {}),
        publicNames: new Set(PILOT_NAMES),
        observe: (event) => {
          this.#metrics.xds(event);
          this.#findings.observe(event);
          xdsLog.take(event);
        },
        nowMs,
        onHandshakeError: (error, address) => handshakes.take(error, address),
        onError: (error, about) => {
          if (about === 'handler') log.error({ err: error }, 'a discovery stream failed');
          else if (about === 'limit') xdsLog.limited(error);
          else log.debug({ err: error.message }, 'a connection failed');
        },
      },
      this.#signal,
    );
    this.#onRenewal.push(() => server.setTls(this.#mutualTls(certificate)));
    this.#closers.push(() => server.close());
    this.#xds = server;
  }

  #proxySecrets(events: RefusalEvents): ProxySecrets {
    const { client, cluster, log } = this.#options;
    const named = createProxySecrets(
      {
        client,
        cluster,
        log,
        clock: this.#clock,
        others: () => this.#registries?.reviewers() ?? [],
        onDiagnostics: (secrets) => {
          this.#said = { ...this.#said, secrets };
          this.#tellFindings();
        },
      },
      events,
    );
    this.#closers.push(() => named.close());
    return named;
  }

  #mutualTls(certificate: RenewedCertificate): TlsIdentity {
    return { ...tlsOf(certificate), clientRootsPem: this.#authority!.rootPem };
  }

  #adminViews(): AdminViews {
    return {
      missing: () => [
        ...(this.#authority === undefined
          ? [this.#options.requireGivenCa ? `Secret ${GIVEN} in ${ISTIO_NAMESPACE}` : 'the CA']
          : []),
        ...(this.#engine.isSynced ? [] : ['the objects of the cluster, or of another that it watches']),
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
        // Of one proxy: `?proxy=NODE_ID`.
        resources: (query) => this.#xds?.held(query.get('proxy') ?? '') ?? [],
        certificates: () => this.#secrets?.status() ?? {},
        refusals: () => this.#refusals,
        diagnostics: () => this.#findings.current.map(asShown),
        problems: () => this.#engine.problems,
        federation: () => this.#federation?.view() ?? {},
        registries: () => ({
          registries: this.#registries?.status() ?? [],
          refused: this.#registries?.refused ?? [],
        }),
      },
    };
  }
}

function tlsOf(certificate: RenewedCertificate): TlsIdentity {
  return { certPem: certificate.current.chainPem, keyPem: certificate.current.keyPem };
}
