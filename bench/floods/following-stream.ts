// SPDX-License-Identifier: Apache-2.0
// A delta ADS stream that follows the endpoints of some services (and the routes, for their bulk) through a storm of changes:
// the first address of a service carries the number of its last change.
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { ClusterLoadAssignmentSchema } from '#gen/envoy/config/endpoint/v3/endpoint_pb.ts';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from '#gen/envoy/service/discovery/v3/discovery_pb.ts';
import { messagePrefix } from '../../src/xds/grpc/framing.ts';
import { CLUSTER_TYPE, ENDPOINT_TYPE, ROUTE_TYPE } from '../../src/xds/session/type-urls.ts';

const PATH = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';
const PREFIX_BYTES = 5;
/** Small, so that what a slow reader leaves lies with the server and not on its way. */
const WINDOW_BYTES = 64 * 1024;

/** What the changes are, shared by all streams: cluster name -> when the change of each number was written, by its number. */
export type Written = ReadonlyMap<string, readonly number[]>;

/** Version of an endpoint resource -> the number of the change that it carries; all streams are sent the same. */
const numbers = new Map<string, number>();

export function addressOf(number: number): string {
  return `10.200.${number >> 8}.${number & 255}`;
}

export class FollowingStream {
  bytes = 0;
  messages = 0;
  /** Milliseconds from a change to the message that had it, of those changes that were sent. */
  readonly latenciesMs: number[] = [];
  /** The longest time for which a change, sent or superseded, was not to be seen here. */
  longestLagMs = 0;
  /** All services have been received once. */
  readonly synced: Promise<void>;
  failed: Error | undefined;
  readonly #seen = new Map<string, number>();
  readonly #written: Written;
  readonly #routes: readonly string[];
  readonly #session: ClientHttp2Session;
  readonly #stream: ClientHttp2Stream;
  readonly #finish: () => void;
  #pending: Buffer[] = [];
  #pendingBytes = 0;

  constructor(address: string, number: number, options: { written: Written; routes: readonly string[] }) {
    this.#written = options.written;
    this.#routes = options.routes;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.synced = promise;
    this.#finish = resolve;
    const fail = (error: Error): void => {
      this.failed ??= error;
    };
    this.#session = connect(`http://${address}`, { settings: { initialWindowSize: WINDOW_BYTES } });
    this.#session.on('error', fail);
    this.#stream = this.#session.request({ ':method': 'POST', ':path': PATH, 'content-type': 'application/grpc' });
    this.#stream.on('error', fail);
    this.#stream.on('data', (chunk: Buffer) => this.#read(chunk));
    const ip = `10.180.${number >> 8}.${number & 255}`;
    const node = { id: `sidecar~${ip}~client-${number}.ns-0~ns-0.svc.cluster.local`, cluster: 'client.ns-0' };
    this.#send(CLUSTER_TYPE, { node: { ...node, metadata: { LABELS: { app: 'client' } } } });
  }

  /** From now on nothing is read, until `resume`. */
  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  /** Whether it has the last change of every service. */
  get isCurrent(): boolean {
    return [...this.#written].every(([name, times]) => (this.#seen.get(name) ?? 0) === times.length - 1);
  }

  close(): void {
    this.#session.destroy();
  }

  #send(typeUrl: string, members: object): void {
    const body = toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, { typeUrl, ...members }));
    this.#stream.write(Buffer.concat([messagePrefix(body.length), body]));
  }

  #read(chunk: Buffer): void {
    this.bytes += chunk.length;
    this.#pending.push(chunk);
    this.#pendingBytes += chunk.length;
    while (this.#pendingBytes >= PREFIX_BYTES) {
      if (this.#pending[0]!.length < PREFIX_BYTES) this.#pending = [Buffer.concat(this.#pending)];
      const length = this.#pending[0]!.readUInt32BE(1);
      if (this.#pendingBytes < PREFIX_BYTES + length) return;
      const all = Buffer.concat(this.#pending);
      this.#pending = [all.subarray(PREFIX_BYTES + length)];
      this.#pendingBytes = all.length - PREFIX_BYTES - length;
      this.#take(all.subarray(PREFIX_BYTES, PREFIX_BYTES + length));
    }
  }

  #take(message: Uint8Array): void {
    this.messages++;
    const { typeUrl, nonce, resources } = fromBinary(DeltaDiscoveryResponseSchema, message);
    this.#send(typeUrl, { responseNonce: nonce });
    if (typeUrl === CLUSTER_TYPE && this.#seen.size === 0) {
      this.#send(ENDPOINT_TYPE, { resourceNamesSubscribe: [...this.#written.keys()] });
      this.#send(ROUTE_TYPE, { resourceNamesSubscribe: [...this.#routes] });
    }
    if (typeUrl !== ENDPOINT_TYPE) return;
    const now = performance.now();
    for (const { name, version, resource } of resources) this.#note(name, numberIn(version, resource?.value), now);
    if (this.#seen.size === this.#written.size) this.#finish();
  }

  #note(name: string, number: number, now: number): void {
    const before = this.#seen.get(name) ?? 0;
    this.#seen.set(name, number);
    const times = this.#written.get(name);
    if (number <= before || times === undefined) return;
    this.latenciesMs.push(now - times[number]!);
    this.longestLagMs = Math.max(this.longestLagMs, now - times[before + 1]!);
  }
}

/** 0 for an address that no change has written. */
function numberIn(version: string, value: Uint8Array = new Uint8Array()): number {
  const known = numbers.get(version);
  if (known !== undefined) return known;
  const found = fromBinary(ClusterLoadAssignmentSchema, value)
    .endpoints.flatMap(({ lbEndpoints }) => lbEndpoints)
    .flatMap(({ hostIdentifier }) => {
      const address = hostIdentifier.case === 'endpoint' ? hostIdentifier.value.address?.address : undefined;
      const [, high, low] =
        /^10\.200\.(\d+)\.(\d+)$/.exec(address?.case === 'socketAddress' ? address.value.address : '') ?? [];
      return high === undefined ? [] : [Number(high) * 256 + Number(low)];
    });
  const number = found[0] ?? 0;
  numbers.set(version, number);
  return number;
}
