// SPDX-License-Identifier: Apache-2.0
// The control plane of one cluster: pilot, CA, injector and validator in one process.
import { hostname } from 'node:os';
import { type AdminViews, startAdminServer } from '../admin/server.ts';
import { asShown, type Diagnostic, refName } from '../api/diagnostics.ts';
import type { Authority, CaExpiry } from '../identity/authority.ts';
import { type Clock, type RenewedCertificate, systemClock } from '../identity/renewal.ts';
import { INJECTOR_CONFIG_MAP } from '../injector/settings.ts';
import { MeshStore } from '../model/store.ts';
import type { SourceListener } from '../sources/contract.ts';
import { KubeSource } from '../sources/kube.ts';
import { daysLeft, GIVEN, loadAuthority, superviseAuthority, waitForGiven } from './cluster/ca-secret.ts';
import { FollowedSettings } from './cluster/followed-settings.ts';
import { RootCertDistributor } from './cluster/root-cert-distributor.ts';
import { untilReachable } from './cluster/until-reachable.ts';
import { keepWebhooksTrusting } from './cluster/webhook-registration.ts';
import { startWebhooks, type Webhooks } from './cluster/webhooks.ts';
import { createCompile } from './compile.ts';
import { type ControlPlaneOptions, ROLES, type Role } from './control-plane-options.ts';
import { Discovery } from './discovery.ts';
import { Federation } from './federation/federation.ts';
import { RuleCopies } from './federation/rule-copies.ts';
import { Findings } from './findings/findings.ts';
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
import { createServingCertificate, tlsOf } from './serving-certificate.ts';
import { DiagnosticLog, ProblemLog } from './streams/xds-log.ts';

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
  #authority: Authority | undefined;
  #certificate: RenewedCertificate | undefined;
  #discovery: Discovery | undefined;
  #webhooks: Webhooks | undefined;
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
      streams: () => this.#discovery?.streams() ?? [],
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
        this.#say('objects', diagnostics);
      },
      onGatewayNames: (names) => this.#names.follow('meshNetworks', names),
    });
    const trouble = (message: string, name: string): void => this.#health.tellOfName(message, name);
    this.#names = followGatewayNames({ answer: (addresses) => this.#engine.answer(addresses), trouble, log });
    this.#entryNames = new EntryNames({ trouble, log });
    this.#closers.push(
      this.#engine.subscribe(() => {
        this.#entryNames.take(this.#engine.snapshot.index);
        addresses.take(this.#engine.snapshot);
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

  #say(of: 'objects' | 'secrets' | 'patches', diagnostics: readonly Diagnostic[]): void {
    this.#said = { ...this.#said, [of]: diagnostics };
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
    if (this.#hasXds) await this.#startDiscovery(certificate);
    const listening = { xds: this.#discovery?.port ?? 0, webhooks: this.#webhooks?.port ?? 0, admin: admin.port };
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
      endStreams: (gone, why) => this.#discovery?.endStreams(gone, why),
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
      this.#discovery?.setAuthority(next);
      this.#certificate?.renew();
    };
    const observe = (expiry: readonly CaExpiry[]): void =>
      this.#metrics.caDaysLeft(
        expiry.map(({ what, notAfterMs }) => ({ certificate: what, days: daysLeft(notAfterMs, nowMs()) })),
      );
    return superviseAuthority(authority, { client, log, nowMs, renewed, observe }, this.#signal);
  }

  #servingCertificate(): RenewedCertificate {
    const renewed = (): void => {
      for (const apply of this.#onRenewal) apply();
    };
    const options = { ...this.#options, clock: this.#clock };
    const certificate = createServingCertificate(options, () => this.#authority!, renewed);
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

  async #startDiscovery(certificate: RenewedCertificate): Promise<void> {
    const discovery = new Discovery({
      options: this.#options,
      roles: this.#roles,
      clock: this.#clock,
      engine: this.#engine,
      metrics: this.#metrics,
      health: this.#health,
      findings: this.#findings,
      registries: this.#registries,
      authority: () => this.#authority!,
      certificate,
      said: (of, diagnostics) => this.#say(of, diagnostics),
    });
    this.#discovery = discovery;
    this.#onRenewal.push(() => discovery.renewed());
    this.#closers.push(() => discovery.close());
    await discovery.start(this.#signal);
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
        ...(this.#hasXds && this.#discovery?.isListening !== true ? ['the discovery server'] : []),
      ],
      metrics: async () => ({
        contentType: this.#metrics.registry.contentType,
        text: await this.#metrics.registry.metrics(),
      }),
      debug: {
        proxies: () => this.#discovery?.streams() ?? [],
        // Of one proxy: `?proxy=NODE_ID`.
        resources: (query) => this.#discovery?.held(query.get('proxy') ?? '') ?? [],
        certificates: () => this.#discovery?.certificates() ?? {},
        refusals: () => this.#discovery?.refusals ?? [],
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
