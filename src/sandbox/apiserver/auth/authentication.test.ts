// SPDX-License-Identifier: Apache-2.0
// Real TLS: what a server makes of certificates, tokens and impersonation headers.
import { createPrivateKey } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, request as httpsRequest, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { MemoryObjects } from '../memory-objects.fixture.ts';
import { ensureClusterPki, type PkiPaths } from '../pki.ts';
import type { UserInfo } from '../seams.ts';
import { asApiError } from '../status.ts';
import { createAuthenticator } from './authentication.ts';
import { RBAC_GROUP, RbacAuthorizer } from './rbac-authorizer.ts';
import { ISSUER, SERVICE_ACCOUNTS, TokenService } from './token-service.ts';
import { TokenSigner } from './token-signer.ts';

interface Answer {
  readonly code: number;
  readonly user?: UserInfo;
  readonly message?: string;
}

let directory: string;
let paths: PkiPaths;
let foreign: PkiPaths;
let server: Server;
let token: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'isthmus-authn-'));
  const options = { server: 'https://127.0.0.1', addresses: [], dnsNames: [] };
  paths = ensureClusterPki(join(directory, 'a'), { clusterName: 'a', ...options });
  foreign = ensureClusterPki(join(directory, 'b'), { clusterName: 'b', ...options });
  const objects = new MemoryObjects();
  const account = objects.create(SERVICE_ACCOUNTS, {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'bot', namespace: 'shop' },
  });
  allowImpersonation(objects);
  const signer = new TokenSigner(createPrivateKey(readFileSync(paths.serviceAccountKey)));
  const tokens = new TokenService(signer, objects, () => new Date());
  token = tokens.issue(account, { audiences: [ISSUER], expirationSeconds: 600 }).token;
  const authenticator = createAuthenticator(tokens, new RbacAuthorizer(objects));
  const tls = {
    cert: readFileSync(paths.servingCert),
    key: readFileSync(paths.servingKey),
    ca: readFileSync(paths.caCert),
  };
  server = createServer({ ...tls, requestCert: true, rejectUnauthorized: false }, async (req, res) => {
    try {
      res.end(JSON.stringify({ code: 200, user: await authenticator.authenticate(req) }));
    } catch (error) {
      const { code, message } = asApiError(error);
      res.end(JSON.stringify({ code, message }));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
  rmSync(directory, { recursive: true });
});

/** bot may act as jane and as the group dev, and no more. */
function allowImpersonation(objects: MemoryObjects): void {
  const apiVersion = `${RBAC_GROUP}/v1`;
  const rule = (resource: string, name: string) => ({
    verbs: ['impersonate'],
    apiGroups: [''],
    resources: [resource],
    resourceNames: [name],
  });
  objects.create(
    { group: RBAC_GROUP, resource: 'clusterroles' },
    {
      apiVersion,
      kind: 'ClusterRole',
      metadata: { name: 'as-jane' },
      rules: [rule('users', 'jane'), rule('groups', 'dev')],
    },
  );
  objects.create(
    { group: RBAC_GROUP, resource: 'clusterrolebindings' },
    {
      apiVersion,
      kind: 'ClusterRoleBinding',
      metadata: { name: 'as-jane' },
      roleRef: { kind: 'ClusterRole', name: 'as-jane' },
      subjects: [{ kind: 'ServiceAccount', name: 'bot', namespace: 'shop' }],
    },
  );
}

function ask(identity: { kubeconfig?: string; headers?: Record<string, string | string[]> }): Promise<Answer> {
  const user = identity.kubeconfig ? parse(readFileSync(identity.kubeconfig, 'utf8')).users[0].user : undefined;
  const decode = (value: string) => Buffer.from(value, 'base64');
  return new Promise((resolve, reject) => {
    httpsRequest(
      {
        port: (server.address() as AddressInfo).port,
        host: '127.0.0.1',
        agent: false,
        ca: readFileSync(paths.caCert),
        headers: identity.headers ?? {},
        ...(user && { cert: decode(user['client-certificate-data']), key: decode(user['client-key-data']) }),
      },
      async (response) => resolve(JSON.parse(await text(response))),
    )
      .once('error', reject)
      .end();
  });
}

const bearer = (value: string) => ({ Authorization: `Bearer ${value}` });

test('a certificate names the user and his groups', async () => {
  const { user } = await ask({ kubeconfig: paths.kubeconfig.node });
  expect(user?.username).toBe('system:node:a-node');
  expect(user?.groups).toEqual(['system:nodes', 'system:authenticated']);
  expect((await ask({ kubeconfig: paths.kubeconfig.admin })).user?.groups).toContain('system:masters');
});

test("another cluster's certificate is worth nothing, but does not spoil a good token", async () => {
  const { admin } = foreign.kubeconfig;
  expect((await ask({ kubeconfig: admin })).code).toBe(401);
  expect((await ask({ kubeconfig: admin, headers: bearer('wrong') })).code).toBe(401);
  expect((await ask({ kubeconfig: admin, headers: bearer(token) })).user?.username).toBe(
    'system:serviceaccount:shop:bot',
  );
});

test('a token, a wrong one, and none', async () => {
  expect((await ask({ headers: bearer(token) })).user?.username).toBe('system:serviceaccount:shop:bot');
  expect((await ask({ headers: bearer('wrong') })).code).toBe(401);
  expect((await ask({})).user).toEqual({ username: 'system:anonymous', groups: ['system:unauthenticated'] });
});

test('impersonation takes user and groups from the headers, each of which must be allowed', async () => {
  const as = (headers: Record<string, string | string[]>, kubeconfig?: string) =>
    ask({ kubeconfig, headers: kubeconfig ? headers : { ...bearer(token), ...headers } });
  expect((await as({ 'Impersonate-User': 'jane', 'Impersonate-Group': ['dev'] })).user).toEqual({
    username: 'jane',
    groups: ['dev', 'system:authenticated'],
  });
  expect((await as({ 'Impersonate-User': 'joe' })).message).toBe(
    'users "joe" is forbidden: User "system:serviceaccount:shop:bot" cannot impersonate resource "users" in API group "" at the cluster scope',
  );
  expect((await as({ 'Impersonate-User': 'jane', 'Impersonate-Group': ['dev', 'system:masters'] })).code).toBe(403);
  expect((await as({ 'Impersonate-User': 'jane', 'Impersonate-Uid': '1' })).code).toBe(403);
  expect((await as({ 'Impersonate-Group': 'dev' })).code).toBe(400);
  const { user } = await as({ 'Impersonate-User': 'system:serviceaccount:shop:bot' }, paths.kubeconfig.admin);
  expect(user?.groups).toEqual(['system:serviceaccounts', 'system:serviceaccounts:shop', 'system:authenticated']);
});
