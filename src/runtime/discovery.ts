// SPDX-License-Identifier: Apache-2.0
// The discovery server of a control plane: proxies' streams, what they refuse, and the keys of workloads.
import type { Diagnostic } from '../api/diagnostics.ts';
import { type Authority, DEFAULT_LIFETIME_MS } from '../identity/authority.ts';
import type { Clock, RenewedCertificate } from '../identity/renewal.ts';
import { WorkloadSecrets } from '../identity/workload-secrets.ts';
import { workloadKey } from '../model/snapshot.ts';
import { PILOT_NAMES } from '../xds/envoy-client.ts';
import type { TlsIdentity } from '../xds/grpc/server.ts';
import { startXdsServer, type XdsServer } from '../xds/server.ts';
import type { ControlPlaneOptions, Role } from './control-plane-options.ts';
import type { Findings } from './findings/findings.ts';
import { IdlePatches } from './findings/idle-patches.ts';
import { RefusalEvents } from './findings/refusal-events.ts';
import type { PlaneHealth } from './health/plane-health.ts';
import type { MeshEngine } from './mesh-engine.ts';
import type { Metrics } from './metrics.ts';
import type { Registries } from './registries/registries.ts';
import { createProxySecrets } from './secrets/create-proxy-secrets.ts';
import type { ProxySecrets } from './secrets/proxy-secrets.ts';
import { tlsOf } from './serving-certificate.ts';
import { AdsBackend } from './streams/ads-backend.ts';
import type { Refusal } from './streams/refusals.ts';
import { SdsBackend } from './streams/sds-backend.ts';
import { TokenAuthenticator } from './streams/token-authenticator.ts';
import { RefusalLog, XdsLog } from './streams/xds-log.ts';

const TOKEN_AUDIENCE = 'istio-ca';
/** The last of them are shown. */
const MAX_REFUSALS = 100;

/** What of the control plane the server needs. */
export interface DiscoveryParts {
  readonly options: ControlPlaneOptions;
  readonly roles: ReadonlySet<Role>;
  readonly clock: Clock;
  readonly engine: MeshEngine;
  readonly metrics: Metrics;
  readonly health: PlaneHealth;
  readonly findings: Findings;
  /** undefined where another cluster's plane is the pilot. */
  readonly registries: Registries | undefined;
  readonly authority: () => Authority;
  readonly certificate: RenewedCertificate;
  /** Told of what there is to say of Secrets and of patches: all of it, each time. */
  readonly said: (of: 'secrets' | 'patches', diagnostics: readonly Diagnostic[]) => void;
}

export class Discovery {
  readonly #parts: DiscoveryParts;
  readonly #secrets: WorkloadSecrets;
  readonly #named: ProxySecrets;
  readonly #idle: IdlePatches;
  readonly #events: RefusalEvents;
  readonly #refusalLog: RefusalLog;
  readonly #authenticator: TokenAuthenticator;
  #refusals: readonly (Refusal & { readonly at: string })[] = [];
  #server: XdsServer | undefined;

  constructor(parts: DiscoveryParts) {
    this.#parts = parts;
    const { options, clock, registries, metrics, said } = parts;
    const { client, cluster, trustDomain, log, workloadLifetimeMs = DEFAULT_LIFETIME_MS } = options;
    this.#refusalLog = new RefusalLog(log);
    this.#events = new RefusalEvents(client, log);
    this.#secrets = new WorkloadSecrets(parts.authority(), {
      lifetimeMs: workloadLifetimeMs,
      clock,
      onError: (error, id) => log.error({ id, err: error.message }, 'a workload’s certificate could not be issued'),
    });
    const others = () => registries?.reviewers() ?? [];
    const onDiagnostics = (diagnostics: readonly Diagnostic[]) => said('secrets', diagnostics);
    this.#named = createProxySecrets({ client, cluster, log, clock, others, onDiagnostics }, this.#events);
    this.#idle = new IdlePatches((diagnostics) => said('patches', diagnostics));
    this.#authenticator = new TokenAuthenticator({
      client,
      audience: TOKEN_AUDIENCE,
      trustDomain,
      clusterName: cluster,
      ...(registries && { others, pending: () => registries.pending() }),
      nowMs: clock.nowMs,
      observe: metrics.tokenReviewed,
    });
  }

  get isListening(): boolean {
    return this.#server !== undefined;
  }

  /** 0 until it listens. */
  get port(): number {
    return this.#server?.port ?? 0;
  }

  /** What proxies refused last, the newest last. */
  get refusals(): readonly (Refusal & { readonly at: string })[] {
    return this.#refusals;
  }

  streams(): ReturnType<XdsServer['streams']> {
    return this.#server?.streams() ?? [];
  }

  held(proxy: string): ReturnType<XdsServer['held']> {
    return this.#server?.held(proxy) ?? [];
  }

  certificates(): ReturnType<WorkloadSecrets['status']> {
    return this.#secrets.status();
  }

  /** @throws Error when the port is taken */
  async start(signal: AbortSignal): Promise<void> {
    const { options, roles, clock, health, metrics, findings, certificate } = this.#parts;
    const { host, ports, log } = options;
    const xdsLog = new XdsLog(log);
    const handshakes = health.handshakes(() => certificate.current);
    this.#server = await startXdsServer(
      {
        listen: { host, port: ports.xds },
        tls: this.#mutualTls(),
        authenticator: this.#authenticator,
        ...(roles.has('pilot') && { ads: this.#ads() }),
        ...(roles.has('ca') && { sds: this.#sds() }),
        publicNames: new Set(PILOT_NAMES),
        observe: (event) => {
          metrics.xds(event);
          findings.observe(event);
          xdsLog.take(event);
        },
        nowMs: clock.nowMs,
        onHandshakeError: (error, address) => handshakes.take(error, address),
        onError: (error, about) => xdsLog.failed(error, about),
      },
      signal,
    );
  }

  /** The CA is another: workloads get certificates of it. */
  setAuthority(authority: Authority): void {
    this.#secrets.setAuthority(authority);
  }

  /** The control plane's own certificate is another. */
  renewed(): void {
    this.#server?.setTls(this.#mutualTls());
  }

  /** Nothing that workloads of the cluster have proven holds any more. */
  endStreams(cluster: string, why: string): void {
    this.#authenticator.forget(cluster);
    this.#server?.endStreams(({ peer }) => peer.clusterName === cluster, 'UNAVAILABLE', why);
  }

  async close(): Promise<void> {
    await this.#server?.close();
    this.#idle.close();
    this.#named.close();
    this.#secrets.close();
  }

  #ads(): AdsBackend {
    const { options, engine, metrics } = this.#parts;
    const { trustDomain, cluster } = options;
    return new AdsBackend({
      engine,
      trustDomain,
      cluster,
      identity: 'token',
      named: this.#named,
      onRefusal: (refusal) => this.#refused(refusal),
      onRefusalError: (error) => this.#refusalLog.failed(error),
      onCompiled: metrics.compiled,
      onPatches: (stream, patches) => this.#idle.note(stream, patches),
    });
  }

  #sds(): SdsBackend {
    const { options, engine } = this.#parts;
    const { cluster } = options;
    return new SdsBackend(
      this.#secrets,
      cluster,
      (refusal) => this.#refusalLog.secrets(refusal),
      (peer) => engine.snapshot.workloads.get(workloadKey(cluster, peer.namespace, peer.podName))?.facts,
    );
  }

  #refused(refusal: Refusal): void {
    const { metrics, findings } = this.#parts;
    this.#refusalLog.take(refusal);
    metrics.refused(refusal.typeUrl);
    findings.refused(refusal);
    this.#refusals = [...this.#refusals.slice(1 - MAX_REFUSALS), { ...refusal, at: new Date().toISOString() }];
    void this.#events.tell(refusal);
  }

  #mutualTls(): TlsIdentity {
    const { certificate, authority } = this.#parts;
    return { ...tlsOf(certificate), clientRootsPem: authority().rootPem };
  }
}
