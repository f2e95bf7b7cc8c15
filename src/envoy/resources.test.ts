// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { Layers } from '../incremental/layered-map.ts';
import type { DestinationIntent } from '../intent/destination-types.ts';
import type { ProxyIntent } from '../intent/types.ts';
import { EnvoyCompiler } from './compile.ts';
import { ACCESS_LOG_FORMAT } from './filters/access-log.ts';
import { destinationName, TYPE_URL } from './names.ts';

const SILENT = { logs: [], metrics: undefined, tracing: undefined };
const ORIGIN = {
  object: { apiVersion: 'v1', kind: 'Service', namespace: 'default', name: 'a' },
  field: 'spec.ports[0]',
};

function destination(connectTimeoutMs = 1000): DestinationIntent {
  return {
    use: 'proxy',
    ref: { host: 'a.default.svc.cluster.local', port: 80, subset: '' },
    protocol: 'http',
    discovery: { kind: 'original' },
    security: { kind: 'plain' },
    service: { name: 'x', namespace: 'default' },
    balancing: { kind: 'random' },
    connectTimeoutMs,
    pool: {},
    outlier: undefined,
    origin: ORIGIN,
  };
}

function intent(destinations: readonly DestinationIntent[], upstreamMark?: number): ProxyIntent {
  return {
    kind: 'sidecar',
    telemetry: { client: SILENT, server: SILENT, origins: [] },
    upstreamMark,
    outbound: { unknown: 'refuse', detectionTimeoutMs: 0, httpPorts: new Map(), tcpPorts: new Map() },
    inbound: { ports: [{ port: 80, protocol: 'http', host: 'a', origin: ORIGIN }] },
    gateway: undefined,
    destinations: new Map(destinations.map((d, i) => [String(i), d])),
  };
}

const NO_ENDPOINTS = { endpoints: new Map(), ways: {}, scope: '', of: () => [] };
const NAME = 'outbound|80||a.default.svc.cluster.local';

test('equal intents give the very same resource, though they are other objects', () => {
  const compiler = new EnvoyCompiler();
  const first = compiler.compile(intent([destination()]), NO_ENDPOINTS);
  const second = compiler.compile(intent([destination()]), NO_ENDPOINTS);
  for (const [typeUrl, resources] of first) {
    for (const [name, resource] of resources) expect(second.get(typeUrl)?.get(name)).toBe(resource);
  }
});

test('another intent gives another version of one resource only', () => {
  const compiler = new EnvoyCompiler();
  const first = compiler.compile(intent([destination()]), NO_ENDPOINTS).get(TYPE_URL.cluster)!;
  const second = compiler.compile(intent([destination(2000)]), NO_ENDPOINTS).get(TYPE_URL.cluster)!;
  const changed = [...second.keys()].filter((name) => second.get(name) !== first.get(name));
  expect(changed).toEqual([NAME]);
});

test('two processes give the same bytes and versions', () => {
  const [a, b] = [new EnvoyCompiler(), new EnvoyCompiler()].map((c) =>
    c.compile(intent([destination()]), NO_ENDPOINTS),
  );
  expect(a!.get(TYPE_URL.cluster)!.get(NAME)).toEqual(b!.get(TYPE_URL.cluster)!.get(NAME));
});

test('a cluster that binds its own source repeats the mark', () => {
  const compiler = new EnvoyCompiler();
  const inbound = (mark?: number) =>
    compiler.compile(intent([], mark), NO_ENDPOINTS).get(TYPE_URL.cluster)!.get('inbound|80||')!;
  expect(Buffer.from(inbound(1337).value).includes('SO_MARK')).toBe(true);
  expect(Buffer.from(inbound().value).includes('SO_MARK')).toBe(false);
});

test('names are those that Istio’s users know', () => {
  const ref = { host: 'reviews.default.global', port: 9080, subset: 'v2' };
  expect(destinationName(ref)).toBe('outbound|9080|v2|reviews.default.global');
  expect(destinationName(ref, 'sni')).toBe('outbound_.9080_.v2_.reviews.default.global');
});

test('the access log begins with Istio’s line, and ends with both peers', () => {
  expect(ACCESS_LOG_FORMAT).toMatch(
    /^\[%START_TIME%\] "%REQ\(:METHOD\)% %REQ\(X-ENVOY-ORIGINAL-PATH\?:PATH\)% %PROTOCOL%" %RESPONSE_CODE%/,
  );
  expect(ACCESS_LOG_FORMAT).toMatch(
    /%REQUESTED_SERVER_NAME% %ROUTE_NAME% %DOWNSTREAM_TLS_VERSION% .*%UPSTREAM_PEER_URI_SAN% "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%"\n$/,
  );
});

test('a layered map shows both of its layers', () => {
  const map = new Layers<number>().of(new Map([['a', 1]]), new Map([['b', 2]]));
  expect([...map]).toEqual([
    ['a', 1],
    ['b', 2],
  ]);
  expect([map.size, map.get('a'), map.get('b'), map.has('c')]).toEqual([2, 1, 2, false]);
});
