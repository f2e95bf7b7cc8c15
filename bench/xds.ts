// SPDX-License-Identifier: Apache-2.0
// node bench/xds.ts: what the discovery sessions cost, for 500 proxies and 1,000 services. Prints figures and ratios; nothing
// passes or fails. First without any network (sessions and bytes alone), then over HTTP/2 on loopback, beside a floor that
// only writes the same bytes.
import { connect, createServer, type Http2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { create, toBinary } from '@bufbuild/protobuf';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from '#gen/envoy/service/discovery/v3/discovery_pb.ts';
import { messagePrefix } from '../src/xds/grpc/framing.ts';
import { ResponseEncoder } from '../src/xds/response-encoding.ts';
import { startXdsServer, trustLoopback } from '../src/xds/server.ts';
import { rememberDiffs } from '../src/xds/session/map-diff.ts';
import { Session, type SessionRequest, type SessionResponse } from '../src/xds/session/session.ts';
import { CLUSTER_TYPE, ENDPOINT_TYPE, LISTENER_TYPE, ROUTE_TYPE } from '../src/xds/session/type-urls.ts';
import type { DesiredState, XdsResource } from '../src/xds/types.ts';
import { ADS } from '../test/xds/discovery-client.ts';
import { desiredState, MemoryBackend, resource } from '../test/xds/memory-backend.ts';

const SERVICES = 1000;
const PROXIES = 500;
const NETWORK_PROXIES = 100;
const FLUSH_ROUNDS = 3;

const filler = (bytes: number, seed: string) =>
  Buffer.from(`${seed} `.repeat(Math.ceil(bytes / (seed.length + 1))).slice(0, bytes));
const endpoint = (name: string, revision: number) => resource(ENDPOINT_TYPE, name, filler(200, `${name} ${revision}`));
const routeTable = (port: number, revision: number) =>
  resource(ROUTE_TYPE, String(port), filler(100_000, `${port} ${revision}`));

function meshOf(): XdsResource[] {
  const names = Array.from({ length: SERVICES }, (_, index) =>
    ['', 'v1', 'v2'].map(
      (subset) => `outbound|9080|${subset}|service-${index}.namespace-${index % 10}.svc.cluster.local`,
    ),
  ).flat();
  return [
    ...names.map((name) => resource(CLUSTER_TYPE, name, filler(600, name))),
    ...names.map((name) => endpoint(name, 0)),
    ...Array.from({ length: 20 }, (_, index) =>
      resource(LISTENER_TYPE, `listener-${index}`, filler(2000, `listener-${index}`)),
    ),
    ...Array.from({ length: 10 }, (_, index) => routeTable(9080 + index, 0)),
  ];
}

/** The same state with other resources in one type; the other types keep their maps, as a backend's would. */
function replaced(state: DesiredState, changed: readonly XdsResource[]): DesiredState {
  const next = new Map(state);
  for (const each of changed) next.set(each.typeUrl, new Map(next.get(each.typeUrl)).set(each.name, each));
  return next;
}

interface Cost {
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly bytes: number;
}

function measure(work: () => number): Cost {
  const startMs = performance.now();
  const before = process.cpuUsage();
  const bytes = work();
  const used = process.cpuUsage(before);
  return { wallMs: performance.now() - startMs, cpuMs: (used.user + used.system) / 1000, bytes };
}

function heapMb(): number {
  for (let round = 0; round < FLUSH_ROUNDS; round++) globalThis.gc?.();
  return process.memoryUsage().heapUsed / 1e6;
}

const empty = { errorMessage: undefined, subscribe: [], unsubscribe: [], initialVersions: [] };
const ask = (typeUrl: string, subscribe: readonly string[]): SessionRequest => ({
  ...empty,
  typeUrl,
  nonce: '',
  subscribe,
});

/** Sends all there is and takes every answer at once; `encode` gives the bytes of a response. */
function drain(session: Session, encode: (response: SessionResponse) => number): number {
  let bytes = 0;
  for (let response = session.next(0); response !== undefined; response = session.next(0)) {
    bytes += encode(response);
    session.receive({ ...empty, typeUrl: response.typeUrl, nonce: response.nonce }, 0);
  }
  return bytes;
}

function firstSync(session: Session, state: DesiredState, encode: (response: SessionResponse) => number): number {
  session.update(state);
  session.receive(ask(CLUSTER_TYPE, []), 0);
  session.receive(ask(ENDPOINT_TYPE, [...(state.get(ENDPOINT_TYPE)?.keys() ?? [])].map(copyOf)), 0);
  session.receive(ask(LISTENER_TYPE, []), 0);
  session.receive(ask(ROUTE_TYPE, [...(state.get(ROUTE_TYPE)?.keys() ?? [])].map(copyOf)), 0);
  return drain(session, encode);
}

/** A string of its own, as the wire would give it. */
function copyOf(name: string): string {
  return Buffer.from(name).toString();
}

/** What sharing is measured against: every stream serializes its own responses. */
function encodeAlone(response: SessionResponse): number {
  const resources = response.resources.map(({ name, version, typeUrl, value }) => ({
    name,
    version,
    resource: { typeUrl, value },
  }));
  const { typeUrl, nonce } = response;
  const message = create(DeltaDiscoveryResponseSchema, {
    typeUrl,
    nonce,
    resources,
    removedResources: [...response.removed],
  });
  return toBinary(DeltaDiscoveryResponseSchema, message).length;
}

function print(what: string, cost: Cost, note = ''): void {
  const ms = (value: number) => `${value.toFixed(value < 10 ? 1 : 0)} ms`.padStart(9);
  console.log(
    `${what.padEnd(44)}${ms(cost.wallMs)} ${ms(cost.cpuMs)} cpu ${(cost.bytes / 1e6).toFixed(2).padStart(9)} MB  ${note}`,
  );
}

function withoutNetwork(): void {
  console.log(`sessions alone: ${PROXIES} proxies, ${SERVICES} services, 3 clusters each`);
  const encoder = new ResponseEncoder();
  const shared = (response: SessionResponse) =>
    encoder.encode('delta', response).reduce((sum, part) => sum + part.length, 0);
  const diff = rememberDiffs();
  let state = desiredState(meshOf());
  const heapBefore = heapMb();
  const sessions = Array.from({ length: PROXIES }, () => new Session({ variant: 'delta', diff }));
  const sync = measure(() => sessions.reduce((sum, each) => sum + firstSync(each, state, shared), 0));
  const perStreamKb = ((heapMb() - heapBefore) / PROXIES) * 1000;
  const few = 10;
  const alone = measure(() => {
    let bytes = 0;
    for (let index = 0; index < few; index++) bytes += firstSync(new Session({ variant: 'delta' }), state, encodeAlone);
    return bytes;
  });
  print(
    'first sync',
    sync,
    `1/${((alone.cpuMs / few) * (PROXIES / sync.cpuMs)).toFixed(0)} of the CPU of serializing per stream`,
  );
  const change = (changed: XdsResource) => {
    state = replaced(state, [changed]);
    return measure(() =>
      sessions.reduce((sum, each) => {
        each.update(state);
        return sum + drain(each, shared);
      }, 0),
    );
  };
  const first = state.get(ENDPOINT_TYPE)?.keys().next().value ?? '';
  change(endpoint(first, 1));
  const endpointCost = change(endpoint(first, 2));
  print(
    'an endpoint changed',
    endpointCost,
    `1/${(sync.cpuMs / endpointCost.cpuMs).toFixed(0)} of the CPU of the first sync`,
  );
  const routeCost = change(routeTable(9080, 1));
  print('a route table changed', routeCost, `1/${(sync.bytes / routeCost.bytes).toFixed(0)} of its bytes`);
  state = new Map([...state].map(([type, map]) => [type, new Map(map)]));
  const same = measure(() => {
    for (const each of sessions) each.update(state);
    return sessions.reduce((sum, each) => sum + drain(each, shared), 0);
  });
  print('nothing changed, but every map is another', same);
  if (globalThis.gc === undefined) console.log('(node --expose-gc for memory)');
  else
    console.log(
      `memory: ${perStreamKb.toFixed(0)} kB of heap per stream, names and versions of ${SERVICES * 6 + 30} resources\n`,
    );
}

/** Opens `count` connections with one stream each, and resolves when each has received `bytes`. */
async function play(port: number, count: number, bytes: number): Promise<void> {
  const body = toBinary(
    DeltaDiscoveryRequestSchema,
    create(DeltaDiscoveryRequestSchema, { node: { id: 'n' }, typeUrl: CLUSTER_TYPE }),
  );
  const message = Buffer.concat([messagePrefix(body.length), body]);
  const one = async (): Promise<void> => {
    const session = connect(`http://127.0.0.1:${port}`, { settings: { initialWindowSize: 4 * 1024 * 1024 } });
    session.on('connect', () => session.setLocalWindowSize(16 * 1024 * 1024));
    const stream = session.request({
      ':method': 'POST',
      ':path': `${ADS}/DeltaAggregatedResources`,
      'content-type': 'application/grpc',
    });
    stream.write(message);
    let received = 0;
    await new Promise<void>((resolve) => {
      stream.on('data', (chunk: Buffer) => {
        received += chunk.length;
        if (received >= bytes) resolve();
      });
    });
    session.destroy();
  };
  await Promise.all(Array.from({ length: count }, one));
}

async function overNetwork(): Promise<void> {
  console.log(
    `over HTTP/2 on loopback: ${NETWORK_PROXIES} proxies take their ${SERVICES * 3} clusters (clients in this process)`,
  );
  const clusters = meshOf().filter((each) => each.typeUrl === CLUSTER_TYPE);
  const parts = new ResponseEncoder().encode('delta', {
    typeUrl: CLUSTER_TYPE,
    nonce: '1',
    resources: clusters,
    removed: [],
  });
  const bytes = parts.reduce((sum, part) => sum + part.length, 0);
  const floor = await timed(async () => {
    const server: Http2Server = createServer({ settings: { initialWindowSize: 1024 * 1024 } });
    server.on('stream', (stream) => {
      stream.on('error', () => {});
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
      for (const part of parts) stream.write(part);
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    return { port: (server.address() as AddressInfo).port, close: () => server.close() };
  }, bytes);
  const peer = { trustDomain: '', clusterName: '', namespace: '', serviceAccount: '', podName: '', podUid: '' };
  const ours = await timed(async () => {
    const controller = new AbortController();
    const server = await startXdsServer(
      { listen: { host: '127.0.0.1', port: 0 }, authenticator: trustLoopback(peer), ads: new MemoryBackend(clusters) },
      controller.signal,
    );
    return { port: server.port, close: () => controller.abort() };
  }, bytes);
  print('floor: node:http2 writing the same bytes', floor);
  print(
    'the discovery server',
    ours,
    `${(ours.wallMs / floor.wallMs).toFixed(2)}x the wall, ${(ours.cpuMs / floor.cpuMs).toFixed(2)}x the CPU`,
  );
}

async function timed(start: () => Promise<{ port: number; close: () => void }>, bytes: number): Promise<Cost> {
  const { port, close } = await start();
  await play(port, 2, bytes);
  const startMs = performance.now();
  const before = process.cpuUsage();
  await play(port, NETWORK_PROXIES, bytes);
  const used = process.cpuUsage(before);
  const wallMs = performance.now() - startMs;
  close();
  return { wallMs, cpuMs: (used.user + used.system) / 1000, bytes: bytes * NETWORK_PROXIES };
}

withoutNetwork();
await overNetwork();
