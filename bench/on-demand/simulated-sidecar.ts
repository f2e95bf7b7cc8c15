// SPDX-License-Identifier: Apache-2.0
// A sidecar as the discovery server sees it: delta ADS over one HTTP/2 connection, asking in the order in which Envoy asks, and
// for what its mode leaves to be asked for. It keeps names and versions of what it is sent, and nothing else; on another stream it
// tells them, as Envoy does.

import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.ts';
import { HttpConnectionManagerSchema } from '#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import {
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
} from '#gen/envoy/service/discovery/v3/discovery_pb.ts';
import { type ConfigDelivery, DELIVERY_METADATA } from '../../src/api/config-delivery.ts';
import { messagePrefix } from '../../src/xds/grpc/framing.ts';
import {
  CLUSTER_TYPE,
  ENDPOINT_TYPE,
  LISTENER_TYPE,
  ROUTE_TYPE,
  SEND_ORDER,
  VIRTUAL_HOST_TYPE,
} from '../../src/xds/session/type-urls.ts';

const PATH = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';
const PREFIX_BYTES = 5;
const WINDOW_BYTES = 16 * 1024 * 1024;

export interface UsedService {
  readonly host: string;
  readonly port: number;
}

/** What a sidecar has of an earlier stream: type -> name -> version, and the names that it asked by. */
export interface Held {
  readonly versions: ReadonlyMap<string, ReadonlyMap<string, string>>;
  readonly asked: ReadonlyMap<string, ReadonlySet<string>>;
}

export interface SimulatedSidecarOptions {
  /** It goes on with that, and is synced at once. */
  readonly held?: Held;
  readonly delivery: ConfigDelivery;
  readonly used: readonly UsedService[];
  /** Is given each message that arrives, with its prefix, and how many were sent before. */
  readonly record?: (message: Buffer, sent: number) => void;
}

/** Version of a listener -> the route configurations that it names; all sidecars have the same listeners. */
const routesOfListener = new Map<string, readonly string[]>();

export class SimulatedSidecar {
  /** Of messages received. */
  bytes = 0;
  /** All that it asks for has come. */
  readonly synced: Promise<void>;
  readonly #finish: () => void;
  readonly #delivery: ConfigDelivery;
  readonly #used: readonly UsedService[];
  readonly #record: SimulatedSidecarOptions['record'];
  readonly #session: ClientHttp2Session;
  readonly #stream: ClientHttp2Stream;
  /** Type and name of each resource that came by this stream, and of each removal with a minus before it. */
  readonly received: string[] = [];
  readonly #asked = new Map<string, Set<string>>();
  readonly #versions = new Map<string, Map<string, string>>();
  /** Names whose answers have not come. */
  readonly #awaited = new Set<string>();
  #hasAskedForUsed = false;
  #sent = 0;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #watched: { typeUrls: readonly string[]; host: string; resolve: (atMs: number) => void } | undefined;

  constructor(address: string, number: number, options: SimulatedSidecarOptions) {
    this.#delivery = options.delivery;
    this.#used = options.used;
    this.#record = options.record;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.synced = promise;
    this.#finish = resolve;
    this.#session = connect(`http://${address}`, { settings: { initialWindowSize: WINDOW_BYTES } });
    this.#session.on('connect', () => this.#session.setLocalWindowSize(WINDOW_BYTES));
    this.#session.on('error', reject);
    this.#stream = this.#session.request({ ':method': 'POST', ':path': PATH, 'content-type': 'application/grpc' });
    this.#stream.on('error', reject);
    this.#stream.on('data', (chunk: Buffer) => this.#read(chunk));
    const ip = `10.180.${number >> 8}.${number & 255}`;
    const node = {
      id: `sidecar~${ip}~client-${number}.ns-0~ns-0.svc.cluster.local`,
      cluster: 'client.ns-0',
      metadata: { LABELS: { app: 'client' }, [DELIVERY_METADATA]: this.#delivery },
    };
    if (options.held === undefined) this.#send(CLUSTER_TYPE, { node });
    else this.#resume(options.held, node);
  }

  /** To be told to another stream. */
  get held(): Held {
    return { versions: this.#versions, asked: this.#asked };
  }

  #resume({ versions, asked }: Held, node: object): void {
    this.#hasAskedForUsed = true;
    const types = SEND_ORDER.filter((typeUrl) => versions.has(typeUrl));
    for (const typeUrl of types) {
      const names = [...(asked.get(typeUrl) ?? [])];
      const known = new Map(versions.get(typeUrl));
      this.#asked.set(typeUrl, new Set(names));
      this.#versions.set(typeUrl, known);
      const isOfAll = typeUrl === CLUSTER_TYPE && names.length > 0;
      this.#send(typeUrl, {
        ...(typeUrl === types[0] ? { node } : {}),
        resourceNamesSubscribe: isOfAll ? ['*', ...names] : names,
        initialResourceVersions: Object.fromEntries(known),
      });
    }
    this.#finish();
  }

  /** Milliseconds of performance.now() at which the next message about the host arrives. */
  next(what: 'routes' | 'endpoints', host: string): Promise<number> {
    const { promise, resolve } = Promise.withResolvers<number>();
    this.#watched = { typeUrls: what === 'routes' ? [VIRTUAL_HOST_TYPE, ROUTE_TYPE] : [ENDPOINT_TYPE], host, resolve };
    return promise;
  }

  close(): void {
    this.#session.destroy();
  }

  #send(typeUrl: string, members: object): void {
    const body = toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, { typeUrl, ...members }));
    this.#sent++;
    this.#stream.write(Buffer.concat([messagePrefix(body.length), body]));
  }

  #ask(typeUrl: string, names: readonly string[]): void {
    const asked = this.#asked.get(typeUrl) ?? new Set<string>();
    this.#asked.set(typeUrl, asked);
    const fresh = names.filter((name) => !asked.has(name));
    if (fresh.length === 0) return;
    for (const name of fresh) asked.add(name);
    this.#send(typeUrl, { resourceNamesSubscribe: fresh });
  }

  #read(chunk: Buffer): void {
    this.bytes += chunk.length;
    this.#pending.push(chunk);
    this.#pendingBytes += chunk.length;
    while (this.#pendingBytes >= PREFIX_BYTES) {
      const [first] = this.#pending;
      const head = first!.length >= PREFIX_BYTES ? first! : Buffer.concat(this.#pending);
      const length = head.readUInt32BE(1);
      if (this.#pendingBytes < PREFIX_BYTES + length) return;
      const all = Buffer.concat(this.#pending);
      this.#pending = [all.subarray(PREFIX_BYTES + length)];
      this.#pendingBytes = all.length - PREFIX_BYTES - length;
      this.#record?.(all.subarray(0, PREFIX_BYTES + length), this.#sent);
      this.#take(fromBinary(DeltaDiscoveryResponseSchema, all.subarray(PREFIX_BYTES, PREFIX_BYTES + length)));
    }
  }

  #take({ typeUrl, nonce, resources, removedResources }: DeltaDiscoveryResponse): void {
    this.#send(typeUrl, { responseNonce: nonce });
    const names = resources.map(({ name }) => name);
    this.#remember(typeUrl, resources, removedResources);
    this.#notice(typeUrl, resources);
    switch (typeUrl) {
      case CLUSTER_TYPE:
        this.#ask(
          ENDPOINT_TYPE,
          names.filter((name) => name.startsWith('outbound|')),
        );
        if (!this.#asked.has(LISTENER_TYPE)) {
          this.#asked.set(LISTENER_TYPE, new Set());
          this.#send(LISTENER_TYPE, {});
        }
        break;
      case LISTENER_TYPE:
        for (const { version, resource } of resources) {
          const known = routesOfListener.get(version) ?? routesIn(resource?.value ?? new Uint8Array());
          routesOfListener.set(version, known);
          this.#ask(ROUTE_TYPE, known);
        }
        break;
      case ROUTE_TYPE:
        if (this.#delivery === 'FULL') this.#finish();
        else if (!this.#asked.has(VIRTUAL_HOST_TYPE)) {
          this.#asked.set(VIRTUAL_HOST_TYPE, new Set());
          this.#send(VIRTUAL_HOST_TYPE, {});
        }
        break;
      case VIRTUAL_HOST_TYPE:
        this.#use();
        break;
    }
    for (const { name, aliases } of resources) for (const each of [name, ...aliases]) this.#awaited.delete(each);
    for (const name of removedResources) this.#awaited.delete(name);
    if (this.#hasAskedForUsed && this.#awaited.size === 0) this.#finish();
  }

  #remember(typeUrl: string, resources: DeltaDiscoveryResponse['resources'], removed: readonly string[]): void {
    const held = this.#versions.get(typeUrl) ?? new Map<string, string>();
    this.#versions.set(typeUrl, held);
    for (const { name, version } of resources) {
      held.set(name, version);
      this.received.push(`${typeUrl} ${name}`);
    }
    for (const name of removed) {
      held.delete(name);
      this.received.push(`-${typeUrl} ${name}`);
    }
  }

  /** Requests for the services that it uses. */
  #use(): void {
    if (this.#hasAskedForUsed) return;
    this.#hasAskedForUsed = true;
    const clusters = this.#used.flatMap(({ host, port }) =>
      ['v1', 'v2'].map((subset) => `outbound|${port}|${subset}|${host}`),
    );
    for (const name of clusters) this.#awaited.add(name);
    this.#ask(CLUSTER_TYPE, clusters);
    if (this.#delivery !== 'ALL_ON_DEMAND') return;
    const hosts = this.#used.map(({ host, port }) => `${port}/${host}`);
    for (const name of hosts) this.#awaited.add(name);
    this.#ask(VIRTUAL_HOST_TYPE, hosts);
  }

  #notice(typeUrl: string, resources: DeltaDiscoveryResponse['resources']): void {
    const watched = this.#watched;
    if (watched === undefined || !watched.typeUrls.includes(typeUrl)) return;
    // A route configuration has the name of its port, and is sent for nothing else while a bench changes one service.
    if (typeUrl !== ROUTE_TYPE && !resources.some(({ name }) => name.includes(watched.host))) return;
    this.#watched = undefined;
    watched.resolve(performance.now());
  }
}

function routesIn(value: Uint8Array): string[] {
  const { filterChains, defaultFilterChain } = fromBinary(ListenerSchema, value);
  return [...filterChains, ...(defaultFilterChain ? [defaultFilterChain] : [])].flatMap((chain) =>
    chain.filters.flatMap(({ configType }) => {
      const manager =
        configType.case === 'typedConfig' ? anyUnpack(configType.value, HttpConnectionManagerSchema) : undefined;
      return manager?.routeSpecifier.case === 'rds' ? [manager.routeSpecifier.value.routeConfigName] : [];
    }),
  );
}
