// SPDX-License-Identifier: Apache-2.0
// Clusters that export services to one another: real API servers, and in each what its control plane does about exports,
// with no more rights than the manifests give it.
import { pino } from 'pino';
import { buildCrds } from '../../src/api/crds.ts';
import { buildAccess, buildPeerAccess } from '../../src/install/manifests/access.ts';
import { waitForDefinitions } from '../../src/install/readiness.ts';
import { resourceTypeOf } from '../../src/install/resource-types.ts';
import { DEFAULTS } from '../../src/install/values/values.ts';
import { KubeClient } from '../../src/kube/client.ts';
import { loadKubeconfig } from '../../src/kube/config.ts';
import { CRDS, ENDPOINT_SLICES, PODS, SECRETS, SERVICES } from '../../src/kube/resources.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import { MeshStore } from '../../src/model/store.ts';
import { Federation } from '../../src/runtime/federation/federation.ts';
import { MeshEngine } from '../../src/runtime/mesh-engine.ts';
import { meshResources } from '../../src/runtime/mesh-resources.ts';
import type { RegistryTrouble } from '../../src/runtime/registries/registry-reports.ts';
import { KubeSource } from '../../src/sources/kube.ts';
import { TestCluster } from './registries-scene.ts';

export interface DeployOptions {
  readonly versions: readonly string[];
  readonly ports?: readonly Record<string, unknown>[];
  readonly annotations?: Readonly<Record<string, string>>;
  readonly namespace?: string;
}

interface Plane {
  readonly federation: Federation;
  readonly ending: AbortController;
  readonly running: Promise<unknown>;
}

/** One cluster with the half of a control plane that exports and imports. */
export class ExportingCluster {
  readonly name: string;
  readonly cluster: TestCluster;
  readonly log: Record<string, unknown>[] = [];
  readonly troubles: RegistryTrouble[] = [];
  #token = '';
  readonly #planes = new Map<string, Plane>();

  private constructor(name: string, cluster: TestCluster) {
    this.name = name;
    this.cluster = cluster;
  }

  static async start(name: string): Promise<ExportingCluster> {
    const cluster = await TestCluster.start();
    const crds = buildCrds();
    for (const crd of crds) await cluster.admin.apply(crd, CRDS);
    await waitForDefinitions(cluster.admin, crds, { timeoutMs: 30_000, signal: new AbortController().signal });
    for (const object of [...buildAccess(DEFAULTS), ...buildPeerAccess()]) {
      await cluster.admin.apply(object, resourceTypeOf(object));
    }
    const made = new ExportingCluster(name, cluster);
    made.#token = await cluster.tokenOf('istio-system', 'istiod');
    return made;
  }

  get admin(): KubeClient {
    return this.cluster.admin;
  }

  get federation(): Federation {
    return this.replica(this.name);
  }

  replica(name: string): Federation {
    const plane = this.#planes.get(name);
    if (plane === undefined) throw new Error(`${name} does not run`);
    return plane.federation;
  }

  startPlane(replica = this.name): void {
    const { caPem } = loadKubeconfig(this.cluster.server.kubeconfig);
    const token = this.#token;
    const client = new KubeClient({ server: this.cluster.server.url, token: () => token, ...(caPem && { caPem }) });
    const settings = { trustDomain: 'cluster.local', dnsDomain: 'cluster.local', rootNamespace: 'istio-system' };
    const engine = new MeshEngine({
      store: new MeshStore({ ...settings, configCluster: this.name }),
      compile: () => ({ desired: new Map(), secrets: [], origins: () => [] }),
      clusters: [this.name],
    });
    const federation = new Federation({
      client,
      cluster: this.name,
      dnsDomain: settings.dnsDomain,
      trustDomain: settings.trustDomain,
      replica,
      log: pino({ level: 'debug' }, { write: (line: string) => this.log.push(JSON.parse(line)) }),
      nowMs: Date.now,
      snapshot: () => engine.snapshot,
      whenRead: () => engine.whenSynced(),
      trouble: (trouble) => this.troubles.push(trouble),
      times: { removalMs: 300, lookMs: 100, coalesceMs: 20, lease: { durationMs: 2_000, intervalMs: 500 } },
    });
    engine.subscribe(() => federation.meshChanged());
    const listener = engine.listener(this.name);
    const ending = new AbortController();
    const source = new KubeSource(this.name, client, meshResources());
    const events: typeof listener.events = (batch) => {
      listener.events(batch);
      federation.events(batch);
    };
    const running = Promise.all([source.run({ ...listener, events }, ending.signal), federation.run(ending.signal)]);
    this.#planes.set(replica, { federation, ending, running: running.finally(() => client.close()) });
  }

  async stopPlane(replica = this.name): Promise<void> {
    const plane = this.#planes.get(replica);
    this.#planes.delete(replica);
    plane?.ending.abort();
    await plane?.running;
  }

  /** Its gateway: a load balancer's address and one pod. */
  async openGateway(address: string): Promise<void> {
    const metadata = { name: 'istio-ingressgateway', namespace: 'istio-system' };
    const spec = {
      type: 'LoadBalancer',
      selector: { app: 'istio-ingressgateway' },
      ports: [{ name: 'tls', port: 15443 }],
    };
    await this.admin.apply({ apiVersion: 'v1', kind: 'Service', metadata, spec } as KubeObject, SERVICES);
    const status = { loadBalancer: { ingress: [{ ip: address }] } };
    await this.admin.patch(SERVICES, metadata.name, metadata.namespace, { status }, { subresource: 'status' });
    await this.#setPods(
      'istio-ingressgateway',
      'istio-system',
      [{ app: 'istio-ingressgateway' }],
      [{ name: 'tls', port: 15443 }],
    );
  }

  /** A Service with one ready pod of each of the versions. */
  async deploy(name: string, options: DeployOptions): Promise<void> {
    const { versions, ports = [{ name: 'http', port: 9080 }], annotations = {}, namespace = 'sample' } = options;
    const spec = { selector: { app: name }, ports };
    const metadata = { name, namespace, annotations };
    await this.admin.apply({ apiVersion: 'v1', kind: 'Service', metadata, spec } as KubeObject, SERVICES);
    await this.#setPods(
      name,
      namespace,
      versions.map((version) => ({ app: name, version })),
      ports,
    );
  }

  async #setPods(
    service: string,
    namespace: string,
    pods: readonly Record<string, string>[],
    ports: readonly Record<string, unknown>[],
  ): Promise<void> {
    const endpoints: Record<string, unknown>[] = [];
    for (const [i, labels] of pods.entries()) {
      const name = `${service}-${i}`;
      const metadata = { name, namespace, labels: { ...labels, 'security.istio.io/tlsMode': 'istio' } };
      const pod = { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers: [{ name: 'a', image: 'a' }] } };
      await this.admin.apply(pod as KubeObject, PODS);
      const targetRef = { kind: 'Pod', name, namespace };
      endpoints.push({ addresses: [`10.1.0.${i + 1}`], conditions: { ready: true }, targetRef });
    }
    await this.admin.apply(
      {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { name: `${service}-1`, namespace, labels: { 'kubernetes.io/service-name': service } },
        addressType: 'IPv4',
        endpoints,
        ports: ports.map(({ name, port }) => ({ name, port })),
      } as KubeObject,
      ENDPOINT_SLICES,
    );
  }

  /** A kubeconfig of the account that other clusters read with; by way of the address that can be cut. */
  async peerKubeconfig(): Promise<string> {
    return this.cluster.kubeconfig(await this.cluster.tokenOf('istio-system', 'isthmus-peer'));
  }

  async putPeer(name: string, kubeconfig: string): Promise<void> {
    const metadata = { name: `isthmus-peer-${name}`, namespace: 'istio-system', labels: { 'isthmus.io/peer': 'true' } };
    const data = { [name]: Buffer.from(kubeconfig).toString('base64') };
    await this.admin.apply({ apiVersion: 'v1', kind: 'Secret', metadata, data } as KubeObject, SECRETS);
  }

  removePeer(name: string): Promise<void> {
    return this.admin.delete(SECRETS, `isthmus-peer-${name}`, 'istio-system');
  }

  async close(): Promise<void> {
    for (const replica of [...this.#planes.keys()]) await this.stopPlane(replica);
    await this.cluster.close();
  }
}

export class FederationScene {
  readonly clusters: readonly ExportingCluster[];

  private constructor(clusters: readonly ExportingCluster[]) {
    this.clusters = clusters;
  }

  /** Each knows the others, and its gateway is 172.31.0.N. */
  static async start(names: readonly string[]): Promise<FederationScene> {
    const clusters = await Promise.all(names.map((name) => ExportingCluster.start(name)));
    for (const [i, cluster] of clusters.entries()) {
      await cluster.openGateway(`172.31.0.${i + 1}`);
      for (const other of clusters) {
        if (other !== cluster) await cluster.putPeer(other.name, await other.peerKubeconfig());
      }
    }
    for (const cluster of clusters) cluster.startPlane();
    return new FederationScene(clusters);
  }

  async close(): Promise<void> {
    await Promise.all(this.clusters.map((cluster) => cluster.close()));
  }
}

/** Waits until `look` gives something. @throws Error with what it saw last */
export async function eventually<T>(look: () => Promise<T | undefined>, what: string, timeoutMs = 20_000): Promise<T> {
  const endMs = performance.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > endMs) throw new Error(`${what}: not within ${timeoutMs / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
