// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { KubeFixture } from '../../test/mesh/kube-fixture.ts';
import { buildCrds } from '../api/crds.ts';
import type { KubeClient } from '../kube/client.ts';
import type { KubeObject } from '../kube/types.ts';
import { type InstallEvent, type InstallOptions, install } from './install.ts';
import { buildStages } from './manifest.ts';
import { resourceTypeOf } from './resource-types.ts';
import { type UninstallEvent, uninstall } from './uninstall.ts';
import { readValues as readLayers } from './values/read-values.ts';
import type { Values } from './values/values.ts';

function readValues(sets: readonly string[], clusterName: string): Values {
  return readLayers({ sets: sets.map((text) => ({ text })), clusterName }).values;
}

const SYSTEM = '/api/v1/namespaces/istio-system';
let kube: KubeFixture;
let client: KubeClient;

beforeEach(async () => {
  kube = await KubeFixture.start();
  client = kube.client();
  kube.onCreate = asControllersWould;
});
afterEach(() => {
  client.close();
  kube.close();
});

function asControllersWould(object: KubeObject): KubeObject {
  switch (object.kind) {
    case 'CustomResourceDefinition':
      return { ...object, status: { conditions: [{ type: 'Established', status: 'True' }] } };
    case 'Deployment':
      return { ...object, status: { replicas: 1, updatedReplicas: 1, availableReplicas: 1 } };
    case 'Service':
      return object.metadata.name === 'istio-ingressgateway'
        ? { ...object, status: { loadBalancer: { ingress: [{ ip: '192.0.2.7' }] } } }
        : object;
    case 'MutatingWebhookConfiguration':
    case 'ValidatingWebhookConfiguration': {
      const webhooks = object['webhooks'] as { clientConfig: object }[];
      return {
        ...object,
        webhooks: webhooks.map((hook) => ({ ...hook, clientConfig: { ...hook.clientConfig, caBundle: 'AA==' } })),
      };
    }
    default:
      return object;
  }
}

async function run(change: Partial<InstallOptions> = {}): Promise<InstallEvent[]> {
  const events: InstallEvent[] = [];
  await install({
    client,
    values: readValues([], 'cluster1'),
    crds: buildCrds(),
    dryRun: false,
    wait: true,
    timeoutMs: 2_000,
    signal: new AbortController().signal,
    report: (event) => events.push(event),
    ...change,
  });
  return events;
}

async function remove(keepDefinitions = false): Promise<UninstallEvent[]> {
  const events: UninstallEvent[] = [];
  await uninstall({ client, keepDefinitions, report: (event) => events.push(event) });
  return events;
}

function changes(events: readonly InstallEvent[]): string[] {
  return events.flatMap((event) => (event.kind === 'applied' ? [event.change] : []));
}

const warnings = (events: readonly InstallEvent[]) =>
  events.flatMap((event) => (event.kind === 'warning' ? [event.message] : []));

describe('install', () => {
  test('makes everything, in an order in which each finds what it needs', async () => {
    const events = await run();
    expect(new Set(changes(events))).toEqual(new Set(['created']));
    expect(events.filter(({ kind }) => kind === 'stage').map((event) => (event as { name: string }).name)).toEqual([
      'namespace',
      'definitions',
      'access',
      'configuration',
      'control plane',
      'webhooks',
      'gateways',
      'DNS',
    ]);
    expect(events).toContainEqual({ kind: 'note', message: 'istio-ingressgateway has the address 192.0.2.7' });
  });

  test('again, it changes nothing; after a change to the values, only what differs', async () => {
    await run();
    expect(new Set(changes(await run()))).toEqual(new Set(['unchanged']));
    const events = await run({ values: readValues(['pilot.logLevel=debug'], 'cluster1') });
    expect(changes(events).filter((change) => change === 'configured')).toHaveLength(1);
  });

  test('again, it keeps the networks that were edited in the cluster, unless its values have some', async () => {
    await run();
    const path = `${SYSTEM}/configmaps/istio`;
    const networks = () => (kube.get(path)!['data'] as Record<string, string>)['meshNetworks'];
    const edited = { ...kube.get(path)!, data: { meshNetworks: 'networks: {mine: {endpoints: []}}' } };
    kube.put(`${SYSTEM}/configmaps`, edited);
    await run();
    expect(networks()).toBe('networks: {mine: {endpoints: []}}');
    await run({ values: readValues(['global.meshNetworks.n.endpoints[0].fromRegistry=x'], 'cluster1') });
    expect(networks()).toContain('fromRegistry: x');
  });

  test('dry run changes nothing and tells the same', async () => {
    const events = await run({ dryRun: true });
    expect(new Set(changes(events))).toEqual(new Set(['created']));
    expect(kube.requests.filter((request) => !request.startsWith('GET'))).toEqual([]);
    await run();
    expect(new Set(changes(await run({ dryRun: true })))).toEqual(new Set(['unchanged']));
  });

  test('warns without cacerts, and is silent with them', async () => {
    expect(warnings(await run())).toMatchObject([expect.stringContaining('no Secret cacerts')]);
    kube.put(`${SYSTEM}/secrets`, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'cacerts', namespace: 'istio-system' },
    });
    expect(warnings(await run())).toEqual([]);
  });

  test('without cacerts where none may be made, says that the control plane waits', async () => {
    const values = readValues(['security.selfSigned=false'], 'cluster1');
    expect(warnings(await run({ values }))).toMatchObject([expect.stringContaining('the control plane waits for it')]);
  });

  test('a remote cluster needs no definitions, and its gateway is not waited for: it depends on another cluster', async () => {
    kube.onCreate = (object) => (object.metadata.name === 'istio-ingressgateway' ? object : asControllersWould(object));
    const sets = [
      'global.istioRemote=true',
      'istiocoredns.enabled=false',
      'global.createRemoteSvcEndpoints=true',
      'global.remotePilotAddress=192.0.2.1',
    ];
    const events = await run({ values: readValues(sets, 'cluster2') });
    expect(kube.list('/apis/apiextensions.k8s.io/v1/customresourcedefinitions')).toEqual([]);
    expect(kube.requests).toContain(`POST ${SYSTEM}/pods`);
    expect(events).toContainEqual({ kind: 'note', message: expect.stringContaining('istio/multiCluster=true') });
  });

  test('says what is wrong when something does not become ready', async () => {
    kube.onCreate = (object) => (object.kind === 'Deployment' ? object : asControllersWould(object));
    kube.put(`${SYSTEM}/pods`, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'istiod-x', namespace: 'istio-system', labels: { app: 'istiod' } },
      status: {
        phase: 'Pending',
        containerStatuses: [
          {
            name: 'discovery',
            ready: false,
            state: { waiting: { reason: 'ImagePullBackOff', message: 'no such image' } },
          },
        ],
      },
    });
    await expect(run({ timeoutMs: 300 })).rejects.toThrow(
      /istiod.*0 of 1.*istiod-x is Pending: discovery ImagePullBackOff \(no such image\)/s,
    );
  });
});

test('a control plane that ends again and again is not waited for: its last words are told', async () => {
  kube.onCreate = (object) => (object.kind === 'Deployment' ? object : asControllersWould(object));
  kube.put(`${SYSTEM}/pods`, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'istiod-1', namespace: 'istio-system', labels: { app: 'istiod' } },
    status: {
      containerStatuses: [{ name: 'discovery', restartCount: 3, state: { waiting: { reason: 'CrashLoopBackOff' } } }],
    },
  });
  await expect(run({ timeoutMs: 60_000 })).rejects.toThrow(/discovery of pod istiod-1 has ended 3 times/);
});

describe('uninstall', () => {
  test('removes all that install made, and what the control plane made', async () => {
    await run();
    kube.put(`${SYSTEM}/secrets`, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'istio-ca-secret', namespace: 'istio-system' },
    });
    await remove();
    const left = buildStages(readValues([], 'c'), buildCrds())
      .flatMap((stage) => stage.objects)
      .filter((object) =>
        kube.list(collectionOf(object)).some(({ metadata }) => metadata.name === object.metadata.name),
      );
    expect(left.map(({ kind, metadata }) => `${kind} ${metadata.name}`)).toEqual([]);
    expect(kube.get(`${SYSTEM}/secrets/istio-ca-secret`)).toBeUndefined();
    expect(await remove()).toContainEqual({ kind: 'note', message: 'nothing of Isthmus was found in this cluster' });
  });

  test('the definitions of ServiceExports that others brought are left as they are', async () => {
    const crds = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
    const theirs = {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'serviceexports.multicluster.x-k8s.io' },
      spec: { group: 'multicluster.x-k8s.io' },
      status: { conditions: [{ type: 'Established', status: 'True' }] },
    };
    const { resourceVersion } = kube.put(crds, theirs).metadata;
    await run();
    expect(kube.get(`${crds}/serviceimports.multicluster.x-k8s.io`)).toBeDefined();
    await remove();
    expect(kube.list(crds).map(({ metadata }) => [metadata.name, metadata.resourceVersion])).toEqual([
      ['serviceexports.multicluster.x-k8s.io', resourceVersion],
    ]);
  });

  test('where definitions stay, what was derived goes, once nobody can write it anew, and what a person wrote stays', async () => {
    await run();
    const entries = '/apis/networking.istio.io/v1/namespaces/hello/serviceentries';
    const entry = (name: string, labels: Record<string, string>) => ({
      apiVersion: 'networking.istio.io/v1',
      kind: 'ServiceEntry',
      metadata: { name, namespace: 'hello', labels },
    });
    kube.put(entries, entry('by-hand', {}));
    kube.put(entries, entry('reviews.hello.global', { 'app.kubernetes.io/managed-by': 'isthmus' }));
    kube.requests.length = 0;
    await remove(true);
    expect(kube.list(entries).map(({ metadata }) => metadata.name)).toEqual(['by-hand']);
    const deleted = kube.requests.filter((request) => request.startsWith('DELETE'));
    const at = (part: string): number => deleted.findIndex((request) => request.includes(part));
    expect(at('/clusterrolebindings/istiod')).toBeGreaterThanOrEqual(0);
    expect(at('/serviceentries/')).toBeGreaterThan(at('/clusterrolebindings/istiod'));
  });

  test('a namespace that was there before, and the operator’s CA, stay', async () => {
    kube.put('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'istio-system' } });
    kube.put(`${SYSTEM}/secrets`, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'cacerts', namespace: 'istio-system' },
    });
    await run();
    await remove();
    expect(kube.get('/api/v1/namespaces/istio-system')).toBeDefined();
    expect(kube.get(`${SYSTEM}/secrets/cacerts`)).toBeDefined();
  });

  test('Secrets that hold another cluster’s token are said to stay, where their namespace does', async () => {
    const remote = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'n2-k8s-secret', namespace: 'istio-system', labels: { 'istio/multiCluster': 'true' } },
    };
    const said = async () =>
      (await remove()).filter((event) => event.kind === 'note' && event.message.includes('n2-k8s-secret'));
    kube.put('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'istio-system' } });
    expect(await said()).toEqual([]);
    kube.put(`${SYSTEM}/secrets`, remote);
    expect(await said()).toHaveLength(1);
  });

  test('the operator’s CA stays even in a namespace that install made', async () => {
    await run();
    kube.put(`${SYSTEM}/secrets`, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'cacerts', namespace: 'istio-system' },
    });
    await remove();
    expect(kube.get('/api/v1/namespaces/istio-system')).toBeDefined();
  });

  test('says how many mesh objects go with their definition, or keeps them', async () => {
    await run();
    const path = '/apis/networking.istio.io/v1/namespaces/default/gateways';
    kube.put(path, {
      apiVersion: 'networking.istio.io/v1',
      kind: 'Gateway',
      metadata: { name: 'g', namespace: 'default' },
    });
    await remove(true);
    expect(kube.list('/apis/apiextensions.k8s.io/v1/customresourcedefinitions')).toHaveLength(buildCrds().length);
    expect(await remove()).toContainEqual({ kind: 'note', message: '1 gateways go with their definition' });
  });
});

function collectionOf(object: KubeObject): string {
  const { group, version, resource } = resourceTypeOf(object);
  return group === '' ? `/api/${version}/${resource}` : `/apis/${group}/${version}/${resource}`;
}
