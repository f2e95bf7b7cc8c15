// SPDX-License-Identifier: Apache-2.0
import { fromBinary } from '@bufbuild/protobuf';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SecretSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';
import type { Diagnostic } from '../../api/diagnostics.ts';
import type { SecretUse } from '../../intent/secrets.ts';
import type { KubeObject } from '../../kube/types.ts';
import { generateKeyPair, issueCertificate, privateKeyPem } from '../../pki/x509.ts';
import { ProxySecrets } from './proxy-secrets.ts';
import { GivenSecrets, type SecretReader, type SecretState } from './secret-reader.ts';

const START_MS = Date.parse('2026-01-01T00:00:00Z');
const HOUR_MS = 3_600_000;
let said: readonly Diagnostic[];
let timers: { atMs: number; run: () => void }[];
let nowMs: number;
let given: GivenSecrets;
let secrets: ProxySecrets;

const clock = {
  nowMs: () => nowMs,
  random: () => 0,
  after: (delayMs: number, run: () => void) => {
    const timer = { atMs: nowMs + delayMs, run };
    timers.push(timer);
    return () => {
      timers = timers.filter((t) => t !== timer);
    };
  },
};

function create(reader: SecretReader): ProxySecrets {
  return new ProxySecrets({
    reader,
    clock,
    readMs: 20,
    onDiagnostics: (diagnostics) => {
      said = diagnostics;
    },
  });
}

beforeEach(() => {
  said = [];
  timers = [];
  nowMs = START_MS;
  given = new GivenSecrets();
  secrets = create(given);
});
afterEach(() => secrets.close());

function pair(notAfterMs = START_MS + 24 * HOUR_MS) {
  const { privateKey, publicKey } = generateKeyPair();
  const [notBefore, notAfter] = [new Date(START_MS - HOUR_MS), new Date(notAfterMs)];
  const pem = issueCertificate({ subject: { commonName: 'x' }, publicKey, selfKey: privateKey, notBefore, notAfter });
  return { pem, key: privateKeyPem(privateKey) };
}

function secret(name: string, values: Record<string, string>, namespace = 'edge'): KubeObject {
  const data = Object.fromEntries(Object.entries(values).map(([k, v]) => [k, Buffer.from(v).toString('base64')]));
  return { apiVersion: 'v1', kind: 'Secret', metadata: { namespace, name }, data };
}

function use(what: SecretUse['what'], name: string): SecretUse {
  const object = {
    apiVersion: 'networking.istio.io/v1',
    kind: 'Gateway',
    namespace: 'edge',
    name: 'public',
    cluster: 'c1',
  };
  return { what, source: { kind: 'secret', name }, origin: { object, field: 'spec.servers[0]' } } as SecretUse;
}

const settled = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
const EDGE = { cluster: 'c1', namespace: 'edge' };

test('a Secret of the proxy’s namespace is served, rotated, and told when it spoils', async () => {
  let changes = 0;
  const proxy = secrets.open(EDGE, () => changes++);
  const [first, second] = [pair(), pair()];
  given.upsert(secret('shop', { 'tls.crt': first.pem, 'tls.key': first.key }));
  given.upsert(secret('shop', { 'tls.crt': second.pem, 'tls.key': second.key }, 'elsewhere'));
  proxy.want([use('certificate', 'shop')]);
  const served = () => {
    const resource = proxy.resources().get('kubernetes://shop');
    const value = resource && fromBinary(SecretSchema, resource.value).type;
    return value?.case === 'tlsCertificate'
      ? Buffer.from(value.value.certificateChain?.specifier.value ?? []).toString()
      : undefined;
  };
  expect(served()).toBe(first.pem);
  const before = proxy.resources();
  expect(proxy.resources()).toBe(before);

  given.upsert(secret('shop', { 'tls.crt': second.pem, 'tls.key': second.key }));
  expect(served()).toBe(second.pem);
  await settled();
  expect(said).toEqual([]);

  given.upsert(secret('shop', { 'tls.crt': second.pem, 'tls.key': first.key }));
  expect(served()).toBe(second.pem);
  await settled();
  expect(said.map(({ code, message }) => `${code} ${message}`)).toEqual([
    'ISM0202 Secret edge/shop: tls.key is not the key of the certificate in tls.crt; what it held before is served',
  ]);

  given.delete(secret('shop', {}));
  await settled();
  expect(said[0]?.message).toBe('Secret edge/shop: there is no such Secret; what it held before is served');
  expect(changes).toBeGreaterThan(2);
  proxy.close();
  await settled();
  expect(said).toEqual([]);
});

test('roots come from NAME-cacert, or else from NAME', () => {
  const proxy = secrets.open(EDGE, () => {});
  const [own, apart] = [pair(), pair()];
  given.upsert(secret('shop', { 'tls.crt': own.pem, 'tls.key': own.key, 'ca.crt': own.pem }));
  proxy.want([use('roots', 'shop')]);
  const roots = () => {
    const type = fromBinary(SecretSchema, proxy.resources().get('kubernetes://shop-cacert')!.value).type;
    return type.case === 'validationContext'
      ? Buffer.from(type.value.trustedCa?.specifier.value ?? []).toString()
      : undefined;
  };
  expect(roots()).toBe(own.pem);
  given.upsert(secret('shop-cacert', { cacert: apart.pem }));
  expect(roots()).toBe(apart.pem);
});

test('a certificate that ends is told when it does', async () => {
  const proxy = secrets.open(EDGE, () => {});
  const ending = pair(START_MS + HOUR_MS);
  given.upsert(secret('shop', { 'tls.crt': ending.pem, 'tls.key': ending.key }));
  proxy.want([use('certificate', 'shop')]);
  await settled();
  expect(said).toEqual([]);
  nowMs = timers[0]!.atMs;
  timers[0]!.run();
  expect(said[0]?.message).toContain('the certificate ended at 2026-01-01T01:00:00Z');
  expect(proxy.resources().size).toBe(1);
});

test('files are named, and read by nobody here', () => {
  const proxy = secrets.open(EDGE, () => {});
  const { origin } = use('roots', 'x');
  proxy.want([
    { what: 'certificate', source: { kind: 'files', chain: '/etc/certs/a.pem', key: '/etc/certs/a.key' }, origin },
    { what: 'roots', source: { kind: 'files', roots: '/etc/certs/ca.pem', crl: undefined }, origin },
  ]);
  expect([...proxy.resources().keys()]).toEqual([
    'file-cert:/etc/certs/a.pem~/etc/certs/a.key',
    'file-root:/etc/certs/ca.pem',
  ]);
});

test('an API server that says nothing is not waited for for ever, and what is not named is not followed', async () => {
  const followed: string[] = [];
  const silent: SecretReader = {
    follow: ({ name }, told: (state: SecretState) => void) => {
      followed.push(name);
      told({ kind: 'reading' });
      return () => followed.splice(followed.indexOf(name), 1);
    },
  };
  secrets = create(silent);
  const proxy = secrets.open(EDGE, () => {});
  proxy.want([use('certificate', 'shop')]);
  expect(followed).toEqual(['shop']);
  expect(proxy.isRead).toBe(false);
  await proxy.read();
  expect(proxy.isRead).toBe(true);
  await settled();
  expect(said[0]?.message).toBe('Secret edge/shop: the API server has not told it yet; nobody is served');
  proxy.want([]);
  expect(followed).toEqual([]);
});
