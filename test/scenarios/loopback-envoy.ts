// SPDX-License-Identifier: Apache-2.0
// A real Envoy with a proxy's own listeners and routes, on loopback: each cluster leads to a port of one echo server, so
// that the answer says which cluster was chosen, and what the server was asked. Redirects, TLS and DNS are left out.
import { once } from 'node:events';
import http, { type IncomingMessage, type Server } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { anyPack, anyUnpack } from '@bufbuild/protobuf/wkt';
import { BootstrapSchema } from '#gen/envoy/config/bootstrap/v3/bootstrap_pb.ts';
import { type Cluster, Cluster_DiscoveryType, Cluster_LbPolicy } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import type { Listener } from '#gen/envoy/config/listener/v3/listener_pb.ts';
import { RouteConfigurationSchema } from '#gen/envoy/config/route/v3/route_pb.ts';
import { HTTPFaultSchema } from '#gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts';
import { TYPE_URL } from '../../src/envoy/names.ts';
import type { ClientTls, HttpRequest } from '../../src/envoy/simulate/outcome.ts';
import type { DesiredState } from '../../src/xds/types.ts';
import { RunningEnvoy } from './running-envoy.ts';
import { staticBootstrap, throwAwayKeys } from './static-bootstrap.ts';

export interface RealOutcome {
  readonly status: number;
  /** Absent: Envoy answered by itself. */
  readonly cluster?: string;
  readonly location?: string;
  /** What the server was asked: `GET host /path`. */
  readonly asked?: string;
}

export class LoopbackEnvoy {
  readonly #clusterOfPort = new Map<number, string>();
  readonly #servers: Server[] = [];
  /** Listener -> port that Envoy has. */
  readonly #ports = new Map<string, number>();
  readonly #keys = throwAwayKeys();
  #envoy: RunningEnvoy | undefined;

  static async start(envoyPath: string, desired: DesiredState): Promise<LoopbackEnvoy> {
    const loopback = new LoopbackEnvoy();
    try {
      await loopback.#start(envoyPath, desired);
      return loopback;
    } catch (error) {
      await loopback.stop();
      throw error;
    }
  }

  /** `client`: it speaks TLS. */
  request(listener: string, request: HttpRequest, client?: ClientTls): Promise<RealOutcome> {
    const bound = this.#ports.get(listener);
    if (bound === undefined) return Promise.reject(new Error(`no HTTP listener ${listener}`));
    const { promise, resolve, reject } = Promise.withResolvers<RealOutcome>();
    const headers = { ...request.headers, host: request.authority };
    const options = {
      host: '127.0.0.1',
      port: bound,
      method: request.method,
      path: request.path,
      headers,
      agent: false,
      ...(client && {
        servername: client.serverName,
        rejectUnauthorized: false,
        ...(client.certificate === true && { cert: this.#keys.chain, key: this.#keys.key }),
      }),
    };
    (client === undefined ? http : https)
      .request(options, (response) => {
        response.resume();
        response.on('end', () => resolve(this.#outcomeOf(response)));
      })
      .on('error', reject)
      .end();
    return promise;
  }

  async stop(): Promise<void> {
    for (const server of this.#servers) {
      server.closeAllConnections();
      server.close();
    }
    await this.#envoy?.stop();
  }

  #outcomeOf(response: IncomingMessage): RealOutcome {
    const port = Number(response.headers['x-echo-port']);
    const cluster = this.#clusterOfPort.get(port);
    const { location } = response.headers;
    const asked = response.headers['x-echo-asked'];
    return {
      status: response.statusCode ?? 0,
      ...(cluster !== undefined && { cluster }),
      ...(location !== undefined && { location }),
      ...(typeof asked === 'string' && { asked }),
    };
  }

  async #start(envoyPath: string, desired: DesiredState): Promise<void> {
    const bootstrap = fromBinary(BootstrapSchema, staticBootstrap(withoutChance(desired), this.#keys));
    const resources = bootstrap.staticResources!;
    resources.clusters = await Promise.all(resources.clusters.map((cluster) => this.#localCluster(cluster)));
    resources.listeners = resources.listeners.filter(isHttp).map(onLoopback);
    this.#envoy = await RunningEnvoy.start(envoyPath, bootstrap);
    for (const [name, port] of await this.#envoy.listeners()) this.#ports.set(name, port);
  }

  async #localCluster(cluster: Cluster): Promise<Cluster> {
    const server = http.createServer((request, response) => {
      response.setHeader('x-echo-port', (server.address() as AddressInfo).port);
      response.setHeader('x-echo-asked', `${request.method} ${request.headers.host} ${request.url}`);
      response.end();
    });
    this.#servers.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    this.#clusterOfPort.set(port, cluster.name);
    const address = {
      address: {
        case: 'socketAddress' as const,
        value: { address: '127.0.0.1', portSpecifier: { case: 'portValue' as const, value: port } },
      },
    };
    return create(BootstrapSchema, {
      staticResources: {
        clusters: [
          {
            name: cluster.name,
            clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC },
            lbPolicy: Cluster_LbPolicy.ROUND_ROBIN,
            loadAssignment: {
              clusterName: cluster.name,
              endpoints: [{ lbEndpoints: [{ hostIdentifier: { case: 'endpoint', value: { address } } }] }],
            },
          },
        ],
      },
    }).staticResources!.clusters[0]!;
  }
}

const FAULT = 'envoy.filters.http.fault';

/** Without delays, and without faults that are left to chance, which no comparison needs. */
function withoutChance(desired: DesiredState): DesiredState {
  const tables = [...(desired.get(TYPE_URL.routes) ?? [])].map(([name, resource]) => {
    const table = fromBinary(RouteConfigurationSchema, resource.value);
    for (const { typedPerFilterConfig } of table.virtualHosts.flatMap((host) => host.routes)) {
      const fault = typedPerFilterConfig[FAULT] && anyUnpack(typedPerFilterConfig[FAULT], HTTPFaultSchema);
      if (fault === undefined) continue;
      const { abort } = fault;
      const certain = abort?.percentage?.numerator === 1_000_000;
      typedPerFilterConfig[FAULT] = anyPack(HTTPFaultSchema, create(HTTPFaultSchema, certain ? { abort } : {}));
    }
    return [name, { ...resource, value: toBinary(RouteConfigurationSchema, table) }] as const;
  });
  return new Map([...desired, [TYPE_URL.routes, new Map(tables)]]);
}

function isHttp(listener: Listener): boolean {
  return listener.filterChains.some((chain) =>
    chain.filters.every((filter) => filter.name === 'envoy.filters.network.http_connection_manager'),
  );
}

function onLoopback(listener: Listener): Listener {
  const { name, filterChains, defaultFilterChain, listenerFilters } = listener;
  const value = { address: '127.0.0.1', portSpecifier: { case: 'portValue' as const, value: 0 } };
  const chains = { filterChains, ...(defaultFilterChain && { defaultFilterChain }), listenerFilters };
  const init = { name, ...chains, address: { address: { case: 'socketAddress' as const, value } } };
  return create(BootstrapSchema, { staticResources: { listeners: [init] } }).staticResources!.listeners[0]!;
}
