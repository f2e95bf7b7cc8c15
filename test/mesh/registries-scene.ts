// SPDX-License-Identifier: Apache-2.0
// A control plane's view of two clusters on real API servers: `home`, where the secrets are, and `away`, which is reached
// through a forwarder that can be cut. Both sides have no more rights than the manifests give them.
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { buildAccess } from '../../src/install/manifests/access.ts';
import { resourceTypeOf } from '../../src/install/resource-types.ts';
import { DEFAULTS } from '../../src/install/values/values.ts';
import { KubeClient } from '../../src/kube/client.ts';
import { loadKubeconfig } from '../../src/kube/config.ts';
import {
  CLUSTER_ROLE_BINDINGS,
  CLUSTER_ROLES,
  ENDPOINT_SLICES,
  NAMESPACES,
  PODS,
  SECRETS,
  SERVICE_ACCOUNTS,
  SERVICES,
} from '../../src/kube/resources.ts';
import type { KubeObject, ResourceType } from '../../src/kube/types.ts';
import { MeshStore } from '../../src/model/store.ts';
import { MeshEngine } from '../../src/runtime/mesh-engine.ts';
import { meshResources } from '../../src/runtime/mesh-resources.ts';
import { Registries, type RegistryTimes } from '../../src/runtime/registries/registries.ts';
import { RegistryFiles } from '../../src/runtime/registries/registry-files.ts';
import type { RegistryTrouble } from '../../src/runtime/registries/registry-reports.ts';
import { clusterUidOf } from '../../src/runtime/registries/remote-registry.ts';
import { KubeSource } from '../../src/sources/kube.ts';
import { startTestServer, type TestServer } from '../apiserver/test-server.ts';

/** One API server with its administrator, and a forwarder before it. */
export class TestCluster {
  readonly server: TestServer;
  readonly admin: KubeClient;
  readonly #forwarder: Server;
  readonly #sockets = new Set<Socket>();
  #isCut = false;

  private constructor(server: TestServer) {
    this.server = server;
    this.admin = new KubeClient(loadKubeconfig(server.kubeconfig));
    const target = Number(new URL(server.url).port);
    this.#forwarder = createServer((near) => {
      if (this.#isCut) {
        near.destroy();
        return;
      }
      const far = connect(target, '127.0.0.1');
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(one);
        one
          .on('error', () => {})
          .on('close', () => {
            this.#sockets.delete(one);
            other.destroy();
          });
        one.pipe(other);
      }
    });
  }

  static async start(): Promise<TestCluster> {
    const cluster = new TestCluster(await startTestServer());
    await new Promise<void>((resolve) => cluster.#forwarder.listen(0, '127.0.0.1', resolve));
    for (const name of ['istio-system', 'sample']) {
      await cluster.admin.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }, NAMESPACES);
      const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace: name } };
      await cluster.admin.apply(account, SERVICE_ACCOUNTS);
    }
    return cluster;
  }

  /** The address by which it can be cut off. */
  get address(): string {
    return `https://127.0.0.1:${(this.#forwarder.address() as { port: number }).port}`;
  }

  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  heal(): void {
    this.#isCut = false;
  }

  async create(type: ResourceType, object: Record<string, unknown>): Promise<KubeObject> {
    return await this.admin.create(type, object as unknown as KubeObject);
  }

  /** Service helloworld with one pod at each address. */
  async deploy(addresses: readonly string[]): Promise<void> {
    const metadata = (name: string) => ({ name, namespace: 'sample' });
    const ports = [{ name: 'http', port: 5000 }];
    const spec = { selector: { app: 'helloworld' }, ports };
    await this.admin.apply(
      { apiVersion: 'v1', kind: 'Service', metadata: metadata('helloworld'), spec } as KubeObject,
      SERVICES,
    );
    for (const address of addresses) {
      const name = `helloworld-${address.replaceAll('.', '-')}`;
      const container = { name: 'a', image: 'a', env: [{ name: 'PASSWORD', value: 'swordfish' }] };
      await this.create(PODS, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { ...metadata(name), labels: { app: 'helloworld' } },
        spec: { containers: [container] },
      });
    }
    await this.setEndpoints(addresses);
  }

  async setEndpoints(addresses: readonly string[]): Promise<void> {
    const slice = {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {
        name: 'helloworld-1',
        namespace: 'sample',
        labels: { 'kubernetes.io/service-name': 'helloworld' },
      },
      addressType: 'IPv4',
      endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
      ports: [{ name: 'http', port: 5000 }],
    };
    await this.admin.apply(slice as KubeObject, ENDPOINT_SLICES);
  }

  /** A token of account istio-multi, which may read what runs here. */
  async remoteToken(): Promise<string> {
    const rules = [
      { apiGroups: [''], resources: ['services', 'pods'], verbs: ['get', 'list', 'watch'] },
      { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['get', 'list', 'watch'] },
      { apiGroups: ['authentication.k8s.io'], resources: ['tokenreviews'], verbs: ['create'] },
    ];
    const RBAC = 'rbac.authorization.k8s.io';
    const meta = { name: 'istio-multi' };
    const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { ...meta, namespace: 'istio-system' } };
    await this.admin.apply(account, SERVICE_ACCOUNTS);
    const role = { apiVersion: `${RBAC}/v1`, kind: 'ClusterRole', metadata: meta, rules };
    await this.admin.apply(role as KubeObject, CLUSTER_ROLES);
    const binding = {
      apiVersion: `${RBAC}/v1`,
      kind: 'ClusterRoleBinding',
      metadata: meta,
      roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: 'istio-multi' },
      subjects: [{ kind: 'ServiceAccount', name: 'istio-multi', namespace: 'istio-system' }],
    };
    await this.admin.apply(binding as KubeObject, CLUSTER_ROLE_BINDINGS);
    return await this.tokenOf('istio-system', 'istio-multi');
  }

  async tokenOf(namespace: string, account: string): Promise<string> {
    const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3600 } };
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`;
    const answer = (await this.admin.request('POST', path, { body })) as { status: { token: string } };
    return answer.status.token;
  }

  /** As the document's shell lines make it. */
  kubeconfig(token: string, server = this.address): string {
    const { caPem = '' } = loadKubeconfig(this.server.kubeconfig);
    const data = Buffer.from(caPem).toString('base64');
    return `apiVersion: v1
kind: Config
clusters:
- cluster: {certificate-authority-data: ${data}, server: "${server}"}
  name: c
contexts:
- context: {cluster: c, user: c}
  name: c
current-context: c
users:
- name: c
  user: {token: ${token}}
`;
  }

  async close(): Promise<void> {
    this.cut();
    this.#forwarder.close();
    this.admin.close();
    await this.server.close();
  }
}

/** What a control plane of `home` knows, while it runs. */
class TestPlane {
  readonly registries: Registries;
  readonly engine: MeshEngine;
  readonly log: Record<string, unknown>[] = [];
  readonly troubles: RegistryTrouble[] = [];
  readonly ended: string[] = [];
  /** Helloworld's endpoints in each snapshot that was published. */
  readonly history: string[][] = [];
  readonly #ending = new AbortController();
  readonly #running: Promise<unknown>;
  readonly #client: KubeClient;

  constructor(client: KubeClient, dir: string, times: Partial<RegistryTimes>) {
    this.#client = client;
    const settings = { trustDomain: 'cluster.local', dnsDomain: 'cluster.local', rootNamespace: 'istio-system' };
    this.engine = new MeshEngine({
      store: new MeshStore({ ...settings, configCluster: 'home' }),
      compile: () => ({ desired: new Map(), secrets: [], origins: () => [] }),
      clusters: ['home'],
      awaited: ['others'],
    });
    // From the first whole state on: that one is no change.
    void this.engine.whenSynced().then(() => this.engine.subscribe(() => this.history.push(this.endpoints())));
    const log = pino({ level: 'debug' }, { write: (line: string) => this.log.push(JSON.parse(line)) });
    const others = this.engine.listener('others');
    this.registries = new Registries({
      client,
      local: 'home',
      publish: (batch) => others.events(batch),
      problems: (standing) => others.problems(standing),
      endStreams: (cluster) => this.ended.push(cluster),
      onReady: () => this.engine.arrived('others'),
      trouble: (trouble) => this.troubles.push(trouble),
      files: new RegistryFiles(dir, log),
      log,
      nowMs: Date.now,
      times: { removalMs: 1_000, lookMs: 100, ...times },
    });
    const home = this.engine.listener('home');
    let uid: string | undefined;
    const listener = {
      ...home,
      events: (batch: Parameters<typeof home.events>[0]) => {
        for (const event of batch) if (event.kind === 'upsert') uid ??= clusterUidOf(event.object);
        home.events(batch);
        if (batch.some(({ kind }) => kind === 'synced')) this.registries.localRead(uid);
      },
    };
    const resources = meshResources().slice(0, 4);
    this.#running = Promise.all([
      new KubeSource('home', client, resources).run(listener, this.#ending.signal),
      this.registries.run(this.#ending.signal),
    ]);
  }

  endpoints(): string[] {
    const entry = [...this.engine.snapshot.endpoints].find(([key]) => key.includes('helloworld'));
    return (entry?.[1] ?? []).map(({ cluster, address }) => `${cluster} ${address}`);
  }

  state(cluster: string) {
    return this.registries.status().find((status) => status.cluster === cluster);
  }

  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#running;
    this.#client.close();
  }
}

export class RegistryScene {
  readonly home: TestCluster;
  readonly away: TestCluster;
  readonly dir = mkdtempSync(join(tmpdir(), 'isthmus-registries-'));
  readonly #token: string;
  #plane: TestPlane | undefined;

  private constructor(home: TestCluster, away: TestCluster, token: string) {
    this.home = home;
    this.away = away;
    this.#token = token;
  }

  static async start(): Promise<RegistryScene> {
    const [home, away] = await Promise.all([TestCluster.start(), TestCluster.start()]);
    for (const object of buildAccess(DEFAULTS)) await home.admin.apply(object, resourceTypeOf(object));
    await home.deploy(['10.1.0.1']);
    await away.deploy(['10.2.0.1', '10.2.0.2']);
    return new RegistryScene(home, away, await home.tokenOf('istio-system', 'istiod'));
  }

  get plane(): TestPlane {
    if (this.#plane === undefined) throw new Error('no control plane runs');
    return this.#plane;
  }

  startPlane(times: Partial<RegistryTimes> = {}): TestPlane {
    const { caPem } = loadKubeconfig(this.home.server.kubeconfig);
    const config = { server: this.home.server.url, token: () => this.#token, ...(caPem && { caPem }) };
    this.#plane = new TestPlane(new KubeClient(config), join(this.dir, 'state'), times);
    return this.#plane;
  }

  async stopPlane(): Promise<void> {
    await this.#plane?.stop();
    this.#plane = undefined;
  }

  /** kubectl create secret generic NAME --from-file=..., and label. */
  async putSecret(name: string, data: Readonly<Record<string, string>>): Promise<void> {
    const encoded = Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString('base64')]);
    const metadata = { name, namespace: 'istio-system', labels: { 'istio/multiCluster': 'true' } };
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata, data: Object.fromEntries(encoded) };
    const before = await this.home.admin.get(SECRETS, name, 'istio-system');
    if (before === undefined) await this.home.create(SECRETS, secret);
    else await this.home.admin.replace(SECRETS, { ...before, data: secret.data } as KubeObject);
  }

  removeSecret(name: string): Promise<void> {
    return this.home.admin.delete(SECRETS, name, 'istio-system');
  }

  async close(): Promise<void> {
    await this.stopPlane();
    await Promise.all([this.home.close(), this.away.close()]);
    rmSync(this.dir, { recursive: true, force: true });
  }
}
