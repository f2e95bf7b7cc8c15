// SPDX-License-Identifier: Apache-2.0
// Tokens as a real API server makes and reviews them: whose are taken, asked for with the control plane's own rights.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildAccess } from '../../src/install/manifests/access.ts';
import { resourceTypeOf } from '../../src/install/resource-types.ts';
import { DEFAULTS } from '../../src/install/values/values.ts';
import { KubeClient } from '../../src/kube/client.ts';
import { loadKubeconfig } from '../../src/kube/config.ts';
import { NAMESPACES, PODS, SERVICE_ACCOUNTS } from '../../src/kube/resources.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import { TokenAuthenticator } from '../../src/runtime/streams/token-authenticator.ts';
import { startTestServer, type TestServer } from '../apiserver/test-server.ts';

interface Cluster {
  readonly server: TestServer;
  readonly admin: KubeClient;
}

let home: Cluster;
let away: Cluster;
let istiod: KubeClient;
const PEER = { address: '10.1.0.5' };
let authenticator: TokenAuthenticator;

async function startCluster(): Promise<Cluster> {
  const server = await startTestServer();
  const admin = new KubeClient(loadKubeconfig(server.kubeconfig));
  await admin.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } }, NAMESPACES);
  await admin.create<KubeObject>(SERVICE_ACCOUNTS, {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'cart', namespace: 'shop' },
  });
  return { server, admin };
}

async function createPod(cluster: Cluster, name: string): Promise<void> {
  await cluster.admin.create<KubeObject>(PODS, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'shop' },
    spec: { serviceAccountName: 'cart', containers: [{ name: 'a', image: 'a' }] },
  });
}

/** As the kubelet asks for the projected volume `istio-token`. */
async function tokenOf(cluster: Cluster, account: string, pod: string | undefined, audience?: string): Promise<string> {
  const [namespace = '', name = ''] = account.split('/');
  const uid = pod && (await cluster.admin.get(PODS, pod, namespace))?.metadata.uid;
  const boundObjectRef = pod && { kind: 'Pod', apiVersion: 'v1', name: pod, uid };
  const spec = {
    expirationSeconds: 600,
    ...(audience ? { audiences: [audience] } : {}),
    ...(pod ? { boundObjectRef } : {}),
  };
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec };
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
  const answer = (await cluster.admin.request('POST', path, { body })) as { status: { token: string } };
  return answer.status.token;
}

beforeAll(async () => {
  [home, away] = await Promise.all([startCluster(), startCluster()]);
  for (const cluster of [home, away]) await createPod(cluster, 'cart-0');
  await home.admin.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'istio-system' } }, NAMESPACES);
  for (const object of buildAccess(DEFAULTS)) await home.admin.apply(object, resourceTypeOf(object));
  const token = await tokenOf(home, 'istio-system/istiod', undefined);
  const { server, caPem } = loadKubeconfig(home.server.kubeconfig);
  istiod = new KubeClient({ server, ...(caPem === undefined ? {} : { caPem }), token: () => token });
  const options = { audience: 'istio-ca', trustDomain: 'cluster.local', clusterName: 'home' };
  authenticator = new TokenAuthenticator({ client: istiod, ...options });
});

afterAll(async () => {
  for (const client of [istiod, home.admin, away.admin]) client.close();
  await Promise.all([home.server.close(), away.server.close()]);
});

test('a pod’s bound token proves pod, account and namespace', async () => {
  const pod = await home.admin.get(PODS, 'cart-0', 'shop');
  const identity = await authenticator.authenticate(await tokenOf(home, 'shop/cart', 'cart-0', 'istio-ca'), PEER);
  const { uid: podUid } = pod!.metadata;
  expect(identity).toMatchObject({
    clusterName: 'home',
    namespace: 'shop',
    serviceAccount: 'cart',
    podName: 'cart-0',
    podUid,
  });
  const leftMs = identity.expiresAtMs - Date.now();
  expect(leftMs).toBeGreaterThan(500_000);
  expect(leftMs).toBeLessThanOrEqual(601_000);
});

test.each([
  ['another audience', () => tokenOf(home, 'shop/cart', 'cart-0', 'vault'), '"istio-ca" is needed'],
  ['the API server’s own audience', () => tokenOf(home, 'shop/cart', 'cart-0'), '"istio-ca" is needed'],
  ['another cluster', () => tokenOf(away, 'shop/cart', 'cart-0', 'istio-ca'), 'cluster home does not accept the token'],
  ['no pod', () => tokenOf(home, 'shop/cart', undefined, 'istio-ca'), 'not bound to a pod'],
] as const)('a token of %s is refused', async (_, make, reason) => {
  await expect(authenticator.authenticate(await make(), PEER)).rejects.toMatchObject({
    code: 'UNAUTHENTICATED',
    message: expect.stringContaining(reason),
  });
});

test('a changed token is refused', async () => {
  const [header, payload, signature] = (await tokenOf(home, 'shop/cart', 'cart-0', 'istio-ca')).split('.');
  const claims = JSON.parse(Buffer.from(payload!, 'base64url').toString());
  claims.sub = 'system:serviceaccount:istio-system:istiod';
  const forged = `${header}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.${signature}`;
  await expect(authenticator.authenticate(forged, PEER)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
});

test('the token of a deleted pod proves nothing', async () => {
  await createPod(home, 'cart-1');
  const token = await tokenOf(home, 'shop/cart', 'cart-1', 'istio-ca');
  await home.admin.delete(PODS, 'cart-1', 'shop', { gracePeriodSeconds: 0 });
  await expect(authenticator.authenticate(token, PEER)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
});
