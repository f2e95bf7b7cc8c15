// SPDX-License-Identifier: Apache-2.0
// A control plane without its sockets: a store, the compile stages, a backend, and a session for each proxy, which takes
// everything at once. It is put through changes of every kind, none of whose names comes twice, and always ends as it began.
import type { KubeObject } from '../../src/kube/types.ts';
import { MeshStore } from '../../src/model/store.ts';
import { createCompile } from '../../src/runtime/compile.ts';
import { MeshEngine } from '../../src/runtime/mesh-engine.ts';
import { AdsBackend } from '../../src/runtime/streams/ads-backend.ts';
import { ResponseEncoder } from '../../src/xds/response-encoding.ts';
import { rememberDiffs } from '../../src/xds/session/map-diff.ts';
import { Session } from '../../src/xds/session/session.ts';
import { SharedLists } from '../../src/xds/session/shared-lists.ts';
import { CLUSTER_TYPE, ENDPOINT_TYPE, LISTENER_TYPE, ROUTE_TYPE } from '../../src/xds/session/type-urls.ts';
import type { XdsProxy } from '../../src/xds/types.ts';

const CLUSTER = 'c1';
const NAMESPACES = 5;
const PEER = { trustDomain: 'cluster.local', clusterName: CLUSTER, namespace: '', serviceAccount: '', podName: '' };

export class ChangingMesh {
  readonly #engine: MeshEngine;
  readonly #backend: AdsBackend;
  readonly #encoder = new ResponseEncoder();
  readonly #shared = { variant: 'delta', diff: rememberDiffs(), lists: new SharedLists() } as const;
  readonly #apply: (kind: 'upsert' | 'delete', objects: readonly KubeObject[]) => void;
  readonly #proxies: { proxy: XdsProxy; session: Session }[] = [];
  readonly #services: number;
  /** Bytes of all responses. */
  sent = 0;
  #made = 0;

  private constructor(services: number) {
    this.#services = services;
    const [trustDomain, dnsDomain] = ['cluster.local', 'cluster.local'];
    const store = new MeshStore({ trustDomain, dnsDomain, rootNamespace: 'istio-system', configCluster: CLUSTER });
    this.#engine = new MeshEngine({ store, compile: createCompile('ads'), clusters: [] });
    const source = this.#engine.listener('test');
    this.#apply = (kind, objects) => source.events(objects.map((object) => ({ kind, cluster: CLUSTER, object })));
    const engine = this.#engine;
    const told = {
      onRefusal: () => {},
      onRefusalError: (error: Error) => {
        throw error;
      },
    };
    this.#backend = new AdsBackend({ engine, trustDomain, cluster: CLUSTER, identity: 'node', ...told });
  }

  static async start(services: number, proxies: number): Promise<ChangingMesh> {
    const mesh = new ChangingMesh(services);
    mesh.#apply(
      'upsert',
      Array.from({ length: services }, (_, i) => objectsOf(`svc-${i}`, `ns-${i % NAMESPACES}`, i, 50)).flat(),
    );
    for (let i = 0; i < proxies; i++) mesh.#proxies.push(await mesh.#connect(i));
    return mesh;
  }

  /** Changes number `from` up to `to`. */
  async run(from: number, to: number): Promise<void> {
    for (let n = from; n < to; n++) {
      await this.#change(n);
      for (const each of this.#proxies) this.#follow(each);
    }
  }

  async #change(n: number): Promise<void> {
    const at = n % this.#services;
    const [name, namespace] = [`svc-${at}`, `ns-${at % NAMESPACES}`];
    const fresh = `new-${++this.#made}`;
    switch (n % 8) {
      case 0:
      case 1:
      case 2:
        this.#apply('upsert', [rule(name, namespace, n % 100)]);
        break;
      case 3:
      case 4:
        this.#apply('upsert', [slice(name, namespace, n)]);
        break;
      case 5: {
        const objects = objectsOf(fresh, namespace, n, 50);
        this.#apply('upsert', objects);
        this.#followAll();
        this.#apply('delete', objects.toReversed());
        break;
      }
      case 6: {
        const objects = [namespaceOf(fresh), ...objectsOf('shop', fresh, n, 50), sidecar(fresh), ...bad(fresh)];
        this.#apply('upsert', objects);
        const proxy = await this.#connect(n, fresh);
        this.#apply('upsert', [rule('shop', fresh, 10)]);
        this.#follow(proxy);
        proxy.proxy.closed();
        this.#apply('delete', objects);
        break;
      }
      default: {
        this.#proxies.shift()?.proxy.closed();
        this.#proxies.push(await this.#connect(n));
      }
    }
  }

  async #connect(n: number, namespace = `ns-${n % NAMESPACES}`): Promise<{ proxy: XdsProxy; session: Session }> {
    const id = `sidecar~10.7.${(n >> 8) & 255}.${n & 255}~client-${n}.${namespace}~${namespace}.svc.cluster.local`;
    const metadata = { LABELS: { app: `client-${n % 10}` } };
    const peer = { ...PEER, podUid: '', expiresAtMs: Number.POSITIVE_INFINITY };
    const proxy = await this.#backend.connect(
      peer,
      { id, cluster: '', metadata, userAgentVersion: '1.40.0' },
      () => {},
    );
    const each = { proxy, session: new Session(this.#shared) };
    each.session.update(proxy.desired());
    const ask = (typeUrl: string, subscribe: readonly string[]) => {
      const members = { nonce: '', errorMessage: undefined, unsubscribe: [], initialVersions: [] };
      each.session.receive({ typeUrl, subscribe, ...members }, 0);
      this.#send(each);
    };
    const names = (typeUrl: string) => [...(proxy.desired().get(typeUrl)?.keys() ?? [])];
    ask(CLUSTER_TYPE, []);
    ask(ENDPOINT_TYPE, names(ENDPOINT_TYPE));
    ask(LISTENER_TYPE, []);
    ask(ROUTE_TYPE, names(ROUTE_TYPE));
    return each;
  }

  #followAll(): void {
    for (const each of this.#proxies) this.#follow(each);
  }

  #follow(each: { proxy: XdsProxy; session: Session }): void {
    each.session.update(each.proxy.desired());
    this.#send(each);
  }

  #send({ proxy, session }: { proxy: XdsProxy; session: Session }): void {
    for (let response = session.next(0); response !== undefined; response = session.next(0)) {
      for (const part of this.#encoder.encode('delta', response)) this.sent += part.length;
      const { typeUrl, nonce } = response;
      // Of a cluster Envoy wants the endpoints as well, and of those that are gone no more.
      const isOfClusters = typeUrl === CLUSTER_TYPE;
      const members = { errorMessage: undefined, subscribe: [], unsubscribe: [], initialVersions: [] };
      const received = session.receive({ typeUrl, nonce, ...members }, 0);
      if (received.kind === 'acknowledged') proxy.acknowledged(typeUrl, nonce, received.resources);
      if (!isOfClusters) continue;
      const subscribe = response.resources.map(({ name }) => name).filter((name) => name.startsWith('outbound|'));
      const asked = { ...members, nonce: '', subscribe, unsubscribe: response.removed };
      session.receive({ typeUrl: ENDPOINT_TYPE, ...asked }, 0);
    }
  }
}

function objectsOf(name: string, namespace: string, number: number, weight: number): KubeObject[] {
  const address = `10.${8 + ((number >> 16) & 63)}.${(number >> 8) & 255}.${number & 255}`;
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace },
      spec: { clusterIP: address, selector: { app: name }, ports: [{ name: 'http', port: 80 }] },
    },
    slice(name, namespace, number),
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'DestinationRule',
      metadata: { name, namespace },
      spec: { host: name, subsets: [{ name: 'v1' }, { name: 'v2' }] },
    },
    rule(name, namespace, weight),
  ];
}

function slice(name: string, namespace: string, number: number): KubeObject {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: `${name}-1`, namespace, labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    endpoints: [{ addresses: [`10.9.${(number >> 8) & 255}.${number & 255}`], conditions: { ready: true } }],
    ports: [{ name: 'http', port: 80, protocol: 'TCP' }],
  };
}

function rule(name: string, namespace: string, weight: number): KubeObject {
  const to = (subset: string, share: number) => ({ destination: { host: name, subset }, weight: share });
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name, namespace },
    spec: { hosts: [name], http: [{ route: [to('v1', weight), to('v2', 100 - weight)] }] },
  };
}

function sidecar(namespace: string): KubeObject {
  const metadata = { name: 'default', namespace };
  const spec = { egress: [{ hosts: ['./*', 'ns-0/*'] }] };
  return { apiVersion: 'networking.istio.io/v1', kind: 'Sidecar', metadata, spec };
}

/** What there is something to say of. */
function bad(namespace: string): KubeObject[] {
  const metadata = { name: 'bad', namespace };
  return [
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata,
      spec: { hosts: [`${namespace}.example.com`], http: [{ route: [{ destination: { host: 'no-such-host' } }] }] },
    },
    { apiVersion: 'networking.istio.io/v1', kind: 'Gateway', metadata, spec: { servers: 'none' } },
  ];
}

function namespaceOf(name: string): KubeObject {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name } };
}
