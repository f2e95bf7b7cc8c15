// SPDX-License-Identifier: Apache-2.0
import { beforeEach, expect, test } from 'vitest';
import type { KubeObject } from '../../../kube/types.ts';
import { generateKeyPair } from '../../../pki/x509.ts';
import { MemoryObjects } from '../memory-objects.fixture.ts';
import { startLegacyTokenFiller } from './legacy-token.ts';
import { API_AUDIENCES, ISSUER, PODS, SECRETS, SERVICE_ACCOUNTS, TokenRefused, TokenService } from './token-service.ts';
import { TokenSigner } from './token-signer.ts';

const START = new Date('2026-01-01T00:00:00Z');
let now: Date;
let objects: MemoryObjects;
let service: TokenService;
let account: KubeObject;
let pod: KubeObject;

beforeEach(() => {
  now = START;
  objects = new MemoryObjects();
  service = new TokenService(new TokenSigner(generateKeyPair().privateKey), objects, () => now);
  account = objects.create(SERVICE_ACCOUNTS, {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'bot', namespace: 'shop' },
  });
  pod = objects.create(PODS, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web-1', namespace: 'shop' },
    spec: { serviceAccountName: 'bot' },
  });
});

function issueBound(audiences: readonly string[] = [ISSUER]): string {
  const bound = { kind: 'pod' as const, name: 'web-1', uid: pod.metadata.uid ?? '' };
  return service.issue(account, { audiences, expirationSeconds: 600, bound }).token;
}

test('a bound token says who and where', () => {
  const { user, audiences } = service.identify(issueBound());
  expect(user).toMatchObject({
    username: 'system:serviceaccount:shop:bot',
    uid: account.metadata.uid,
    groups: ['system:serviceaccounts', 'system:serviceaccounts:shop', 'system:authenticated'],
    extra: {
      'authentication.kubernetes.io/pod-name': ['web-1'],
      'authentication.kubernetes.io/pod-uid': [pod.metadata.uid],
    },
  });
  expect(audiences).toEqual([ISSUER]);
});

test('only common audiences count', () => {
  const token = issueBound(['istio-ca', 'other']);
  expect(() => service.identify(token)).toThrow(TokenRefused);
  expect(service.identify(token, ['istio-ca', 'third']).audiences).toEqual(['istio-ca']);
  expect(() => service.identify(token, ['third'])).toThrow(TokenRefused);
});

test('a token ends with its time', () => {
  const token = issueBound();
  now = new Date(START.getTime() + 599_000);
  expect(service.identify(token).user.username).toBe('system:serviceaccount:shop:bot');
  now = new Date(START.getTime() + 600_000);
  expect(() => service.identify(token)).toThrow('expired');
});

test('a token ends with its pod, also when another of that name follows', () => {
  const token = issueBound();
  objects.delete(PODS, 'shop', 'web-1');
  expect(() => service.identify(token)).toThrow(TokenRefused);
  objects.create(PODS, { ...pod, metadata: { name: 'web-1', namespace: 'shop' } });
  expect(() => service.identify(token)).toThrow(TokenRefused);
});

test('a token ends with its service account, also when another of that name follows', () => {
  const token = issueBound();
  objects.delete(SERVICE_ACCOUNTS, 'shop', 'bot');
  expect(() => service.identify(token)).toThrow(TokenRefused);
  objects.create(SERVICE_ACCOUNTS, { ...account, metadata: { name: 'bot', namespace: 'shop' } });
  expect(() => service.identify(token)).toThrow(TokenRefused);
});

test('what another cluster signed is refused', () => {
  const other = new TokenService(new TokenSigner(generateKeyPair().privateKey), objects, () => now);
  const { token } = other.issue(account, { audiences: API_AUDIENCES, expirationSeconds: 600 });
  expect(() => service.identify(token)).toThrow(TokenRefused);
});

test.each([
  ['nothing', ''],
  ['no token', 'wrong'],
  ['three parts', 'a.b.c'],
  [
    'no algorithm',
    `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from('{}').toString('base64url')}.`,
  ],
])('%s is refused', (_name, token) => {
  expect(() => service.identify(token)).toThrow(TokenRefused);
});

test('changing one letter anywhere spoils a token', () => {
  const token = issueBound();
  for (let at = 0; at < token.length; at += 7) {
    const spoiled = token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1);
    // The last letter of base64url may carry unused bits.
    if (Buffer.from(spoiled.split('.')[2] ?? '', 'base64url').equals(Buffer.from(token.split('.')[2]!, 'base64url'))) {
      if (spoiled.split('.', 2).join('.') === token.split('.', 2).join('.')) continue;
    }
    expect(() => service.identify(spoiled), `letter ${at}`).toThrow(TokenRefused);
  }
});

test('a legacy secret is filled, its token works, and ends with the secret', async () => {
  const stop = new AbortController();
  startLegacyTokenFiller({ objects, log: () => undefined, signal: stop.signal }, service, 'CA');
  objects.create(SECRETS, {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'old', namespace: 'shop', annotations: { 'kubernetes.io/service-account.name': 'bot' } },
    type: 'kubernetes.io/service-account-token',
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  const secret = objects.get(SECRETS, 'shop', 'old') as KubeObject & { data: Record<string, string> };
  expect(secret.metadata.annotations?.['kubernetes.io/service-account.uid']).toBe(account.metadata.uid);
  expect(Buffer.from(secret.data.namespace!, 'base64').toString()).toBe('shop');
  const token = Buffer.from(secret.data.token!, 'base64').toString();
  expect(service.identify(token).user.username).toBe('system:serviceaccount:shop:bot');
  expect(() => service.identify(token, ['istio-ca'])).toThrow(TokenRefused);
  objects.delete(SECRETS, 'shop', 'old');
  expect(() => service.identify(token)).toThrow(TokenRefused);
  stop.abort();
});
