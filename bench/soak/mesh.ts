// SPDX-License-Identifier: Apache-2.0
// The mesh of the soak: services on a few backends, and the changes that go on meanwhile. A change never takes away what a
// request may rely on: both backends of a service live on, so that any answer that is not the service's is a loss.
import type { Server as HttpServer } from 'node:http';
import type { KubeObject } from '../../src/kube/types.ts';
import {
  destinationRule,
  http2Backend,
  httpBackend,
  portOf,
  serviceEntry,
  tcpBackend,
  virtualService,
} from '../../test/on-demand/backends.ts';
import { flakyBackend } from './flaky-backend.ts';

export const PORTS = { http: 9080, grpc: 9081, retried: 9082, tcp: 7000 } as const;
const BACKENDS = 8;

export interface SoakService {
  readonly host: string;
  /** Names of the backends that may answer. */
  readonly backends: readonly [string, string];
}

export class SoakMesh {
  readonly services: readonly SoakService[];
  readonly strangerPort: number;
  readonly #ports: ReadonlyMap<string, number>;
  readonly #fixed: readonly KubeObject[];
  /** By host: of each service what it is made of now. */
  readonly #current = new Map<string, KubeObject[]>();
  #revision = 0;

  private constructor(
    ports: ReadonlyMap<string, number>,
    count: number,
    fixed: readonly KubeObject[],
    stranger: number,
  ) {
    this.#ports = ports;
    this.#fixed = fixed;
    this.strangerPort = stranger;
    this.services = Array.from({ length: count }, (_, i) => ({
      host: `svc-${i}.soak.example.com`,
      backends: [`b${i % BACKENDS}`, `b${(i + 1) % BACKENDS}`],
    }));
    for (const service of this.services) this.#current.set(service.host, this.#objectsOf(service));
  }

  static async start(count: number): Promise<SoakMesh> {
    const names = Array.from({ length: BACKENDS }, (_, i) => `b${i}`);
    const servers: HttpServer[] = await Promise.all(names.map(httpBackend));
    const [stranger, flaky] = [await httpBackend('stranger'), await flakyBackend('flaky')];
    const [grpc, tcp] = [await http2Backend('grpc'), await tcpBackend('tcp')];
    const ports = new Map(names.map((name, i) => [name, portOf(servers[i]!)]));
    const place = (port: number, protocol: 'HTTP' | 'GRPC' | 'TCP', server: { address(): unknown }) => ({
      port,
      protocol,
      backends: [{ port: portOf(server) }],
    });
    const retries = { attempts: 5, retryOn: '5xx', backoff: '5ms' };
    return new SoakMesh(
      ports,
      count,
      [
        serviceEntry('grpc.soak.example.com', place(PORTS.grpc, 'GRPC', grpc)),
        serviceEntry('tcp.soak.example.com', place(PORTS.tcp, 'TCP', tcp)),
        serviceEntry('flaky.soak.example.com', place(PORTS.retried, 'HTTP', flaky)),
        virtualService('flaky.soak.example.com', [
          { retries, route: [{ destination: { host: 'flaky.soak.example.com' } }] },
        ]),
      ],
      portOf(stranger),
    );
  }

  /** All of it, as it is now. */
  objects(): KubeObject[] {
    return [...this.#fixed, ...[...this.#current.values()].flat()];
  }

  /** Makes some service anew: other weights, routes, subsets, policies, endpoints in another order. */
  change(random: () => number): KubeObject[] {
    const service = this.services[Math.floor(random() * this.services.length)]!;
    this.#revision++;
    const objects = this.#objectsOf(service, random);
    this.#current.set(service.host, objects);
    return objects;
  }

  #objectsOf({ host, backends }: SoakService, random: () => number = () => 0.5): KubeObject[] {
    const endpoints = backends.map((name, i) => ({ port: this.#ports.get(name)!, version: `v${i + 1}` }));
    if (random() < 0.5) endpoints.reverse();
    // One subset after another is named by the routes, and gone later.
    const versions = ['v1', 'v2'];
    const weight = Math.round(random() * 100);
    // Clusters that nothing names are not pushed: traffic moves to one that was not there a moment ago, and back.
    const whole = random() < 0.5 ? undefined : random() < 0.5 ? 'v1' : 'v2';
    const header = { 'x-revision': { exact: String(this.#revision) } };
    const to = (subset: string, share: number) => ({ destination: { host, subset }, weight: share });
    return [
      serviceEntry(host, { port: PORTS.http, protocol: 'HTTP', backends: endpoints }),
      destinationRule(host, versions, {
        connectionPool: { http: { http2MaxRequests: 1000 + Math.round(random() * 9) } },
      }),
      virtualService(host, [
        { match: [{ headers: header }], route: [to(random() < 0.5 ? 'v1' : 'v2', 100)] },
        ...(random() < 0.5 ? [{ match: [{ uri: { prefix: '/any' } }], route: [{ destination: { host } }] }] : []),
        { route: whole === undefined ? [to('v1', weight), to('v2', 100 - weight)] : [to(whole, 100)] },
      ]),
    ];
  }
}
