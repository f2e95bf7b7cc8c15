// SPDX-License-Identifier: Apache-2.0
import type { CustomTag, TelemetrySpec } from '../api/telemetry.ts';
import { collectorOf, type TelemetryView } from './telemetry-providers.ts';
import { concerns, type Side } from './telemetry-sides.ts';
import type { SpanTag, TracingIntent } from './telemetry-types.ts';

type View = TelemetryView;

/** Istio's own, of the mesh's defaultConfig.tracing.sampling. */
const DEFAULT_SAMPLING_PERCENT = 1;

/** Undefined: no trace begins or goes on here. */
export function tracingOf(view: View, written: TelemetrySpec['tracing'], side: Side): TracingIntent | undefined {
  const { mesh } = view;
  const defaults = mesh.defaultConfig?.tracing;
  let name = mesh.defaultProviders?.tracing[0];
  let silent = false;
  let sampling = defaults?.sampling ?? DEFAULT_SAMPLING_PERCENT;
  let tags: Readonly<Record<string, CustomTag>> = (defaults?.customTags ?? {}) as Readonly<Record<string, CustomTag>>;
  let istioTags = defaults?.enableIstioTags ?? true;
  let endsHere = false;
  let byRequestId = true;
  for (const entry of written) {
    if (!concerns(entry.match.mode, side)) continue;
    name = entry.providers[0]?.name ?? name;
    silent = entry.disableSpanReporting ?? silent;
    sampling = entry.randomSamplingPercentage ?? sampling;
    tags = entry.customTags ?? tags;
    istioTags = entry.enableIstioTags ?? istioTags;
    endsHere = entry.disableContextPropagation ?? endsHere;
    byRequestId = entry.useRequestIdForTraceSampling ?? byRequestId;
  }
  const exporter = name === undefined ? exporterOfMesh(view) : exporterNamed(view, name);
  if (exporter === undefined) return undefined;
  return {
    exporter: silent ? { kind: 'none' } : exporter.exporter,
    samplingPercent: sampling,
    tags: [...(istioTags ? ISTIO_TAGS : []), ...Object.entries(tags).map(([tag, from]) => spanTag(tag, from))],
    maxPathLength: exporter.maxPathLength ?? defaults?.maxPathTagLength,
    ...(endsHere && { endsHere }),
    ...(!byRequestId && { ignoresRequestId: true as const }),
  };
}

interface Exporter {
  readonly exporter: TracingIntent['exporter'];
  readonly maxPathLength?: number | undefined;
}

/** `enableTracing` with `defaultConfig.tracing`, as it was before Telemetry. */
function exporterOfMesh(view: View): Exporter | undefined {
  const { zipkin, datadog } = view.mesh.defaultConfig?.tracing ?? {};
  const address = (zipkin ?? datadog)?.address;
  if (!view.mesh.enableTracing || address === undefined) return undefined;
  const [host = '', port = ''] = address.split(':');
  const collector = inMesh(view, host, Number(port));
  if (collector === undefined) return undefined;
  if (zipkin === undefined) return { exporter: { kind: 'datadog', collector } };
  return { exporter: { kind: 'zipkin', collector, path: '/api/v2/spans', w3c: false, headers: {} } };
}

/** Names as Istio's users write them there: `zipkin.istio-system`, without the cluster's domain. */
function inMesh(view: View, host: string, port: number) {
  const full = [...new Set([host, `${host}.svc.${view.settings.dnsDomain}`])];
  return full.map((service) => collectorOf(view, { service, port })).find((found) => found !== undefined);
}

function exporterNamed(view: View, name: string): Exporter | undefined {
  const provider = view.mesh.extensionProviders.find((p) => p.name === name);
  const { zipkin, opentelemetry: otlp, datadog, skywalking } = provider ?? {};
  if (datadog !== undefined) {
    const collector = collectorOf(view, datadog);
    return collector && { exporter: { kind: 'datadog', collector }, maxPathLength: datadog.maxTagLength };
  }
  if (skywalking !== undefined) {
    const collector = collectorOf(view, skywalking);
    const { accessToken: token } = skywalking;
    return collector && { exporter: { kind: 'skywalking', collector, ...(token !== undefined && { token }) } };
  }
  if (zipkin !== undefined) {
    const collector = collectorOf(view, zipkin, zipkin.timeout);
    const w3c = zipkin.traceContextOption === 'USE_B3_WITH_W3C_PROPAGATION';
    const shortIds = zipkin.enable64bitTraceId === true && ({ shortIds: true } as const);
    const headers = headersByName(zipkin.headers);
    const exporter =
      collector && ({ kind: 'zipkin', collector, path: zipkin.path, w3c, headers, ...shortIds } as const);
    return exporter && { exporter, maxPathLength: zipkin.maxTagLength };
  }
  if (otlp === undefined) return undefined;
  const collector = collectorOf(view, otlp, otlp.http?.timeout ?? otlp.grpc?.timeout);
  const headers = headersByName(otlp.http?.headers ?? otlp.grpc?.initialMetadata ?? []);
  const exporter = collector && ({ kind: 'otlp', collector, httpPath: otlp.http?.path, headers } as const);
  return exporter && { exporter, maxPathLength: otlp.maxTagLength };
}

function headersByName(given: readonly { readonly name: string; readonly value: string | undefined }[]) {
  return Object.fromEntries(given.map(({ name, value = '' }) => [name, value]));
}

/** Of the proxy's own environment: the same text for all. */
const ISTIO_TAGS: readonly SpanTag[] = (
  [
    ['istio.canonical_service', 'CANONICAL_SERVICE'],
    ['istio.canonical_revision', 'CANONICAL_REVISION'],
    ['istio.namespace', 'POD_NAMESPACE'],
    ['istio.cluster_id', 'WORKLOAD_CLUSTER'],
  ] as const
).map(([name, value]) => ({ name, from: 'environment', value, otherwise: 'unknown' }));

function spanTag(name: string, { literal, environment, header, formatter }: CustomTag): SpanTag {
  if (literal !== undefined) return { name, from: 'literal', value: literal.value, otherwise: '' };
  if (formatter !== undefined) return { name, from: 'format', value: formatter.value, otherwise: '' };
  const from = environment === undefined ? 'header' : 'environment';
  const { name: value = '', defaultValue = '' } = environment ?? header ?? {};
  return { name, from, value, otherwise: defaultValue };
}
