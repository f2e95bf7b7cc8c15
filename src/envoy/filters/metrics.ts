// SPDX-License-Identifier: Apache-2.0
// Istio's metrics (https://istio.io/latest/docs/reference/config/metrics/), counted by an access logger of stock Envoy. Who
// this proxy is comes from its environment, so that proxies share the text; who the peer is, from its certificate or, of
// a server, from what discovery says of the endpoint.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type AccessLog, AccessLogSchema } from '#gen/envoy/config/accesslog/v3/accesslog_pb.ts';
import { AccessLogType } from '#gen/envoy/data/accesslog/v3/accesslog_pb.ts';
import {
  type Config_CounterSchema,
  type Config_HistogramSchema,
  ConfigSchema,
  Config_Histogram_Unit as Unit,
} from '#gen/envoy/extensions/access_loggers/stats/v3/stats_pb.ts';
import type { IstioMetric, MetricsIntent } from '../../intent/telemetry-types.ts';
import { PROXY_ENVIRONMENT, type WorkloadFact } from '../../xds/proxy-environment.ts';
import { packed } from '../messages.ts';
import { ofEndpoint, ofService } from '../telemetry-metadata.ts';
import { peerFact } from './peer-identity.ts';

/** Envoy gives metrics below it to Prometheus without a prefix of its own; the bootstrap makes it known. */
const STATS_NAMESPACE = 'wasmcustom';
/** Label sets that a listener counts at most, whatever it is asked: what is more is not counted. One has three histograms. */
const MAX_LABEL_SETS = 1_000;

export type Side = 'client' | 'server';
type Labels = Readonly<Record<string, string>>;

/** Loggers of an HTTP connection manager. `secured`: every client has shown a certificate of the mesh. */
export function httpMetrics(metrics: MetricsIntent, side: Side, secured: boolean): AccessLog[] {
  const labels = { ...commonLabels(side, secured), ...ANSWER_LABELS };
  const counters = counted(metrics, { requests_total: undefined }, { ...labels, request_protocol: HTTP_OR_GRPC });
  const histograms: MessageInitShape<typeof Config_HistogramSchema>[] = Object.entries(SIZES).flatMap(
    ([name, { unit, value }]) => {
      const stat = statOf(metrics, name as IstioMetric, labels);
      return stat === undefined ? [] : [{ stat, unit, valueFormat: value }];
    },
  );
  return logger(counters, histograms);
}

/** Loggers of a TCP proxy, which has to log when it is connected, too. */
export function tcpMetrics(metrics: MetricsIntent, side: Side, secured: boolean): AccessLog[] {
  const labels = { ...commonLabels(side, secured), request_protocol: 'tcp' };
  const opened = counted(metrics, { tcp_connections_opened_total: undefined }, labels);
  const ended = {
    tcp_sent_bytes_total: '%BYTES_SENT%',
    tcp_received_bytes_total: '%BYTES_RECEIVED%',
    tcp_connections_closed_total: undefined,
  };
  return [
    ...logger(opened, [], AccessLogType.TcpUpstreamConnected),
    ...logger(counted(metrics, ended, labels), [], AccessLogType.TcpConnectionEnd),
  ];
}

const SIZES: Readonly<Record<string, { unit: Unit; value: string }>> = {
  request_duration_milliseconds: { unit: Unit.Milliseconds, value: '%DURATION%' },
  request_bytes: { unit: Unit.Bytes, value: '%DOWNSTREAM_WIRE_BYTES_RECEIVED%' },
  response_bytes: { unit: Unit.Bytes, value: '%DOWNSTREAM_WIRE_BYTES_SENT%' },
};

/** Evaluated for each request, at the cost of all other labels of a metric together: so for one metric only. */
const HTTP_OR_GRPC =
  '%CEL("content-type" in request.headers&&request.headers["content-type"].startsWith("application/grpc")?"grpc":"http")%';

const ANSWER_LABELS: Labels = {
  response_code: '%RESPONSE_CODE%',
  grpc_response_status: '%GRPC_STATUS_NUMBER%',
};

const own = (fact: WorkloadFact): string => `%ENVIRONMENT(${PROXY_ENVIRONMENT[fact]})%`;

function commonLabels(side: Side, secured: boolean): Labels {
  const [source, destination] = side === 'client' ? [own, ofEndpoint] : [peerFact, own];
  return {
    reporter: side === 'client' ? 'source' : 'destination',
    ...workloadLabels('source', source),
    source_principal: side === 'client' ? '%UPSTREAM_LOCAL_URI_SAN%' : '%DOWNSTREAM_PEER_URI_SAN%',
    ...workloadLabels('destination', destination),
    destination_principal: side === 'client' ? '%UPSTREAM_PEER_URI_SAN%' : '%DOWNSTREAM_LOCAL_URI_SAN%',
    destination_service: ofService('host'),
    destination_service_name: ofService('name'),
    destination_service_namespace: ofService('namespace'),
    response_flags: '%RESPONSE_FLAGS%',
    // A client cannot know what the server makes of its certificate.
    connection_security_policy: side === 'client' ? 'unknown' : secured ? 'mutual_tls' : 'none',
  };
}

function workloadLabels(end: 'source' | 'destination', of: (fact: WorkloadFact) => string): Labels {
  return {
    [`${end}_workload`]: of('workload'),
    [`${end}_workload_namespace`]: of('namespace'),
    [`${end}_canonical_service`]: of('service'),
    [`${end}_canonical_revision`]: of('revision'),
    [`${end}_app`]: of('app'),
    [`${end}_version`]: of('version'),
    [`${end}_cluster`]: of('cluster'),
  };
}

/** `values`: what is added to each counter, 1 where it is not said. */
function counted(
  metrics: MetricsIntent,
  values: Readonly<Partial<Record<IstioMetric, string | undefined>>>,
  labels: Labels,
): MessageInitShape<typeof Config_CounterSchema>[] {
  return Object.entries(values).flatMap(([name, value]) => {
    const stat = statOf(metrics, name as IstioMetric, labels);
    if (stat === undefined) return [];
    return [value === undefined ? { stat, valueFixed: 1n } : { stat, valueFormat: value }];
  });
}

/** Undefined: the metric is turned off. */
function statOf(metrics: MetricsIntent, metric: IstioMetric, labels: Labels) {
  if (metrics.off.includes(metric)) return undefined;
  const { removed = [], set = {} } = metrics.edits[metric] ?? {};
  const expressions = Object.entries(set).map(([name, expression]) => [name, valueOfExpression(expression)]);
  const all: Labels = { ...labels, ...Object.fromEntries(expressions) };
  const edited = Object.entries(all).filter(([name]) => !removed.includes(name));
  return { name: `istio_${metric}`, tags: edited.map(([name, valueFormat]) => ({ name, valueFormat })) };
}

/** A text needs no evaluation for each request. */
function valueOfExpression(expression: string): string {
  const [, , literal] = /^(["'])([\w .:/-]+)\1$/.exec(expression) ?? [];
  return literal ?? `%CEL(${expression})%`;
}

function logger(
  counters: MessageInitShape<typeof Config_CounterSchema>[],
  histograms: MessageInitShape<typeof Config_HistogramSchema>[],
  when?: AccessLogType,
): AccessLog[] {
  if (counters.length + histograms.length === 0) return [];
  // What is not counted any more is forgotten. (One scope for all listeners, by `sharing_name`, would let Envoy 1.40 crash at
  // its end.)
  const statsScope = {
    prefix: STATS_NAMESPACE,
    maxCounters: 2 * MAX_LABEL_SETS,
    maxHistograms: 3 * MAX_LABEL_SETS,
    enableEviction: true,
  };
  const value = packed(ConfigSchema, { statsScope, counters, histograms });
  const filter = when === undefined ? {} : { filter: logTypeFilter(when) };
  return [
    create(AccessLogSchema, {
      name: 'envoy.access_loggers.stats',
      ...filter,
      configType: { case: 'typedConfig', value },
    }),
  ];
}

function logTypeFilter(type: AccessLogType): NonNullable<MessageInitShape<typeof AccessLogSchema>['filter']> {
  return { filterSpecifier: { case: 'logTypeFilter', value: { types: [type] } } };
}
