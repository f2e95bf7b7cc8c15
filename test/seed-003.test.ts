// SPDX-License-Identifier: Apache-2.0
// Seed 003, "replicated control planes, connected by gateways": the page's own commands, in its order, and what it says one
// sees, on real traffic and in the logs of every proxy on the way.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run, sandboxObstacle, TestSandbox } from './fixture/sandbox.ts';
import { gatewayAddress, linesWith, SeedScenario, testStepsAreThePage, waitForPods } from './seeds/scenario.ts';

const obstacle = sandboxObstacle('kubectl');
const HOST = 'httpbin.bar.global';
const SNI = `outbound_.8000_._.${HOST}`;
const IDENTITY = 'spiffe://cluster.local/ns/bar/sa/httpbin';

testStepsAreThePage('003', 'prompted');

describe.skipIf(obstacle !== undefined)(`seed 003 on a sandbox${obstacle ? ` (skipped: ${obstacle})` : ''}`, () => {
  const sandbox = new TestSandbox('seed003');
  const scenario = new SeedScenario('003', sandbox);
  let gateway2 = '';
  const inSleep = (...command: string[]) =>
    run(
      'kubectl',
      ['--context', 'cluster1', '-n', 'foo', 'exec', 'deploy/sleep', '-c', 'sleep', '--', ...command],
      sandbox.env,
    );
  /** What curl says of one request of step 11's kind: its status, or why there was none. */
  const call = async (agent: string): Promise<string> => {
    const { stdout, stderr } = await inSleep('curl', '-sS', '-I', '-m', '8', '-A', agent, `${HOST}:8000/headers`);
    return /^HTTP\/1.1 (\d+)/.exec(stdout)?.[1] ?? stderr.split('\n')[0]!;
  };
  const untilCalled = (expected: string | RegExp) =>
    expect.poll(() => call('wait'), { timeout: 40_000, interval: 250 }).toMatch(expected);
  const sidecarLog = (): Promise<string> =>
    sandbox.kubectl('--context', 'cluster1', '-n', 'foo', 'logs', 'deploy/sleep', '-c', 'istio-proxy');
  const inSystem = (context: string, ...args: string[]): Promise<string> =>
    sandbox.kubectl('--context', context, '-n', 'istio-system', ...args);
  const gatewayLog = (context: string, role: string): Promise<string> =>
    inSystem(context, 'logs', `deploy/istio-${role}gateway`);
  /** The lines of the sidecar's log about these requests, as soon as all of them are written. */
  const logged = async (agent: string, count: number): Promise<string[]> => {
    await expect
      .poll(async () => linesWith(await sidecarLog(), `"${agent}"`).length, { timeout: 30_000, interval: 250 })
      .toBe(count);
    return linesWith(await sidecarLog(), `"${agent}"`);
  };
  const egressAddress = (): Promise<string> =>
    inSystem('cluster1', 'get', 'svc', 'istio-egressgateway', '-o', 'jsonpath={.spec.clusterIP}');

  beforeAll(async () => {
    await sandbox.up();
    await scenario.setup();
  });

  afterAll(async () => {
    expect(await sandbox.down()).toEqual([]);
  });

  test('a control plane in each cluster, by istioctl, with both gateways', async () => {
    await scenario.step(1);
    for (const context of ['cluster1', 'cluster2']) {
      for (const ready of await waitForPods(sandbox, context, 'istio-system')) expect(ready).toMatch(/^(\d)\/\1$/);
      for (const app of ['istio-ingressgateway', 'istio-egressgateway', 'istiocoredns']) {
        const found = await inSystem(context, 'get', 'pod', '-l', `app=${app}`, '-o', 'name');
        expect(found.trim().split('\n'), `${context} ${app}`).toHaveLength(1);
      }
    }
  });

  test('sleep runs in cluster1, httpbin in cluster2', async () => {
    await scenario.step(2);
    expect(await scenario.step(5)).toMatch(/^\* +cluster1 +cluster1 +\S+ +default$/m);
    await scenario.step(6);
    await scenario.step(7);
    await scenario.step(8);
    expect(await waitForPods(sandbox, 'cluster1', 'foo')).toEqual(['2/2']);
    expect(await waitForPods(sandbox, 'cluster2', 'bar')).toEqual(['2/2']);
  });

  test('sleep calls httpbin by its global name, by mutual TLS to cluster2’s gateway', async () => {
    expect(await call('unknown')).toContain('Could not resolve host');
    await scenario.step(9);
    gateway2 = await gatewayAddress(sandbox, 'cluster2');
    await scenario.step(10);
    await untilCalled('200');
    expect(await scenario.step(11)).toMatch(/^HTTP\/1\.1 200 OK/);
    expect(await call('direct')).toBe('200');
    const [line] = await logged('direct', 1);
    for (const word of [`"${gateway2}:15443"`, `outbound|8000||${HOST}`, '240.0.0.2:8000', 'TLSv1.3', IDENTITY])
      expect(line).toContain(word);
  });

  test.each([
    ['kube-dns’ stub domain', 'kube-dns', undefined],
    ['CoreDNS’ proxy', 'coredns', 3],
    ['CoreDNS’ forward', 'coredns', 4],
  ] as const)('the name is known by %s, and by nothing else', async (_, configMap, step) => {
    if (step !== undefined) await scenario.step(step);
    await untilCalled('200');
    await sandbox.kubectl('--context', 'cluster1', '-n', 'kube-system', 'delete', 'configmap', configMap);
    await untilCalled('Could not resolve host');
  });

  test('without a load balancer, a node and its port take the place of the gateway’s address and 15443', async () => {
    await scenario.step(4);
    const ofNode = 'jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}';
    const node = await inSystem('cluster2', 'get', 'nodes', '-o', ofNode);
    const ofPort = 'jsonpath={.spec.ports[?(@.port==15443)].nodePort}';
    const port = await inSystem('cluster2', 'get', 'svc', 'istio-ingressgateway', '-o', ofPort);
    await scenario.bash(
      scenario
        .script(10)
        .replace(/\$\{CLUSTER2_GW_ADDR\}/, node)
        .replace('http1: 15443', `http1: ${port}`),
    );
    await untilUpstream('node-port', `${node}:${port}`);
  });

  test.each([
    ['its address (STATIC)', 13],
    ['its name (DNS)', 14],
  ] as const)(
    'by the egress gateway, given by %s: three logs show the way, and no other was taken',
    async (_, step) => {
      if (step === 13) await scenario.step(12);
      await scenario.step(step);
      const egress = `${await egressAddress()}:15443`;
      await untilUpstream(`to-egress-${step}`, egress);
      const agent = `counted-${step}`;
      for (let i = 0; i < 5; i++) expect(await call(agent)).toBe('200');
      for (const line of await logged(agent, 5)) {
        expect(line).toContain(`"${egress}"`);
        expect(line).toContain(`TLSv1.3 ${IDENTITY}`);
      }
      await expect.poll(() => gatewayLog('cluster1', 'egress')).toMatch(passedOn(`${gateway2}:15443`, SNI));
      await expect
        .poll(() => gatewayLog('cluster2', 'ingress'))
        .toMatch(passedOn('10.2.\\d+.\\d+:80', 'outbound_.8000_._.httpbin.bar.svc.cluster.local'));
    },
  );

  test('from one to the other, and back to the direct way, nothing is lost', async () => {
    const load = inSleep('node', '-e', LOAD, `http://${HOST}:8000/headers`, END_OF_LOAD, '30');
    for (const step of [13, 10, 14]) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      await scenario.step(step);
    }
    await untilUpstream('last-step', `${await egressAddress()}:15443`);
    await inSleep('touch', END_OF_LOAD);
    const { sent, failed } = JSON.parse((await load).stdout) as { sent: number; failed: string[] };
    expect(sent).toBeGreaterThan(30);
    expect(failed).toEqual([]);
  });

  test('no egress gateway, no way out: sidecars do not go there themselves', async () => {
    const scale = (replicas: number) =>
      inSystem('cluster1', 'scale', 'deploy/istio-egressgateway', `--replicas=${replicas}`);
    await scale(0);
    // It would serve whoever is connected for seconds more.
    const now = ['--force', '--grace-period=0', '--ignore-not-found'];
    await inSystem('cluster1', 'delete', 'pod', '-l', 'app=istio-egressgateway', ...now);
    await untilCalled('503');
    await scale(1);
    await untilCalled('200');
  });

  test('the egress gateway carries nothing else', async () => {
    const egress = await egressAddress();
    const dial = async (...sni: string[]) => (await inSleep('node', '-e', DIAL, egress, '15443', ...sni)).stdout;
    expect(await dial(SNI)).toBe('handshake');
    for (const name of [
      'www.example.com',
      'outbound_.8000_._.other.bar.global',
      'outbound_.8000_._.httpbin.bar.svc.cluster.local',
      'outbound_.80_._.sleep.foo.global',
    ])
      expect(await dial(name), name).toBe('refused');
    expect(await dial(), 'plaintext').toBe('refused');
    // What it serves of HTTP, Gateways would have to say; there is none.
    expect((await inSleep('curl', '-sSf', '-m', '5', 'http://istio-egressgateway.istio-system/')).code).not.toBe(0);
    await expect.poll(() => gatewayLog('cluster1', 'egress')).toContain(' NR filter_chain_not_found ');
  });

  test('a Gateway on 15443 by hand is warned of', async () => {
    const applied = await scenario.bash(`kubectl --context cluster1 -n foo apply -f - <<EOF\n${GATEWAY_BY_HAND}EOF`);
    expect(applied.stderr).toContain('Warning: spec.servers[0].port.number: 15443 is where gateways take');
    const at = ['--context', 'cluster1', '-n', 'foo'];
    await expect
      .poll(() => sandbox.kubectl(...at, 'get', 'gateway', 'by-hand', '-o', 'jsonpath={.status}'), { timeout: 20_000 })
      .toContain('ISM0013');
    expect((await sandbox.isthmus('analyze', ...at)).stdout).toContain('[ISM0013] (Gateway foo/by-hand)');
    await sandbox.kubectl(...at, 'delete', 'gateway', 'by-hand');
    expect((await sandbox.isthmus('analyze', ...at)).stdout).toContain('Nothing to remark on');
  });

  test('endpoints with labels have subsets, which the other cluster tells apart', async () => {
    await scenario.step(17);
    await scenario.bash(`kubectl --context cluster1 -n foo apply -f - <<EOF\n${SUBSET_HERE}EOF`);
    await scenario.bash(`kubectl --context cluster2 -n bar apply -f - <<EOF\n${SUBSET_THERE}EOF`);
    await untilCalled('200');
    await expect
      .poll(
        async () => (await call('v1')) && linesWith(await sidecarLog(), '"v1"', `outbound|8000|v1|${HOST}`).length,
        { timeout: 40_000 },
      )
      .toBeGreaterThan(0);
    await expect.poll(() => gatewayLog('cluster2', 'ingress')).toContain(` outbound_.8000_.v1_.${HOST} `);
  });

  test('the cleaning-up leaves the mesh, and the uninstallation nothing', async () => {
    await scenario.step(15);
    await scenario.step(16);
    await scenario.step(18);
    for (const context of ['cluster1', 'cluster2']) {
      const kinds =
        'ns,crd,clusterrole,clusterrolebinding,mutatingwebhookconfiguration,validatingwebhookconfiguration,configmap,secret,svc,deploy';
      const left = await sandbox.kubectl('--context', context, 'get', kinds, '-A', '-o', 'name');
      expect(
        left.split('\n').filter((name) => /istio|isthmus|\/(foo|bar)$/.test(name) && !name.includes('system:')),
      ).toEqual([]);
    }
  });

  async function untilUpstream(agent: string, address: string): Promise<void> {
    await expect.poll(() => upstreamOf(agent), { timeout: 40_000 }).toBe(address);
  }

  /** Calls once, and says where the sidecar went for it. */
  async function upstreamOf(agent: string): Promise<string | undefined> {
    const own = `${agent}-${performance.now()}`;
    await call(own);
    const [line] = await logged(own, 1);
    return /"([^"]+)" outbound\|/.exec(line!)?.[1];
  }
});

/** A gateway's line about the TLS that it passed on to `upstream`, both as patterns. */
function passedOn(upstream: string, cluster: string): RegExp {
  return new RegExp(`"${upstream}" ${cluster} \\S+ \\S+ \\S+ ${SNI} `);
}

const END_OF_LOAD = '/tmp/end-of-load';

/** `node -e LOAD URL END EVERY_MS`: requests at a steady rate, whatever becomes of them, until the file END is there. */
const LOAD = `
const [url, end, everyMs] = process.argv.slice(1);
const calls = [];
const timer = setInterval(() => {
  if (require('node:fs').existsSync(end)) return finish();
  calls.push(fetch(url, { signal: AbortSignal.timeout(8000) }).then((r) => (r.ok ? undefined : String(r.status)), String));
}, Number(everyMs));
async function finish() {
  clearInterval(timer);
  const failed = (await Promise.all(calls)).filter((failure) => failure !== undefined);
  process.stdout.write(JSON.stringify({ sent: calls.length, failed }), () => process.exit(0));
}`;

/** `node -e DIAL ADDRESS PORT [SNI]`: opens TLS, or sends plaintext, and says what became of it. */
const DIAL = `
const [host, port, servername] = process.argv.slice(1);
const end = (what) => process.stdout.write(what, () => process.exit(0));
const socket = servername
  ? require('node:tls').connect({ host, port, servername, rejectUnauthorized: false })
  : require('node:net').connect(port, host, () => socket.write('GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'));
socket.on('secureConnect', () => end('handshake')).on('data', (data) => end('answered: ' + data));
socket.on('error', () => end('refused')).on('close', () => end('refused'));
socket.setTimeout(8000, () => end('no answer'));`;

const GATEWAY_BY_HAND = `
apiVersion: networking.istio.io/v1alpha3
kind: Gateway
metadata: { name: by-hand }
spec:
  selector: { istio: ingressgateway }
  servers:
    - port: { number: 15443, name: tls, protocol: TLS }
      hosts: ["*.example.com"]
      tls: { mode: PASSTHROUGH }
`;

const SUBSET_HERE = `
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: { name: httpbin-bar }
spec:
  host: ${HOST}
  subsets: [{ name: v1, labels: { cluster: cluster2 } }]
---
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: { name: httpbin-bar }
spec:
  hosts: [${HOST}]
  http: [{ route: [{ destination: { host: ${HOST}, subset: v1 } }] }]
`;

const SUBSET_THERE = `
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: { name: httpbin }
spec:
  host: httpbin.bar.svc.cluster.local
  subsets: [{ name: v1, labels: { version: v1 } }]
`;
