// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { injectPod, type PatchOperation, STATUS_ANNOTATION } from './inject.ts';
import type { Container, Pod } from './pod.ts';
import { DEFAULT_SETTINGS, type InjectorSettings } from './settings.ts';

const SETTINGS: InjectorSettings = { ...DEFAULT_SETTINGS, proxyImage: 'isthmus/proxyv2:1', clusterId: 'cluster1' };
const ENABLED = { 'istio-injection': 'enabled' };

function podWith(change: { metadata?: object; spec?: object } = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { generateName: 'reviews-', labels: { app: 'reviews' }, ...change.metadata },
    spec: { containers: [{ name: 'reviews', image: 'reviews:1', ports: [{ containerPort: 9080 }] }], ...change.spec },
  };
}

/** RFC 6902 `add`, as far as the injector uses it. */
function applyPatch(pod: Pod, patch: readonly PatchOperation[]): Pod {
  const result = structuredClone(pod) as unknown as Record<string, unknown>;
  for (const { path, value } of patch) {
    const steps = path.slice(1).split('/');
    const last = steps.pop() ?? '';
    const target = steps.reduce<Record<string, unknown>>((at, step) => at[step] as Record<string, unknown>, result);
    if (last === '-') (target as unknown as unknown[]).push(value);
    else target[last] = value;
  }
  return result as unknown as Pod;
}

function inject(pod: Pod, settings = SETTINGS): Pod {
  const outcome = injectPod(pod, 'default', ENABLED, settings);
  if (outcome.kind !== 'inject') throw new Error(`expected an injection, got ${JSON.stringify(outcome)}`);
  return applyPatch(pod, outcome.patch);
}

function proxyOf(pod: Pod): Container {
  const found = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].find((c) => c.name === 'istio-proxy');
  if (found === undefined) throw new Error('the pod has no proxy');
  return found;
}

function preStop(container: Container | undefined): unknown {
  return (container?.['lifecycle'] as { preStop?: unknown } | undefined)?.preStop;
}

describe('files for the proxy', () => {
  const annotated = (volume: string, mount: string): Pod =>
    podWith({
      metadata: {
        annotations: { 'sidecar.istio.io/userVolume': volume, 'sidecar.istio.io/userVolumeMount': mount },
      },
      spec: { volumes: [{ name: 'data', emptyDir: {} }] },
    });
  const CERTS = '{"certs":{"secret":{"secretName":"shop-certs","optional":true}}}';

  test('come from volumes of the annotations and of the pod', () => {
    const pod = inject(
      annotated(CERTS, '{"certs":{"mountPath":"/etc/certs","readOnly":true},"data":{"mountPath":"/data"}}'),
    );
    expect(pod.spec.volumes).toContainEqual({ name: 'certs', secret: { secretName: 'shop-certs', optional: true } });
    expect(proxyOf(pod)['volumeMounts']).toEqual(
      expect.arrayContaining([
        { name: 'istio-token', mountPath: '/var/run/secrets/tokens', readOnly: true },
        { name: 'certs', mountPath: '/etc/certs', readOnly: true },
        { name: 'data', mountPath: '/data' },
      ]),
    );
    expect(pod.spec.containers[0]?.['volumeMounts']).toBeUndefined();
  });

  test.each([
    ['not JSON', '{}', 'annotation sidecar.istio.io/userVolume is not JSON of the form {"certs"'],
    ['[]', '{}', 'annotation sidecar.istio.io/userVolume is not JSON'],
    ['{"istio-token":{"emptyDir":{}}}', '{}', 'the pod has a volume istio-token already'],
    ['{"data":{"emptyDir":{}}}', '{}', 'the pod has a volume data already'],
    [CERTS, '{"cert":{"mountPath":"/etc/certs"}}', 'there is no volume cert'],
    [CERTS, '{"certs":{}}', 'certs has no mountPath that begins with /'],
    [
      CERTS,
      '{"certs":{"mountPath":"/var/run/secrets/"}}',
      '/var/run/secrets/ hides the sidecar’s own /var/run/secrets/tokens',
    ],
    [
      CERTS,
      '{"certs":{"mountPath":"/etc/../var//run/secrets"}}',
      '/etc/../var//run/secrets hides the sidecar’s own /var/run/secrets/tokens',
    ],
  ])('%s and %s: refused', (volume, mount, reason) => {
    expect(injectPod(annotated(volume, mount), 'default', ENABLED, SETTINGS)).toMatchObject({
      kind: 'refuse',
      reason: expect.stringContaining(reason),
    });
  });
});

describe('who gets a sidecar', () => {
  test.each([
    ['label on the namespace', {}, ENABLED, 'inject'],
    ['no label on the namespace', {}, {}, 'skip'],
    ['disabled namespace', {}, { 'istio-injection': 'disabled' }, 'skip'],
    [
      'disabled namespace, willing pod',
      { labels: { 'sidecar.istio.io/inject': 'true' } },
      { 'istio-injection': 'disabled' },
      'skip',
    ],
    ['pod says no by annotation', { annotations: { 'sidecar.istio.io/inject': 'false' } }, ENABLED, 'skip'],
    ['pod says no by label', { labels: { 'sidecar.istio.io/inject': 'false' } }, ENABLED, 'skip'],
    ['pod says yes by label', { labels: { 'sidecar.istio.io/inject': 'true' } }, {}, 'inject'],
    ['pod says yes by annotation', { annotations: { 'sidecar.istio.io/inject': 'true' } }, {}, 'inject'],
    [
      'label goes before annotation',
      { labels: { 'sidecar.istio.io/inject': 'false' }, annotations: { 'sidecar.istio.io/inject': 'true' } },
      ENABLED,
      'skip',
    ],
    ['injected already', { annotations: { [STATUS_ANNOTATION]: '{}' } }, ENABLED, 'skip'],
    ['unknown namespace: the webhook’s selectors decided', {}, undefined, 'inject'],
  ] as const)('%s', (_, metadata, namespaceLabels, expected) => {
    expect(injectPod(podWith({ metadata }), 'default', namespaceLabels, SETTINGS).kind).toBe(expected);
  });

  test('never on the host’s network, never in the system’s namespaces', () => {
    const willing = { labels: { 'sidecar.istio.io/inject': 'true' } };
    expect(
      injectPod(podWith({ metadata: willing, spec: { hostNetwork: true } }), 'default', ENABLED, SETTINGS).kind,
    ).toBe('skip');
    for (const namespace of ['kube-system', 'istio-system']) {
      expect(injectPod(podWith({ metadata: willing }), namespace, ENABLED, SETTINGS).kind).toBe('skip');
    }
  });
});

describe('what is refused, and why', () => {
  test.each([
    ['taken name', { containers: [{ name: 'istio-proxy' }] }, {}, 'named istio-proxy'],
    ['taken port', { containers: [{ name: 'a', ports: [{ containerPort: 15_001 }] }] }, {}, 'port 15001'],
    ['taken uid', { containers: [{ name: 'a', securityContext: { runAsUser: 1337 } }] }, {}, 'uid 1337'],
    ['taken uid of the pod', { securityContext: { runAsUser: 1337 } }, {}, 'uid 1337'],
    ['taken volume', { volumes: [{ name: 'istio-token' }] }, {}, 'volume named istio-token'],
    ['bad port', {}, { 'traffic.sidecar.istio.io/excludeInboundPorts': '80,http' }, '"http" is not a port'],
    ['port 0', {}, { 'traffic.sidecar.istio.io/excludeOutboundPorts': '0' }, '"0" is not a port'],
    ['bad range', {}, { 'traffic.sidecar.istio.io/excludeOutboundIPRanges': '10.0.0.0/33' }, '10.0.0.0/33'],
    ['bad IPv6 range', {}, { 'traffic.sidecar.istio.io/excludeOutboundIPRanges': 'fd00::/129' }, 'fd00::/129'],
    ['a zone', {}, { 'traffic.sidecar.istio.io/excludeOutboundIPRanges': 'fe80::1%eth0' }, 'fe80::1%eth0'],
    ['IPv4 in IPv6', {}, { 'traffic.sidecar.istio.io/excludeOutboundIPRanges': '::ffff:10.0.0.1' }, '::ffff:10.0.0.1'],
    ['mode', {}, { 'isthmus.io/config-delivery': 'SOME' }, '"SOME" is none of FULL, CLUSTERS_ON_DEMAND, ALL_ON_DEMAND'],
    ['unsupported', {}, { 'traffic.sidecar.istio.io/includeOutboundIPRanges': '10.0.0.0/8' }, 'not supported'],
  ] as const)('%s', (_, spec, annotations, reason) => {
    const outcome = injectPod(podWith({ spec, metadata: { annotations } }), 'default', ENABLED, SETTINGS);
    expect(outcome).toMatchObject({ kind: 'refuse', reason: expect.stringContaining(reason) });
  });
});

describe('the injected pod', () => {
  test('has Envoy alone besides its own, from before the application starts, and rules written by an init container', () => {
    const pod = inject(podWith({ spec: { initContainers: [{ name: 'migrate' }] } }));
    expect(pod.spec.containers.map(({ name }) => name)).toEqual(['reviews']);
    // After the pod's own: these still need a network without Envoy.
    expect(pod.spec.initContainers?.map(({ name }) => name)).toEqual(['migrate', 'istio-init', 'istio-proxy']);
    expect(pod.spec.initContainers?.[1]?.command).toEqual(['isthmus', 'proxy-init']);
    const proxy = proxyOf(pod);
    expect(proxy.args?.[0]).toBe('--config-yaml');
    expect(proxy).toMatchObject({ restartPolicy: 'Always', startupProbe: { httpGet: { path: '/healthz/ready' } } });
  });

  test('where the cluster has no native sidecars, Envoy is a container that sees for itself when it may end', () => {
    const settings = { ...SETTINGS, nativeSidecars: false };
    const pod = inject(podWith({ spec: { terminationGracePeriodSeconds: 20 } }), settings);
    expect(pod.spec.containers.map(({ name }) => name)).toEqual(['reviews', 'istio-proxy']);
    expect(pod.spec.containers[0]).not.toHaveProperty('lifecycle');
    expect(proxyOf(pod)).not.toHaveProperty('restartPolicy');
    expect(preStop(proxyOf(pod))).toEqual({
      exec: {
        command: 'isthmus proxy-drain --inbound-only --until-quiet --at-least 3 --at-most 17'.split(' '),
      },
    });
  });

  test('gives NET_ADMIN to the init container and to nobody else', () => {
    const pod = inject(podWith());
    const added = (index: number, list: Pod['spec']['containers']) =>
      (list[index]?.securityContext?.['capabilities'] as { add?: string[] } | undefined)?.add;
    expect(added(0, pod.spec.initContainers ?? [])).toEqual(['NET_ADMIN']);
    expect(added(1, pod.spec.initContainers ?? [])).toBeUndefined();
    expect(proxyOf(pod).securityContext).toMatchObject({
      runAsUser: 1337,
      runAsNonRoot: true,
      readOnlyRootFilesystem: true,
    });
  });

  test('says on which network the pod is, to its proxy and to everybody; the pod’s own word comes first', () => {
    const network = 'topology.istio.io/network';
    const installed = { ...SETTINGS, network: 'network2' };
    const shown = (pod: Pod) => [
      pod.metadata.labels?.[network],
      /"NETWORK":"([^"]*)"/.exec(proxyOf(pod).args!.join(' '))?.[1],
    ];
    expect(shown(inject(podWith(), installed))).toEqual(['network2', 'network2']);
    const own = podWith({ metadata: { labels: { [network]: 'dmz' } } });
    expect(shown(inject(own, installed))).toEqual(['dmz', 'dmz']);
    expect(shown(inject(podWith()))).toEqual([undefined, undefined]);
  });

  test('leaves labels, annotations, volumes and DNS options of its own alone', () => {
    const pod = inject(
      podWith({
        metadata: { labels: { app: 'reviews' }, annotations: { owner: 'us' } },
        spec: {
          volumes: [{ name: 'data', emptyDir: {} }],
          dnsConfig: { searches: ['example.com'], options: [{ name: 'ndots', value: '2' }] },
        },
      }),
    );
    expect(pod.metadata.labels).toEqual({ app: 'reviews', 'security.istio.io/tlsMode': 'istio' });
    expect(pod.metadata.annotations).toMatchObject({
      owner: 'us',
      'kubectl.kubernetes.io/default-container': 'reviews',
    });
    expect(pod.spec.volumes?.map(({ name }) => name)).toEqual([
      'data',
      'istio-token',
      'istio-ca-root-cert',
      'istio-proxy-scratch',
    ]);
    expect(pod.spec.dnsConfig).toEqual({
      searches: ['example.com', 'default.global', 'global'],
      options: [{ name: 'ndots', value: '2' }],
    });
  });

  test('has a token for the control plane alone', () => {
    const volume = inject(podWith()).spec.volumes?.find(({ name }) => name === 'istio-token');
    expect(volume?.['projected']).toMatchObject({
      sources: [{ serviceAccountToken: { audience: 'istio-ca', path: 'istio-token' } }],
    });
  });

  test('injecting it again changes nothing', () => {
    expect(injectPod(inject(podWith()), 'default', ENABLED, SETTINGS)).toMatchObject({ kind: 'skip' });
  });

  test('passes the annotations on to the rules', () => {
    const pod = inject(
      podWith({
        metadata: {
          annotations: {
            'traffic.sidecar.istio.io/excludeInboundPorts': '8081, 8082',
            'traffic.sidecar.istio.io/includeInboundPorts': '9080',
            'traffic.sidecar.istio.io/excludeOutboundPorts': '3306',
            'traffic.sidecar.istio.io/excludeOutboundIPRanges': '10.9.0.0/16,192.168.1.7,fd00:9::/48,fd00::7',
          },
        },
      }),
    );
    expect(pod.spec.initContainers?.[0]?.args?.join(' ')).toBe(
      '--exclude-outbound-by uid --proxy-id 1337 --exclude-inbound-ports 15021,15090,8081,8082 ' +
        '--include-inbound-ports 9080 --exclude-outbound-ports 15021,15090,3306 --exclude-outbound-ranges 10.9.0.0/16,192.168.1.7/32,fd00:9::/48,fd00::7/128',
    );
  });

  test('where all users are one, Envoy is told by its mark and the control plane by its port', () => {
    const pod = inject(podWith({ spec: { securityContext: { runAsUser: 1337 } } }), {
      ...SETTINGS,
      excludeOutboundBy: 'mark',
    });
    expect(pod.spec.initContainers?.[0]?.args?.join(' ')).toContain('--exclude-outbound-by mark --proxy-id 1337');
    expect(pod.spec.initContainers?.[0]?.args?.join(' ')).toContain('--exclude-outbound-ports 15021,15090,15012');
    expect(proxyOf(pod).securityContext).toMatchObject({ capabilities: { add: ['NET_ADMIN'] } });
    expect(proxyOf(pod).args?.[1]).toContain('SO_MARK');
  });
});

describe('the end of the pod', () => {
  const own = { exec: { command: ['sleep', '9'] } };
  test.each([
    ['applications are told later than the cluster', {}, undefined, { sleep: { seconds: 3 } }],
    [
      'half of a short grace period is the limit',
      { terminationGracePeriodSeconds: 4 },
      undefined,
      { sleep: { seconds: 2 } },
    ],
    ['no grace, no delay', { terminationGracePeriodSeconds: 0 }, undefined, undefined],
    ['one that has a preStop knows what it does', {}, { preStop: own }, own],
    ['a postStart stays', {}, { postStart: own }, { sleep: { seconds: 3 } }],
  ])('%s', (_, spec, lifecycle, expected) => {
    const container = { name: 'a', ...(lifecycle && { lifecycle }) };
    const pod = inject(podWith({ spec: { containers: [container], ...spec } }));
    expect(preStop(pod.spec.containers[0])).toEqual(expected);
    expect(pod.spec.containers[0]?.['lifecycle'] ?? {}).toMatchObject(lifecycle ?? {});
    expect(preStop(proxyOf(pod))).toEqual({ exec: { command: ['isthmus', 'proxy-drain', '--inbound-only'] } });
  });
});

describe('probes of the application', () => {
  const readinessProbe = { httpGet: { path: '/health?deep=1', port: 'web', scheme: 'HTTPS' }, periodSeconds: 3 };
  const container = { name: 'a', ports: [{ name: 'web', containerPort: 9443 }], readinessProbe };

  test('go by the health port, which has a certificate-free way to their path alone', () => {
    const pod = inject(podWith({ spec: { containers: [container] } }));
    expect(pod.spec.containers[0]?.['readinessProbe']).toEqual({
      httpGet: { path: '/app-health/a/readyz?deep=1', port: 15_021 },
      periodSeconds: 3,
    });
    const bootstrap = JSON.parse(proxyOf(pod).args?.[1] ?? '');
    const routes =
      bootstrap.static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0]
        .routes;
    expect(routes[1]).toEqual({
      match: {
        path: '/app-health/a/readyz',
        headers: [
          { name: ':method', string_match: { exact: 'GET' } },
          { name: ':path', string_match: { exact: '/app-health/a/readyz?deep=1' } },
        ],
      },
      route: { cluster: 'probe-https-9443', prefix_rewrite: '/health' },
    });
    const cluster = bootstrap.static_resources.clusters[1];
    expect(cluster).toMatchObject({
      name: 'probe-https-9443',
      transport_socket: { name: 'envoy.transport_sockets.tls' },
    });
    expect(JSON.stringify(cluster.load_assignment)).toContain('"address":"$(INSTANCE_IP)","port_value":9443');
  });

  test('stay as they are when the owner says so, and exec probes always', () => {
    const annotations = { 'sidecar.istio.io/rewriteAppHTTPProbers': 'false' };
    const untouched = inject(podWith({ metadata: { annotations }, spec: { containers: [container] } }));
    expect(untouched.spec.containers[0]).toMatchObject(container);
    const exec = { name: 'b', livenessProbe: { exec: { command: ['true'] } } };
    expect(inject(podWith({ spec: { containers: [exec] } })).spec.containers[0]).toMatchObject(exec);
  });

  test('of TCP and gRPC are answered by what Envoy’s own checks find', () => {
    const livenessProbe = { tcpSocket: { port: 'web' }, timeoutSeconds: 2, failureThreshold: 4 };
    const grpc = { grpc: { port: 9000, service: 'shop.Cart' } };
    const pod = inject(podWith({ spec: { containers: [{ ...container, livenessProbe, readinessProbe: grpc }] } }));
    expect(pod.spec.containers[0]).toMatchObject({
      livenessProbe: {
        httpGet: { path: '/app-health/a/livez', port: 15_021 },
        timeoutSeconds: 2,
        failureThreshold: 4,
      },
      readinessProbe: { httpGet: { path: '/app-health/a/readyz', port: 15_021 } },
    });
    expect(pod.spec.containers[0]?.['livenessProbe']).not.toHaveProperty('tcpSocket');
    expect(pod.spec.containers[0]?.['readinessProbe']).not.toHaveProperty('grpc');
    const { clusters } = JSON.parse(proxyOf(pod).args?.[1] ?? '').static_resources;
    expect(clusters.slice(1, -1)).toMatchObject([
      { name: 'probe-tcp-9443-2s', health_checks: [{ timeout: '2s', tcp_health_check: {} }] },
      { name: 'probe-grpc-9000-1s-shop.Cart', health_checks: [{ grpc_health_check: { service_name: 'shop.Cart' } }] },
    ]);
  });

  test('and hooks by HTTP go the same way; what goes to another host stays', () => {
    const lifecycle = { preStop: { httpGet: { path: '/bye', port: 9443 } } };
    const elsewhere = { httpGet: { path: '/', port: 80, host: '192.0.2.1' } };
    const pod = inject(podWith({ spec: { containers: [{ name: 'a', lifecycle, livenessProbe: elsewhere }] } }));
    expect(pod.spec.containers[0]).toMatchObject({
      lifecycle: { preStop: { httpGet: { path: '/app-health/a/prestop', port: 15_021 } } },
      livenessProbe: elsewhere,
    });
  });

  test('of a port that nobody declares are refused', () => {
    const unknown = podWith({ spec: { containers: [{ name: 'a', livenessProbe: { httpGet: { port: 'nope' } } }] } });
    expect(injectPod(unknown, 'default', ENABLED, SETTINGS)).toMatchObject({
      kind: 'refuse',
      reason: expect.stringContaining('"nope"'),
    });
  });
});
