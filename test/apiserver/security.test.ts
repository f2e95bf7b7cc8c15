// SPDX-License-Identifier: Apache-2.0
// Stock kubectl against the whole API server: who comes in, what he may do, webhooks, and the way to a kubelet.
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { json, text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { generateKeyPair, issueCertificate, privateKeyPem } from '../../src/pki/x509.ts';
import { handleExecUpgrade } from '../../src/sandbox/node/streaming/exec-server.ts';
import { findProgram } from '../fixture/sandbox.ts';
import { type ApiFixture, rawStatus, startApi } from './api-fixture.ts';

// Skipped where there is no kubectl on PATH.
describe.skipIf(!findProgram('kubectl'))('the API server with stock kubectl', () => {
  let api: ApiFixture;
  let closing: Server[] = [];

  beforeAll(async () => {
    api = await startApi('c1');
    await api.run(['create', 'namespace', 'shop']);
    for (const name of ['default', 'bot']) await api.run(['create', 'serviceaccount', name, '-n', 'shop']);
  });
  afterEach(() => {
    for (const server of closing) {
      server.closeAllConnections();
      server.close();
    }
    closing = [];
  });
  afterAll(() => api.stop());

  test('anonymous users and wrong credentials get nothing but the health of the server', async () => {
    expect(await rawStatus(api, '/version')).toBe(200);
    expect(await rawStatus(api, '/readyz')).toBe(200);
    expect(await rawStatus(api, '/api')).toBe(403);
    expect(await rawStatus(api, '/api/v1/pods')).toBe(403);
    expect(await rawStatus(api, '/api/v1/pods', 'Bearer wrong')).toBe(401);
    expect(await rawStatus(api, '/version', 'Bearer wrong')).toBe(401);
    const { stderr } = await api.kubectl(['get', 'configmaps'], { token: 'wrong' });
    expect(stderr).toContain('error: You must be logged in to the server');
  });

  test('a service account does what its bindings allow, as recorded', async () => {
    const token = await api.token('shop', 'bot');
    const as = (args: string[]) => api.kubectl([...args, '-n', 'shop'], { token });
    expect((await as(['get', 'configmaps'])).stderr).toBe(
      'Error from server (Forbidden): configmaps is forbidden: User "system:serviceaccount:shop:bot" cannot list resource "configmaps" in API group "" in the namespace "shop"\n',
    );
    expect((await as(['auth', 'can-i', 'list', 'configmaps'])).stdout).toBe('no\n');
    await api.run(['create', 'role', 'reader', '-n', 'shop', '--verb=get,list,watch', '--resource=configmaps']);
    await api.run(['create', 'rolebinding', 'reader', '-n', 'shop', '--role=reader', '--serviceaccount=shop:bot']);
    expect((await as(['auth', 'can-i', 'list', 'configmaps'])).stdout).toBe('yes\n');
    expect(await as(['get', 'configmaps', '-o', 'name'])).toMatchObject({ code: 0 });
    expect((await as(['get', 'secrets'])).code).toBe(1);
    expect(await api.whoami(token)).toBe('system:serviceaccount:shop:bot');
  });

  test('a token for somebody else, of another cluster, or of a lost account is refused', async () => {
    const forMesh = await api.token('shop', 'bot', { audiences: ['istio-ca'] });
    expect((await api.kubectl(['get', 'pods'], { token: forMesh })).stderr).toContain('Unauthorized');
    await api.run(['create', 'serviceaccount', 'gone', '-n', 'shop']);
    const token = await api.token('shop', 'gone');
    expect(await api.whoami(token)).toBe('system:serviceaccount:shop:gone');
    await api.run(['delete', 'serviceaccount', 'gone', '-n', 'shop']);
    expect(await api.whoami(token)).toBe('');
    await api.run(['create', 'serviceaccount', 'gone', '-n', 'shop']);
    expect(await api.whoami(token)).toBe('');
    const other = await startApi('c2');
    try {
      await other.run(['create', 'namespace', 'shop']);
      await other.run(['create', 'serviceaccount', 'bot', '-n', 'shop']);
      const foreign = await other.token('shop', 'bot');
      expect(await other.whoami(foreign)).toBe('system:serviceaccount:shop:bot');
      expect(await api.whoami(foreign)).toBe('');
    } finally {
      await other.stop();
    }
  });

  test('impersonation needs the right to it, and nobody grants what he does not have', async () => {
    await api.run(['create', 'clusterrolebinding', 'jane', '--clusterrole=view', '--user=jane']);
    await api.run([
      'create',
      'role',
      'maker',
      '-n',
      'shop',
      '--verb=create',
      '--resource=roles.rbac.authorization.k8s.io',
    ]);
    await api.run(['create', 'rolebinding', 'maker', '-n', 'shop', '--role=maker', '--user=jane']);
    const big = ['create', 'role', 'big', '-n', 'shop', '--verb=*', '--resource=secrets', '--as', 'jane'];
    expect((await api.kubectl(big)).stderr).toBe(
      'Error from server (Forbidden): roles.rbac.authorization.k8s.io "big" is forbidden: user "jane" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["secrets"], Verbs:["*"]}\n',
    );
    const token = await api.token('shop', 'bot');
    const { stderr } = await api.kubectl(['get', 'pods', '--as', 'jane'], { token });
    expect(stderr).toContain(
      'users "jane" is forbidden: User "system:serviceaccount:shop:bot" cannot impersonate resource "users"',
    );
  });

  test('a pod comes out with its token volume; a legacy secret is filled', async () => {
    await api.apply({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'old', namespace: 'shop', annotations: { 'kubernetes.io/service-account.name': 'bot' } },
      type: 'kubernetes.io/service-account-token',
    });
    await expect
      .poll(() => api.run(['get', 'secret', 'old', '-n', 'shop', '-o', 'jsonpath={.data.token}']))
      .not.toBe('');
    const encoded = await api.run(['get', 'secret', 'old', '-n', 'shop', '-o', 'jsonpath={.data.token}']);
    const token = Buffer.from(encoded, 'base64').toString();
    expect(await api.whoami(token)).toBe('system:serviceaccount:shop:bot');
    await addPod('plain');
    const volumes = await api.run(['get', 'pod', 'plain', '-n', 'shop', '-o', 'jsonpath={.spec.volumes[0].name}']);
    expect(volumes).toMatch(/^kube-api-access-/);
  });

  test('webhooks change, warn and refuse', async () => {
    const hook = await startWebhook((path, request) => {
      if (path === '/validate')
        return { allowed: request.name !== 'no', status: { message: 'not this one', code: 403 } };
      const patch = [{ op: 'add', path: '/data/injected', value: request.operation }];
      return {
        allowed: true,
        patchType: 'JSONPatch',
        patch: Buffer.from(JSON.stringify(patch)).toString('base64'),
        warnings: ['a warning of the webhook'],
      };
    });
    await api.apply(hook.configuration('MutatingWebhookConfiguration', '/mutate'));
    await api.apply(hook.configuration('ValidatingWebhookConfiguration', '/validate'));
    const made = await api.kubectl(['create', 'configmap', 'yes', '-n', 'shop', '--from-literal=a=1']);
    expect(made).toMatchObject({ code: 0, stderr: 'Warning: a warning of the webhook\n' });
    expect(JSON.parse(await api.run(['get', 'configmap', 'yes', '-n', 'shop', '-o', 'jsonpath={.data}']))).toEqual({
      a: '1',
      injected: 'CREATE',
    });
    const refused = await api.kubectl(['create', 'configmap', 'no', '-n', 'shop', '--from-literal=a=1']);
    expect(refused.stderr).toContain('admission webhook "configmaps.example.com" denied the request: not this one');
    for (const kind of ['mutating', 'validating']) await api.run(['delete', `${kind}webhookconfiguration`, 'test']);
  });

  for (const webSockets of [false, true]) {
    const name = webSockets ? 'WebSocket where kubectl knows it' : 'SPDY';
    test(`exec and logs reach the kubelet (${name})`, async () => {
      await startKubelet();
      await addPod('web', 'c1-node');
      const env = { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: String(webSockets) };
      const outcome = await api.kubectl(['exec', '-i', 'web', '-n', 'shop', '--', 'cat'], { stdin: 'through', env });
      expect(outcome).toMatchObject({ code: 7, stdout: 'THROUGH' });
      expect(await api.run(['logs', 'web', '-n', 'shop', '--tail', '1'])).toBe(
        'GET /containerLogs/shop/web/c?tailLines=1\n',
      );
      const token = await api.token('shop', 'bot');
      const forbidden = await api.kubectl(['exec', 'web', '-n', 'shop', '--', 'cat'], { token, env });
      expect(forbidden.code).toBe(1);
    });
  }

  test('nothing went wrong inside the server meanwhile', () => {
    expect(api.problems).toEqual([]);
  });

  async function addPod(name: string, nodeName?: string): Promise<void> {
    await api.apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'shop' },
      spec: { nodeName, containers: [{ name: 'c', image: 'example/c:1' }] },
    });
  }

  /** A node whose kubelet upper-cases what it is given and exits with 7. */
  async function startKubelet(): Promise<void> {
    const read = (path: string) => readFileSync(path, 'utf8');
    const { kubeletCert, kubeletKey, caCert } = api.paths;
    const tls = { cert: read(kubeletCert), key: read(kubeletKey), ca: read(caCert), requestCert: true };
    const server = createServer(tls, (req, res) => res.end(`${req.method} ${req.url}\n`));
    server.on('upgrade', (req, socket, head) => {
      void handleExecUpgrade(req, socket, head, async (io) => {
        io.stdout.write((await text(io.stdin!)).toUpperCase());
        return { exitCode: 7 };
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closing.push(server);
    const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'c1-node' } };
    await api.apply(node);
    const status = {
      addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
      daemonEndpoints: { kubeletEndpoint: { Port: (server.address() as AddressInfo).port } },
    };
    // `--subresource` needs kubectl 1.24.
    const stdin = JSON.stringify({ ...node, status });
    await api.run(['replace', '--raw', '/api/v1/nodes/c1-node/status', '-f', '-'], { stdin });
  }

  interface WebhookFixture {
    configuration(kind: string, path: string): object;
  }

  async function startWebhook(
    answer: (path: string, request: { name: string; operation: string }) => object,
  ): Promise<WebhookFixture> {
    const ca = generateKeyPair();
    const leaf = generateKeyPair();
    const validity = { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 600_000) };
    const certPem = issueCertificate({
      subject: { commonName: 'hook-ca' },
      publicKey: ca.publicKey,
      selfKey: ca.privateKey,
      isCa: true,
      ...validity,
    });
    const cert = issueCertificate({
      subject: { commonName: 'hook' },
      publicKey: leaf.publicKey,
      issuer: { certPem, key: ca.privateKey },
      ipAddresses: ['127.0.0.1'],
      usages: ['serverAuth'],
      ...validity,
    });
    const server = createServer({ cert, key: privateKeyPem(leaf.privateKey) }, async (req, res) => {
      const review = (await json(req)) as { request: { uid: string; name: string; operation: string } };
      const path = new URL(req.url ?? '/', 'https://x').pathname;
      const response = { uid: review.request.uid, ...answer(path, review.request) };
      res.end(JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closing.push(server);
    const { port } = server.address() as AddressInfo;
    return {
      configuration: (kind, path) => ({
        apiVersion: 'admissionregistration.k8s.io/v1',
        kind,
        metadata: { name: 'test' },
        webhooks: [
          {
            name: 'configmaps.example.com',
            clientConfig: {
              url: `https://127.0.0.1:${port}${path}`,
              caBundle: Buffer.from(certPem).toString('base64'),
            },
            rules: [{ operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['configmaps'] }],
            namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'shop' } },
            sideEffects: 'None',
            admissionReviewVersions: ['v1'],
            timeoutSeconds: 3,
          },
        ],
      }),
    };
  }
});
