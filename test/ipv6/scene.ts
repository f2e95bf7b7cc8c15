// SPDX-License-Identifier: Apache-2.0
// Run as the first process of new namespaces: a node's network with pods of both IP families and of one, the control plane,
// and a real Envoy in each pod of the mesh, behind the rules that `isthmus proxy-init` writes. Prints what came of calls as JSON.
import { chmodSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { collectNames } from '../../src/dns/global-names.ts';
import { buildBootstrap, HEALTH_PATH, HEALTH_PORT, METRICS_PORT, PROXY_MARK } from '../../src/injector/bootstrap.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import { runControlPlane } from '../../src/runtime/control-plane.ts';
import { ADS_ADDRESS, controlPlaneEndpoint, SDS_ADDRESS } from '../../src/xds/envoy-client.ts';
import { KubeFixture } from '../mesh/kube-fixture.ts';
import { type EnvoyProcess, startEnvoy } from '../xds/envoy-process.ts';
import type { PodAnswer, PodCall } from './pod-app.ts';
import { BRIDGE, buildBridge, type PodSpec, TestPod } from './pods.ts';

const [dir = '', envoyPath = ''] = process.argv.slice(2);
const ISTHMUS = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const NS = '/api/v1/namespaces/default';
const SLICES = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';
const XDS_PORT = 15_012;
const GATEWAY_PORT = 8081;
const OUTER_HOST = 'six.example.com';
const FOUND_HOST = 'found.example.global';
const PROBE = {
  path: '/app-health/app/readyz',
  appPort: 8080,
  check: { kind: 'http', tls: false, appPath: '/' },
} as const;
const PATIENCE_MS = 60_000;

export interface SceneResult {
  readonly calls: Readonly<Record<string, PodAnswer>>;
  /** Of the pods' Envoys: lines of their access logs. */
  readonly logs: Readonly<Record<string, readonly string[]>>;
}

const PODS: readonly (PodSpec & { readonly app: string; readonly proxy?: 'gateway' | 'none' })[] = [
  { name: 'client', v4: '10.88.0.10', v6: 'fd88::10', app: 'client' },
  { name: 'server', v4: '10.88.0.11', v6: 'fd88::11', app: 'server' },
  { name: 'six', v6: 'fd88::12', app: 'six' },
  { name: 'four', v4: '10.88.0.13', app: 'four' },
  { name: 'stranger', v4: '10.88.0.14', v6: 'fd88::14', app: 'stranger', proxy: 'none' },
  { name: 'edge', v4: '10.88.0.15', v6: 'fd88::15', app: 'edge', proxy: 'gateway' },
];

/** `web`: by both addresses; `only-six`: by IPv6, as is its pod; `peers`: no address of its own. */
const SERVICES: Readonly<Record<string, { readonly app: string; readonly clusterIPs: readonly string[] }>> = {
  web: { app: 'server', clusterIPs: ['10.96.0.10', 'fd00:96::10'] },
  'only-six': { app: 'six', clusterIPs: ['fd00:96::20'] },
  peers: { app: 'server', clusterIPs: ['None'] },
};
const SERVICE_PORTS = [
  { name: 'http', port: 8080 },
  { name: 'tcp', port: 5432 },
];

/** Names outside of the mesh, all of them `stranger`; at .99 and ::99 is nobody. */
const OUTER_NAMES = `
10.88.0.99 half.example.test half.wild.test
fd88::14 half.example.test half.wild.test six.wild.test
10.88.0.14 other.wild.test
fd88::99 other.wild.test
`;

function putObjects(kube: KubeFixture): void {
  for (const name of ['istio-system', 'default']) {
    const labels = { 'istio-injection': name === 'default' ? 'enabled' : 'disabled' };
    kube.put('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
  }
  const metadata = (name: string, labels = {}) => ({ name, namespace: 'default', labels });
  for (const { name, app, v4, v6, proxy } of PODS) {
    const ips = [v4, v6].filter((ip) => ip !== undefined);
    kube.put(`${NS}/pods`, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: metadata(name, { app, ...(proxy === undefined && { 'security.istio.io/tlsMode': 'istio' }) }),
      spec: { serviceAccountName: name, containers: [{ name: 'app' }] },
      status: { podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) },
    } as KubeObject);
  }
  for (const [name, { app, clusterIPs }] of Object.entries(SERVICES)) {
    const spec = { clusterIP: clusterIPs[0], clusterIPs, selector: { app }, ports: SERVICE_PORTS };
    kube.put(`${NS}/services`, { apiVersion: 'v1', kind: 'Service', metadata: metadata(name), spec } as KubeObject);
    for (const family of ['v4', 'v6'] as const) {
      const members = PODS.filter((pod) => pod.app === app && pod[family] !== undefined);
      kube.put(SLICES, {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: metadata(`${name}-${family}`, { 'kubernetes.io/service-name': name }),
        addressType: family === 'v4' ? 'IPv4' : 'IPv6',
        ports: SERVICE_PORTS,
        endpoints: members.map((pod) => ({ addresses: [pod[family]], targetRef: { kind: 'Pod', name: pod.name } })),
      } as KubeObject);
    }
  }
  const istio = '/apis/networking.istio.io/v1/namespaces/default';
  kube.put(`${istio}/gateways`, {
    apiVersion: 'networking.istio.io/v1',
    kind: 'Gateway',
    metadata: metadata('edge'),
    spec: {
      selector: { app: 'edge' },
      servers: [{ port: { number: GATEWAY_PORT, name: 'http', protocol: 'HTTP' }, hosts: [OUTER_HOST] }],
    },
  } as KubeObject);
  const outer = { 'half.example.test': 'DNS_ROUND_ROBIN', '*.wild.test': 'DYNAMIC_DNS' };
  for (const [host, resolution] of Object.entries(outer)) {
    kube.put(`${istio}/serviceentries`, {
      apiVersion: 'networking.istio.io/v1',
      kind: 'ServiceEntry',
      metadata: metadata(resolution.toLowerCase().replace('_', '-')),
      spec: { hosts: [host], ports: [{ number: 8080, name: 'http', protocol: 'HTTP' }], resolution },
    } as KubeObject);
  }
  // Its address is what the control plane finds.
  kube.put(`${istio}/serviceentries`, {
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: metadata('found'),
    spec: {
      hosts: [FOUND_HOST],
      ports: [{ number: 5432, name: 'tcp', protocol: 'TCP' }],
      resolution: 'STATIC',
      endpoints: [{ address: 'fd88::14' }],
    },
  } as KubeObject);
  kube.put(`${istio}/virtualservices`, {
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: metadata('edge'),
    spec: {
      hosts: [OUTER_HOST],
      gateways: ['edge'],
      http: [{ route: [{ destination: { host: 'only-six', port: { number: 8080 } } }] }],
    },
  } as KubeObject);
}

/** As the init container does. */
function writeRules(pod: TestPod): Promise<string> {
  const own = `${HEALTH_PORT},${METRICS_PORT}`;
  return pod.run([
    ...[process.execPath, ISTHMUS, 'proxy-init', '--exclude-outbound-by', 'mark', '--proxy-id', String(PROXY_MARK)],
    ...['--exclude-inbound-ports', own, '--exclude-outbound-ports', `${own},${XDS_PORT}`],
  ]);
}

function startProxy(pod: TestPod, kind: 'sidecar' | 'gateway'): EnvoyProcess {
  const { name, v4, v6 } = pod.spec;
  // What the kubelet would do: start it in the pod.
  const bin = join(pod.dir, 'envoy');
  writeFileSync(bin, `#!/bin/sh\nexec ${pod.enter.join(' ')} ${envoyPath} "$@"\n`);
  chmodSync(bin, 0o755);
  const bootstrap = buildBootstrap({
    kind,
    podName: name,
    podIp: v4 ?? v6 ?? '',
    hasIpv6: true,
    namespace: 'default',
    serviceAccount: name,
    clusterId: 'cluster1',
    network: '',
    dnsDomain: 'cluster.local',
    ads: controlPlaneEndpoint(ADS_ADDRESS),
    adminPipe: join(pod.dir, 'admin.sock'),
    excludeOutboundBy: kind === 'gateway' ? 'uid' : 'mark',
    probes: [PROBE],
  });
  return startEnvoy(bin, pod.dir, bootstrap, {}, ['--file-flush-interval-msec', '100']);
}

async function until(what: string, check: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await check())) {
    if (Date.now() > deadline) throw new Error(`did not come: ${what}`);
    await sleep(50);
  }
}

await buildBridge();
const kube = await KubeFixture.start();
putObjects(kube);
const ending = new AbortController();
const plane = runControlPlane(
  {
    client: kube.client(),
    cluster: 'cluster1',
    trustDomain: 'cluster.local',
    dnsDomain: 'cluster.local',
    host: '::',
    ports: { xds: XDS_PORT, admin: 0, webhooks: 0 },
    roles: new Set(['pilot', 'ca']),
    log: pino({ level: 'warn' }, process.stderr),
  },
  ending.signal,
);
const root = await kube.eventually(`${NS}/configmaps/istio-ca-root-cert`);

const pods = new Map<string, TestPod>();
const envoys = new Map<string, EnvoyProcess>();
for (const spec of PODS) {
  const names = [ADS_ADDRESS, SDS_ADDRESS].map((address) => address.replace(/:\d+$/, '')).join(' ');
  const hosts = [spec.v4 && `${BRIDGE.v4} ${names}`, spec.v6 && `${BRIDGE.v6} ${names}`].filter(Boolean);
  const uid = kube.get(`${NS}/pods/${spec.name}`)?.metadata.uid ?? '';
  const token = kube.token({ namespace: 'default', serviceAccount: spec.name, pod: { name: spec.name, uid } });
  const secrets = {
    'tokens/istio-token': token,
    'istio/root-cert.pem': (root['data'] as Record<string, string>)['root-cert.pem'] ?? '',
  };
  // With both, a resolver takes what it prefers; a name of an IPv6 cluster has one address.
  const pod = await TestPod.start(spec, join(dir, spec.name), { hosts: `${hosts[0]}\n${OUTER_NAMES}`, secrets });
  pods.set(spec.name, pod);
  if (spec.proxy === 'none') continue;
  if (spec.proxy === undefined) await writeRules(pod);
  envoys.set(spec.name, startProxy(pod, spec.proxy ?? 'sidecar'));
}
for (const [name, envoy] of envoys) {
  const ready = async () => (await envoy.admin('/ready')).body.startsWith('LIVE');
  await until(`${name}'s Envoy`, ready).catch((error: Error) => {
    throw new Error(`${error.message}: ${envoy.log().split('\n').slice(-15).join('\n')}`);
  });
}

/** What istiocoredns answers for it. */
function foundAddresses(): Record<'A' | 'AAAA', string> {
  const entries = [kube.get('/apis/networking.istio.io/v1/namespaces/default/serviceentries/found')!];
  const addresses = collectNames(entries, ['global']).get(FOUND_HOST)?.addresses ?? [];
  const of = (family: number) => addresses.find((address) => isIP(address) === family) ?? '';
  return { A: of(4), AAAA: of(6) };
}
await until('addresses for a host that has none', async () => foundAddresses().AAAA !== '');
const found = foundAddresses();

const http = (address: string, host?: string): PodCall => ({
  kind: 'http',
  address,
  port: 8080,
  ...(host && { host }),
});
const tcp = (address: string): PodCall => ({ kind: 'tcp', address, port: 5432 });
const CALLS: Readonly<Record<string, readonly [from: string, call: PodCall]>> = {
  'both, HTTP by IPv6': ['client', http('fd00:96::10', 'web:8080')],
  'both, HTTP by IPv4': ['client', http('10.96.0.10', 'web:8080')],
  'both, HTTP to the IPv6 address itself': ['client', http('fd00:96::10')],
  'both, TCP by IPv6': ['client', tcp('fd00:96::10')],
  'both, TCP by IPv4': ['client', tcp('10.96.0.10')],
  'both, HTTP to a server with IPv6 alone': ['client', http('fd00:96::20', 'only-six:8080')],
  'both, HTTP to a headless service’s pod by IPv6': ['client', http('fd88::11', 'peers:8080')],
  'both, TCP to a headless service’s pod by IPv6': ['client', tcp('fd88::11')],
  'both, to the loopback by IPv6': ['client', http('::1')],
  'six, HTTP to a server of both': ['six', http('fd00:96::10', 'web:8080')],
  'six, TCP to a server of both': ['six', tcp('fd00:96::10')],
  'six, HTTP to itself by its service': ['six', http('fd00:96::20', 'only-six:8080')],
  'six, to its own address': ['six', http('fd88::12')],
  'four, HTTP to a server of both': ['four', http('10.96.0.10', 'web:8080')],
  'four, HTTP to a server with IPv6 alone': ['four', http('10.96.0.10', 'only-six:8080')],
  'both, to a name that nobody answers for by IPv4': ['client', http('10.99.0.1', 'half.example.test:8080')],
  'both, below a wildcard, nobody by IPv4': ['client', http('10.99.0.1', 'half.wild.test:8080')],
  'both, below a wildcard, nobody by IPv6': ['client', http('10.99.0.1', 'other.wild.test:8080')],
  'six, below a wildcard': ['six', http('fd99::1', 'half.wild.test:8080')],
  'four, below a wildcard': ['four', http('10.99.0.1', 'other.wild.test:8080')],
  'both, TCP to an address that was found, by IPv6': ['client', tcp(found.AAAA)],
  'both, TCP to an address that was found, by IPv4': ['client', tcp(found.A)],
  'six, TCP to an address that was found': ['six', tcp(found.AAAA)],
  'gateway by IPv6': ['stranger', { ...http('fd88::15', OUTER_HOST), port: GATEWAY_PORT }],
  'gateway by IPv4': ['stranger', { ...http('10.88.0.15', OUTER_HOST), port: GATEWAY_PORT }],
  'kubelet to six: is Envoy ready?': ['stranger', { ...http('fd88::12'), port: HEALTH_PORT, path: HEALTH_PATH }],
  'kubelet to six: is the application?': ['stranger', { ...http('fd88::12'), port: HEALTH_PORT, path: PROBE.path }],
  'kubelet to server: is the application?': [
    'stranger',
    { ...http('10.88.0.11'), port: HEALTH_PORT, path: PROBE.path },
  ],
  'health port of six, something else': ['stranger', { ...http('fd88::12'), port: HEALTH_PORT }],
  'stranger, HTTP to a pod by IPv6': ['stranger', http('fd88::11')],
  'stranger, TCP to a pod by IPv6': ['stranger', tcp('fd88::11')],
  'stranger, HTTP to a pod with IPv6 alone': ['stranger', http('fd88::12')],
  'stranger, HTTP to a pod by IPv4': ['stranger', http('10.88.0.11')],
};
const calls: Record<string, PodAnswer> = {};
for (const [name, [from, call]] of Object.entries(CALLS)) calls[name] = await pods.get(from)!.ask(call);
// The endpoint's preferred address is still that of IPv4.
await pods.get('server')!.run(['ip', 'address', 'flush', 'dev', 'eth0', 'scope', 'global', 'to', '10.88.0.0/24']);
calls['both, TCP without a way by IPv4'] = await pods.get('client')!.ask(tcp('10.96.0.10'));

const accessLines = (envoy: EnvoyProcess) =>
  envoy
    .log()
    .split('\n')
    .filter((line) => /^\[\S+Z\] /.test(line));
const inboundLines = () => [...envoys.values()].flatMap(accessLines).filter((line) => line.includes(' inbound|'));
// An application that was dialled from these was dialled by a sidecar, which logs that, unless the kubelet asked.
const fromSidecar = new Set(['::ffff:127.0.0.6', '::6']);
const expected = Object.entries(calls).filter(
  ([name, { remote = '' }]) => CALLS[name]?.[1].port !== HEALTH_PORT && fromSidecar.has(remote),
);
await until(`${expected.length} inbound lines in access logs`, async () => inboundLines().length >= expected.length);
const logs = Object.fromEntries([...envoys].map(([name, envoy]) => [name, accessLines(envoy)]));
process.stdout.write(JSON.stringify({ calls, logs } satisfies SceneResult));
ending.abort();
await plane;
process.exit(0);
