// SPDX-License-Identifier: Apache-2.0
// Bad objects, refusals, certificates that live for seconds, and an API server that is killed: all of it while 200
// requests per second go through the gateway, over mutual TLS, to the pods behind it.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, type TestContext, test } from 'vitest';
import { rounds } from '../fixture/counts.ts';
import { findProgram, processesOfSandbox, root, sandboxObstacle, TestSandbox } from '../fixture/sandbox.ts';
import { until } from '../fixture/waiting.ts';
import { Load } from './load-generator.ts';
import { judgeLosses } from './sandbox-under-load.ts';

const obstacle = sandboxObstacle('kubectl');
const RATE = 200;
/** So that they are renewed every six seconds. */
const LIFETIME_S = 12;
/** Of killing the API server. */
const ROUNDS = rounds(2);

describe.skipIf(obstacle !== undefined)(`a mesh in trouble${obstacle ? ` (skipped: ${obstacle})` : ''}`, () => {
  const sandbox = new TestSandbox('objects');
  const kubectl = (...args: string[]) => sandbox.kubectl(...args);
  let load: Load | undefined;

  const apply = async (yaml: string) => {
    const file = join(sandbox.dir, 'apply.yaml');
    writeFileSync(file, yaml);
    return sandbox.bash(`kubectl apply -f ${file}`);
  };
  const conditions = (kind: string, name: string) =>
    kubectl('get', kind, name, '-o', 'jsonpath={range .status.conditions[*]}{.type}={.status} {.message}{"\\n"}{end}');
  const istiodLog = () => kubectl('logs', '-n', 'istio-system', 'deploy/istiod', '--tail', '400');

  /** Sum of a counter of the control plane over the label values that `pick` takes. */
  async function counter(name: string, pick: (labels: string) => boolean = () => true): Promise<number> {
    const script = "fetch('http://127.0.0.1:15014/metrics').then((r) => r.text()).then(console.log)";
    const node = '/opt/isthmus/bin/node';
    const text = await kubectl('exec', '-n', 'istio-system', 'deploy/istiod', '--', node, '-e', script);
    return [...text.matchAll(new RegExp(`^${name}(\\{.*?\\})? (\\S+)$`, 'gm'))]
      .filter(([, labels = '']) => pick(labels))
      .reduce((sum, [, , value]) => sum + Number(value), 0);
  }

  function startLoad(): Load {
    const url = `${sandbox.gateway('cluster1').href}hello`;
    load = new Load({ targets: [{ name: 'hello', url }], ratePerSecond: RATE, timeoutMs: 5_000 });
    return load;
  }

  async function demandNoLoss(running: Load, context: TestContext): Promise<void> {
    const report = await running.stop();
    judgeLosses(report, context, report.failed);
    expect(report.answered).toBeGreaterThan(RATE);
  }

  beforeAll(async () => {
    await sandbox.up('--clusters', '1');
    await sandbox.must('install', '--context', 'cluster1', '--set', `security.workloadCertTtl=${LIFETIME_S}s`);
    await kubectl('label', 'namespace', 'default', 'istio-injection=enabled');
    await kubectl('apply', '-f', join(root, 'test/faults/objects.yaml'));
    await kubectl('wait', '--for=condition=Ready', 'pod', '--all', '--timeout=120s');
    const url = `${sandbox.gateway('cluster1').href}hello`;
    await until('an answer', async () => (await fetch(url)).status === 200);
  });

  afterEach(() => load?.kill());

  afterAll(async () => {
    expect(await sandbox.down()).toEqual([]);
  });

  const UNOBEYABLE = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: bad }
spec:
  hosts: [helloworld]
  http:
  - route:
    - { destination: { host: helloworld }, weight: 0 }
    - { destination: { host: helloworld }, weight: 0 }
`;

  test('a bad object that nobody kept out says why, harms nothing, and is gone without a trace', async (context) => {
    const running = startLoad();
    const refused = await apply(UNOBEYABLE);
    expect(refused.stderr).toContain('ISM0008');
    // As for objects that are older than the rule, or than the webhook.
    await kubectl('delete', 'validatingwebhookconfiguration', 'istio-validator');
    expect(await apply(UNOBEYABLE)).toMatchObject({ code: 0 });
    await until('its status', async () => /^Reconciled=False .*ISM0008/m.test(await conditions('vs', 'bad')));
    const found = await sandbox.isthmus('analyze', '-o', 'json');
    expect(found.code).toBe(1);
    expect(JSON.parse(found.stdout)).toMatchObject([
      {
        code: 'IST0106',
        detail: 'ISM0008',
        level: 'error',
        object: { kind: 'VirtualService', name: 'bad' },
        field: 'spec.http[0].route',
      },
    ]);
    expect(await conditions('vs', 'edge')).toBe('');
    await kubectl(
      'patch',
      'vs',
      'bad',
      '--type=json',
      '-p',
      '[{"op":"replace","path":"/spec/http/0/route/0/weight","value":100}]',
    );
    await until('no status', async () => (await conditions('vs', 'bad')) === '');
    expect((await sandbox.isthmus('analyze')).code).toBe(0);
    await kubectl('delete', 'vs', 'bad');
    await demandNoLoss(running, context);
  });

  test('what only Envoy refuses is told by status, event, log, metric and analyze, until it is mended', async (context) => {
    const running = startLoad();
    const rule = (file: string) => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: elsewhere }
spec: { host: elsewhere, trafficPolicy: { tls: { mode: SIMPLE${file} } } }
---
apiVersion: v1
kind: Service
metadata: { name: elsewhere }
spec: { ports: [{ name: http, port: 8080 }] }
`;
    expect(await apply(rule(', caCertificates: /no/such/file'))).toMatchObject({ code: 0 });
    await until('its status', async () =>
      /^Programmed=False .*\/no\/such\/file/m.test(await conditions('dr', 'elsewhere')),
    );
    expect(await kubectl('describe', 'dr', 'elsewhere')).toMatch(/Warning +RefusedByEnvoy .*\/no\/such\/file/);
    expect((await sandbox.isthmus('analyze')).stdout).toMatch(
      /Error \[ISM0201\] \(DestinationRule default\/elsewhere\).*\/no\/such/,
    );
    expect(await istiodLog()).toMatch(/"DestinationRule default\/elsewhere".*Envoy refused a resource/);
    expect(await counter('isthmus_diagnostics', (labels) => labels.includes('error'))).toBe(1);
    expect(await apply(rule(''))).toMatchObject({ code: 0 });
    await until('no status', async () => (await conditions('dr', 'elsewhere')) === '');
    expect((await sandbox.isthmus('analyze')).code).toBe(0);
    expect(await counter('isthmus_diagnostics', (labels) => labels.includes('error'))).toBe(0);
    await kubectl('delete', 'dr/elsewhere', 'svc/elsewhere');
    await demandNoLoss(running, context);
  });

  test('an API server killed again and again loses no request, moves no pod and causes no push', async (context) => {
    const pushes = () => counter('isthmus_xds_pushes_total', (labels) => !labels.includes('Secret'));
    const pods = () =>
      kubectl(
        'get',
        'pods',
        '-A',
        '-o',
        'jsonpath={range .items[*]}{.metadata.uid} {.status.containerStatuses[*].restartCount}{"\\n"}{end}',
      );
    const before = { pods: await pods(), pushes: await pushes() };
    const running = startLoad();
    for (let round = 0; round < ROUNDS; round++) {
      const [pid] = processesOfSandbox(sandbox, ' component apiserver ');
      process.kill(pid!, 'SIGKILL');
      running.mark(`API server killed, round ${round}`);
      await running.answered(RATE);
      await until('an answer', async () => (await kubectl('get', '--raw', '/readyz')) === 'ok');
      // A change gets through, so that the watches are known to be there.
      await kubectl('annotate', 'service', 'helloworld', `round=${round}`, '--overwrite');
    }
    expect({ pods: await pods(), pushes: await pushes() }).toEqual(before);
    await kubectl('scale', 'deployment', 'helloworld', '--replicas=3');
    await until('endpoints', async () => (await pushes()) > before.pushes);
    await demandNoLoss(running, context);
  });

  test('certificates are renewed again and again, and no request notices', async (context) => {
    const secrets = () => counter('isthmus_xds_pushes_total', (labels) => labels.includes('Secret'));
    const before = await secrets();
    const running = startLoad();
    // Five proxies: two rounds each, at least.
    await until('renewals', async () => (await secrets()) >= before + 12);
    await demandNoLoss(running, context);
  });

  test.skipIf(!findProgram('prlimit'))(
    'a control plane without file descriptors says so, traffic goes on, and then it is well again',
    async (context) => {
      const running = startLoad();
      const [pid] = processesOfSandbox(sandbox, ' control-plane --cluster-id');
      const files = readdirSync(`/proc/${pid}/fd`).length;
      // As its own user: limits of others need a capability that root has not everywhere.
      const [, uid] = /^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
      const asUser = process.getuid?.() === 0 ? `setpriv --reuid=${uid} --regid=${uid} --clear-groups` : '';
      const prlimit = (limit: string) => sandbox.bash(`${asUser} prlimit --pid ${pid} --nofile=${limit}:`);
      const before = /Max open files +(\d+)/.exec(readFileSync(`/proc/${pid}/limits`, 'utf8'))?.[1] ?? '';
      expect(await prlimit(String(files + 20))).toMatchObject({ code: 0 });
      const flood =
        "const s = Array.from({length: 60}, () => require('net').connect(15014, '127.0.0.1').on('error', () => {}));" +
        'setTimeout(() => process.exit(), 8000)';
      const exec = ['exec', '-n', 'istio-system', 'deploy/istiod', '--', '/opt/isthmus/bin/node', '-e', flood];
      await kubectl(...exec);
      expect(await prlimit(before)).toMatchObject({ code: 0 });
      const said = async () => (await sandbox.isthmus('analyze')).stdout;
      await until('a remark', async () => /ISM0307.*file descriptors are in use/.test(await said()));
      expect(await istiodLog()).toMatch(/file descriptors are in use/);
      await until('the end of it', async () => /enough file descriptors again/.test(await istiodLog()));
      // It serves as before: a new rule gets through.
      await kubectl('annotate', 'service', 'helloworld', 'well=again', '--overwrite');
      await demandNoLoss(running, context);
    },
  );

  test('certificates that ended while the control plane was away: the reason is told, and the cure is its return', {
    timeout: 240_000,
  }, async () => {
    await kubectl('scale', '-n', 'istio-system', 'deployment/istiod', '--replicas=0');
    const url = `${sandbox.gateway('cluster1').href}hello`;
    // Connections that were opened in time go on: a load uses them up, ten requests each.
    const wearing = startLoad();
    await until('a failure', async () => (await fetch(url)).status === 503, 90_000);
    wearing.kill();
    // The side that finds it says so: the client, or, since TLS 1.3 lets the client finish first, the server.
    const proxies = [
      ['-n', 'istio-system', 'deploy/istio-ingressgateway'],
      ['-l', 'app=helloworld', '-c', 'istio-proxy'],
    ];
    // Proxies write what they log a few seconds later.
    await until('the reason in a proxy’s log', async () => {
      const logs = await Promise.all(proxies.map((which) => kubectl('logs', ...which, '--tail', '100')));
      return /certificate.has.expired|CERTIFICATE_EXPIRED/i.test(logs.join(''));
    });
    const { code, stdout } = await sandbox.isthmus('analyze');
    expect(code).toBe(1);
    expect(stdout).toMatch(/\[ISM0302\] \(Deployment istio-system\/istiod\).*not ready/);
    await kubectl('scale', '-n', 'istio-system', 'deployment/istiod', '--replicas=1');
    // Each proxy comes back in its own time: within half a minute.
    const running = startLoad();
    await running.wellAnswered(2 * RATE, 90_000);
    await running.stop();
    await until('a control plane that is ready', async () => (await sandbox.isthmus('analyze')).code === 0);
  });
});
