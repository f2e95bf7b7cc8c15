// SPDX-License-Identifier: Apache-2.0
// Random meshes in which everything is about a few services that are there, so that what a rule says decides something.
import fc from 'fast-check';
import type { KubeObject } from '../../src/kube/types.ts';
import { policyOfAll } from '../scenarios/arbitrary-mesh.ts';
import { arbitraryRoute, type Fields, soleConditions, VERSIONS } from '../scenarios/arbitrary-routes.ts';

type Arbitrary<T> = fc.Arbitrary<T>;

export const CLIENT = { namespace: 'alpha', labels: { app: 'reviews', version: 'v1' } } as const;
export const GATEWAY = { namespace: 'beta', labels: { istio: 'ingressgateway' } } as const;

const SERVICES = [
  { name: 'reviews', namespace: 'alpha', ip: '10.96.1.1' },
  { name: 'ratings', namespace: 'alpha', ip: '10.96.1.2' },
  { name: 'details', namespace: 'beta', ip: '10.96.1.3' },
] as const;
const PORTS = [
  { name: 'http', port: 9080 },
  { name: 'http-admin', port: 8080, targetPort: 8081 },
  { name: 'grpc', port: 7070 },
  { name: 'tcp-db', port: 5432 },
  { name: 'tls-in', port: 8443 },
  { name: 'odd', port: 6060 },
] as const;
const FQDN = (service: { name: string; namespace: string }) => `${service.name}.${service.namespace}.svc.cluster.local`;

function mesh(kind: string, namespace: string, name: string, spec: object): KubeObject {
  const creationTimestamp = '2026-01-01T00:00:00Z';
  return { apiVersion: 'networking.istio.io/v1', kind, metadata: { name, namespace, creationTimestamp }, spec };
}

interface PodDraft {
  readonly meshed: boolean;
  readonly place: string;
  readonly count: number;
}

const podDraft = fc.record({
  meshed: fc.boolean(),
  place: fc.constantFrom('', 'eu.a', 'eu.b', 'us.a'),
  count: fc.nat(2),
});

/** The Service, its pods and their slice, as a cluster has them. */
function serviceObjects(service: (typeof SERVICES)[number], drafts: readonly PodDraft[]): KubeObject[] {
  const { name, namespace, ip } = service;
  const net = SERVICES.indexOf(service);
  const pods = drafts.flatMap(({ meshed, place, count }, v) =>
    Array.from({ length: count }, (_, i) => {
      const labels = { app: name, version: VERSIONS[v]!, 'istio-locality': place };
      return {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: {
          name: `${name}-${VERSIONS[v]}-${i}`,
          namespace,
          labels: { ...labels, ...(meshed && { 'security.istio.io/tlsMode': 'istio' }) },
        },
        spec: { serviceAccountName: name, containers: [] },
        status: { podIP: `10.1.${net}.${10 * v + i + 1}`, conditions: [{ type: 'Ready', status: 'True' }] },
      };
    }),
  );
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace, creationTimestamp: '2026-01-01T00:00:00Z' },
      spec: { clusterIP: ip, selector: { app: name }, ports: [...PORTS] },
    },
    ...pods,
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: `${name}-1`, namespace, labels: { 'kubernetes.io/service-name': name } },
      addressType: 'IPv4',
      ports: PORTS.map((p) => ({ name: p.name, port: 'targetPort' in p ? p.targetPort : p.port })),
      endpoints: pods.map((pod) => ({
        addresses: [pod.status.podIP],
        conditions: { ready: true },
        targetRef: { kind: 'Pod', name: pod.metadata.name },
      })),
    },
  ];
}

const subset = fc.option(fc.constantFrom(...VERSIONS), { nil: undefined });
const destination: Arbitrary<Fields> = fc
  .tuple(
    fc.oneof(
      { weight: 9, arbitrary: fc.constantFrom(...SERVICES.map(FQDN)) },
      { weight: 1, arbitrary: fc.constantFrom('www.example.com', 'nobody.example.org') },
    ),
    subset,
    fc.constantFrom(undefined, 9080, 8080),
  )
  .map(([host, of, port]) => ({
    host,
    ...(of && host.endsWith('.local') && { subset: of }),
    ...(host.endsWith('.local') ? { port: { number: port ?? 9080 } } : { port: { number: 9080 } }),
  }));

const PLACES = { namespaces: ['alpha', 'beta'], ports: [9080, 8080, 80], gateways: ['mesh', 'beta/edge'] };
const route = arbitraryRoute(PLACES, destination);
/** Those that take everything come last, so that the others are asked. */
const routes = (maxLength: number) =>
  fc
    .array(route, { minLength: 1, maxLength })
    .map((all) => [
      ...all.filter(({ match }) => match !== undefined),
      ...all.filter(({ match }) => match === undefined).slice(0, 1),
    ]);

const SOLE = soleConditions(PLACES);

/** Its first routes ask for one thing each, of fields that are no neighbours: those would take one another's requests. */
const rulesOf = (index: number) => {
  const conditions = [0, 1, 2].map((i) => SOLE[(index + i * 11) % SOLE.length]!);
  const first = conditions.map((match) =>
    fc.tuple(match, route).map(([asked, rest]) => ({ ...plain(rest), match: [asked] })),
  );
  return fc
    .tuple(fc.subarray([...SERVICES], { minLength: 1 }), fc.tuple(...first), routes(5))
    .map(([services, sole, http]) =>
      mesh('VirtualService', 'alpha', 'rules', {
        hosts: [...services.map(FQDN), 'www.example.com'],
        gateways: ['mesh', 'beta/edge'],
        http: [...sole, ...http],
      }),
    );
};

/** What is put in the place of a prefix asks for one. */
function plain(rest: Fields): Fields {
  const { redirect } = rest as { redirect?: { prefixRewrite?: string } };
  return redirect?.prefixRewrite === undefined ? rest : { ...rest, redirect: { uri: redirect.prefixRewrite } };
}

/** Routes taken over from another rule. */
const delegation = fc
  .tuple(routes(4), fc.constantFrom('/', '/api', '/shop'), fc.boolean())
  .map(([inner, prefix, ignoreUriCase]) => [
    mesh('VirtualService', 'beta', 'outer', {
      hosts: ['outer.example.com', '*.outer.example.com'],
      gateways: ['mesh', 'edge'],
      http: [
        { name: 'taken', match: [{ uri: { prefix }, ignoreUriCase }], delegate: { name: 'inner', namespace: 'beta' } },
        { directResponse: { status: 418 } },
      ],
    }),
    mesh('VirtualService', 'beta', 'inner', { http: inner }),
  ]);

const shares = fc
  .tuple(destination, destination, fc.integer({ min: 1, max: 99 }), fc.boolean())
  .map(([a, b, weight, both]) =>
    both
      ? [
          { destination: a, weight },
          { destination: b, weight: 100 - weight },
        ]
      : [{ destination: a }],
  );
const ASKED_OF_CONNECTIONS: readonly Fields[] = [
  ...['v1', 'v2'].map((version) => ({ sourceLabels: { version } })),
  ...['alpha', 'beta'].map((sourceNamespace) => ({ sourceNamespace })),
  ...['10.96.1.2/31', '10.96.1.1', '10.0.0.0/8'].map((subnet) => ({ destinationSubnets: [subnet] })),
  ...['mesh', 'beta/edge'].map((name) => ({ gateways: [name] })),
  {},
];
const asked = fc.constantFrom(...ASKED_OF_CONNECTIONS);
const askedAt = (index: number) => fc.constant(ASKED_OF_CONNECTIONS[index % ASKED_OF_CONNECTIONS.length]!);
const names = fc.subarray(['a.tls.example', 'b.tls.example', '*.tls.example'], { minLength: 1 });

/** The first of each kind asks for another thing in each mesh of a run. */
const connectionsOf = (index: number) =>
  fc
    .tuple(
      fc.tuple(fc.tuple(askedAt(index), shares), fc.tuple(asked, shares)),
      fc.tuple(fc.tuple(askedAt(index + 4), names, shares), fc.tuple(asked, names, shares)),
      shares,
    )
    .map(([tcp, tls, passed]) =>
      mesh('VirtualService', 'alpha', 'connections', {
        hosts: [FQDN(SERVICES[0]), '*.tls.example'],
        gateways: ['mesh', 'beta/edge'],
        tcp: tcp.map(([match, route]) => ({ match: [{ port: 5432, ...match }], route })),
        tls: [
          ...tls.map(([match, sniHosts, route]) => ({ match: [{ port: 8443, ...match, sniHosts }], route })),
          { match: [{ port: 9443, sniHosts: ['a.tls.example'] }], route: passed },
        ],
      }),
    );

const destinationRules = fc
  .tuple(
    fc.subarray([...SERVICES], { minLength: 1 }),
    fc.array(policyOfAll, { minLength: 3, maxLength: 3 }),
    policyOfAll,
  )
  .map(([services, policies, own]) =>
    services.map((service, i) =>
      mesh('DestinationRule', service.namespace, service.name, {
        host: FQDN(service),
        ...(Object.keys(policies[i]!).length > 0 && { trafficPolicy: policies[i] }),
        subsets: VERSIONS.map((version, v) => ({
          name: version,
          labels: { version },
          ...(v === 0 && Object.keys(withoutConnections(own)).length > 0 && { trafficPolicy: withoutConnections(own) }),
        })),
      }),
    ),
  );

/** Subsets have no tunnels of their own. */
function withoutConnections({ tunnel: _, proxyProtocol: __, ...policy }: Fields): Fields {
  return policy;
}

const entries = fc.constantFrom('DNS', 'DNS_ROUND_ROBIN').map((resolution) => [
  mesh('ServiceEntry', 'alpha', 'www', {
    hosts: ['www.example.com'],
    location: 'MESH_EXTERNAL',
    ports: [
      { number: 9080, name: 'http', protocol: 'HTTP' },
      { number: 9443, name: 'tls', protocol: 'TLS' },
    ],
    resolution,
    endpoints: [{ address: 'a.example.com', ports: { http: 80 } }],
  }),
  mesh('ServiceEntry', 'alpha', 'anywhere', {
    hosts: ['*.anywhere.example'],
    location: 'MESH_EXTERNAL',
    ports: [
      { number: 9080, name: 'http', protocol: 'HTTP' },
      { number: 9444, name: 'tls', protocol: 'TLS' },
    ],
    resolution: 'NONE',
  }),
]);

const tlsSettings = fc.record(
  {
    minProtocolVersion: fc.constantFrom('TLSV1_2', 'TLSV1_3', 'TLS_AUTO'),
    maxProtocolVersion: fc.constantFrom('TLSV1_3', 'TLS_AUTO'),
  },
  { requiredKeys: [] },
);
const gateway = fc
  .tuple(fc.boolean(), tlsSettings, tlsSettings, fc.boolean(), fc.subarray(['spiffe://friend', 'spiffe://other']))
  .map(([httpsOnly, simple, mutual, optional, subjectAltNames]) =>
    mesh('Gateway', 'beta', 'edge', {
      selector: { istio: 'ingressgateway' },
      servers: [
        { port: { number: 80, name: 'http', protocol: 'HTTP' }, hosts: ['*'] },
        {
          port: { number: 8080, name: 'http-2', protocol: 'HTTP' },
          hosts: ['www.example.com'],
          ...(httpsOnly && { tls: { httpsRedirect: true } }),
        },
        {
          port: { number: 443, name: 'https', protocol: 'HTTPS' },
          hosts: ['www.example.com'],
          tls: { mode: 'SIMPLE', credentialName: 'www', ...simple },
        },
        {
          port: { number: 443, name: 'mutual', protocol: 'HTTPS' },
          hosts: ['*.outer.example.com', 'outer.example.com'],
          tls: {
            mode: optional ? 'OPTIONAL_MUTUAL' : 'MUTUAL',
            credentialName: 'outer',
            ...mutual,
            ...(subjectAltNames.length > 0 && { subjectAltNames }),
          },
        },
        {
          port: { number: 9443, name: 'tls', protocol: 'TLS' },
          hosts: ['*.tls.example'],
          tls: { mode: 'PASSTHROUGH' },
        },
        { port: { number: 5432, name: 'tcp', protocol: 'TCP' }, hosts: ['*'] },
      ],
    }),
  );

const settings = fc
  .record(
    {
      normalization: fc.constantFrom('NONE', 'BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES'),
      mode: fc.constantFrom('ALLOW_ANY', 'REGISTRY_ONLY'),
      trustedProxies: fc.constantFrom(0, 1),
    },
    { requiredKeys: [] },
  )
  .map(({ normalization, mode, trustedProxies }): KubeObject => {
    const mesh = {
      ...(normalization && { pathNormalization: { normalization } }),
      ...(mode && { outboundTrafficPolicy: { mode } }),
      ...(trustedProxies && { defaultConfig: { gatewayTopology: { numTrustedProxies: trustedProxies } } }),
    };
    return {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'istio', namespace: 'istio-system' },
      data: { mesh: JSON.stringify(mesh) },
    };
  });

/** `index`: of the mesh in a run; what must not be left to chance comes with it. */
export const arbitraryCase = (index: number): Arbitrary<KubeObject[]> =>
  fc
    .tuple(
      fc.array(fc.array(podDraft, { minLength: 3, maxLength: 3 }), { minLength: 3, maxLength: 3 }),
      rulesOf(index),
      delegation,
      connectionsOf(index),
      destinationRules,
      entries,
      gateway,
      settings,
    )
    .map(([pods, rule, delegates, connection, policies, external, edge, config]) => [
      ...SERVICES.flatMap((service, i) => serviceObjects(service, pods[i]!)),
      ...external,
      ...policies,
      edge,
      rule,
      ...delegates,
      connection,
      config,
    ]);
