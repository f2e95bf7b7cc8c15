// SPDX-License-Identifier: Apache-2.0
// Exports and imports between clusters, on real API servers with the rights of the manifests.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { DESTINATION_RULE } from '../../src/api/destination-rule.ts';
import { EXPORT_POLICY } from '../../src/api/export-policy.ts';
import { EXPORTED_SERVICE } from '../../src/api/exported-service.ts';
import { type Kind, resourceOf } from '../../src/api/kind.ts';
import { SERVICE_ENTRY } from '../../src/api/service-entry.ts';
import { SERVICE_EXPORT, SERVICE_IMPORT } from '../../src/api/service-export.ts';
import { EVENTS, LEASES, SERVICES } from '../../src/kube/resources.ts';
import type { KubeObject, ResourceType } from '../../src/kube/types.ts';
import { type ExportingCluster, eventually, FederationScene } from './federation-scene.ts';

const typeOf = (kind: Kind<never> | object): ResourceType => resourceOf(kind as Kind<unknown>);
const ENTRIES = typeOf(SERVICE_ENTRY);
const RULES = typeOf(DESTINATION_RULE);
const IMPORTS = typeOf(SERVICE_IMPORT);
const EXPORTS = typeOf(SERVICE_EXPORT);
const EXPORTED = typeOf(EXPORTED_SERVICE);
const POLICIES = typeOf(EXPORT_POLICY);

let scene: FederationScene;
let one: ExportingCluster;
let two: ExportingCluster;

beforeAll(async () => {
  scene = await FederationScene.start(['cluster1', 'cluster2']);
  [one, two] = scene.clusters as [ExportingCluster, ExportingCluster];
}, 60_000);
afterAll(() => scene?.close());

/** Each test has services of its own, and leaves none. */
afterEach(async () => {
  for (const { admin } of scene.clusters) {
    for (const { metadata } of (await admin.list(POLICIES)).items) await admin.delete(POLICIES, metadata.name!);
    for (const { metadata } of (await admin.list(EXPORTS)).items)
      await admin.delete(EXPORTS, metadata.name!, metadata.namespace);
    for (const { metadata } of (await admin.list(SERVICES, { namespace: 'sample' })).items) {
      await admin.delete(SERVICES, metadata.name!, metadata.namespace);
    }
  }
  for (const cluster of scene.clusters) {
    await gone(cluster, EXPORTED);
    await gone(cluster, IMPORTS);
    for (const type of [ENTRIES, RULES]) {
      for (const { metadata } of (await cluster.admin.list(type)).items) {
        if (metadata.labels?.['isthmus.io/service'] === undefined)
          await cluster.admin.delete(type, metadata.name!, metadata.namespace);
      }
      await gone(cluster, type);
    }
  }
});

function gone({ admin, name }: ExportingCluster, type: ResourceType): Promise<true> {
  return eventually(
    async () => ((await admin.list(type)).items.length === 0 ? true : undefined),
    `${type.resource} of ${name} go`,
  );
}

function come(
  { admin, name }: ExportingCluster,
  type: ResourceType,
  object: string,
  namespace = 'sample',
): Promise<KubeObject> {
  return eventually(() => admin.get(type, object, namespace), `${type.kind} ${object} in ${name}`);
}

/** Waits until `read` gives `wanted`. */
async function becomes<T>(read: () => Promise<T>, wanted: T): Promise<void> {
  let last: T | undefined;
  await eventually(async () => {
    last = await read();
    return JSON.stringify(last) === JSON.stringify(wanted) ? true : undefined;
  }, 'the state').catch(() => expect(last).toEqual(wanted));
}

const annotate = (cluster: ExportingCluster, service: string, value: string | null) =>
  cluster.admin.patch(SERVICES, service, 'sample', { metadata: { annotations: { 'isthmus.io/export': value } } });

const askFor = (cluster: ExportingCluster, name: string) =>
  cluster.admin.create(EXPORTS, {
    apiVersion: 'multicluster.x-k8s.io/v1alpha1',
    kind: 'ServiceExport',
    metadata: { name, namespace: 'sample' },
  });

const conditionsOf = async (cluster: ExportingCluster, type: ResourceType, name: string): Promise<string[]> => {
  const object = await cluster.admin.get(type, name, 'sample');
  const { conditions = [] } = (object?.['status'] ?? {}) as {
    conditions?: { type: string; status: string; reason: string }[];
  };
  return conditions.map((c) => `${c.type}=${c.status} ${c.reason}`).sort();
};

test('an annotation exports: names, an address, versions and a gateway come to the other cluster, and go with it', async () => {
  await two.deploy('reviews', { versions: ['v1', 'v2', 'v2'] });
  await annotate(two, 'reviews', 'true');
  const entry = await come(one, ENTRIES, 'reviews.sample.global');
  const labels = { cluster: 'cluster2', 'topology.istio.io/cluster': 'cluster2' };
  expect(entry['spec']).toEqual({
    hosts: ['reviews.sample.global', 'reviews.sample.svc.clusterset.local'],
    addresses: [expect.stringMatching(/^24[4-7]\.\d+\.\d+\.\d+$/)],
    location: 'MESH_INTERNAL',
    resolution: 'DNS',
    ports: [{ name: 'http', number: 9080, protocol: 'HTTP' }],
    endpoints: [
      { address: '172.31.0.2', ports: { http: 15443 }, labels: { ...labels, version: 'v1' }, weight: 1 },
      { address: '172.31.0.2', ports: { http: 15443 }, labels: { ...labels, version: 'v2' }, weight: 2 },
    ],
    subjectAltNames: ['spiffe://cluster.local/ns/sample/sa/default'],
  });
  const rule = await come(one, RULES, 'reviews.sample.global');
  expect(rule['spec']).toEqual({
    host: 'reviews.sample.global',
    subsets: [
      { name: 'v1', labels: { version: 'v1' } },
      { name: 'v2', labels: { version: 'v2' } },
    ],
  });
  const { addresses } = entry['spec'] as { addresses: string[] };
  await becomes(async () => (await one.admin.get(IMPORTS, 'reviews', 'sample'))?.['status'], {
    clusters: [{ cluster: 'cluster2' }],
  });
  expect((await come(one, IMPORTS, 'reviews'))['spec']).toMatchObject({ type: 'ClusterSetIP', ips: addresses });
  // The one who exports it has no use for them.
  expect(await two.admin.get(ENTRIES, 'reviews.sample.global', 'sample')).toBeUndefined();
  await becomes(
    () => conditionsOf(two, EXPORTED, 'reviews'),
    ['Conflict=False NoConflicts', 'Ready=True Exported', 'Valid=True Valid'],
  );

  await annotate(two, 'reviews', 'false');
  for (const type of [ENTRIES, RULES, IMPORTS]) await gone(one, type);
  await gone(two, EXPORTED);
}, 60_000);

test('a ServiceExport of what is not there says so, with the cure, and works once it is', async () => {
  await askFor(two, 'late');
  await becomes(() => conditionsOf(two, EXPORTS, 'late'), ['Valid=False NoService']);
  const { conditions } = (await two.admin.get(EXPORTS, 'late', 'sample'))!['status'] as {
    conditions: { message: string }[];
  };
  expect(conditions[0]!.message).toBe(
    'cluster2 has no Service sample/late: create it, or delete what exports it (exported by ServiceExport sample/late)',
  );
  await two.deploy('late', { versions: ['v1'] });
  await come(one, ENTRIES, 'late.sample.global');
  await becomes(
    () => conditionsOf(two, EXPORTS, 'late'),
    ['Conflict=False NoConflicts', 'Ready=True Exported', 'Valid=True Valid'],
  );
  await two.admin.delete(EXPORTS, 'late', 'sample');
  await gone(one, ENTRIES);
}, 60_000);

test.each([
  ['an ExternalName', { type: 'ExternalName', externalName: 'example.com' }, 'InvalidServiceType'],
  ['a Service without ports', { clusterIP: 'None', selector: { app: 'x' } }, 'NoPorts'],
  [
    'a Service of UDP alone',
    { selector: { app: 'x' }, ports: [{ name: 'dns', port: 53, protocol: 'UDP' }] },
    'NoPorts',
  ],
])(
  '%s is not exported, and its ServiceExport says why',
  async (_, spec, reason) => {
    const metadata = { name: 'odd', namespace: 'sample' };
    await two.admin.create(SERVICES, { apiVersion: 'v1', kind: 'Service', metadata, spec } as KubeObject);
    await askFor(two, 'odd');
    await becomes(() => conditionsOf(two, EXPORTS, 'odd'), [`Valid=False ${reason}`]);
    expect(await two.admin.get(EXPORTED, 'odd', 'sample')).toBeUndefined();
    // Of an annotation it is told on the Service.
    await two.admin.delete(EXPORTS, 'odd', 'sample');
    await annotate(two, 'odd', 'true');
    const told = await eventually(
      async () =>
        (await two.admin.list(EVENTS, { namespace: 'sample' })).items.find((each) => each['reason'] === reason),
      'the Event',
    );
    expect(told['involvedObject']).toMatchObject({ kind: 'Service', name: 'odd' });
    await two.admin.delete(EVENTS, told.metadata.name!, 'sample');
  },
  60_000,
);

test('a policy exports by namespace and label; what says "false" stays home', async () => {
  for (const name of ['a', 'b', 'c']) await two.deploy(name, { versions: ['v1'] });
  await two.admin.patch(SERVICES, 'a', 'sample', { metadata: { labels: { tier: 'shared' } } });
  await two.admin.patch(SERVICES, 'b', 'sample', { metadata: { labels: { tier: 'shared' } } });
  await annotate(two, 'b', 'false');
  const spec = { namespaces: ['sample'], selector: { matchLabels: { tier: 'shared' } } };
  await two.admin.create(POLICIES, {
    apiVersion: 'isthmus.io/v1alpha1',
    kind: 'ExportPolicy',
    metadata: { name: 'p' },
    spec,
  } as KubeObject);
  const imported = async () => (await one.admin.list(ENTRIES)).items.map(({ metadata }) => metadata.name).sort();
  await becomes(imported, ['a.sample.global']);
  await annotate(two, 'b', null);
  await becomes(imported, ['a.sample.global', 'b.sample.global']);
  await two.admin.patch(POLICIES, 'p', undefined, { spec: { selector: { matchLabels: { tier: 'none' } } } });
  await becomes(imported, []);
}, 60_000);

test('of two clusters with different ports the oldest decides, and both are told', async () => {
  await one.deploy('shop', {
    versions: ['v1'],
    ports: [
      { name: 'http', port: 80 },
      { name: 'tcp-admin', port: 81 },
    ],
  });
  await askFor(one, 'shop');
  await come(two, ENTRIES, 'shop.sample.global');
  // Times of objects have whole seconds.
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  await two.deploy('shop', { versions: ['v2'], ports: [{ name: 'grpc', port: 80 }] });
  await askFor(two, 'shop');
  for (const cluster of scene.clusters) {
    await becomes(
      () => conditionsOf(cluster, EXPORTS, 'shop'),
      ['Conflict=True PortConflict', 'Ready=True Exported', 'Valid=True Valid'],
    );
    const { conditions } = (await cluster.admin.get(EXPORTS, 'shop', 'sample'))!['status'] as {
      conditions: { type: string; message: string }[];
    };
    expect(conditions.find(({ type }) => type === 'Conflict')!.message).toMatch(
      /^port 80 is http \(HTTP\) in cluster1 and grpc \(HTTP2\) in cluster2; port 81, tcp-admin \(TCP\), is in cluster1 and not in cluster2, where no call to it goes; cluster1 exports it since .* and decides$/,
    );
    const { ports } = (await come(cluster, ENTRIES, 'shop.sample.global'))['spec'] as { ports: unknown };
    expect(ports).toEqual([
      { name: 'http', number: 80, protocol: 'HTTP' },
      { name: 'tcp-admin', number: 81, protocol: 'TCP' },
    ]);
  }
  const { endpoints } = (await come(one, ENTRIES, 'shop.sample.global'))['spec'] as {
    endpoints: Record<string, unknown>[];
  };
  expect(endpoints).toEqual([
    {
      address: 'shop.sample.svc.cluster.local',
      labels: { cluster: 'cluster1', 'topology.istio.io/cluster': 'cluster1' },
    },
    {
      address: '172.31.0.2',
      ports: { http: 15443 },
      labels: {
        cluster: 'cluster2',
        'topology.istio.io/cluster': 'cluster2',
        version: 'v2',
        'isthmus.io/ports': 'listed',
      },
      weight: 1,
    },
  ]);
  await two.admin.delete(EXPORTS, 'shop', 'sample');
  await becomes(
    () => conditionsOf(one, EXPORTS, 'shop'),
    ['Conflict=False NoConflicts', 'Ready=True Exported', 'Valid=True Valid'],
  );
}, 60_000);

test('an object that a person wrote stays as it is, and the conflict names both owners', async () => {
  const spec = {
    hosts: ['mine.sample.global'],
    addresses: ['240.0.0.9'],
    location: 'MESH_INTERNAL',
    ports: [{ name: 'http', number: 80, protocol: 'HTTP' }],
    resolution: 'STATIC',
    endpoints: [{ address: '192.0.2.1' }],
  };
  const metadata = { name: 'by-hand', namespace: 'sample' };
  const written = await one.admin.create(ENTRIES, {
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata,
    spec,
  } as KubeObject);
  // Under the very name that ours would have.
  const taken = await one.admin.create(IMPORTS, {
    apiVersion: 'multicluster.x-k8s.io/v1alpha1',
    kind: 'ServiceImport',
    metadata: { name: 'theirs', namespace: 'sample' },
    spec: { type: 'Headless', ports: [] },
  } as KubeObject);
  await two.deploy('mine', { versions: ['v1'] });
  await two.deploy('theirs', { versions: ['v1'] });
  await annotate(two, 'mine', 'true');
  await annotate(two, 'theirs', 'true');
  await come(one, ENTRIES, 'theirs.sample.global');
  const conflicts = await eventually(async () => {
    const view = one.federation.view();
    return view.conflicts.length > 0 && Object.keys(view.obstacles).length > 0 ? view : undefined;
  }, 'the conflicts');
  expect(conflicts.conflicts).toEqual([
    {
      service: 'sample/mine',
      reason: 'ServiceEntryExists',
      message:
        'ServiceEntry sample/by-hand of cluster1 is for the host mine.sample.global, and so is the export of sample/mine by ' +
        'cluster2: the one that a person wrote counts, and it is not imported',
    },
  ]);
  expect(conflicts.obstacles).toEqual({
    'ServiceImport sample/theirs': expect.stringContaining('was not made by the control plane'),
  });
  expect(await one.admin.get(ENTRIES, 'mine.sample.global', 'sample')).toBeUndefined();
  const said = await eventually(
    async () =>
      (await one.admin.list(EVENTS, { namespace: 'sample' })).items.find(
        ({ reason }) => reason === 'ServiceEntryExists',
      ),
    'the Event',
  );
  expect(said['involvedObject']).toMatchObject({ kind: 'ServiceEntry', name: 'by-hand' });

  expect((await one.admin.get(ENTRIES, 'by-hand', 'sample'))!.metadata.resourceVersion).toBe(
    written.metadata.resourceVersion,
  );
  // Once it is gone, ours comes.
  await one.admin.delete(ENTRIES, 'by-hand', 'sample');
  await come(one, ENTRIES, 'mine.sample.global');
  await annotate(two, 'theirs', 'false');
  await eventually(
    async () => ((await one.admin.get(ENTRIES, 'theirs.sample.global', 'sample')) === undefined ? true : undefined),
    'gone',
  );
  expect((await one.admin.get(IMPORTS, 'theirs', 'sample'))!.metadata.resourceVersion).toBe(
    taken.metadata.resourceVersion,
  );
  await one.admin.delete(IMPORTS, 'theirs', 'sample');
}, 60_000);

test('a cluster that is away keeps its share, also across restarts; its age is told; what changed comes when it is back', async () => {
  await two.deploy('steady', { versions: ['v1'] });
  await annotate(two, 'steady', 'true');
  const before = await come(one, ENTRIES, 'steady.sample.global');
  const rule = await come(one, RULES, 'steady.sample.global');
  const version = async () =>
    (await one.admin.get(ENTRIES, 'steady.sample.global', 'sample'))?.metadata.resourceVersion;
  two.cluster.cut();
  await eventually(async () => (one.federation.view().peers[0]?.state === 'stale' ? true : undefined), 'stale');
  await two.deploy('steady', { versions: ['v1', 'v1'] });
  expect(one.federation.view().peers[0]).toMatchObject({
    cluster: 'cluster2',
    synced: false,
    exports: 1,
    error: expect.any(String),
  });

  await one.stopPlane();
  one.startPlane();
  await eventually(async () => (one.federation.view().leader ? true : undefined), 'a leader');
  // Something else changes meanwhile, so that everything has been looked at.
  await one.deploy('other', { versions: ['v1'] });
  await annotate(one, 'other', 'true');
  await come(one, EXPORTED, 'other');
  expect(await version()).toBe(before.metadata.resourceVersion);
  expect((await one.admin.get(RULES, 'steady.sample.global', 'sample'))!.metadata.resourceVersion).toBe(
    rule.metadata.resourceVersion,
  );
  expect(one.federation.view().peers[0]).toMatchObject({ state: 'none', lastSyncMs: null, exports: 1 });

  two.cluster.heal();
  const { addresses } = before['spec'] as { addresses: string[] };
  await becomes(async () => {
    const spec = (await one.admin.get(ENTRIES, 'steady.sample.global', 'sample'))?.['spec'] as {
      endpoints: { weight: number }[];
    };
    return spec.endpoints.map(({ weight }) => weight);
  }, [2]);
  expect((await come(one, ENTRIES, 'steady.sample.global'))['spec']).toMatchObject({ addresses });
}, 90_000);

test('a secret that changes takes nothing away; one that is no kubeconfig is told; one that goes takes its cluster along', async () => {
  await two.deploy('kept', { versions: ['v1'] });
  await annotate(two, 'kept', 'true');
  const { uid } = (await come(one, ENTRIES, 'kept.sample.global')).metadata;
  await one.putPeer('cluster2', await two.peerKubeconfig());
  await eventually(async () => one.log.find(({ msg }) => msg === 'the peer’s new kubeconfig is in use'), 'the new one');
  await one.putPeer('cluster2', 'swordfish: [');
  const [refused] = await eventually(async () => {
    const all = one.federation.view().refused;
    return all.length > 0 ? all : undefined;
  }, 'the refusal');
  expect(refused).toMatchObject({
    secret: 'isthmus-peer-cluster2',
    key: 'cluster2',
    message: expect.stringContaining('it is no YAML'),
  });
  await eventually(async () => one.troubles.find(({ kind }) => kind === 'RemoteSecret'), 'the Event');
  expect(JSON.stringify(one.log)).not.toContain('swordfish');
  expect((await one.admin.get(ENTRIES, 'kept.sample.global', 'sample'))!.metadata.uid).toBe(uid);

  await one.removePeer('cluster2');
  await gone(one, ENTRIES);
  await gone(one, RULES);
  await one.putPeer('cluster2', await two.peerKubeconfig());
  await come(one, ENTRIES, 'kept.sample.global');
}, 60_000);

test('a peer whose kubeconfig cannot be used from the start keeps what is there, and takes it along when its secret goes', async () => {
  await two.deploy('old', { versions: ['v1'] });
  await annotate(two, 'old', 'true');
  const { uid } = (await come(one, ENTRIES, 'old.sample.global')).metadata;
  await one.stopPlane();
  await one.putPeer('cluster2', 'no kubeconfig');
  one.startPlane();
  await eventually(async () => (one.federation.view().refused.length > 0 ? true : undefined), 'the refusal');
  expect((await come(one, ENTRIES, 'old.sample.global')).metadata.uid).toBe(uid);
  await one.removePeer('cluster2');
  await gone(one, ENTRIES);
  await one.putPeer('cluster2', await two.peerKubeconfig());
  await come(one, ENTRIES, 'old.sample.global');
}, 60_000);

test('one replica writes; another takes over and writes nothing anew; who loses the lease comes back without a trace', async () => {
  await two.deploy('calm', { versions: ['v1', 'v2'] });
  await annotate(two, 'calm', 'true');
  await come(one, RULES, 'calm.sample.global');
  await becomes(async () => (await one.admin.get(IMPORTS, 'calm', 'sample'))?.['status'], {
    clusters: [{ cluster: 'cluster2' }],
  });
  const written = async () => {
    const all = await Promise.all([ENTRIES, RULES, IMPORTS].map((type) => one.admin.list(type)));
    return all.flatMap(({ items }) =>
      items.map(({ kind, metadata }) => `${kind} ${metadata.uid} ${metadata.resourceVersion}`),
    );
  };
  const before = await written();
  const leads = (replica: string) =>
    eventually(async () => {
      const { leader, peers } = one.replica(replica).view();
      return leader && peers[0]?.synced === true ? true : undefined;
    }, `${replica} leads`);
  one.startPlane('second');
  await leads('cluster1');
  expect(one.replica('second').view()).toMatchObject({ leader: false, peers: [], imports: [] });
  expect(one.replica('second').counts()).toBeUndefined();
  expect(one.federation.counts()).toMatchObject({ peers: 1, exports: 0, imports: 1, conflicts: 0 });
  await one.stopPlane();
  await leads('second');
  // Somebody else has it for a moment.
  const renewTime = new Date().toISOString().replace('Z', '000Z');
  await one.admin.patch(LEASES, 'isthmus-federation', 'istio-system', {
    spec: { holderIdentity: 'somebody', renewTime },
  });
  await eventually(async () => (one.replica('second').view().leader ? undefined : true), 'it is lost');
  await leads('second');
  expect(await written()).toEqual(before);
  await one.stopPlane('second');
  one.startPlane();
  await leads('cluster1');
  expect(await written()).toEqual(before);
}, 60_000);

test('no cluster speaks for another', async () => {
  await two.deploy('loud', { versions: ['v1'] });
  await annotate(two, 'loud', 'true');
  await come(one, ENTRIES, 'loud.sample.global');
  await one.putPeer('nobody', await two.peerKubeconfig());
  const peer = await eventually(
    async () => one.federation.view().peers.find(({ cluster, error }) => cluster === 'nobody' && error),
    'the fault',
  );
  expect(peer).toMatchObject({
    exports: 0,
    error: expect.stringContaining('the cluster calls itself cluster2: make that the key'),
  });
  await one.removePeer('nobody');
}, 60_000);

test('what somebody changed or removed of the derived objects comes back, and a change elsewhere writes none of them', async () => {
  await two.deploy('x', { versions: ['v1'] });
  await two.deploy('y', { versions: ['v1'] });
  await annotate(two, 'x', 'true');
  await annotate(two, 'y', 'true');
  await come(one, ENTRIES, 'x.sample.global');
  const { uid, resourceVersion } = (await come(one, ENTRIES, 'y.sample.global')).metadata;
  const spec = (await come(one, ENTRIES, 'x.sample.global'))['spec'];
  await one.admin.patch(ENTRIES, 'x.sample.global', 'sample', { spec: { addresses: ['240.0.0.1'] } });
  await becomes(async () => (await one.admin.get(ENTRIES, 'x.sample.global', 'sample'))?.['spec'], spec);
  await one.admin.delete(ENTRIES, 'x.sample.global', 'sample');
  await becomes(async () => (await one.admin.get(ENTRIES, 'x.sample.global', 'sample'))?.['spec'], spec);
  expect((await one.admin.get(ENTRIES, 'y.sample.global', 'sample'))!.metadata).toMatchObject({ uid, resourceVersion });
}, 60_000);
