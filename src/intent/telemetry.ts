// SPDX-License-Identifier: Apache-2.0
// What is told of a proxy's requests: the mesh's settings, then the Telemetry of the root namespace, that of the proxy's
// own, and those that select it, each over the ones before, as Istio merges them.
import { selects } from '../api/kubernetes.ts';
import { METRICS, type Telemetry, type TelemetrySpec } from '../api/telemetry.ts';
import type { MeshProxy } from '../model/proxy.ts';
import { connectionsOf } from './connection-settings.ts';
import { accessLogsOf, PROMETHEUS, type TelemetryView } from './telemetry-providers.ts';
import { concerns, type Side } from './telemetry-sides.ts';
import type {
  EdgeIntent,
  HeadersIntent,
  IstioMetric,
  LabelEdits,
  MetricsIntent,
  SideTelemetry,
  TelemetryIntent,
} from './telemetry-types.ts';
import { tracingOf } from './tracing.ts';

export const ALL_METRICS: MetricsIntent = { off: [], edits: {} };

/**
 * Those that concern a proxy, the most general first: of those without a selector the oldest of each namespace counts.
 * @param all oldest first
 */
export function telemetriesOf(all: readonly Telemetry[], proxy: MeshProxy, rootNamespace: string): Telemetry[] {
  const isGeneral = ({ spec }: Telemetry) => Object.keys(spec.selector?.matchLabels ?? {}).length === 0;
  const general = (namespace: string) => all.find((t) => t.ref.namespace === namespace && isGeneral(t)) ?? [];
  const own = all.filter(
    (t) =>
      t.ref.namespace === proxy.namespace && !isGeneral(t) && selects(t.spec.selector?.matchLabels ?? {}, proxy.labels),
  );
  const ofNamespace = proxy.namespace === rootNamespace ? [] : general(proxy.namespace);
  return [general(rootNamespace), ofNamespace, own].flat();
}

/** `view`: of which only the mesh's settings and the services are looked at. `balancers`: how they speak the PROXY protocol, if they do. */
export function buildTelemetry(
  view: TelemetryView,
  telemetries: readonly Telemetry[],
  balancers: EdgeIntent['proxyProtocol'],
): TelemetryIntent {
  const [client, server] = (['client', 'server'] as const).map(
    (side): SideTelemetry => ({
      logs: accessLogsOf(
        view,
        telemetries.flatMap((t) => t.spec.accessLogging),
        side,
      ),
      metrics: metricsOf(
        view,
        telemetries.flatMap((t) => t.spec.metrics),
        side,
      ),
      tracing: tracingOf(
        view,
        telemetries.flatMap((t) => t.spec.tracing),
        side,
      ),
      ...(side === 'client' && edgeOf(view, balancers)),
      ...proxyHeadersOf(view, side),
      ...pathsOf(view),
      ...connectionsOf(view.mesh),
    }),
  );
  const origins = telemetries.map(({ ref }) => ({ object: ref, field: 'spec' }));
  return { client: client!, server: server!, origins };
}

function edgeOf({ mesh }: TelemetryView, balancers: EdgeIntent['proxyProtocol']): { readonly edge?: EdgeIntent } {
  const topology = mesh.defaultConfig?.gatewayTopology;
  if (topology === undefined) return {};
  const { numTrustedProxies: trustedProxies = 0, forwardClientCertDetails = 'UNDEFINED', proxyProtocol } = topology;
  const certificates = CERTIFICATES[forwardClientCertDetails];
  return { edge: { trustedProxies, certificates, ...(proxyProtocol && balancers && { proxyProtocol: balancers }) } };
}

function proxyHeadersOf({ mesh }: TelemetryView, side: Side): Pick<SideTelemetry, 'headers'> {
  const said = mesh.defaultConfig?.proxyHeaders;
  if (said === undefined) return {};
  const { server, forwardedClientCert, setCurrentClientCertDetails: details } = said;
  const certificates = side === 'server' && (forwardedClientCert !== 'UNDEFINED' || details !== undefined);
  const headers: HeadersIntent = {
    ...(server?.disabled && { server: { kind: 'kept' } }),
    ...(server?.disabled === false && server.value !== undefined && { server: { kind: 'named', name: server.value } }),
    ...(said.requestId?.disabled && { noRequestIds: true }),
    ...(said.envoyDebugHeaders?.disabled && { noEnvoyHeaders: true }),
    ...(said.xForwardedPort?.enabled && { port: true }),
    ...(said.preserveHttp1HeaderCase && { keepsCase: true }),
    ...(certificates && {
      certificates: {
        forwarded: forwardedClientCert === 'UNDEFINED' ? 'append-forward' : CERTIFICATES[forwardedClientCert],
        details: DETAILS.filter((name) => (details ?? USUAL_DETAILS)[name]),
      },
    }),
  };
  return Object.keys(headers).length === 0 ? {} : { headers };
}

const DETAILS = ['subject', 'cert', 'chain', 'dns', 'uri'] as const;
const USUAL_DETAILS = { subject: true, cert: false, chain: false, dns: true, uri: true };

function pathsOf({ mesh }: TelemetryView): Pick<SideTelemetry, 'paths'> {
  const paths = PATHS[mesh.pathNormalization?.normalization ?? 'DEFAULT'];
  return paths === undefined ? {} : { paths };
}

const PATHS = {
  DEFAULT: undefined,
  BASE: undefined,
  NONE: 'kept',
  MERGE_SLASHES: 'merge-slashes',
  DECODE_AND_MERGE_SLASHES: 'decode-and-merge-slashes',
} as const;

const CERTIFICATES = {
  UNDEFINED: 'sanitize-set',
  SANITIZE: 'sanitize',
  FORWARD_ONLY: 'forward-only',
  APPEND_FORWARD: 'append-forward',
  SANITIZE_SET: 'sanitize-set',
  ALWAYS_FORWARD_ONLY: 'always-forward-only',
} as const;

/** Undefined: by nobody who counts. */
function metricsOf({ mesh }: TelemetryView, written: TelemetrySpec['metrics'], side: Side): MetricsIntent | undefined {
  let names: readonly string[] = mesh.defaultProviders?.metrics ?? [PROMETHEUS];
  const isPrometheus = (name: string) =>
    name === PROMETHEUS || mesh.extensionProviders.some((p) => p.name === name && p.prometheus !== undefined);
  const off = new Set<IstioMetric>();
  const edits: Partial<Record<IstioMetric, LabelEdits>> = {};
  for (const { providers, overrides } of written) {
    if (providers.length > 0) names = providers.map(({ name }) => name);
    if (!names.some(isPrometheus)) continue;
    for (const { match, disabled, tagOverrides } of overrides) {
      if (!concerns(match.mode, side)) continue;
      for (const metric of metricsNamed(match.metric)) {
        if (disabled === true) off.add(metric);
        if (disabled === false) off.delete(metric);
        edits[metric] = edited(edits[metric], tagOverrides);
      }
    }
  }
  if (!names.some(isPrometheus)) return undefined;
  const real = Object.entries(edits).filter(([, e]) => e.removed.length + Object.keys(e.set).length > 0);
  const told = { off: [...off].sort(), edits: Object.fromEntries(real) };
  return off.size === ALL.length ? undefined : told;
}

type Overrides = TelemetrySpec['metrics'][number]['overrides'][number];
const ALL: readonly IstioMetric[] = Object.values(METRICS);

function metricsNamed(name: Overrides['match']['metric']): readonly IstioMetric[] {
  if (name === 'ALL_METRICS') return ALL;
  return name in METRICS ? [METRICS[name as keyof typeof METRICS]] : [];
}

function edited(before: LabelEdits | undefined, overrides: Overrides['tagOverrides']): LabelEdits {
  const set = { ...before?.set };
  const removed = new Set(before?.removed);
  for (const [label, { operation, value }] of Object.entries(overrides)) {
    if (operation === 'REMOVE') {
      removed.add(label);
      delete set[label];
    } else {
      removed.delete(label);
      set[label] = value ?? '';
    }
  }
  return { removed: [...removed].sort(), set };
}
