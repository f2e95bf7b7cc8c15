// SPDX-License-Identifier: Apache-2.0
// What the mesh promises its users beyond seed 000, on two clusters.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { generateKeyPair, issueCertificate, privateKeyPem } from '../../src/pki/x509.ts';
import { freePort } from '../fixture/ports.ts';
import { root, sandboxObstacle, TestSandbox } from '../fixture/sandbox.ts';
import { until } from '../fixture/waiting.ts';

const obstacle = sandboxObstacle('kubectl');

/** A pod that listens on 7000 and, a gRPC server with the standard health service and no other, on 7001. */
function probed(name: string, startupProbe: object, readinessProbe: object): string {
  const program = `
    require('node:net').createServer(() => {}).listen(7000);
    require('node:http2').createServer().on('stream', (stream) => {
      const request = [];
      stream.on('data', (part) => request.push(part)).on('end', () => {
        const known = Buffer.concat(request).length === 5; // an empty message: the server as a whole
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': known ? '0' : '5' }));
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
        stream.end(known ? Buffer.from([0, 0, 0, 0, 2, 8, 1]) : undefined);
      });
    }).listen(7001);`;
  const container = {
    name,
    image: 'istio/examples-helloworld-v1',
    command: ['node', '-e', program],
    startupProbe: { ...startupProbe, periodSeconds: 1, failureThreshold: 60 },
    readinessProbe: { ...readinessProbe, periodSeconds: 1 },
  };
  return JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: { containers: [container] } });
}

describe.skipIf(obstacle !== undefined)(`the mesh on a sandbox${obstacle ? ` (skipped: ${obstacle})` : ''}`, () => {
  const sandbox = new TestSandbox('mesh');
  const in1 = (...args: string[]) => sandbox.kubectl('--context', 'cluster1', ...args);
  const in2 = (...args: string[]) => sandbox.kubectl('--context', 'cluster2', ...args);
  /** The status of a request from sleep in cluster1; with the proxy's log when there is none. */
  const curl = async (url: string): Promise<string> => {
    const request = ['curl', '-s', '-o', '/dev/null', '-m', '10', '-w', '%{http_code}', url];
    try {
      return await in1('exec', 'deploy/sleep', '-c', 'sleep', '--', ...request);
    } catch (error) {
      const log = await in1('logs', 'deploy/sleep', '-c', 'istio-proxy', '--tail', '20');
      throw new Error(`${(error as Error).message}\n${log}`);
    }
  };

  /** kubectl apply of a text; the outcome is the caller's to judge. */
  async function apply(context: string, yaml: string) {
    const file = join(sandbox.dir, 'apply.yaml');
    writeFileSync(file, yaml);
    return sandbox.bash(`kubectl --context ${context} apply -f ${file}`);
  }

  async function mustApply(context: string, yaml: string): Promise<void> {
    const { code, stderr } = await apply(context, yaml);
    expect(`${code} ${stderr}`).toBe('0 ');
  }

  beforeAll(async () => {
    // The pods of both have the same addresses: everything between the clusters must go through their gateways.
    await sandbox.up('--pod-cidr', '10.0.0.0/16');
    sandbox.env['CERTS'] = join(sandbox.dir, 'certs');
    await sandbox.must('certs', '--out', sandbox.env['CERTS'], '--clusters', 'cluster1,cluster2');
    const setup = await sandbox.bash(readFileSync(join(root, 'scenarios/seeds/000/setup.sh'), 'utf8'));
    expect(setup, setup.stdout + setup.stderr).toMatchObject({ code: 0 });
    for (const [kubectl, bookinfo] of [
      [in1, 'cluster1'],
      [in2, 'cluster2'],
    ] as const) {
      await kubectl('label', 'namespace', 'default', 'istio-injection=enabled');
      await kubectl('apply', '-f', join(root, `samples/bookinfo/multicluster/${bookinfo}.yaml`));
    }
    await in1('apply', '-f', join(root, 'samples/sleep/sleep.yaml'));
    for (const kubectl of [in1, in2]) await kubectl('wait', '--for=condition=Ready', 'pod', '--all', '--timeout=120s');
  });

  afterAll(async () => {
    expect(await sandbox.down()).toEqual([]);
  });

  test('a short name without a local service is the other cluster’s, and a local one stays local', async () => {
    const gateway = await in2(
      ...['get', 'service', 'istio-ingressgateway', '-n', 'istio-system'],
      ...['-o', 'jsonpath={.status.loadBalancer.ingress[0].ip}'],
    );
    for (const [name, address] of [
      ['ratings', '127.255.0.4'],
      ['reviews', '127.255.0.5'],
    ]) {
      await mustApply(
        'cluster1',
        `
apiVersion: networking.istio.io/v1alpha3
kind: ServiceEntry
metadata:
  name: ${name}-default
spec:
  hosts: [${name}.default.global]
  location: MESH_INTERNAL
  ports: [{ name: http1, number: 9080, protocol: http }]
  resolution: DNS
  addresses: [${address}]
  endpoints: [{ address: ${gateway}, ports: { http1: 15443 } }]
`,
      );
    }
    await until('ratings of the other cluster', async () => (await curl('http://ratings:9080/ratings/0')) === '200');
    expect(await curl('http://ratings.default:9080/ratings/0')).toBe('200');
    expect(await curl('http://ratings.default.global:9080/ratings/0')).toBe('200');
    const reviews = await in1(
      'exec',
      'deploy/sleep',
      '-c',
      'sleep',
      '--',
      'curl',
      '-s',
      'http://reviews:9080/reviews/0',
    );
    // Stars come from cluster2's versions only.
    expect(reviews).not.toContain('color');
    const log = await in1('logs', '-n', 'istio-system', 'deploy/istiocoredns', '-c', 'istio-coredns-plugin');
    expect(log).toContain('ratings.default.global is 127.255.0.4');
  });

  test('a bad mesh object is refused when it is applied, with object, field and cure', async () => {
    const { code, stderr } = await apply(
      'cluster1',
      `
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata:
  name: misspelt
spec:
  hosts: [reviews]
  http:
  - route:
    - destination: { host: reviews }
      wieght: 50
`,
    );
    expect(code).not.toBe(0);
    expect(stderr).toContain('VirtualService default/misspelt: spec.http[0].route[0].wieght');
    expect(stderr).toContain('did you mean `weight`?');
  });

  test('a gateway shows the certificate of a Secret, follows it, and tells of one that is not there', async () => {
    const secret = async (commonName: string): Promise<void> => {
      const { privateKey, publicKey } = generateKeyPair();
      const [notBefore, notAfter] = [new Date(Date.now() - 60_000), new Date(Date.now() + 3_600_000)];
      const subject = { commonName };
      const [cert, key] = [join(sandbox.dir, 'shop.crt'), join(sandbox.dir, 'shop.key')];
      writeFileSync(cert, issueCertificate({ subject, publicKey, selfKey: privateKey, notBefore, notAfter }));
      writeFileSync(key, privateKeyPem(privateKey));
      const create = `kubectl --context cluster1 create -n istio-system secret tls shop-cert --cert=${cert} --key=${key}`;
      const made = await sandbox.bash(`${create} --dry-run=client -o yaml | kubectl --context cluster1 apply -f -`);
      expect(made, made.stderr).toMatchObject({ code: 0 });
    };
    await secret('first');
    await mustApply(
      'cluster1',
      `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: shop }
spec:
  selector: { istio: ingressgateway }
  servers:
    - port: { number: 443, name: https, protocol: HTTPS }
      hosts: [shop.example]
      tls: { mode: SIMPLE, credentialName: shop-cert }
    - port: { number: 443, name: missing, protocol: HTTPS }
      hosts: [missing.example]
      tls: { mode: SIMPLE, credentialName: missing-cert }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop }
spec:
  hosts: [shop.example]
  gateways: [shop]
  http: [{ route: [{ destination: { host: details, port: { number: 9080 } } }] }]
`,
    );
    const port = await freePort();
    const asked = async () => {
      const forward = `kubectl --context cluster1 port-forward -n istio-system service/istio-ingressgateway ${port}:443`;
      const curl = `curl -skv -m 5 -o /dev/null -w '%{http_code}' --retry 20 --retry-connrefused --retry-delay 1`;
      const url = `--resolve shop.example:${port}:127.0.0.1 https://shop.example:${port}/details/0`;
      const script = `${forward} >/dev/null & trap 'kill $!' EXIT; ${curl} ${url}`;
      const { stdout, stderr } = await sandbox.bash(script);
      return `${stdout} ${/subject: CN ?= ?(\w+)/.exec(stderr)?.[1]}`;
    };
    await until('the first certificate', async () => (await asked()) === '200 first');
    await secret('second');
    await until('the second certificate', async () => (await asked()) === '200 second');
    const told = () => in1('get', 'gateway', 'shop', '-o', 'jsonpath={.status.conditions[*].message}');
    await until('the status', async () => (await told()).includes('missing-cert'));
    expect(await told()).toBe('Secret istio-system/missing-cert: there is no such Secret; nobody is served');
    expect(await in1('describe', 'gateway', 'shop')).toContain('SecretNotServed');
    await in1('delete', 'gateway/shop', 'virtualservice/shop');
    await in1('delete', '-n', 'istio-system', 'secret/shop-cert');
  });

  test('what only Envoy can find wrong is told on the object, and everything else goes on', async () => {
    await mustApply(
      'cluster1',
      `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: no-such-file
spec:
  host: details
  trafficPolicy: { tls: { mode: SIMPLE, caCertificates: /no/such/file } }
`,
    );
    const events = () =>
      in1(
        'get',
        'events',
        '--field-selector',
        'involvedObject.name=no-such-file',
        '-o',
        'jsonpath={.items[*].message}',
      );
    await until('the event', async () => (await events()).includes('/no/such/file'));
    const pod = await in1('get', 'pods', '-l', 'app=sleep', '-o', 'jsonpath={.items[0].metadata.name}');
    let refused = '';
    // The event may be about another proxy: this one refuses it in its own time.
    await until('the refusal', async () => {
      refused = (await sandbox.must('proxy-status', `${pod}.default`, '--context', 'cluster1')).stdout;
      return refused.includes('/no/such/file');
    });
    expect(refused).toMatch(new RegExp(`^${pod}.default +cluster1 +STALE +S[A-Z]+ +S[A-Z]+ +S[A-Z]+ +istiod-`, 'm'));
    expect(refused).toMatch(
      / {2}CDS outbound\|9080\|\|details\.default\S+, from DestinationRule default\/no-such-file/,
    );
    const { stdout: versions } = await sandbox.must('version', '--context', 'cluster1');
    expect(versions).toMatch(
      /^client version: (.+)\ncontrol plane version: \1\ndata plane version: \1 \(\d+ proxies\)\n$/,
    );
    expect(await curl('http://reviews:9080/reviews/0')).toBe('200');
    await in1('delete', 'destinationrule', 'no-such-file');
  });

  test('pods that do not want a sidecar have none, and nobody without one is let in', async () => {
    await in1('create', 'namespace', 'plain');
    await in1('apply', '-n', 'plain', '-f', join(root, 'samples/sleep/sleep.yaml'));
    await in1('wait', '-n', 'plain', '--for=condition=Ready', 'pod', '--all', '--timeout=60s');
    expect(await in1('get', 'pods', '-n', 'plain', '-o', 'jsonpath={.items[*].spec.containers[*].name}')).toBe('sleep');
    const inside = await sandbox.bash(
      'kubectl --context cluster1 exec -n plain deploy/sleep -- curl -s -m 5 http://details.default:9080/details/0',
    );
    expect(inside.code).not.toBe(0);
    expect(inside.stdout).not.toContain('Shakespeare');
  });

  test('probes of the application pass, though plain requests do not', async () => {
    const probe = { httpGet: { path: '/health', port: 9080 }, periodSeconds: 1 };
    const patch = {
      spec: { template: { spec: { containers: [{ name: 'details', readinessProbe: probe, livenessProbe: probe }] } } },
    };
    await in1('patch', 'deployment', 'details-v1', '--type', 'strategic', '-p', JSON.stringify(patch));
    expect(await in1('rollout', 'status', 'deployment/details-v1', '--timeout=60s')).toContain(
      'successfully rolled out',
    );
    const wrong = { ...probe, httpGet: { path: '/no-such-page', port: 9080 } };
    const failing = { spec: { template: { spec: { containers: [{ name: 'details', readinessProbe: wrong }] } } } };
    await in1('patch', 'deployment', 'details-v1', '--type', 'strategic', '-p', JSON.stringify(failing));
    const events = () => in1('get', 'events', '-o', 'jsonpath={.items[?(@.reason=="Unhealthy")].message}');
    await until('an unhealthy pod', async () => (await events()).includes('404'));
    await in1('rollout', 'undo', 'deployment/details-v1');
  });

  test('probes of TCP and gRPC ask the application, not the proxy in front of it, and open no door', async () => {
    await mustApply('cluster1', probed('speaks', { tcpSocket: { port: 7000 } }, { grpc: { port: 7001 } }));
    await mustApply('cluster1', probed('silent', { tcpSocket: { port: 7000 } }, { tcpSocket: { port: 7999 } }));
    await mustApply(
      'cluster1',
      probed('unwell', { tcpSocket: { port: 7000 } }, { grpc: { port: 7001, service: 'x' } }),
    );
    await in1('wait', '--for=condition=Ready', 'pod/speaks', '--timeout=60s');
    for (const pod of ['silent', 'unwell']) {
      const of = [
        '--field-selector',
        `involvedObject.name=${pod},reason=Unhealthy`,
        '-o',
        'jsonpath={.items[*].message}',
      ];
      await until(`${pod} is not ready`, async () =>
        (await in1('get', 'events', ...of)).includes('Readiness probe failed'),
      );
      const ready = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}';
      expect(await in1('get', 'pod', pod, '-o', ready)).toBe('False');
      // It got as far as the readiness probe: the startup probe found the port that is open.
      expect(await in1('get', 'pod', pod, '-o', 'jsonpath={.status.containerStatuses[0].started}')).toBe('true');
    }
    const address = await in1('get', 'pod', 'speaks', '-o', 'jsonpath={.status.podIP}');
    const stranger = (...args: string[]) =>
      in1('exec', '-n', 'plain', 'deploy/sleep', '--', 'curl', '-s', '-o', '/dev/null', '-w', '%{http_code}', ...args);
    const door = `http://${address}:15021/app-health/speaks/readyz`;
    expect(await stranger(door)).toBe('200');
    expect(await stranger('-X', 'POST', door)).toBe('404');
    expect(await stranger(`${door}/`)).toBe('404');
    expect(await stranger(`http://${address}:15021/quitquitquit`)).toBe('404');
    await in1('delete', 'pod', 'speaks', 'silent', 'unwell');
  });

  test('traffic goes on without a control plane, and new pods wait for it', async () => {
    await in1('scale', '-n', 'istio-system', 'deployment/istiod', '--replicas=0');
    await until(
      'no control plane',
      async () => (await in1('get', 'pods', '-n', 'istio-system', '-l', 'app=istiod', '-o', 'name')) === '',
    );
    expect(await curl('http://reviews:9080/reviews/0')).toBe('200');
    expect(await curl('http://ratings:9080/ratings/0')).toBe('200');
    await in1('rollout', 'restart', 'deployment/reviews-v1');
    const events = () => in1('get', 'events', '-o', 'jsonpath={.items[?(@.reason=="FailedCreate")].message}');
    await until('a refused pod', async () => (await events()).includes('sidecar-injector.istio.io'));
    await in1('scale', '-n', 'istio-system', 'deployment/istiod', '--replicas=1');
    expect(await in1('rollout', 'status', 'deployment/reviews-v1', '--timeout=90s')).toContain(
      'successfully rolled out',
    );
    // The other proxies come back within seconds; until then they know the old pod only.
    await until('the new pod', async () => (await curl('http://reviews:9080/reviews/0')) === '200');
  });

  test('uninstall leaves the cluster as it was, but for what users made', async () => {
    const { stdout } = await sandbox.must('uninstall', '--context', 'cluster1');
    expect(stdout).toContain('Secret istio-system/cacerts is yours and stays');
    for (const kind of [
      'deployment',
      'service',
      'configmap',
      'clusterrole',
      'clusterrolebinding',
      'crd',
      'mutatingwebhookconfiguration',
      'validatingwebhookconfiguration',
    ]) {
      expect(await in1('get', kind, '-A', '-l', 'app.kubernetes.io/managed-by=isthmus', '-o', 'name')).toBe('');
    }
    expect(await in1('get', 'secret', '-n', 'istio-system', '-o', 'name')).toBe('secret/cacerts\n');
    // Pods come up again without sidecars: nothing of ours stands in their way.
    await in1('rollout', 'restart', 'deployment/sleep');
    await in1('rollout', 'status', 'deployment/sleep', '--timeout=60s');
    await until(
      'one container',
      async () =>
        (await in1('get', 'pods', '-l', 'app=sleep', '-o', 'jsonpath={.items[*].spec.containers[*].name}')) === 'sleep',
    );
    // And it can be installed again.
    await sandbox.must('install', '--context', 'cluster1');
  });
});
