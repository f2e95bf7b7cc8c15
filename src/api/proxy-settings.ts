// SPDX-License-Identifier: Apache-2.0
// ProxyConfig of istio.mesh.v1alpha1: the mesh's `defaultConfig`, and the annotation proxy.istio.io/config of pods.
// https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#ProxyConfig

import { clientTls } from './client-tls.ts';
import { connectionSettings } from './connection-settings.ts';
import { faultOfRegex } from './regex.ts';
import {
  type At,
  bool,
  checked,
  choice,
  decimal,
  defaulted,
  type Infer,
  idle,
  integer,
  list,
  mapOf,
  optional,
  required,
  struct,
  text,
  turned,
} from './shape.ts';
import { durationMs } from './values.ts';

/** What Envoy would not start with. */
const regex = turned(text(), (raw, at) => {
  const fault = faultOfRegex(raw);
  if (fault === undefined) return raw;
  at.report.add('ISM0006', at.field, fault, 'write an expression of RE2');
  return undefined;
});

const named = struct({ name: required(text()), defaultValue: optional(text()) });

const address = text({ pattern: /^[^:\s]+:\d{1,5}$/, what: 'HOST:PORT' });

/** Every proxy of the mesh speaks it, so that no namespace's Secret can be meant. */
const collectorTls = checked(clientTls, ({ credentialName }, at) => {
  if (!credentialName) return;
  const cure = 'name files of the proxies, or write a DestinationRule for the collector';
  at.report.add('ISM0004', `${at.field}.credentialName`, 'a Secret is not supported here', cure);
});

const noTracer = idle('Envoy has no such tracer any more: use zipkin, datadog, or an extension provider');

const tracers = struct({
  zipkin: optional(struct({ address: required(address) })),
  datadog: optional(struct({ address: required(address) })),
  customTags: optional(
    mapOf(
      struct({
        literal: optional(struct({ value: required(text()) })),
        environment: optional(named),
        header: optional(named),
      }),
    ),
  ),
  maxPathTagLength: optional(integer({ min: 1 })),
  sampling: optional(decimal({ min: 0, max: 100 })),
  enableIstioTags: optional(bool),
  lightstep: noTracer,
  stackdriver: noTracer,
  openCensusAgent: noTracer,
  tlsSettings: optional(collectorTls),
});
const tracing = checked(tracers, ({ zipkin, datadog }, at) => {
  if (zipkin === undefined || datadog === undefined) return;
  at.report.add('ISM0007', `${at.field}.datadog`, 'spans go to one tracer, and zipkin is given too', 'remove one');
});

const certificateDetails = choice([
  'UNDEFINED',
  'SANITIZE',
  'FORWARD_ONLY',
  'APPEND_FORWARD',
  'SANITIZE_SET',
  'ALWAYS_FORWARD_ONLY',
]);

const enabled = optional(struct({ enabled: defaulted(bool, false) }));
const disabled = optional(struct({ disabled: defaulted(bool, false) }));

const proxyHeaders = struct({
  forwardedClientCert: defaulted(certificateDetails, 'UNDEFINED'),
  setCurrentClientCertDetails: optional(
    struct({
      subject: defaulted(bool, true),
      cert: defaulted(bool, false),
      chain: defaulted(bool, false),
      dns: defaulted(bool, true),
      uri: defaulted(bool, true),
    }),
  ),
  requestId: disabled,
  server: optional(
    struct({
      disabled: defaulted(bool, false),
      value: optional(text({ pattern: /^[\x20-\x7e]+$/, what: 'printable ASCII' })),
    }),
  ),
  attemptCount: disabled,
  envoyDebugHeaders: disabled,
  /** There are none: who a peer is stands in its certificate. */
  metadataExchangeHeaders: optional(struct({ mode: defaulted(choice(['UNDEFINED', 'IN_MESH']), 'UNDEFINED') })),
  preserveHttp1HeaderCase: defaulted(bool, false),
  xForwardedHost: enabled,
  xForwardedPort: enabled,
});
export type ProxyHeaders = Infer<typeof proxyHeaders>;

const image = struct({
  imageType: optional(text({ pattern: /^[a-z0-9][\w.-]*$/i, what: 'the suffix of an image tag, such as debug' })),
});

const installed = 'the installation says it: pilot and global.proxy of its values';
const noAgent = 'a sidecar is Envoy alone, and this is about Istio’s agent beside it';
const byGrpc = 'use an extension provider';

/** Istio's tasks switch its DNS proxy on so; who finds that names are not resolved should know why. */
function remarkOnDns(metadata: Readonly<Record<string, string>>, at: At): void {
  for (const name of ['ISTIO_META_DNS_CAPTURE', 'ISTIO_META_DNS_AUTO_ALLOCATE']) {
    if (metadata[name] !== 'true') continue;
    const why = 'sidecars have no DNS proxy: automatic addresses are answered by istiocoredns, for `.global` names';
    at.report.add('ISM0005', `${at.field}.${name}`, `\`${name}\` has no effect here`, why);
  }
}

export const proxySettings = struct({
  concurrency: optional(integer({ max: 1_024 })),
  drainDuration: optional(durationMs()),
  terminationDrainDuration: optional(durationMs()),
  proxyStatsMatcher: optional(
    struct({
      inclusionPrefixes: defaulted(list(text()), []),
      inclusionSuffixes: defaulted(list(text()), []),
      inclusionRegexps: defaulted(list(regex), []),
    }),
  ),
  tracing: optional(tracing),
  /** Isthmus's own: the collector that is sent Istio's metrics by OTLP over gRPC. */
  otlpMetrics: optional(struct({ address: required(address) })),
  proxyMetadata: optional(checked(mapOf(text()), remarkOnDns)),
  runtimeValues: optional(mapOf(text())),
  fileFlushInterval: optional(durationMs()),
  fileFlushMinSizeKb: optional(integer({ max: 4_194_303 })),
  image: optional(image),
  gatewayTopology: optional(
    struct({
      numTrustedProxies: optional(integer({ max: 255 })),
      forwardClientCertDetails: optional(certificateDetails),
      proxyProtocol: optional(struct({})),
    }),
  ),
  proxyHeaders: optional(proxyHeaders),
  connectionSettings: optional(connectionSettings),
  holdApplicationUntilProxyStarts: optional(bool),
  availabilityZone: idle('the zone is that of the pod’s node'),
  binaryPath: idle(noAgent),
  caCertificatesPem: idle('roots come from Secret cacerts'),
  configPath: idle(noAgent),
  controlPlaneAuthPolicy: idle('the control plane is always reached by TLS'),
  customConfigFile: idle(noAgent),
  discoveryAddress: idle(installed),
  discoveryRefreshDelay: idle('changes are pushed as they come'),
  envoyAccessLogService: idle(byGrpc),
  envoyMetricsService: idle('metrics are read by Prometheus, or sent by otlpMetrics'),
  envoyMetricsServiceAddress: idle('metrics are read by Prometheus, or sent by otlpMetrics'),
  extraStatTags: idle('add labels by tagOverrides of a Telemetry'),
  interceptionMode: idle('connections are redirected, as REDIRECT says'),
  meshId: idle('the trust domain tells meshes apart'),
  privateKeyProvider: idle('keys are in memory, in Envoy itself'),
  proxyAdminPort: idle('Envoy’s admin interface is a Unix socket, which no neighbour reaches'),
  proxyBootstrapTemplatePath: idle(noAgent),
  readinessProbe: idle('a proxy is ready when it has its configuration'),
  sds: idle('keys come by SDS anyway'),
  serviceCluster: idle('traces name the canonical service and its namespace'),
  statNameLength: idle('Envoy has no such limit any more'),
  statsCompression: idle('metrics are told as they are'),
  statsdUdpAddress: idle('metrics are read by Prometheus, or sent by otlpMetrics'),
  statusPort: idle('the kubelet asks port 15021'),
  tracingServiceName: idle('traces name the canonical service and its namespace'),
  zipkinAddress: idle('use tracing.zipkin.address'),
});
export type ProxySettings = Infer<typeof proxySettings>;
export type MeshTracing = Infer<typeof tracing>;
