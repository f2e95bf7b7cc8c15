// SPDX-License-Identifier: Apache-2.0
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { SEND_ORDER } from '../xds/session/type-urls.ts';
import type { XdsEvent } from '../xds/stream.ts';
import type { FederationCounts } from './federation/federation-view.ts';
import { registerProcessMetrics } from './process-metrics.ts';
import type { RegistryStatus } from './registries/registry-reports.ts';

export interface Metrics {
  readonly registry: Registry;
  /** For every event of the discovery server. */
  xds(event: XdsEvent): void;
  compiled(seconds: number): void;
  refused(typeUrl: string): void;
  tokenReviewed(outcome: string): void;
  admitted(webhook: string, allowed: boolean): void;
  objects(errors: number, warnings: number): void;
  /** Ours minus the API server's. */
  clockSkew(seconds: number): void;
  /** Days until each certificate of the CA ends, the CA's own first. */
  caDaysLeft(days: readonly { readonly certificate: string; readonly days: number }[]): void;
  handshakeFailed(reason: string): void;
  /** Asked at each scrape. */
  registries(read: () => readonly RegistryStatus[]): void;
  /** Asked at each scrape. */
  federation(read: () => FederationCounts | undefined): void;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  registerProcessMetrics(registry);
  const streams = new Gauge({
    name: 'isthmus_xds_streams',
    help: 'Open discovery streams',
    labelNames: ['service'],
    registers,
  });
  const pushed = registerPushes(registry);
  const acknowledged = new Histogram({
    name: 'isthmus_xds_acknowledged_seconds',
    help: 'From a response to its acknowledgement',
    labelNames: ['type'],
    buckets: [0.005, 0.02, 0.1, 0.5, 2, 10],
    registers,
  });
  const refusals = new Counter({
    name: 'isthmus_xds_refusals_total',
    help: 'Resources refused by Envoy',
    labelNames: ['type'],
    registers,
  });
  const failures = new Counter({
    name: 'isthmus_compile_failures_total',
    help: 'Proxies whose state could not be computed',
    registers,
  });
  const compile = new Histogram({
    name: 'isthmus_compile_seconds',
    help: 'Time to compute what one proxy should have',
    buckets: [0.0005, 0.002, 0.01, 0.05, 0.2, 1],
    registers,
  });
  const reviews = new Counter({
    name: 'isthmus_token_reviews_total',
    help: 'Token reviews',
    labelNames: ['outcome'],
    registers,
  });
  const admissions = new Counter({
    name: 'isthmus_admissions_total',
    help: 'Answers of the webhooks',
    labelNames: ['webhook', 'allowed'],
    registers,
  });
  const diagnostics = new Gauge({
    name: 'isthmus_diagnostics',
    help: 'Standing diagnostics',
    labelNames: ['severity'],
    registers,
  });
  const refusedStreams = new Counter({
    name: 'isthmus_xds_refused_streams_total',
    help: 'Discovery streams refused before they began, by gRPC status',
    labelNames: ['status'],
    registers,
  });
  const skew = new Gauge({
    name: 'isthmus_clock_skew_seconds',
    help: 'Our clock minus the API server’s',
    registers,
  });
  const caDays = new Gauge({
    name: 'isthmus_ca_days_left',
    help: 'Days until a certificate of the CA ends',
    labelNames: ['certificate'],
    registers,
  });
  const handshakes = new Counter({
    name: 'isthmus_tls_handshake_failures_total',
    help: 'TLS handshakes of proxies that failed, by the alert',
    labelNames: ['reason'],
    registers,
  });
  return {
    registry,
    xds: (event) => {
      if (event.kind === 'refused') return refusedStreams.inc({ status: event.status });
      if (event.kind === 'opened') streams.inc({ service: event.stream.service });
      else if (event.kind === 'closed') streams.dec({ service: event.stream.service });
      else if (event.kind === 'sent') {
        pushed(event);
      } else if (event.kind === 'backend-failed') failures.inc();
      else if (event.received.kind === 'acknowledged') {
        acknowledged.observe({ type: shortType(event.received.typeUrl) }, event.received.latencyMs / 1000);
      }
    },
    compiled: (seconds) => compile.observe(seconds),
    refused: (typeUrl) => refusals.inc({ type: shortType(typeUrl) }),
    tokenReviewed: (outcome) => reviews.inc({ outcome }),
    admitted: (webhook, allowed) => admissions.inc({ webhook, allowed: String(allowed) }),
    objects: (errors, warnings) => {
      diagnostics.set({ severity: 'error' }, errors);
      diagnostics.set({ severity: 'warning' }, warnings);
    },
    clockSkew: (seconds) => skew.set(seconds),
    caDaysLeft: (all) => {
      caDays.reset();
      for (const { certificate, days } of all) caDays.set({ certificate }, days);
    },
    handshakeFailed: (reason) => handshakes.inc({ reason }),
    registries: (read) => registerRegistryMetrics(registry, read),
    federation: (read) => registerFederationMetrics(registry, read),
  };
}

/**
 * Each change is a push to each of many proxies: they are added up here, and told when somebody asks, since a counter looks
 * its labels up for every single one.
 */
function registerPushes(registry: Registry): (event: Extract<XdsEvent, { kind: 'sent' }>) => void {
  const sums = new Map<string, { pushes: number; resources: number; bytes: number }>();
  const count = (name: string, help: string, of: 'pushes' | 'resources' | 'bytes'): void => {
    new Counter({
      name,
      help,
      labelNames: ['type'],
      registers: [registry],
      collect() {
        this.reset();
        for (const [type, sum] of sums) this.inc({ type }, sum[of]);
      },
    });
  };
  count('isthmus_xds_pushes_total', 'Discovery responses', 'pushes');
  count('isthmus_xds_pushed_resources_total', 'Resources in them, added, changed or removed', 'resources');
  count('isthmus_xds_pushed_bytes_total', 'Their bytes', 'bytes');
  return ({ typeUrl, resources, removed, bytes }) => {
    const type = shortType(typeUrl);
    const sum = sums.get(type) ?? { pushes: 0, resources: 0, bytes: 0 };
    sums.set(type, sum);
    sum.pushes++;
    sum.resources += resources + removed;
    sum.bytes += bytes;
  };
}

function registerRegistryMetrics(registry: Registry, read: () => readonly RegistryStatus[]): void {
  new Gauge({
    name: 'isthmus_registry_synced',
    help: '1 while another cluster is watched and in step, 0 while it is not',
    labelNames: ['cluster'],
    registers: [registry],
    collect() {
      this.reset();
      for (const { cluster, state } of read()) this.set({ cluster }, state === 'synced' ? 1 : 0);
    },
  });
  new Gauge({
    name: 'isthmus_registry_age_seconds',
    help: 'For how long what is in force of another cluster has not been known to be true',
    labelNames: ['cluster'],
    registers: [registry],
    collect() {
      this.reset();
      for (const { cluster, ageSeconds } of read()) if (ageSeconds !== undefined) this.set({ cluster }, ageSeconds);
    },
  });
}

const SHORT_TYPES = new Map(SEND_ORDER.map((typeUrl) => [typeUrl, typeUrl.slice(typeUrl.lastIndexOf('.') + 1)]));

/** `type.googleapis.com/envoy.config.cluster.v3.Cluster` -> `Cluster`; what a client makes up is not a metric of its own. */
function shortType(typeUrl: string): string {
  return SHORT_TYPES.get(typeUrl) ?? 'other';
}

function registerFederationMetrics(registry: Registry, read: () => FederationCounts | undefined): void {
  type Counted = Exclude<keyof FederationCounts, 'ages'>;
  const count = (what: Counted, help: string): void => {
    new Gauge({
      name: `isthmus_federation_${what}`,
      help,
      registers: [registry],
      collect() {
        const counts = read();
        // Of the other replicas there is nothing to be said: they do not know.
        if (counts === undefined) this.remove();
        else this.set(counts[what]);
      },
    });
  };
  count('peers', 'Clusters with a control plane of their own that are followed');
  count('exports', 'Services that other clusters are told of');
  count('imports', 'Services of other clusters that have names here');
  count('conflicts', 'Services about which clusters or persons disagree');
  new Gauge({
    name: 'isthmus_federation_peer_age_seconds',
    help: 'For how long what is known of a peer has not been known to be true',
    labelNames: ['cluster'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [cluster, ageMs] of read()?.ages ?? []) this.set({ cluster }, ageMs / 1000);
    },
  });
}
