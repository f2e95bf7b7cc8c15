// SPDX-License-Identifier: Apache-2.0
// The `mesh` of the ConfigMap `istio` (https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/): YAML inside
// of YAML, so its fields are named as `data.mesh: FIELD`.
import { parseDocument } from 'yaml';
import type { KubeObject } from '../kube/types.ts';
import { clientTls } from './client-tls.ts';
import { CONFIG_DELIVERIES, DEFAULT_CONFIG_DELIVERY } from './config-delivery.ts';
import { connectionPool, outlierDetection, tcpKeepalive } from './connection-pool.ts';
import type { Diagnostic } from './diagnostics.ts';
import { defaultProviders, extensionProviders, parseLogMembers } from './extension-providers.ts';
import { DEFAULT_GATEWAY_SERVICES, GATEWAY_SERVICES } from './gateway-services.ts';
import { inboundRetries, retries } from './http-retries.ts';
import { refOf } from './kind.ts';
import { localityLbSetting } from './locality.ts';
import { proxySettings } from './proxy-settings.ts';
import { type Locate, Report } from './report.ts';
import { tlsDefaults } from './server-tls.ts';
import { bool, checked, choice, defaulted, type Infer, idle, isRecord, optional, struct, text } from './shape.ts';
import { checkExportTo, durationMs, exportScopes } from './values.ts';

const installed = 'the installation says it';
const noIngress = 'Ingress objects are not read: use Gateway and VirtualService';

/** Rules may be for nobody here: then each says for itself who sees it. */
const scopes = defaulted(
  checked(exportScopes, (value, at) => checkExportTo(value, '.', at, { forNobody: true })),
  [],
);

/** Strangers have no certificate of the mesh, and no namespace's Secret can be meant. */
const strangersTls = checked(clientTls, ({ mode, credentialName }, at) => {
  if (mode === 'ISTIO_MUTUAL') {
    const cure = 'use SIMPLE, or MUTUAL with files of the proxies';
    at.report.add('ISM0004', `${at.field}.mode`, 'nobody outside of the mesh takes its certificates', cure);
  }
  if (!credentialName) return;
  const cure = 'name files of the proxies, or write a ServiceEntry and a DestinationRule for the host';
  at.report.add('ISM0004', `${at.field}.credentialName`, 'a Secret is not supported here', cure);
});

export const meshConfig = struct({
  accessLogFile: defaulted(text(), '/dev/stdout'),
  /** In Envoy's format commands; JSON: an object of them. '': the usual line. */
  accessLogFormat: defaulted(text(), ''),
  accessLogEncoding: defaulted(choice(['TEXT', 'JSON']), 'TEXT'),
  enableTracing: defaulted(bool, false),
  extensionProviders: defaulted(extensionProviders, []),
  defaultProviders: optional(defaultProviders),
  defaultConfig: optional(proxySettings),
  tcpKeepalive: optional(tcpKeepalive),
  /** Of destinations whose rule says nothing of it. */
  defaultTrafficPolicy: optional(
    struct({ connectionPool: optional(connectionPool), outlierDetection: optional(outlierDetection) }),
  ),
  connectTimeout: defaulted(durationMs(), 5_000),
  enableAutoMtls: defaulted(bool, true),
  trustDomain: optional(text()),
  rootNamespace: optional(text()),
  outboundTrafficPolicy: defaulted(
    checked(
      struct({
        mode: defaulted(choice(['ALLOW_ANY', 'REGISTRY_ONLY', 'ALLOW_ANY_DYNAMIC_DNS']), 'ALLOW_ANY'),
        /** Of requests to names that no service has. */
        tls: optional(strangersTls),
      }),
      ({ mode, tls }, at) => {
        if (tls === undefined || mode === 'ALLOW_ANY_DYNAMIC_DNS') return;
        const cure = 'use mode ALLOW_ANY_DYNAMIC_DNS, or say it in a DestinationRule for the host';
        at.report.add('ISM0005', `${at.field}.tls`, `with ${mode} nothing goes by it`, cure);
      },
    ),
    { mode: 'ALLOW_ANY', tls: undefined },
  ),
  /** Milliseconds to wait for a client's first bytes where they tell the protocol; 0: as long as it takes. */
  protocolDetectionTimeout: defaulted(durationMs({ zero: true }), 0),
  /** Endpoints on a network without a gateway, as other networks see them: at their own address, or not at all. */
  networksWithoutGateway: defaulted(choice(['DIRECT', 'LEAVE_OUT']), 'DIRECT'),
  /** What gateways pass on from other clusters by its server name: every service of the cluster, or those that it exports. */
  gatewayServices: defaulted(choice(GATEWAY_SERVICES), DEFAULT_GATEWAY_SERVICES),
  /** What sidecars are given before they need it, from when their pods are created. */
  configDelivery: defaulted(choice(CONFIG_DELIVERIES), DEFAULT_CONFIG_DELIVERY),
  /** For destinations whose rule says nothing of it. */
  localityLbSetting: optional(localityLbSetting),
  h2UpgradePolicy: defaulted(choice(['DO_NOT_UPGRADE', 'UPGRADE']), 'DO_NOT_UPGRADE'),
  /** Of routes that say nothing of retries. */
  defaultHttpRetryPolicy: optional(retries),
  /** Of sidecars, at their own applications; absent: as docs/graceful.md says. */
  defaultInboundHttpRetryPolicy: optional(inboundRetries),
  /** Where applications listen that Services name ports of: where the client dialled, or on loopback alone. */
  inboundTrafficPolicy: optional(struct({ mode: defaulted(choice(['PASSTHROUGH', 'LOCALHOST']), 'PASSTHROUGH') })),
  /** Milliseconds until a name is looked up again that DNS did not know. */
  dnsRefreshRate: defaulted(durationMs(), 5_000),
  /** Of the mesh's own TLS, as sidecars take it. */
  meshMTLS: optional(
    struct({
      minProtocolVersion: defaulted(choice(['TLS_AUTO', 'TLSV1_2', 'TLSV1_3']), 'TLS_AUTO'),
      cipherSuites: idle('Envoy’s own are safe, and those of TLS 1.3 cannot be chosen: use minProtocolVersion'),
      ecdhCurves: idle('the curves of the mesh’s own TLS cannot be chosen'),
    }),
  ),
  tlsDefaults: optional(tlsDefaults),
  /** Who sees the objects that do not say it: Services and ServiceEntries, and rules. */
  defaultServiceExportTo: scopes,
  defaultVirtualServiceExportTo: scopes,
  defaultDestinationRuleExportTo: scopes,
  /** How proxies write paths before they compare them with rules, and pass them on so. */
  pathNormalization: optional(
    struct({
      normalization: defaulted(
        choice(['DEFAULT', 'NONE', 'BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES']),
        'DEFAULT',
      ),
    }),
  ),
  ca: idle(installed),
  caCertificates: idle('roots come from Secret cacerts'),
  certificates: idle('certificates for other purposes are yours to make'),
  configSources: idle('the control plane reads the cluster that it runs in'),
  disableEnvoyListenerLog: idle('connections that are refused are told in the access log'),
  discoverySelectors: idle('every namespace is watched; Sidecar and exportTo say who sees what'),
  enableEnvoyAccessLogService: idle('use an extension provider'),
  enablePrometheusMerge: idle('the application’s metrics stay at its own port'),
  hboneIdleTimeout: idle('proxies speak no HBONE'),
  inboundClusterStatName: idle('clusters have the names of the mesh in statistics, too'),
  ingressClass: idle(noIngress),
  ingressControllerMode: idle(noIngress),
  ingressSelector: idle(noIngress),
  ingressService: idle(noIngress),
  outboundClusterStatName: idle('clusters have the names of the mesh in statistics, too'),
  proxyHttpPort: idle('proxies are transparent, and serve no explicit HTTP proxy'),
  proxyInboundListenPort: idle('proxies take what comes in at 15006'),
  proxyListenPort: idle('proxies take what goes out at 15001'),
  sdsUdsPath: idle('keys come from the control plane'),
  serviceEntryVisibility: idle(
    'it is for ambient proxies (applyToSidecars is not carried out); say who sees entries by exportTo, or by defaultServiceExportTo',
  ),
  serviceScopeConfigs: idle('services are the same in all clusters of the mesh; use networks or Sidecar'),
  serviceSettings: idle('services are the same in all clusters of the mesh; use networks or Sidecar'),
  trustDomainAliases: idle('identities of other trust domains are not believed'),
  verifyCertificateAtClient: idle('name caCertificates in the DestinationRule'),
  zoneAwareLbSetting: idle('use localityLbSetting'),
});
export type MeshConfig = Infer<typeof meshConfig>;

const NOBODY = { apiVersion: 'v1', kind: 'ConfigMap', namespace: '', name: '' };
export const DEFAULT_MESH_CONFIG: MeshConfig = meshConfig.decode({}, { field: '', report: new Report(NOBODY) })!;

/** Unknown fields are reported as warnings: a ConfigMap that Istio's users have should not stop the mesh. */
export function decodeMeshConfig(
  raw: KubeObject,
  options: { cluster?: string; locate?: Locate | undefined } = {},
): { value?: MeshConfig; diagnostics: readonly Diagnostic[] } {
  const report = new Report(refOf(raw, options.cluster), options.locate);
  const data = raw['data'];
  const source = isRecord(data) ? data['mesh'] : undefined;
  if (typeof source !== 'string') return { value: DEFAULT_MESH_CONFIG, diagnostics: [] };
  const document = parseDocument(source);
  if (document.errors.length > 0) {
    report.add('ISM0002', 'data.mesh', document.errors[0]!.message.split('\n')[0]!, 'write it as YAML');
    return { diagnostics: report.diagnostics };
  }
  const value = meshConfig.decode(document.toJS() ?? {}, { field: 'data.mesh', report });
  if (value?.accessLogEncoding === 'JSON' && parseLogMembers(value.accessLogFormat) === undefined) {
    const cure = 'write a JSON object of format commands';
    report.add('ISM0006', 'data.mesh.accessLogFormat', 'it is no JSON object, as accessLogEncoding JSON has it', cure);
    return { diagnostics: report.diagnostics };
  }
  const diagnostics = report.diagnostics.map((d) =>
    d.code === 'ISM0003' ? { ...d, severity: 'warning' as const } : d,
  );
  return value === undefined ? { diagnostics } : { value, diagnostics };
}
