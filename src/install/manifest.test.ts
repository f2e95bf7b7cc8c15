// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { DEFINITIONS, definitionFiles } from '../../tools/definitions.ts';
import { buildCrds } from '../api/crds.ts';
import { decodeMeshNetworks } from '../api/mesh-networks.ts';
import type { Container } from '../injector/pod.ts';
import { parseInjectorSettings } from '../injector/settings.ts';
import type { KubeObject } from '../kube/types.ts';
import { buildStages } from './manifest.ts';
import { resourceTypeOf } from './resource-types.ts';
import { readValues as readLayers } from './values/read-values.ts';
import type { Values } from './values/values.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

function readValues(sets: readonly string[], clusterName: string): Values {
  return readLayers({ sets: sets.map((text) => ({ text })), clusterName }).values;
}

/** As `manifest generate` prints them for the flags of a document's line. */
function render(sets: readonly string[], files: readonly string[] = []): KubeObject[] {
  const folder = 'install/kubernetes/helm/istio';
  const read = (name: string) => ({ name, text: readFileSync(join(ROOT, folder, name), 'utf8') });
  const { values } = readLayers({
    chart: read('values.yaml'),
    files: files.map(read),
    sets: sets.map((text) => ({ text })),
    clusterName: 'Kubernetes',
  });
  return buildStages(values, [])
    .filter(({ name }) => name !== 'namespace')
    .flatMap((stage) => stage.objects);
}

/** Seed 001, cluster1. */
const PRIMARY = render([
  ...['global.mtls.enabled=true', 'security.selfSigned=false', 'global.controlPlaneSecurityEnabled=true'],
  ...['global.meshExpansion.enabled=true', 'global.meshNetworks.network2.endpoints[0].fromRegistry=n2-k8s-config'],
  'global.meshNetworks.network2.gateways[0].address=0.0.0.0',
  'global.meshNetworks.network2.gateways[0].port=443',
]);
const REMOTE_SETS = [
  ...['gateways.enabled=true', 'security.selfSigned=false', 'global.createRemoteSvcEndpoints=true'],
  ...['gateways.istio-ingressgateway.env.ISTIO_META_NETWORK=network2', 'global.network=network2'],
];
/** Seed 001, cluster2. */
const REMOTE = render(
  [...REMOTE_SETS, 'global.remotePilotAddress=172.31.0.100', 'global.remotePolicyAddress=172.31.0.100'],
  ['values-istio-remote.yaml'],
);

const namesOf = (objects: readonly KubeObject[], kind: string) =>
  objects.filter((object) => object.kind === kind).map(({ metadata }) => metadata.name);
const find = (objects: readonly KubeObject[], kind: string, name: string) =>
  objects.find((object) => object.kind === kind && object.metadata.name === name)!;

describe.each([
  ['install', buildStages(readValues([], 'cluster1'), buildCrds()).flatMap((stage) => stage.objects)],
  ['a primary of one control plane for several clusters', PRIMARY],
  ['its remote cluster', REMOTE],
])('the manifests of %s', (_name, objects) => {
  test('have each object once, labelled, of a kind that uninstall knows', () => {
    const names = objects.map((object) => `${object.kind}/${object.metadata.namespace}/${object.metadata.name}`);
    expect(new Set(names).size).toBe(names.length);
    for (const object of objects) {
      expect(object.metadata.labels).toMatchObject({ 'app.kubernetes.io/managed-by': 'isthmus' });
      expect(resourceTypeOf(object).kind).toBe(object.kind);
    }
  });

  test('run nothing as root, and write nothing but their own volumes', () => {
    const pods = objects.filter(({ kind }) => kind === 'Deployment').map((object) => podSpecOf(object));
    expect(pods.length).toBeGreaterThan(1);
    for (const container of pods.flatMap(({ containers }) => containers)) {
      expect(container['securityContext']).toMatchObject({
        runAsNonRoot: true,
        readOnlyRootFilesystem: true,
        allowPrivilegeEscalation: false,
      });
      expect(container['resources']).toMatchObject({
        requests: { cpu: expect.any(String), memory: expect.any(String) },
      });
      expect(container['readinessProbe']).toBeDefined();
    }
  });

  test('each Service leads to a port that its pods listen on', () => {
    const pods = objects.filter(({ kind }) => kind === 'Deployment');
    for (const service of objects.filter(({ kind }) => kind === 'Service')) {
      const { selector, ports } = service['spec'] as { selector?: { app: string }; ports: { targetPort: number }[] };
      if (selector === undefined) continue;
      const target = pods.find(({ metadata }) => metadata.name === selector.app);
      const open = podSpecOf(target!).containers.flatMap(({ ports: own }) =>
        (own as { containerPort: number }[]).map((p) => p.containerPort),
      );
      for (const { targetPort } of ports) expect(open).toContain(targetPort);
    }
  });

  test('have rules before the webhook that would judge them, for nobody could answer it yet', () => {
    const kinds = objects.map(({ kind }) => kind);
    const webhook = kinds.indexOf('ValidatingWebhookConfiguration');
    const rules = objects.flatMap(({ apiVersion }, i) => (apiVersion.startsWith('networking.istio.io/') ? [i] : []));
    expect(rules.filter((i) => i > webhook)).toEqual([]);
  });
});

describe('an installation', () => {
  const objects = buildStages(readValues([], 'cluster1'), buildCrds()).flatMap((stage) => stage.objects);

  test('hold an ingress gateway that the world reaches and an egress gateway that it does not', () => {
    const services = objects.filter(({ kind, metadata }) => kind === 'Service' && metadata.name?.endsWith('gateway'));
    expect(services.map(({ metadata, spec }) => [metadata.name, (spec as { type: string }).type])).toEqual([
      ['istio-ingressgateway', 'LoadBalancer'],
      ['istio-egressgateway', 'ClusterIP'],
    ]);
    for (const { metadata, spec } of services) {
      const { selector, ports } = spec as { selector: object; ports: { port: number }[] };
      expect(metadata.labels).toMatchObject(selector);
      const tcp = metadata.name === 'istio-ingressgateway' ? [31_400] : [];
      expect(ports.map(({ port }) => port)).toEqual([80, 443, 15_443, ...tcp]);
    }
    expect(services[1]?.['spec']).toMatchObject({ selector: { app: 'istio-egressgateway', istio: 'egressgateway' } });
  });

  test('give the egress gateway, and no other proxy, the way to what other networks are', () => {
    const proxyOf = (name: string, sets: string[] = []) => {
      const object = buildStages(readValues(sets, 'cluster1'), [])
        .flatMap(({ objects }) => objects)
        .find(({ kind, metadata }) => kind === 'Deployment' && metadata.name === name)!;
      const { template } = object['spec'] as { template: { spec: { containers: Container[] } } };
      const [proxy] = template.spec.containers;
      const bootstrap = JSON.parse(proxy!.args![1]!) as { node: { metadata: Record<string, string> } };
      const env = proxy!.env!.filter(({ name }) => String(name).startsWith('ISTIO_META_'));
      return { env, asked: bootstrap.node.metadata['REQUESTED_NETWORK_VIEW'] };
    };
    const variable = 'ISTIO_META_REQUESTED_NETWORK_VIEW';
    expect(proxyOf('istio-egressgateway')).toEqual({
      env: [{ name: variable, value: 'external' }],
      asked: `$(${variable})`,
    });
    expect(proxyOf('istio-ingressgateway')).toEqual({ env: [], asked: undefined });
    expect(proxyOf('istio-egressgateway', [`gateways.istio-egressgateway.env.${variable}=7`]).env).toEqual([
      { name: variable, value: '7' },
    ]);
  });

  test('have a gateway’s Service be of the IP families that somebody asks for', () => {
    const sets = ['gateways.istio-ingressgateway.ipFamilyPolicy=PreferDualStack'];
    const objects = buildStages(readValues(sets, 'cluster1'), []).flatMap((stage) => stage.objects);
    const policyOf = (name: string) =>
      (find(objects, 'Service', name)['spec'] as Record<string, unknown>)['ipFamilyPolicy'];
    expect(policyOf('istio-ingressgateway')).toBe('PreferDualStack');
    expect(policyOf('istio-egressgateway')).toBeUndefined();
  });

  test('leave out the gateways that are switched off', () => {
    const off = (...names: string[]) =>
      buildStages(
        readValues(
          names.map((name) => `gateways.${name}.enabled=false`),
          'c',
        ),
        [],
      ).find(({ name }) => name === 'gateways');
    expect(off('istio-egressgateway')?.objects.map(({ metadata }) => metadata.name)).not.toContain(
      'istio-egressgateway',
    );
    expect(off('istio-egressgateway')?.objects).toHaveLength(3);
    expect(off('istio-egressgateway', 'istio-ingressgateway')).toBeUndefined();
  });

  test('ask for no right that is not used', () => {
    const rules = objects
      .filter(({ kind }) => kind.endsWith('Role'))
      .flatMap((role) => role['rules'] as { verbs: string[]; resources: string[]; resourceNames?: string[] }[]);
    expect(rules.flatMap(({ verbs }) => verbs)).not.toContain('*');
    expect(
      rules
        .filter(({ resources }) => resources.includes('secrets'))
        .flatMap(({ verbs }) => verbs)
        .sort(),
    ).toEqual(['create', 'get', 'list', 'watch']);
    const everywhere = objects
      .filter(({ kind }) => kind === 'ClusterRole')
      .flatMap((role) => role['rules'] as typeof rules);
    expect(everywhere.flatMap(({ resources }) => resources)).not.toContain('secrets');
    // Watches list and watch; what is read by its name is named, but for the objects that Envoy's refusals lead to.
    const unnamed = rules.filter(({ verbs, resourceNames }) => verbs.includes('get') && resourceNames === undefined);
    expect(unnamed.flatMap(({ resources }) => resources)).toEqual(['services', '*']);
  });
});

describe('the primary of one control plane for several clusters', () => {
  test('is the pods that the document lists, less what this mesh does not need', () => {
    expect(namesOf(PRIMARY, 'Deployment')).toEqual(['istiod', 'istio-ingressgateway']);
  });

  test('opens 15011 on its gateway, and leads from there to the control plane, unopened', () => {
    const { ports } = find(PRIMARY, 'Service', 'istio-ingressgateway')['spec'] as { ports: { port: number }[] };
    expect(ports.map(({ port }) => port)).toContain(15_011);
    const gateway = find(PRIMARY, 'Gateway', 'istio-meshexpansion-gateway')['spec'] as { servers: object[] };
    expect(gateway.servers).toMatchObject([{ port: { number: 15_011 }, tls: { mode: 'PASSTHROUGH' } }]);
    const rule = find(PRIMARY, 'VirtualService', 'istio-meshexpansion-pilot')['spec'] as {
      tls: { match: { sniHosts: string[] }[]; route: { destination: { host: string; port: { number: number } } }[] }[];
    };
    const [{ match, route }] = rule.tls as [(typeof rule.tls)[number]];
    expect(match[0]!.sniHosts).toContain('istio-pilot.istio-system.svc');
    const { host, port } = route[0]!.destination;
    const target = find(PRIMARY, 'Service', host.split('.')[0]!)['spec'] as { ports: { port: number }[] };
    expect(target.ports.map((each) => each.port)).toContain(port.number);
  });

  test('keeps the networks as YAML that people can edit', () => {
    const { data } = find(PRIMARY, 'ConfigMap', 'istio') as unknown as { data: Record<string, string> };
    expect(data['meshNetworks']).toBe(
      [
        ...['networks:', '  network2:', '    endpoints:', '      - fromRegistry: n2-k8s-config', '    gateways:'],
        ...['      - address: 0.0.0.0', '        port: 443', ''],
      ].join('\n'),
    );
    const decoded = decodeMeshNetworks(find(PRIMARY, 'ConfigMap', 'istio'));
    expect(decoded.diagnostics.filter(({ severity }) => severity === 'error')).toEqual([]);
    expect(parse(data['mesh']!)).toMatchObject({ accessLogFile: '/dev/stdout' });
  });

  test('waits for the operator’s CA, and has no right to make one', () => {
    expect(argsOf(PRIMARY, 'istiod')).toContain('--require-cacerts');
    const rules = find(PRIMARY, 'Role', 'istiod')['rules'] as { resources: string[]; verbs: string[] }[];
    const ofSecrets = rules.filter(({ resources }) => resources.includes('secrets'));
    expect(ofSecrets.flatMap(({ verbs }) => verbs)).not.toContain('create');
  });
});

describe('the remote cluster', () => {
  test('has CA, injector and gateway, and no object of the mesh: its definitions are not there', () => {
    expect(namesOf(REMOTE, 'Deployment')).toEqual(['istio-citadel', 'istio-sidecar-injector', 'istio-ingressgateway']);
    expect(argsOf(REMOTE, 'istio-citadel').join(' ')).toContain('--roles ca');
    expect(argsOf(REMOTE, 'istio-sidecar-injector').join(' ')).toContain('--roles injector');
    expect(REMOTE.filter(({ apiVersion }) => apiVersion.startsWith('networking.istio.io/'))).toEqual([]);
    expect(namesOf(REMOTE, 'ValidatingWebhookConfiguration')).toEqual([]);
  });

  test('reaches the control plane by a Service without pods, whose endpoint is the other cluster’s gateway', () => {
    const service = find(REMOTE, 'Service', 'istio-pilot');
    expect(service['spec']).toEqual({ ports: [expect.objectContaining({ port: 15_011 })] });
    const slice = REMOTE.find(({ metadata }) => metadata.labels?.['kubernetes.io/service-name'] === 'istio-pilot')!;
    expect(slice['endpoints']).toMatchObject([{ addresses: ['172.31.0.100'] }]);
    expect(slice['ports']).toMatchObject([{ name: 'grpc-tls', port: 15_011 }]);
    const { data } = find(REMOTE, 'ConfigMap', 'istio-sidecar-injector') as unknown as { data: { settings: string } };
    expect(parseInjectorSettings(data.settings)).toMatchObject({
      adsAddress: 'istio-pilot.istio-system.svc:15011',
      network: 'network2',
    });
  });

  test('follows a host name in the place of an address', () => {
    const named = render([...REMOTE_SETS, 'global.remotePilotAddress=lb.example.com'], ['values-istio-remote.yaml']);
    expect(find(named, 'Service', 'istio-pilot')['spec']).toMatchObject({
      type: 'ExternalName',
      externalName: 'lb.example.com',
    });
    expect(namesOf(named, 'EndpointSlice')).toEqual([]);
  });

  test('gives the control plane an account that lists its token, and nothing to write or to keep secret', () => {
    const account = find(REMOTE, 'ServiceAccount', 'istio-multi');
    const token = REMOTE.find(({ kind }) => kind === 'Secret')!;
    expect(account['secrets']).toEqual([{ name: token.metadata.name }]);
    expect(token).toMatchObject({
      type: 'kubernetes.io/service-account-token',
      metadata: { annotations: { 'kubernetes.io/service-account.name': 'istio-multi' } },
    });
    expect(REMOTE.indexOf(account)).toBeLessThan(REMOTE.indexOf(token));
    const rules = find(REMOTE, 'ClusterRole', 'istio-multi-istio-system')['rules'] as {
      resources: string[];
      verbs: string[];
    }[];
    expect(new Set(rules.flatMap(({ verbs }) => verbs))).toEqual(new Set(['list', 'watch', 'create', 'get']));
    expect(rules.flatMap(({ resources }) => resources)).not.toContain('secrets');
    expect(namesOf(PRIMARY, 'Secret')).toEqual([]);
  });

  test('says its network on the gateway, and has no gateway unless asked', () => {
    const { template } = find(REMOTE, 'Deployment', 'istio-ingressgateway')['spec'] as {
      template: { spec: { containers: Container[] } };
    };
    const env = template.spec.containers[0]!.env!;
    expect(env).toContainEqual({ name: 'ISTIO_META_NETWORK', value: 'network2' });
    const bare = render(['global.remotePilotAddress=1.2.3.4'], ['values-istio-remote.yaml']);
    expect(namesOf(bare, 'Deployment')).toEqual(['istio-citadel', 'istio-sidecar-injector']);
  });
});

test('the files of definitions are what src/api says (make golden writes them)', () => {
  for (const [file, text] of definitionFiles()) expect(readFileSync(join(DEFINITIONS, file), 'utf8'), file).toBe(text);
  const names = [...definitionFiles().values()].flatMap((text) =>
    parseAllDocuments(text).map((document) => (document.toJS() as KubeObject).metadata.name),
  );
  expect(names.sort()).toEqual(
    buildCrds()
      .map(({ metadata }) => metadata.name)
      .sort(),
  );
});

interface PodSpec {
  containers: Record<string, unknown>[];
  volumes?: Record<string, unknown>[];
}

function podSpecOf(deployment: KubeObject): PodSpec {
  return (deployment['spec'] as { template: { spec: PodSpec } }).template.spec;
}

function argsOf(objects: readonly KubeObject[], deployment: string): string[] {
  return podSpecOf(find(objects, 'Deployment', deployment)).containers[0]!['args'] as string[];
}

test('what is known of other clusters lies in a claim where one is named, for the control plane alone', () => {
  const volumesOf = (claim: string) =>
    render([`pilot.registryStateClaim=${claim}`])
      .filter(({ kind }) => kind === 'Deployment')
      .map((object) => [object.metadata.name, podSpecOf(object)] as const)
      .flatMap(([name, { volumes = [] }]) =>
        volumes.filter((volume) => volume['name'] === 'state').map((v) => [name, v]),
      );
  expect(volumesOf('')).toEqual([['istiod', { name: 'state', emptyDir: {} }]]);
  expect(volumesOf('known')).toEqual([['istiod', { name: 'state', persistentVolumeClaim: { claimName: 'known' } }]]);
  expect(() => render(['pilot.registryStateClaim=Not_A_Name'])).toThrow(/PersistentVolumeClaim/);
});
