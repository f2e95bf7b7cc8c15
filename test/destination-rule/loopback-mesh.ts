// SPDX-License-Identifier: Apache-2.0
// One real Envoy with all that a sidecar is given of a mesh whose pods are servers on loopback: each at an address of its
// own in 127.0.0.0/8, without a sidecar. Its listeners, which would wait for redirected connections, get ports.

import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { create, fromBinary } from '@bufbuild/protobuf';
import { type Bootstrap, BootstrapSchema } from '#gen/envoy/config/bootstrap/v3/bootstrap_pb.ts';
import type { Listener } from '#gen/envoy/config/listener/v3/listener_pb.ts';
import { clusterName } from '../../src/api/names.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import { MeshStore } from '../../src/model/store.ts';
import { CompileCache, compileProxy } from '../../src/pipeline.ts';
import { meshProxy } from '../fixture/mesh-proxy.ts';
import { RunningEnvoy } from '../scenarios/running-envoy.ts';
import { staticBootstrap } from '../scenarios/static-bootstrap.ts';

const SETTINGS = { trustDomain: 'cluster.local', dnsDomain: 'cluster.local', rootNamespace: 'istio-system' };

export interface Pod {
  readonly service: string;
  /** `region/zone` of its node. */
  readonly locality?: string;
  readonly server: net.Server;
}

interface PlacedPod extends Pod {
  readonly name: string;
  readonly ip: string;
  readonly port: number;
}

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

export class LoopbackMesh {
  readonly #envoy: RunningEnvoy;
  readonly #ports: ReadonlyMap<string, number>;
  readonly #agent = new http.Agent({ keepAlive: true });

  private constructor(envoy: RunningEnvoy, ports: ReadonlyMap<string, number>) {
    this.#envoy = envoy;
    this.#ports = ports;
  }

  /** Every service has port 80 (HTTP) and port 90 (TCP), both at its pods' one port. Each pod's server must not listen yet. */
  static async start(envoyPath: string, pods: readonly Pod[], rules: readonly KubeObject[], place: string) {
    const placed: PlacedPod[] = [];
    for (const [i, pod] of pods.entries()) {
      const ip = `127.42.${1 + (process.pid % 250)}.${i + 1}`;
      pod.server.listen(0, ip);
      await once(pod.server, 'listening');
      const { port } = pod.server.address() as net.AddressInfo;
      placed.push({ ...pod, name: `pod-${i}`, ip, port });
    }
    const envoy = await RunningEnvoy.start(envoyPath, bootstrapOf(placed, rules, place));
    return new LoopbackMesh(envoy, await envoy.listeners());
  }

  /** `from`: the client's address. */
  get(service: string, options: { path?: string; headers?: http.OutgoingHttpHeaders; from?: string } = {}) {
    const { path = '/', headers = {}, from = '127.0.0.1' } = options;
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const target = { host: '127.0.0.1', port: this.#port('0.0.0.0_80'), localAddress: from, agent: this.#agent };
    http
      .get({ ...target, path, headers: { host: service, ...headers } }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          const body = Buffer.concat(chunks).toString();
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
        });
      })
      .on('error', reject);
    return promise;
  }

  /** A connection to the service's TCP port. */
  connect(service: string, from = '127.0.0.1'): net.Socket {
    const port = this.#port(`${addressOf(service)}_90`);
    return net.connect({ host: '127.0.0.1', port, localAddress: from });
  }

  /** A connection to TCP port 90 of somebody who has no address of his own. */
  connectToAny(): net.Socket {
    return net.connect({ host: '127.0.0.1', port: this.#port('0.0.0.0_90') });
  }

  async stop(): Promise<void> {
    this.#agent.destroy();
    await this.#envoy.stop();
  }

  #port(listener: string): number {
    const port = this.#ports.get(listener);
    if (port === undefined) throw new Error(`no listener ${listener} among ${[...this.#ports.keys()]}`);
    return port;
  }
}

/** A service's own address, which nobody has: by it the listener is found. */
function addressOf(service: string): string {
  const sum = [...service].reduce((total, letter) => (total * 31 + letter.charCodeAt(0)) % 60_000, 7);
  return `10.96.${sum >> 8}.${sum & 255}`;
}

function bootstrapOf(pods: readonly PlacedPod[], rules: readonly KubeObject[], place: string): Bootstrap {
  const store = new MeshStore({ ...SETTINGS, configCluster: 'one' });
  const objects = [...objectsOf(pods), ...rules];
  const { snapshot, diagnostics } = store.apply(
    objects.map((object) => ({ kind: 'upsert' as const, cluster: 'one', object })),
  );
  const errors = diagnostics.filter(({ severity }) => severity === 'error');
  if (errors.length > 0) throw new Error(JSON.stringify(errors, null, 2));
  const { desired } = compileProxy(snapshot, { ...CLIENT, locality: place }, new CompileCache());
  const bootstrap = fromBinary(BootstrapSchema, staticBootstrap(desired));
  const resources = bootstrap.staticResources!;
  resources.listeners = resources.listeners.filter(({ name }) => /_(80|90)$/.test(name)).map(onLoopback);
  return bootstrap;
}

const CLIENT = meshProxy({ id: 'client', cluster: clusterName('one'), podName: 'client', ip: '127.0.0.1' });

function objectsOf(pods: readonly PlacedPod[]): KubeObject[] {
  const services = [...new Set(pods.map(({ service }) => service))].map((name) => ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace: 'default', name },
    spec: {
      clusterIP: addressOf(name),
      selector: { app: name },
      ports: [
        { name: 'http', port: 80 },
        { name: 'tcp', port: 90 },
      ],
    },
  }));
  const nodes = [...new Set(pods.map(({ locality = '' }) => locality))].map((locality) => {
    const [region = '', zone = ''] = locality.split('/');
    const labels = { 'topology.kubernetes.io/region': region, 'topology.kubernetes.io/zone': zone };
    return { apiVersion: 'v1', kind: 'Node', metadata: { name: nodeName(locality), labels } };
  });
  return [...services, ...nodes, ...pods.flatMap(podObjects)];
}

function nodeName(locality: string): string {
  return `node-${locality.replace('/', '-')}`;
}

function podObjects({ name, service, ip, port, locality = '' }: PlacedPod): KubeObject[] {
  return [
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace: 'default', name, labels: { app: service } },
      spec: { nodeName: nodeName(locality), containers: [] },
      status: { podIP: ip },
    },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { namespace: 'default', name, labels: { 'kubernetes.io/service-name': service } },
      ports: ['http', 'tcp'].map((portName) => ({ name: portName, port })),
      endpoints: [{ addresses: [ip], conditions: { ready: true }, targetRef: { kind: 'Pod', name } }],
    } as KubeObject,
  ];
}

function onLoopback(listener: Listener): Listener {
  const { name, filterChains, defaultFilterChain, listenerFilters } = listener;
  const value = { address: '127.0.0.1', portSpecifier: { case: 'portValue' as const, value: 0 } };
  const chains = { filterChains, listenerFilters, ...(defaultFilterChain && { defaultFilterChain }) };
  const init = { name, ...chains, address: { address: { case: 'socketAddress' as const, value } } };
  return create(BootstrapSchema, { staticResources: { listeners: [init] } }).staticResources!.listeners[0]!;
}
