// SPDX-License-Identifier: Apache-2.0
// `isthmus analyze` over two real clusters: what is wrong between them, and with the ways from one to the other.
import { X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sandboxObstacle, TestSandbox } from './fixture/sandbox.ts';
import { until } from './fixture/waiting.ts';

const obstacle = sandboxObstacle('kubectl');
const BOTH = ['--context', 'cluster1', '--context', 'cluster2', '-A'];

interface Told {
  readonly code: string;
  readonly level: string;
  readonly object: { readonly kind: string; readonly name: string; readonly cluster?: string };
  readonly field?: string;
  readonly message: string;
  readonly cure: string;
}

describe.skipIf(obstacle !== undefined)(`analyze over clusters${obstacle ? ` (skipped: ${obstacle})` : ''}`, () => {
  const sandbox = new TestSandbox('analyze');

  async function analyze(...args: string[]): Promise<{ code: number; told: Told[]; stderr: string }> {
    const { code, stdout, stderr } = await sandbox.isthmus('analyze', ...args, '-o', 'json');
    return { code, told: JSON.parse(stdout) as Told[], stderr };
  }
  const only = async (code: string, ...args: string[]) => (await analyze(...args)).told.filter((t) => t.code === code);
  const kubectl = (cluster: string, ...args: string[]) => sandbox.kubectl('--context', cluster, ...args);

  async function apply(cluster: string, yaml: string): Promise<void> {
    const file = join(sandbox.dir, 'apply.yaml');
    writeFileSync(file, yaml);
    await kubectl(cluster, 'apply', '-f', file);
  }

  async function giveRemoteSecret(name: string, key: string, change: (kubeconfig: string) => string): Promise<void> {
    const flags = ['config', 'view', '--raw', '--minify', '--flatten'];
    const file = join(sandbox.dir, key);
    // Its proxy is this machine’s way in, and not a pod’s.
    const own = (await kubectl('cluster2', ...flags)).replace(/^ *proxy-url: .*\n/m, '');
    writeFileSync(file, change(own));
    await kubectl('cluster1', '-n', 'istio-system', 'create', 'secret', 'generic', name, `--from-file=${file}`);
    await kubectl('cluster1', '-n', 'istio-system', 'label', 'secret', name, 'istio/multiCluster=true');
  }

  async function rootOf(cluster: string): Promise<string> {
    const jsonpath = 'jsonpath={.data.root-cert\\.pem}';
    return kubectl(cluster, '-n', 'istio-system', 'get', 'configmap', 'istio-ca-root-cert', '-o', jsonpath);
  }

  beforeAll(async () => {
    await sandbox.up('--clusters', '2');
    // No cacerts: each cluster makes itself a root of its own.
    await Promise.all(['cluster1', 'cluster2'].map((name) => sandbox.must('install', '--context', name)));
  });

  afterAll(async () => {
    expect(await sandbox.down()).toEqual([]);
  });

  test('roots that differ are said in so many words, with both fingerprints', async () => {
    const [one, two] = [await rootOf('cluster1'), await rootOf('cluster2')].map((pem) => new X509Certificate(pem));
    const { code, told } = await analyze(...BOTH);
    expect(code).toBe(1);
    expect(told).toHaveLength(1);
    expect(told[0]).toMatchObject({ code: 'ISM0312', object: { name: 'istio-ca-root-cert', cluster: 'cluster2' } });
    expect(told[0]?.message).toContain('cluster2 and cluster1 have different roots');
    expect(told[0]?.message).toContain(`cluster1 SHA-256 ${one?.fingerprint256}`);
    expect(told[0]?.message).toContain(`cluster2 SHA-256 ${two?.fingerprint256}`);
    // Each by itself has nothing wrong with it.
    expect(await analyze('--context', 'cluster2', '-A')).toMatchObject({ code: 0, told: [] });
  });

  test('a cluster that is away is told, and the others all the same', async () => {
    const nowhere = ['--server=https://127.0.0.1:1', '--proxy-url='];
    await sandbox.kubectl('config', 'set-cluster', 'nowhere', ...nowhere);
    await sandbox.kubectl('config', 'set-context', 'nowhere', '--cluster=nowhere');
    const { code, told } = await analyze(...BOTH, '--context', 'nowhere');
    expect(code).toBe(1);
    expect(told.map((each) => `${each.code} ${each.object.name}`).sort()).toEqual([
      'ISM0310 nowhere',
      'ISM0312 istio-ca-root-cert',
    ]);
  });

  test('a context that there is not is called wrongly', async () => {
    const { code, stdout, stderr } = await sandbox.isthmus('analyze', ...BOTH, '--context', 'cluser3');
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('cluster1, cluster2');
  });

  test('a namespace has to be in one of the clusters', async () => {
    await kubectl('cluster2', 'create', 'namespace', 'only-there');
    const both = ['--context', 'cluster1', '--context', 'cluster2'];
    expect((await sandbox.isthmus('analyze', ...both, '-n', 'only-there')).code).toBe(1);
    expect(await sandbox.isthmus('analyze', ...both, '-n', 'nowhere')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('there is no namespace nowhere'),
    });
  });

  test('a .global name that the cluster’s DNS asks nobody for: why, and the cure for kube-dns and for CoreDNS', async () => {
    await apply(
      'cluster1',
      `
apiVersion: networking.istio.io/v1alpha3
kind: ServiceEntry
metadata: { name: httpbin-app2, namespace: default }
spec:
  hosts: [httpbin.app2.global]
  location: MESH_INTERNAL
  addresses: [240.0.0.2]
  ports: [{ name: http1, number: 8000, protocol: HTTP }]
  resolution: STATIC
  endpoints: [{ address: 172.31.0.12, ports: { http1: 15443 } }]
`,
    );
    const jsonpath = 'jsonpath={.spec.clusterIP}';
    const address = await kubectl('cluster1', '-n', 'istio-system', 'get', 'svc', 'istiocoredns', '-o', jsonpath);
    const [told, ...more] = await only('ISM0313', '--context', 'cluster1');
    expect(more).toEqual([]);
    expect(told?.message).toContain('httpbin.app2.global does not resolve');
    expect(told?.cure).toMatch(
      new RegExp(`"global": \\["${address}"\\].* ConfigMap kube-dns .*forward \\. ${address}`),
    );
    expect(await only('ISM0313', '--context', 'cluster2')).toEqual([]);
    await apply(
      'cluster1',
      `
apiVersion: v1
kind: ConfigMap
metadata: { name: kube-dns, namespace: kube-system }
data: { stubDomains: '{"global": ["${address}"]}' }
`,
    );
    expect(await only('ISM0313', '--context', 'cluster1')).toEqual([]);
  });

  test('remote Secrets that run or read something, or take a name, are told by key and field, and harm nothing', async () => {
    await giveRemoteSecret('remote-exec', 'runs', (text) =>
      text.replace(/user:$/m, 'user:\n    exec: { command: aws }'),
    );
    await giveRemoteSecret('remote-ca', 'bad-ca', (text) =>
      text.replace(/certificate-authority-data: .*/, 'certificate-authority-data: bm9uZQ=='),
    );
    await giveRemoteSecret('remote-own', 'cluster1', (text) => text);
    const told = (await analyze('--context', 'cluster1')).told.filter(({ object }) => object.kind === 'Secret');
    expect(told.map(({ code, object, field }) => `${code} ${object.name} ${field}`).sort()).toEqual([
      'ISM0309 remote-ca data["bad-ca"]: clusters[0].cluster.certificate-authority-data',
      'ISM0309 remote-exec data["runs"]: users[0].user.exec',
      'ISM0311 remote-own data["cluster1"]',
    ]);
    await until('a control plane that is ready', async () => !(await only('ISM0302', '--context', 'cluster1')).length);
  });

  test('what only a watched cluster has is known where its context is named too', async () => {
    await giveRemoteSecret('remote-sound', 'n2-k8s-config', (text) => text);
    await apply(
      'cluster2',
      `
apiVersion: v1
kind: Service
metadata: { name: only-there, namespace: default }
spec: { ports: [{ name: http, port: 5000 }] }
`,
    );
    await apply(
      'cluster1',
      `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: only-there, namespace: default }
spec:
  hosts: [only-there]
  http: [{ route: [{ destination: { host: only-there } }] }]
`,
    );
    const alone = await analyze('--context', 'cluster1');
    expect(alone.told.map(({ code, object }) => `${code} ${object.name}`)).toContain('IST0101 only-there');
    expect(alone.stderr).toContain('n2-k8s-config (Secret remote-sound)');
    expect(await only('IST0101', ...BOTH)).toEqual([]);
  });

  test('Istio’s codes live: a namespace nobody decided about, a pod without a sidecar; what is suppressed is quiet', async () => {
    await kubectl('cluster2', 'create', 'deployment', 'bare', '--image=nginx');
    const at = ['--context', 'cluster2'];
    await until('a remark', async () => (await only('IST0102', ...at)).length === 1);
    await kubectl('cluster2', 'label', 'namespace', 'default', 'istio-injection=enabled');
    const [pod] = await only('IST0103', ...at);
    expect(pod).toMatchObject({ level: 'warning', object: { kind: 'Pod', name: expect.stringMatching(/^bare-/) } });
    expect(await only('IST0103', ...at, '--suppress', 'IST0103=Pod bare-*')).toEqual([]);
    expect(await only('IST0103', ...at, '--output-threshold', 'error')).toEqual([]);
    const { stdout } = await sandbox.must('describe', 'pod', `${pod?.object.name}.default`, ...at);
    expect(stdout).toContain('Proxy: none: namespace default is enabled for injection; the pod is older than that');
    expect(stdout).toContain('[IST0103]');
    await kubectl('cluster2', 'delete', 'deployment', 'bare');
  });

  test('what a gateway’s proxy has, by its own admin interface; the dump can be looked at later, and has no key', async () => {
    const gateway = ['deploy/istio-ingressgateway.istio-system', '--context', 'cluster2'];
    const pc = async (...args: string[]) => (await sandbox.must('proxy-config', ...args)).stdout;
    expect(await pc('listener', ...gateway, '--port', '15443')).toMatch(
      /SNI: outbound_\..*; Trans: tls +Cluster: outbound_/,
    );
    expect(await pc('secret', ...gateway)).toMatch(/^default +Cert Chain +ACTIVE +true .* cluster\.local +\d+h$/m);
    expect(JSON.parse(await pc('cluster', ...gateway, '--fqdn', 'only-there', '-o', 'json'))).toMatchObject([
      { name: expect.stringMatching(/only-there/) },
    ]);
    const dump = await pc('all', ...gateway, '-o', 'json');
    expect(dump).not.toMatch(/PRIVATE KEY/);
    const file = join(sandbox.dir, 'dump.json');
    writeFileSync(file, dump);
    expect(await pc('route', '-f', file)).toMatch(/^NAME +VHOST NAME +DOMAINS +MATCH +VIRTUAL SERVICE/);
    const missing = await sandbox.isthmus('pc', 'c', 'istio-ingresgateway.istio-system', '--context', 'cluster2');
    expect(missing).toMatchObject({ code: 1, stderr: expect.stringContaining('there is no pod istio-ingresgateway') });
  });

  test('the control plane itself tells of a watched cluster with another root', async () => {
    const fingerprints = await Promise.all(
      ['cluster1', 'cluster2'].map(async (name) => new X509Certificate(await rootOf(name)).fingerprint256),
    );
    await until('a remark', async () => {
      const [told] = await only('ISM0312', '--context', 'cluster1');
      if (told === undefined) return false;
      expect(told.object).toMatchObject({ kind: 'Secret', name: 'remote-sound' });
      return fingerprints.every((fingerprint) => told.message.includes(fingerprint));
    });
    expect(await only('ISM0312', ...BOTH)).toHaveLength(1);
  });

  test('a gateway of meshNetworks that lost its last pod is told where its cluster is looked at', async () => {
    const ofGateway = (...args: string[]) => kubectl('cluster2', '-n', 'istio-system', ...args);
    const jsonpath = 'jsonpath={.status.loadBalancer.ingress[0].ip}';
    const address = await ofGateway('get', 'svc', 'istio-ingressgateway', '-o', jsonpath);
    const file = join(sandbox.dir, 'networks.yaml');
    const config = (port: number) => `
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data:
  meshNetworks: |
    networks:
      network2:
        endpoints: [{ fromRegistry: n2-k8s-config }]
        gateways: [{ address: ${address}, port: ${port} }]
`;
    writeFileSync(file, config(444));
    const [wrong, ...others] = await only('ISM0317', ...BOTH, '-f', file);
    expect(others).toEqual([]);
    expect(wrong?.message).toContain('Service istio-system/istio-ingressgateway of cluster2, which has no port 444');
    writeFileSync(file, config(443));
    await ofGateway('rollout', 'status', 'deployment', 'istio-ingressgateway');
    expect(await only('ISM0317', ...BOTH, '-f', file)).toEqual([]);
    await ofGateway('scale', 'deployment', 'istio-ingressgateway', '--replicas=0');
    await until('a remark', async () => {
      const [dead] = await only('ISM0317', ...BOTH, '-f', file);
      return dead?.message.includes(`${address}:443 of network network2 is Service`) === true;
    });
    expect(await only('ISM0317', '--context', 'cluster1', '-f', file)).toEqual([]);
  });
});
