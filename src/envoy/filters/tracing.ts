// SPDX-License-Identifier: Apache-2.0
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { Any } from '@bufbuild/protobuf/wkt';
import type { HttpServiceSchema } from '#gen/envoy/config/core/v3/http_service_pb.ts';
import { DatadogConfigSchema } from '#gen/envoy/config/trace/v3/datadog_pb.ts';
import { type OpenTelemetryConfig, OpenTelemetryConfigSchema } from '#gen/envoy/config/trace/v3/opentelemetry_pb.ts';
import { SkyWalkingConfigSchema } from '#gen/envoy/config/trace/v3/skywalking_pb.ts';
import {
  ZipkinConfig_CollectorEndpointVersion,
  ZipkinConfig_TraceContextOption,
  ZipkinConfigSchema,
} from '#gen/envoy/config/trace/v3/zipkin_pb.ts';
import {
  type HttpConnectionManager_Tracing,
  HttpConnectionManager_TracingSchema,
  type RequestIDExtensionSchema,
} from '#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { UuidRequestIdConfigSchema } from '#gen/envoy/extensions/request_id/uuid/v3/uuid_pb.ts';
import { EnvironmentResourceDetectorConfigSchema } from '#gen/envoy/extensions/tracers/opentelemetry/resource_detectors/v3/environment_resource_detector_pb.ts';
import type { CustomTagSchema } from '#gen/envoy/type/tracing/v3/custom_tag_pb.ts';
import type { CollectorIntent, SpanTag, TracingIntent } from '../../intent/telemetry-types.ts';
import { duration, packed } from '../messages.ts';
import { destinationName } from '../names.ts';
import { collectorService } from './collector.ts';

type TracingInit = Exclude<MessageInitShape<typeof HttpConnectionManager_TracingSchema>, HttpConnectionManager_Tracing>;

/** Spans of a connection manager's requests. Who a request has been sampled by already is believed. */
export function tracing(intent: TracingIntent): HttpConnectionManager_Tracing {
  const message = create(HttpConnectionManager_TracingSchema, {
    clientSampling: { value: 100 },
    randomSampling: { value: intent.samplingPercent },
    overallSampling: { value: 100 },
    ...(intent.maxPathLength !== undefined && { maxPathTagLength: intent.maxPathLength }),
    customTags: intent.tags.map(customTag),
    ...provider(intent.exporter),
  });
  // no_context_propagation: newer than the messages that we have.
  if (intent.endsHere) message.$unknown = [{ no: 13, wireType: WireType.Varint, data: TRUE }];
  return message;
}

const TRUE = new BinaryWriter().bool(true).finish();

/** Ids of requests are as ever; that the first proxy wrote into one whether it traces is not looked at. */
export function requestIdsApart(): MessageInitShape<typeof RequestIDExtensionSchema> {
  return { typedConfig: packed(UuidRequestIdConfigSchema, { useRequestIdForTraceSampling: false }) };
}

function customTag({ name, from, value, otherwise }: SpanTag): MessageInitShape<typeof CustomTagSchema> {
  const named = { name: value, defaultValue: otherwise };
  switch (from) {
    case 'literal':
      return { tag: name, type: { case: 'literal', value: { value } } };
    case 'environment':
      return { tag: name, type: { case: 'environment', value: named } };
    case 'header':
      return { tag: name, type: { case: 'requestHeader', value: named } };
    case 'format':
      return { tag: name, type: { case: 'value', value } };
  }
}

function provider(exporter: TracingIntent['exporter']): TracingInit {
  const of = (name: string, value: Any): TracingInit => ({
    provider: { name, configType: { case: 'typedConfig', value } },
  });
  switch (exporter.kind) {
    case 'none':
      return {};
    case 'zipkin':
      return of('envoy.tracers.zipkin', zipkin(exporter));
    case 'otlp':
      return of('envoy.tracers.opentelemetry', packed(OpenTelemetryConfigSchema, otlp(exporter)));
    case 'datadog':
      return of('envoy.tracers.datadog', datadog(exporter.collector));
    case 'skywalking':
      // Its spans lead to the next service only from one of their own for what is asked of it.
      return { ...of('envoy.tracers.skywalking', skywalking(exporter)), spawnUpstreamSpan: true };
  }
}

function zipkin(exporter: Extract<TracingIntent['exporter'], { kind: 'zipkin' }>): Any {
  const { path, w3c, shortIds = false } = exporter;
  return packed(ZipkinConfigSchema, {
    collectorService: httpService(exporter, path),
    collectorEndpointVersion: ZipkinConfig_CollectorEndpointVersion.HTTP_JSON,
    traceId128bit: !shortIds,
    // Client and server have a span each: one id for both confuses whoever draws them.
    sharedSpanContext: false,
    ...(w3c && { traceContextOption: ZipkinConfig_TraceContextOption.USE_B3_WITH_W3C_PROPAGATION }),
  });
}

/** The environment (DD_SERVICE) goes before the name here, which Envoy demands: one configuration is for many proxies. */
function datadog({ to }: CollectorIntent): Any {
  return packed(DatadogConfigSchema, {
    collectorCluster: destinationName(to),
    serviceName: 'unknown',
    collectorHostname: to.host,
  });
}

/** Without names of its own: those of the node, which are the proxy's. */
function skywalking({ collector, token }: Extract<TracingIntent['exporter'], { kind: 'skywalking' }>): Any {
  return packed(SkyWalkingConfigSchema, {
    grpcService: collectorService(collector),
    ...(token !== undefined && {
      clientConfig: { backendTokenSpecifier: { case: 'backendToken', value: token } },
    }),
  });
}

interface HttpCollector {
  readonly collector: CollectorIntent;
  readonly headers: Readonly<Record<string, string>>;
}

function httpService({ collector, headers }: HttpCollector, path: string): MessageInitShape<typeof HttpServiceSchema> {
  const { to, timeoutMs = DEFAULT_TIMEOUT_MS } = collector;
  return {
    httpUri: {
      uri: `http://${to.host}:${to.port}${path}`,
      httpUpstreamType: { case: 'cluster', value: destinationName(to) },
      timeout: duration(timeoutMs),
    },
    requestHeadersToAdd: Object.entries(headers).map(([key, value]) => ({ header: { key, value } })),
  };
}

function otlp(
  exporter: Extract<TracingIntent['exporter'], { kind: 'otlp' }>,
): Exclude<MessageInitShape<typeof OpenTelemetryConfigSchema>, OpenTelemetryConfig> {
  const { collector, httpPath, headers } = exporter;
  return {
    // The environment says which service it is: one configuration is for many proxies.
    resourceDetectors: [
      {
        name: 'envoy.tracers.opentelemetry.resource_detectors.environment',
        typedConfig: packed(EnvironmentResourceDetectorConfigSchema, {}),
      },
    ],
    ...(httpPath === undefined
      ? { grpcService: collectorService(collector, headers) }
      : { httpService: httpService(exporter, httpPath) }),
  };
}

/** Istio's own. */
const DEFAULT_TIMEOUT_MS = 5_000;
