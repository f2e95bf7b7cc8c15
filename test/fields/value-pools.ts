// SPDX-License-Identifier: Apache-2.0
// Values that random objects have: by field, by the field's name alone, by message, by scalar type, in that order.
import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { parseAllDocuments } from 'yaml';

export const NAMESPACES = ['alpha', 'beta', 'gamma'] as const;
export const NAMES = ['reviews', 'ratings', 'details', 'orders'] as const;
/** Where the files of rules are: test/xds/following-envoy.ts puts a folder of its own in this one's place. */
export const CERTIFICATES = '/etc/certs1';
const VERSIONS = ['v1', 'v2', 'v3'] as const;

/** apiVersion by kind. */
export const GROUPS: Readonly<Record<string, string>> = {
  DestinationRule: 'networking.istio.io/v1',
  EnvoyFilter: 'networking.istio.io/v1alpha3',
  Gateway: 'networking.istio.io/v1',
  ProxyConfig: 'networking.istio.io/v1beta1',
  ServiceEntry: 'networking.istio.io/v1',
  Sidecar: 'networking.istio.io/v1',
  Telemetry: 'telemetry.istio.io/v1',
  VirtualService: 'networking.istio.io/v1',
  WorkloadEntry: 'networking.istio.io/v1',
  WorkloadGroup: 'networking.istio.io/v1',
};

const name = fc.constantFrom(...NAMES);
const namespace = fc.constantFrom(...NAMESPACES);
const version = fc.constantFrom(...VERSIONS);
const host = fc.oneof(
  name,
  fc.tuple(name, namespace).map(([n, ns]) => `${n}.${ns}.svc.cluster.local`),
  fc.tuple(name, namespace).map(([n, ns]) => `${n}.${ns}.global`),
  fc.constantFrom('www.example.com', '*.example.com', 'unknown.example.org'),
);
const externalHost = fc.oneof(
  fc.tuple(name, namespace).map(([n, ns]) => `${n}.${ns}.global`),
  fc.constantFrom('www.example.com', '*.example.com', 'db.example.org'),
);
const port = fc.constantFrom(80, 443, 5432, 7070, 8080, 9080, 9443);
const ip = fc.tuple(fc.constantFrom(1, 9, 127), fc.nat(250)).map(([a, b]) => `10.${a}.7.${b + 1}`);
const duration = fc.constantFrom('1ms', '250ms', '1.5s', '1m30s', '1h');
const list = <T>(item: fc.Arbitrary<T>, maxLength = 2) => fc.uniqueArray(item, { minLength: 1, maxLength });
const labels = fc.constantFrom({ app: 'reviews' }, { version: 'v1' }, { istio: 'ingressgateway' }, { app: 'orders' });
const regex = fc.constantFrom('/api/v[0-9]+', '(jason|anna).*', '[a-z]{1,9}', '\\w+');
const headerValues = fc.dictionary(fc.constantFrom('x-one', 'x-two'), fc.constantFrom('1', '%PROTOCOL%', 'a b'));

export const SCALARS: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  string: fc.constantFrom('one', 'two'),
  bool: fc.boolean(),
  int32: fc.integer({ min: 1, max: 100 }),
  uint32: fc.integer({ min: 1, max: 100 }),
  int64: fc.integer({ min: 1, max: 100 }),
  uint64: fc.integer({ min: 1, max: 100 }),
  double: fc.constantFrom(0, 0.5, 12.5, 100),
  float: fc.constantFrom(0, 0.5, 12.5, 100),
  duration,
};

/**
 * Patches that a real Envoy takes, whatever they meet: those of the cases, but for such as two filters cannot both add, or
 * two Envoys on one machine.
 */
const patches = readdirSync(new URL('../../scenarios/envoy-filter', import.meta.url)).flatMap((name) => {
  const text = readFileSync(new URL(`../../scenarios/envoy-filter/${name}/input.yaml`, import.meta.url), 'utf8');
  const objects = parseAllDocuments(text).map((document) => document.toJS() as { kind: string; spec: PatchList });
  return objects.filter(({ kind }) => kind === 'EnvoyFilter').flatMap(({ spec }) => spec.configPatches);
});
interface PatchList {
  readonly configPatches: readonly { readonly applyTo: string; readonly patch: { readonly operation: string } }[];
}
const isAlone = (applyTo: string) => applyTo === 'LISTENER' || applyTo === 'VIRTUAL_HOST';

export const POOLS: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  'networking.EnvoyFilter.configPatches': list(
    fc.constantFrom(...patches.filter(({ applyTo, patch }) => patch.operation !== 'ADD' || !isAlone(applyTo))),
  ),
  // Whatever the message.
  host,
  hosts: list(host),
  exportTo: fc.oneof(list(fc.constantFrom(...NAMESPACES)), fc.constantFrom(['*'], ['.'])),
  'networking.ServiceEntry.exportTo': fc.oneof(
    list(fc.constantFrom(...NAMESPACES)),
    fc.constantFrom(['*'], ['.'], ['~']),
  ),
  namespace,
  sourceNamespace: namespace,
  labels,
  sourceLabels: labels,
  matchLabels: labels,
  subset: version,
  destinationSubnets: list(fc.constantFrom('10.0.0.0/8', '10.9.7.0/24', '192.0.2.1')),
  regex,
  weight: fc.integer({ min: 1, max: 100 }),
  sni: fc.constantFrom('www.example.com', 'a.b'),
  locality: fc.constantFrom('r1/z1/s1', 'r1/z2', 'r2'),
  // Messages.
  'networking.StringMatch': fc.oneof(
    fc.constantFrom('jason', '/api', 'https').map((exact) => ({ exact })),
    fc.constantFrom('a', '/api', '/api/', 'http').map((prefix) => ({ prefix })),
    regex.map((expression) => ({ regex: expression })),
  ),
  'networking.PortSelector': port.map((number) => ({ number })),
  'networking.Headers.HeaderOperations': fc.record(
    { set: headerValues, add: headerValues, remove: list(fc.constantFrom('x-old', 'server')) },
    { requiredKeys: [] },
  ),
  // VirtualService.
  'networking.VirtualService.gateways': fc.subarray(['mesh', 'orders', 'alpha/orders', 'beta/reviews'], {
    minLength: 1,
  }),
  'networking.HTTPMatchRequest.gateways': fc.subarray(['mesh', 'orders'], { minLength: 1 }),
  'networking.L4MatchAttributes.gateways': fc.subarray(['mesh', 'orders'], { minLength: 1 }),
  'networking.TLSMatchAttributes.gateways': fc.subarray(['mesh', 'orders'], { minLength: 1 }),
  'networking.HTTPMatchRequest.port': port,
  'networking.L4MatchAttributes.port': port,
  'networking.TLSMatchAttributes.port': port,
  'networking.HTTPRetry.retryOn': fc.constantFrom('5xx', 'gateway-error,connect-failure,refused-stream', '503,reset'),
  'networking.HTTPRedirect.redirectCode': fc.constantFrom(301, 302, 303, 307, 308),
  'networking.HTTPRedirect.uri': fc.constantFrom('/there', '/'),
  'networking.HTTPRedirect.prefixRewrite': fc.constantFrom('/there', '/'),
  'networking.HTTPRedirect.authority': fc.constant('other.example.com'),
  'networking.HTTPRedirect.scheme': fc.constantFrom('http', 'https'),
  'networking.HTTPRedirect.port': port,
  'networking.HTTPDirectResponse.status': fc.constantFrom(200, 404, 503),
  'networking.HTTPBody.bytes': fc.constant('dGVh'),
  'networking.HTTPRewrite.uri': fc.constantFrom('/new', '/'),
  'networking.HTTPRewrite.authority': fc.constant('new.example.com'),
  'networking.RegexRewrite.match': fc.constantFrom('^/(a)/', '/([a-z]+)'),
  'networking.RegexRewrite.rewrite': fc.constantFrom('/\\1', '/x'),
  'networking.CorsPolicy.allowOrigin': fc.constantFrom(['*'], ['https://example.com']),
  'networking.CorsPolicy.allowMethods': list(fc.constantFrom('GET', 'POST')),
  'networking.HTTPFaultInjection.Abort.httpStatus': fc.constantFrom(400, 503),
  'networking.HTTPFaultInjection.Abort.grpcStatus': fc.constantFrom('UNAVAILABLE', 'INTERNAL'),
  'networking.Delegate.name': name,
  // DestinationRule.
  'networking.Subset.name': version,
  'networking.WarmupConfiguration.aggression': fc.constantFrom(1, 2.5),
  'networking.ClientTLSSettings.clientCertificate': fc.constant(`${CERTIFICATES}/chain.pem`),
  'networking.ClientTLSSettings.privateKey': fc.constant(`${CERTIFICATES}/key.pem`),
  'networking.ClientTLSSettings.caCertificates': fc.constant(`${CERTIFICATES}/ca.pem`),
  'networking.LocalityLoadBalancerSetting.Distribute.from': fc.constantFrom('r1/*', 'r1/z1/*', '*'),
  'networking.LocalityLoadBalancerSetting.Distribute.to': fc.constantFrom(
    { 'r1/z1/*': 80, 'r2/*': 20 },
    { 'r2/*': 100 },
  ),
  'networking.LocalityLoadBalancerSetting.failover': fc.constantFrom([{ from: 'r1', to: 'r2' }]),
  'networking.LocalityLoadBalancerSetting.failoverPriority': fc.constantFrom(
    ['topology.kubernetes.io/region'],
    ['version=v1', 'app'],
  ),
  'networking.LoadBalancerSettings.ConsistentHashLB.RingHash.minimumRingSize': fc.constantFrom(16, 1024),
  'networking.LoadBalancerSettings.ConsistentHashLB.MagLev.tableSize': fc.constantFrom(251, 65537),
  'networking.LoadBalancerSettings.ConsistentHashLB.HTTPCookie.name': fc.constant('session'),
  'networking.LoadBalancerSettings.ConsistentHashLB.HTTPCookie.path': fc.constant('/'),
  'networking.LoadBalancerSettings.ConsistentHashLB.httpHeaderName': fc.constant('x-user'),
  'networking.OutlierDetection.outlierDetectionHttpErrorCodes': list(fc.constantFrom(100, 429, 503, 599)),
  'networking.OutlierDetection.maxEjectionPercent': fc.integer({ min: 0, max: 100 }),
  'networking.TrafficPolicy.TunnelSettings.protocol': fc.constantFrom('CONNECT', 'POST'),
  'networking.TrafficPolicy.TunnelSettings.targetHost': fc.constantFrom('www.example.com', '192.0.2.9'),
  'networking.TrafficPolicy.TunnelSettings.targetPort': port,
  // Telemetry, MeshConfig.
  defaultServiceExportTo: fc.constantFrom(['*'], ['.'], ['alpha'], ['~']),
  defaultVirtualServiceExportTo: fc.constantFrom(['*'], ['.'], ['alpha'], ['~']),
  defaultDestinationRuleExportTo: fc.constantFrom(['*'], ['.'], ['alpha'], ['~']),
  // A relative path would be a file in the folder that the test is run in.
  accessLogFile: fc.constantFrom('', '/dev/stdout', '/dev/null'),
  tagOverrides: fc.constantFrom({ one: { operation: 'REMOVE' } }, { two: { operation: 'UPSERT', value: "'x'" } }),
  // Gateway, Sidecar.
  'networking.Gateway.selector': fc.constant({ istio: 'ingressgateway' }),
  'networking.Server.hosts': list(
    fc.constantFrom('*', '*.example.com', './*', 'alpha/*', 'www.example.com', 'beta/reviews.beta.global'),
  ),
  'networking.Server.bind': fc.constantFrom('127.0.0.1', '0.0.0.0'),
  'networking.Port.number': port,
  'networking.Port.protocol': fc.constantFrom('HTTP', 'HTTP2', 'GRPC', 'HTTPS', 'TLS', 'TCP'),
  'networking.Port.name': fc.constantFrom('one', 'two', 'three'),
  'networking.ServerTLSSettings.credentialName': fc.constantFrom('cert-a', 'cert-b'),
  'networking.ServerTLSSettings.credentialNames': fc.constant(['cert-a', 'cert-b']),
  'networking.ServerTLSSettings.caCertCredentialName': fc.constant('ca-only'),
  'networking.ServerTLSSettings.serverCertificate': fc.constant(`${CERTIFICATES}/chain.pem`),
  'networking.ServerTLSSettings.privateKey': fc.constant(`${CERTIFICATES}/key.pem`),
  'networking.ServerTLSSettings.caCertificates': fc.constant(`${CERTIFICATES}/ca.pem`),
  'networking.ServerTLSSettings.TLSCertificate.serverCertificate': fc.constant(`${CERTIFICATES}/chain.pem`),
  'networking.ServerTLSSettings.TLSCertificate.privateKey': fc.constant(`${CERTIFICATES}/key.pem`),
  'networking.ServerTLSSettings.TLSCertificate.caCertificates': fc.constant(`${CERTIFICATES}/ca.pem`),
  'networking.ServerTLSSettings.verifyCertificateSpki': fc.constant([`${'A'.repeat(43)}=`]),
  'networking.ServerTLSSettings.verifyCertificateHash': fc.constant(['ab'.repeat(32)]),
  'networking.ServerTLSSettings.cipherSuites': fc.constant(['ECDHE-RSA-AES256-GCM-SHA384', 'AES128-SHA']),
  'networking.ServerTLSSettings.ecdhCurves': fc.constant(['P-256', 'X25519']),
  'networking.SidecarPort.number': port,
  'networking.SidecarPort.protocol': fc.constantFrom('HTTP', 'GRPC', 'TCP'),
  'networking.SidecarPort.name': fc.constantFrom('one', 'two'),
  'networking.IstioEgressListener.hosts': list(
    fc.constantFrom('*/*', './*', 'alpha/*', 'beta/reviews.beta.svc.cluster.local', '~/*'),
  ),
  'networking.IstioEgressListener.bind': fc.constantFrom('127.0.0.1', '0.0.0.0'),
  'networking.IstioIngressListener.bind': fc.constantFrom('127.0.0.1', '0.0.0.0'),
  'networking.IstioIngressListener.defaultEndpoint': fc.constantFrom('127.0.0.1:8080', '0.0.0.0:9090'),
  // ServiceEntry, WorkloadEntry, WorkloadGroup.
  'networking.ServiceEntry.hosts': list(externalHost),
  'networking.ServiceEntry.addresses': list(fc.constantFrom('240.1.0.1', '240.1.0.0/16', '10.127.9.9')),
  'networking.ServicePort.number': port,
  'networking.ServicePort.targetPort': port,
  'networking.ServicePort.protocol': fc.constantFrom('HTTP', 'HTTP2', 'GRPC', 'HTTPS', 'TLS', 'TCP', 'MONGO'),
  'networking.ServicePort.name': fc.constantFrom('one', 'two', 'three'),
  'networking.WorkloadEntry.address': fc.oneof(ip, fc.constantFrom('a.example.com', 'b.example.com')),
  'networking.WorkloadEntry.ports': fc.constantFrom({ one: 8443 }, { two: 9999 }),
  'networking.WorkloadEntry.network': fc.constantFrom('net-1', 'net-2'),
  'networking.ServiceEntry.subjectAltNames': fc.constant(['spiffe://cluster.local/ns/alpha/sa/reviews']),
};

interface Fix {
  /** Fields that it is of no use without. */
  readonly needs?: readonly string[];
  mend?(value: Record<string, unknown>): Record<string, unknown>;
}

const without = (value: Record<string, unknown>, ...names: string[]) =>
  Object.fromEntries(Object.entries(value).filter(([name]) => !names.includes(name)));

/** What the fields of a message demand of one another. */
export const FIXES: Readonly<Record<string, Fix>> = {
  'networking.HTTPRoute': {
    needs: ['route'],
    mend(value) {
      if ('redirect' in value)
        return without(value, 'route', 'directResponse', 'delegate', 'rewrite', 'mirror', 'mirrors', 'fault');
      if ('directResponse' in value)
        return without(value, 'route', 'redirect', 'delegate', 'rewrite', 'mirror', 'mirrors', 'fault');
      if ('delegate' in value) return without(value, 'route', 'redirect', 'directResponse');
      return 'mirror' in value ? without(value, 'mirrors') : without(value, 'mirrorPercentage', 'mirrorPercent');
    },
  },
  'networking.VirtualService': {
    needs: ['hosts', 'http'],
    mend(value) {
      const [first] = value['hosts'] as string[];
      const tls = value['tls'] as { match: object[] }[] | undefined;
      if (tls === undefined) return value;
      return { ...value, tls: tls.map((r) => ({ ...r, match: r.match.map((m) => ({ ...m, sniHosts: [first] })) })) };
    },
  },
  'networking.DestinationRule': {
    needs: ['host', 'trafficPolicy'],
    mend(value) {
      const { exportTo: _, ...rest } = value;
      if ('workloadSelector' in value) return rest;
      const subsets = value['subsets'] as object[] | undefined;
      return subsets === undefined
        ? value
        : { ...value, subsets: subsets.map((s, i) => ({ ...s, name: VERSIONS[i] })) };
    },
  },
  'networking.Subset': { needs: ['labels'] },
  'networking.HTTPRouteDestination': { needs: ['destination', 'weight'] },
  'networking.RouteDestination': { needs: ['destination', 'weight'] },
  'networking.HTTPDirectResponse': { needs: ['status'] },
  'networking.TLSMatchAttributes': { needs: ['sniHosts'] },
  'networking.Gateway': {
    needs: ['selector', 'servers'],
    mend(value) {
      const servers = value['servers'] as { port: object }[];
      return { ...value, servers: servers.map((s, i) => ({ ...s, port: { ...s.port, name: ['one', 'two'][i] } })) };
    },
  },
  'networking.Server': {
    needs: ['port', 'hosts'],
    mend(value) {
      const protocol = (value['port'] as { protocol: string }).protocol;
      if (protocol === 'HTTPS' || protocol === 'TLS') {
        return 'tls' in value ? value : { ...value, tls: { mode: 'SIMPLE', credentialName: 'cert-a' } };
      }
      return without(value, 'tls');
    },
  },
  'networking.ServiceEntry': {
    needs: ['hosts', 'ports', 'resolution', 'endpoints'],
    mend(value) {
      const ports = value['ports'] as { number: number; name: string }[];
      const named = ports.map((each, i) => ({ ...each, name: ['one', 'two'][i], number: each.number + i }));
      if (value['resolution'] === 'DYNAMIC_DNS') {
        const hosts = (value['hosts'] as string[]).map((each) => (each.startsWith('*') ? each : `*.${each}`));
        const ports = named.map((each, i) => ({ ...each, protocol: ['HTTP', 'TLS'][i] }));
        return without({ ...value, hosts: [...new Set(hosts)], ports }, 'endpoints', 'workloadSelector', 'addresses');
      }
      const hasNames = (value['hosts'] as string[]).some((each) => each.startsWith('*'));
      const resolution = hasNames && value['resolution'] !== 'STATIC' ? 'NONE' : value['resolution'];
      const mended = { ...value, ports: named, resolution };
      if (resolution === 'NONE') return without(mended, 'endpoints', 'workloadSelector');
      return 'workloadSelector' in value ? without(mended, 'endpoints') : mended;
    },
  },
  'networking.WorkloadEntry': { needs: ['address'] },
  'networking.ServicePort': { needs: ['number', 'name', 'protocol'] },
  'networking.TrafficPolicy.PortTrafficPolicy': { needs: ['port'] },
  'networking.ClientTLSSettings': {
    needs: ['mode'],
    mend(value) {
      if (value['mode'] === 'MUTUAL') {
        return 'credentialName' in value
          ? without(value, 'clientCertificate', 'privateKey', 'caCertificates', 'insecureSkipVerify')
          : { ...value, clientCertificate: `${CERTIFICATES}/chain.pem`, privateKey: `${CERTIFICATES}/key.pem` };
      }
      return without(value, 'clientCertificate', 'privateKey', 'caCertificates', 'credentialName');
    },
  },
  'networking.TrafficPolicy': {
    mend: (value) => ('tunnel' in value ? without(value, 'proxyProtocol') : value),
  },
  'networking.SidecarPort': { needs: ['number', 'protocol', 'name'] },
  'networking.Sidecar': {
    needs: ['egress'],
    mend(value) {
      const egress = value['egress'] as object[];
      const ordered = egress.map((each, i) => (i === egress.length - 1 ? without({ ...each }, 'port', 'bind') : each));
      return { ...value, egress: ordered.filter((each, i) => i === egress.length - 1 || 'port' in each) };
    },
  },
  'networking.IstioIngressListener': {
    needs: ['port', 'defaultEndpoint'],
    mend(value) {
      return 'tls' in value ? { ...value, port: { ...(value['port'] as object), protocol: 'HTTPS' } } : value;
    },
  },
  'networking.IstioEgressListener': { needs: ['hosts'] },
  'networking.OutboundTrafficPolicy': {
    // Its port is needed here, and optional elsewhere.
    mend: (value) =>
      'egressProxy' in value
        ? { mode: 'ALLOW_ANY', egressProxy: { host: 'www.example.com', port: { number: 80 } } }
        : value,
  },
  'telemetry.MetricsOverrides.TagOverride': {
    mend: (value) => (value['operation'] === 'REMOVE' ? without(value, 'value') : { value: "'one'", ...value }),
  },
  'networking.OutlierDetection': {
    mend(value) {
      return 'consecutiveLocalOriginFailures' in value ? { ...value, splitExternalLocalOriginErrors: true } : value;
    },
  },
  'networking.LocalityLoadBalancerSetting': {
    mend(value) {
      if ('distribute' in value) return without(value, 'failover', 'failoverPriority');
      return 'failover' in value ? without(value, 'failoverPriority') : value;
    },
  },
  'networking.LocalityLoadBalancerSetting.Distribute': { needs: ['from', 'to'] },
  'networking.ConnectionPoolSettings.HTTPSettings.ConnectionKeepalive': { needs: ['interval', 'timeout'] },
  'networking.HTTPRetry': { needs: ['attempts'] },
  'networking.HTTPRewrite': {
    mend: (value) => ('uriRegexRewrite' in value ? without(value, 'uri') : value),
  },
  'networking.HTTPRedirect': {
    mend: (value) => ('prefixRewrite' in value ? without(value, 'uri') : value),
  },
  'networking.HTTPFaultInjection': { needs: ['delay'] },
  'networking.HTTPFaultInjection.Delay': { needs: ['fixedDelay'] },
  'networking.Delegate': { needs: ['name'] },
  'networking.RegexRewrite': { needs: ['match', 'rewrite'] },
  'networking.TCPRoute': { needs: ['route'] },
  'networking.TLSRoute': { needs: ['match', 'route'] },
};
