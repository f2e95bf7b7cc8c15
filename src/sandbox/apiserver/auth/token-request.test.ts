// SPDX-License-Identifier: Apache-2.0
import type { ServerResponse } from 'node:http';
import { beforeEach, expect, test } from 'vitest';
import type { KubeObject } from '../../../kube/types.ts';
import { generateKeyPair } from '../../../pki/x509.ts';
import { MemoryObjects } from '../memory-objects.fixture.ts';
import type { SubresourceRequest, UserInfo } from '../seams.ts';
import { reviewResources } from './access-review.ts';
import { RbacAuthorizer } from './rbac-authorizer.ts';
import { tokenRequestHandler } from './token-request.ts';
import { ISSUER, PODS, SERVICE_ACCOUNTS, TokenService } from './token-service.ts';
import { TokenSigner } from './token-signer.ts';

let objects: MemoryObjects;
let tokens: TokenService;
let account: KubeObject;

beforeEach(() => {
  objects = new MemoryObjects();
  tokens = new TokenService(new TokenSigner(generateKeyPair().privateKey), objects, () => new Date());
  account = objects.create(SERVICE_ACCOUNTS, {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'bot', namespace: 'shop' },
  });
  objects.create(PODS, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web', namespace: 'shop', uid: 'pod-uid' },
    spec: { serviceAccountName: 'bot', nodeName: 'n1' },
  });
  const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1', uid: 'node-uid' } };
  objects.create({ group: '', resource: 'nodes' }, node);
  objects.create(PODS, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'other', namespace: 'shop' },
    spec: { serviceAccountName: 'default' },
  });
});

interface TokenRequest extends KubeObject {
  spec: { audiences: string[]; expirationSeconds: number };
  status: { token: string; expirationTimestamp: string };
}

const JANE: UserInfo = { username: 'jane', groups: [] };

async function requestToken(spec: object, user = JANE): Promise<TokenRequest> {
  const request: Partial<SubresourceRequest> = {
    user,
    parent: account,
    attributes: {
      verb: 'create',
      isResource: true,
      group: '',
      version: 'v1',
      resource: 'serviceaccounts',
      subresource: 'token',
      namespace: 'shop',
      name: 'bot',
      path: '',
    },
    body: async () => ({ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', metadata: {}, spec }),
  };
  const handler = tokenRequestHandler(tokens, objects);
  return (await handler.handle(request as SubresourceRequest, {} as ServerResponse)) as TokenRequest;
}

async function review(spec: object): Promise<Record<string, unknown>> {
  const resource = reviewResources(new RbacAuthorizer(objects), tokens, () => new Date()).find(
    ({ kind }) => kind === 'TokenReview',
  )!;
  const context = {
    user: { username: 'x', groups: [] },
    namespace: '',
    version: 'v1',
    signal: new AbortController().signal,
  };
  const answer = await resource.create(
    { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', metadata: {}, spec },
    context,
  );
  return answer.status as Record<string, unknown>;
}

test('an hour for the API server, when nothing else is said', async () => {
  const answer = await requestToken({});
  expect(answer.spec).toMatchObject({ audiences: [ISSUER], expirationSeconds: 3600 });
  expect(answer.metadata).toMatchObject({ name: 'bot', namespace: 'shop' });
  expect(Date.parse(answer.status.expirationTimestamp) - Date.now()).toBeGreaterThan(3590_000);
  expect(tokens.identify(answer.status.token).user.username).toBe('system:serviceaccount:shop:bot');
});

test('less than ten minutes is refused as recorded', async () => {
  await expect(requestToken({ expirationSeconds: 1 })).rejects.toThrow(
    'TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 1: may not specify a duration less than 10 minutes',
  );
});

test('a binding must be to a pod of this account, with its uid', async () => {
  const pod = { kind: 'Pod', apiVersion: 'v1' };
  await expect(requestToken({ boundObjectRef: { ...pod, name: 'nosuch' } })).rejects.toThrow('pods "nosuch" not found');
  await expect(requestToken({ boundObjectRef: { ...pod, name: 'web', uid: 'old' } })).rejects.toThrow(
    'does not match the UID in record',
  );
  await expect(requestToken({ boundObjectRef: { ...pod, name: 'other' } })).rejects.toThrow(
    'different serviceaccount name',
  );
  await expect(requestToken({ boundObjectRef: { kind: 'Node', apiVersion: 'v1', name: 'n' } })).rejects.toThrow(
    'cannot bind token',
  );
});

test('a review tells identity, pod and common audiences', async () => {
  const bound = { kind: 'Pod', apiVersion: 'v1', name: 'web', uid: 'pod-uid' };
  const { token } = (await requestToken({ audiences: ['istio-ca'], boundObjectRef: bound })).status;
  expect(await review({ token, audiences: ['istio-ca', 'x'] })).toMatchObject({
    authenticated: true,
    user: {
      username: 'system:serviceaccount:shop:bot',
      extra: { 'authentication.kubernetes.io/pod-name': ['web'], 'authentication.kubernetes.io/pod-uid': ['pod-uid'] },
    },
    audiences: ['istio-ca'],
  });
});

test('a review refuses as recorded', async () => {
  expect(await review({ token: 'wrong' })).toEqual({ user: {}, error: 'invalid bearer token' });
  const { token } = (await requestToken({ audiences: ['istio-ca'] })).status;
  const status = await review({ token });
  expect(status.authenticated).toBeUndefined();
  expect(status.error).toContain('invalid for the target audiences');
});

test('a node gets tokens for its own pods only', async () => {
  const node = (name: string): UserInfo => ({ username: `system:node:${name}`, groups: ['system:nodes'] });
  const web = { boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: 'web', uid: 'pod-uid' } };
  const { token } = (await requestToken(web, node('n1'))).status;
  expect(tokens.identify(token).user.extra?.['authentication.kubernetes.io/node-name']).toEqual(['n1']);
  await expect(requestToken(web, node('n2'))).rejects.toThrow(
    'serviceaccounts "bot" is forbidden: node requested token bound to a pod scheduled on a different node',
  );
  await expect(requestToken({}, node('n1'))).rejects.toThrow('node requested token not bound to a pod');
});
