// SPDX-License-Identifier: Apache-2.0
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { type OpenTelemetryConfig, OpenTelemetryConfigSchema } from '#gen/envoy/config/trace/v3/opentelemetry_pb.ts';
import {
  ZipkinConfig_CollectorEndpointVersion,
  ZipkinConfig_TraceContextOption,
  ZipkinConfigSchema,
} from '#gen/envoy/config/trace/v3/zipkin_pb.ts';
import {
  type HttpConnectionManager_Tracing,
  HttpConnectionManager_TracingSchema,
} from '#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { EnvironmentResourceDetectorConfigSchema } from '#gen/envoy/extensions/tracers/opentelemetry/resource_detectors/v3/environment_resource_detector_pb.ts';
import type { CustomTagSchema } from '#gen/envoy/type/tracing/v3/custom_tag_pb.ts';
import type { SpanTag, TracingIntent } from '../../intent/telemetry-types.ts';
import { duration, packed } from '../messages.ts';
import { destinationName } from '../names.ts';
import { collectorService } from './collector.ts';

type TracingInit = Exclude<MessageInitShape<typeof HttpConnectionManager_TracingSchema>, HttpConnectionManager_Tracing>;

/** Spans of a connection manager's requests. Who a request has been sampled by already is believed. */
export function tracing(intent: TracingIntent): HttpConnectionManager_Tracing {
  return create(HttpConnectionManager_TracingSchema, {
    clientSampling: { value: 100 },
    randomSampling: { value: intent.samplingPercent },
    overallSampling: { value: 100 },
    ...(intent.maxPathLength !== undefined && { maxPathTagLength: intent.maxPathLength }),
    customTags: intent.tags.map(customTag),
    ...provider(intent.exporter),
  });
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
  }
}

function zipkin({ collector, path, w3c }: Extract<TracingIntent['exporter'], { kind: 'zipkin' }>): Any {
  return packed(ZipkinConfigSchema, {
    collectorCluster: destinationName(collector.to),
    collectorEndpoint: path,
    collectorHostname: `${collector.to.host}:${collector.to.port}`,
    collectorEndpointVersion: ZipkinConfig_CollectorEndpointVersion.HTTP_JSON,
    traceId128bit: true,
    // Client and server have a span each: one id for both confuses whoever draws them.
    sharedSpanContext: false,
    ...(w3c && { traceContextOption: ZipkinConfig_TraceContextOption.USE_B3_WITH_W3C_PROPAGATION }),
  });
}

function otlp(
  exporter: Extract<TracingIntent['exporter'], { kind: 'otlp' }>,
): Exclude<MessageInitShape<typeof OpenTelemetryConfigSchema>, OpenTelemetryConfig> {
  const { collector, httpPath, headers } = exporter;
  const cluster = destinationName(collector.to);
  const more = Object.entries(headers).map(([key, value]) => ({ header: { key, value } }));
  const timeout = duration(collector.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  const httpUri = {
    uri: `http://${collector.to.host}:${collector.to.port}${httpPath}`,
    httpUpstreamType: { case: 'cluster' as const, value: cluster },
    timeout,
  };
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
      : { httpService: { httpUri, requestHeadersToAdd: more } }),
  };
}

/** Istio's own. */
const DEFAULT_TIMEOUT_MS = 5_000;
