// SPDX-License-Identifier: Apache-2.0
// A control plane on loopback whose proxies need no network of their own: the listeners of each are bound to its address,
// 127.0.1.N, at the ports of the mesh, so that a client reaches a service by dialling its port there. Hosts that are none
// of the mesh's lead to STRANGER, for without redirect rules there is no address that a connection was meant for.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Cluster_DiscoveryType, Cluster_LbPolicy, ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import { ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.ts';
import { type ConfigDelivery, DELIVERY_METADATA } from '../../src/api/config-delivery.ts';
import { socketAddress } from '../../src/envoy/messages.ts';
import { PASSTHROUGH, TYPE_URL } from '../../src/envoy/names.ts';
import { Authority } from '../../src/identity/authority.ts';
import { makeSelfSignedCa } from '../../src/identity/ca-material.ts';
import { WorkloadSecrets } from '../../src/identity/workload-secrets.ts';
import { memoryAllocator } from '../../src/injector/bootstrap.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import { MeshStore } from '../../src/model/store.ts';
import { createCompile } from '../../src/runtime/compile.ts';
import { type Compile, MeshEngine } from '../../src/runtime/mesh-engine.ts';
import type { Refusal } from '../../src/runtime/streams/refusals.ts';
import type { XdsServer } from '../../src/xds/server.ts';
import type { XdsEvent } from '../../src/xds/stream.ts';
import type { XdsResource } from '../../src/xds/types.ts';
import { CLUSTER, startLoopbackAds } from '../mesh/loopback-ads.ts';
import { plaintextBootstrap } from '../mesh/plaintext-bootstrap.ts';

export class LoopbackPlane {
  readonly engine: MeshEngine;
  readonly refusals: Refusal[] = [];
  /** What was sent and received, if anybody wants to know. */
  observe: (event: XdsEvent) => void = () => {};
  readonly #port: number;
  readonly #secrets = throwawayKeys();
  #server: XdsServer | undefined;

  /** `port`: of ADS. `strangerPort`: of the server that answers for every host that is none of the mesh's. */
  constructor(port: number, strangerPort: number) {
    this.#port = port;
    const store = new MeshStore({
      trustDomain: 'cluster.local',
      dnsDomain: 'cluster.local',
      rootNamespace: 'istio-system',
      configCluster: CLUSTER,
    });
    this.engine = new MeshEngine({ store, compile: bound(createCompile('ads'), strangerPort), clusters: [] });
  }

  apply(...objects: KubeObject[]): void {
    const events = objects.map((object) => ({ kind: 'upsert' as const, cluster: CLUSTER, object }));
    this.engine.listener('test').events(events);
  }

  remove(...objects: KubeObject[]): void {
    const events = objects.map(({ apiVersion, kind, metadata: { namespace = 'default', name } }) => ({
      kind: 'delete' as const,
      cluster: CLUSTER,
      object: { apiVersion, kind, metadata: { namespace, name } },
    }));
    this.engine.listener('test').events(events);
  }

  /** Serves ADS; once more after `stop`, as another control plane that knows nothing of the first one's streams. */
  async start(): Promise<void> {
    // A large mesh is taken in turns: half of it must be nobody's configuration.
    await new Promise<void>((resolve) => this.engine.afterwards(resolve));
    this.#server = await startLoopbackAds(
      {
        engine: this.engine,
        port: this.#port,
        secrets: this.#secrets,
        onRefusal: (refusal) => this.refusals.push(refusal),
        observe: (event) => this.observe(event),
        // Envoys are killed here, in the middle of whatever they do.
        onError: () => {},
      },
      new AbortController().signal,
    );
  }

  streams(): ReturnType<XdsServer['streams']> {
    return this.#server?.streams() ?? [];
  }

  async stop(): Promise<void> {
    await this.#server?.close();
    this.#server = undefined;
  }
}

function throwawayKeys(): WorkloadSecrets {
  const nowMs = Date.now();
  const ca = makeSelfSignedCa({ organization: 'cluster.local', commonName: 'test', days: 365, nowMs });
  return new WorkloadSecrets(new Authority(ca, nowMs));
}

const BY_ADS = { ads: {}, initial_fetch_timeout: '0s', resource_api_version: 'V3' };
const RETRY_POLICY = { retry_back_off: { base_interval: '0.5s', max_interval: '5s' } };

/** Of the sidecar at 127.0.1.`number`, whose pods are called `app`. */
export function sidecarBootstrap(
  port: number,
  { number, app = 'client', delivery }: { number: number; app?: string; delivery: ConfigDelivery },
): Record<string, unknown> {
  return {
    ...plaintextBootstrap(port),
    memory_allocator_manager: memoryAllocator(delivery),
    dynamic_resources: {
      // As ours: Envoy waits for its first configuration, and a control plane that is back is found within seconds.
      cds_config: BY_ADS,
      lds_config: BY_ADS,
      ads_config: {
        api_type: 'DELTA_GRPC',
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
        grpc_services: [{ envoy_grpc: { cluster_name: 'xds', retry_policy: RETRY_POLICY } }],
      },
    },
    node: {
      id: `sidecar~127.0.1.${number}~${app}-${number}.default~default.svc.cluster.local`,
      cluster: app,
      metadata: { LABELS: { app }, [DELIVERY_METADATA]: delivery },
    },
  };
}

function bound(compile: Compile, strangerPort: number): Compile {
  const known = new WeakMap<XdsResource, Map<string, XdsResource>>();
  const change = (resource: XdsResource, tag: string, make: () => Uint8Array): XdsResource => {
    const forms = known.get(resource) ?? new Map<string, XdsResource>();
    known.set(resource, forms);
    const changed = forms.get(tag) ?? { ...resource, version: `${resource.version}@${tag}`, value: make() };
    forms.set(tag, changed);
    return changed;
  };
  return (snapshot, proxy) => {
    const compiled = compile(snapshot, proxy);
    const listeners = [...(compiled.desired.get(TYPE_URL.listener) ?? [])].map(([name, resource]) => {
      return [name, change(resource, proxy.ip, () => bindListener(resource.value, proxy.ip))] as const;
    });
    const clusters = [...(compiled.desired.get(TYPE_URL.cluster) ?? [])].map(([name, resource]) => {
      const isStranger = name === PASSTHROUGH;
      return [name, isStranger ? change(resource, 'local', () => strangerCluster(strangerPort)) : resource] as const;
    });
    const desired = new Map([
      ...compiled.desired,
      [TYPE_URL.listener, new Map(listeners)],
      [TYPE_URL.cluster, new Map(clusters)],
    ]);
    return { ...compiled, desired };
  };
}

function bindListener(value: Uint8Array, ip: string): Uint8Array {
  const listener = fromBinary(ListenerSchema, value);
  const address = listener.address?.address;
  const port = address?.case === 'socketAddress' ? Number(address.value.portSpecifier.value) : 0;
  listener.address = socketAddress(ip, port);
  listener.bindToPort = true;
  listener.useOriginalDst = false;
  return toBinary(ListenerSchema, listener);
}

function strangerCluster(port: number): Uint8Array {
  return toBinary(
    ClusterSchema,
    create(ClusterSchema, {
      name: PASSTHROUGH,
      clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC },
      lbPolicy: Cluster_LbPolicy.ROUND_ROBIN,
      loadAssignment: {
        clusterName: PASSTHROUGH,
        endpoints: [
          {
            lbEndpoints: [
              { hostIdentifier: { case: 'endpoint', value: { address: socketAddress('127.0.0.1', port) } } },
            ],
          },
        ],
      },
    }),
  );
}
