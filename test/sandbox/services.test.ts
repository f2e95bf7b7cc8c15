// SPDX-License-Identifier: Apache-2.0
// Services and names as pods see them, in their own cluster and from the other one.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root, sandboxObstacle, TestSandbox } from '../fixture/sandbox.ts';
import { expectSoon, until } from '../fixture/waiting.ts';

const obstacle = sandboxObstacle('kubectl');
const SEEDS = process.env['ISTHMUS_SEEDS'] ?? join(root, '../shared/seeds');

/** HTTP on 8080 and UDP on 8081 say the pod's name; a DNS server on 53 says 127.255.0.9 to everything. */
const SERVER = `
const name = require('os').hostname();
require('http').createServer((q, r) => r.end(name)).listen(8080, '0.0.0.0');
const udp = require('dgram').createSocket('udp4');
udp.on('message', (m, r) => udp.send(name + ' ' + m, r.port, r.address)).bind(8081);
const dns = require('dgram').createSocket('udp4');
dns.on('message', (q, r) => {
  const a = Buffer.from(q.subarray(0, q.indexOf(0, 12) + 5));
  a.writeUInt16BE(0x8580, 2); a.writeUInt16BE(1, 6); a.writeUInt16BE(0, 10);
  const record = Buffer.from('c00c00010001000000050004' + '7fff0009', 'hex');
  if (a.readUInt16BE(a.length - 4) !== 1) a.writeUInt16BE(0, 6);
  dns.send(a.readUInt16BE(6) ? Buffer.concat([a, record]) : a, r.port, r.address);
}).bind(53);
`;
const MANIFEST = `
apiVersion: v1
kind: Pod
metadata: { name: one, labels: { app: web } }
spec:
  hostname: first
  subdomain: crew
  hostAliases: [{ ip: 192.0.2.7, hostnames: [legacy.test] }]
  dnsConfig: { searches: [extra.test], options: [{ name: timeout, value: "1" }] }
  containers: &containers
  - name: web
    image: curlimages/curl
    command: [node, -e, ${JSON.stringify(SERVER)}]
    ports: [{ name: http, containerPort: 8080, hostPort: 28080 }]
    readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 }
---
apiVersion: v1
kind: Pod
metadata: { name: two, labels: { app: web } }
spec:
  dnsPolicy: None
  dnsConfig: { nameservers: [10.96.0.10], searches: [default.svc.cluster.local] }
  containers:
  - name: web
    image: curlimages/curl
    command: [node, -e, ${JSON.stringify(SERVER)}]
    readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 }
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec:
  type: LoadBalancer
  selector: { app: web }
  ports:
  - { name: http, port: 80, targetPort: http, nodePort: 30080 }
  - { name: talk, port: 81, targetPort: 8081, nodePort: 30081, protocol: UDP }
---
apiVersion: v1
kind: Service
metadata: { name: sticky }
spec:
  selector: { app: web }
  sessionAffinity: ClientIP
  ports: [{ port: 80, targetPort: 8080 }]
---
apiVersion: v1
kind: Service
metadata: { name: nobody }
spec: { selector: { app: none }, ports: [{ port: 80 }] }
---
apiVersion: v1
kind: Service
metadata: { name: crew }
spec: { clusterIP: None, selector: { app: web }, ports: [{ name: http, port: 8080 }] }
---
apiVersion: v1
kind: Service
metadata: { name: alias }
spec: { type: ExternalName, externalName: web.default.svc.cluster.local }
---
apiVersion: v1
kind: Service
metadata: { name: names }
spec: { clusterIP: 10.96.77.53, selector: { app: web }, ports: [{ port: 53, protocol: UDP }] }
`;

describe.skipIf(obstacle !== undefined)(`services and names${obstacle ? ` (skipped: ${obstacle})` : ''}`, () => {
  const sandbox = new TestSandbox('services');
  const on = (cluster: string, ...args: string[]) => sandbox.kubectl('--context', cluster, ...args);
  /** In a pod of the cluster; what it prints. */
  const sh = async (cluster: string, pod: string, script: string) =>
    (await on(cluster, 'exec', pod, '--', 'sh', '-c', script)).trim();
  const get = (cluster: string, url: string) => sh(cluster, 'client', `curl -s -m 5 ${url} || echo "exit $?"`);
  /** An expression over node's `dns.promises`, in a pod. */
  const names = async (expression: string, pod = 'client') => {
    const program = `const d = require('dns').promises; (${expression}).then(r => console.log(JSON.stringify(r)), e => console.log(JSON.stringify(e.code)))`;
    return JSON.parse(await on('cluster1', 'exec', pod, '--', 'node', '-e', program)) as unknown;
  };
  const podIp = (pod: string) => on('cluster1', 'get', 'pod', pod, '-o', 'jsonpath={.status.podIP}');

  const balancerIp = () => on('cluster1', 'get', 'svc', 'web', '-o', 'jsonpath={.status.loadBalancer.ingress[0].ip}');

  beforeAll(async () => {
    await sandbox.up();
    for (const cluster of ['cluster1', 'cluster2']) {
      await on(cluster, 'run', 'client', '--image=governmentpaas/curl-ssl');
    }
    expect(await sandbox.bash(`kubectl --context cluster1 apply -f - <<'EOF'\n${MANIFEST}\nEOF`)).toMatchObject({
      code: 0,
    });
    await on('cluster1', 'wait', '--for=condition=Ready', 'pod', '--all', '--timeout=60s');
    await on('cluster2', 'wait', '--for=condition=Ready', 'pod', '--all', '--timeout=60s');
    // The endpoints of pods that are ready, and a balancer's address, follow in a moment.
    await until('the service answers', async () => /^(first|two)$/.test(await get('cluster1', 'http://web')));
    await until('the balancer has an address', async () => (await balancerIp()) !== '');
  }, 120_000);
  afterAll(async () => {
    expect(await sandbox.down()).toEqual([]);
  }, 60_000);

  it('node ports, host ports and load balancers are reached from the other cluster', async () => {
    const hostIp = await on('cluster1', 'get', 'pod', 'one', '-o', 'jsonpath={.status.hostIP}');
    expect(hostIp).toBe('172.31.0.11');
    const balancer = await balancerIp();
    for (const cluster of ['cluster1', 'cluster2']) {
      await expectSoon(() => get(cluster, `http://${hostIp}:30080`)).toMatch(/^(first|two)$/);
      await expectSoon(() => get(cluster, `http://${hostIp}:28080`)).toBe('first');
      await expectSoon(() => get(cluster, `http://${balancer}`)).toMatch(/^(first|two)$/);
      const udp = `const s = require('dgram').createSocket('udp4'); s.on('message', (m) => { console.log(String(m)); s.close(); }); s.send('hi', 30081, '${hostIp}'); setTimeout(() => process.exit(1), 5000).unref()`;
      expect(await on(cluster, 'exec', 'client', '--', 'node', '-e', udp)).toMatch(/^(first|two) hi\n$/);
    }
    // The cluster's own addresses mean nothing elsewhere.
    const clusterIp = await on('cluster1', 'get', 'svc', 'web', '-o', 'jsonpath={.spec.clusterIP}');
    expect(await get('cluster2', `http://${clusterIp}`)).toMatch(/^exit (7|28)$/);
  });

  it('a service with nobody behind it refuses; one with session affinity keeps its client', async () => {
    expect(await get('cluster1', 'http://nobody')).toBe('exit 7');
    const answers = await sh('cluster1', 'client', 'for i in 1 2 3 4 5 6 7 8; do curl -s http://sticky; echo; done');
    expect(new Set(answers.split('\n')).size).toBe(1);
  });

  it('names: services, pods, aliases, ports, addresses', async () => {
    const [one, two] = await Promise.all([podIp('one'), podIp('two')]);
    const clusterIp = await on('cluster1', 'get', 'svc', 'web', '-o', 'jsonpath={.spec.clusterIP}');
    const crew = 'crew.default.svc.cluster.local';
    expect(await names(`d.resolve4('${crew}').then((all) => all.sort())`)).toEqual([one, two].sort());
    expect(await names(`d.resolve4('first.${crew}')`)).toEqual([one]);
    expect(await names(`d.resolve4('${two.replaceAll('.', '-')}.default.pod.cluster.local')`)).toEqual([two]);
    expect(await names(`d.resolveCname('alias.default.svc.cluster.local')`)).toEqual(['web.default.svc.cluster.local']);
    expect(await names(`d.lookup('alias')`)).toMatchObject({ address: clusterIp });
    expect(await names(`d.resolveSrv('_http._tcp.web.default.svc.cluster.local')`)).toEqual([
      { name: 'web.default.svc.cluster.local', port: 80, priority: 0, weight: 100, type: 'SRV' },
    ]);
    expect(
      await names(`d.resolveSrv('_http._tcp.${crew}').then((all) => all.map((s) => s.name + ' ' + s.port))`),
    ).toContain(`first.${crew} 8080`);
    expect(await names(`d.reverse('${clusterIp}')`)).toEqual(['web.default.svc.cluster.local']);
    expect(await names(`d.reverse('${one}')`)).toEqual([`first.${crew}`]);
    // By search domains, from a short name; no such name, and a name without such a record.
    expect(await names(`d.lookup('web.default')`)).toMatchObject({ address: clusterIp });
    expect(await names(`d.resolve4('nothing.default.svc.cluster.local')`)).toBe('ENOTFOUND');
    expect(await names(`d.resolveTxt('web.default.svc.cluster.local')`)).toBe('ENODATA');
  });

  it('names as a pod wants them: dnsConfig, dnsPolicy None, hostAliases', async () => {
    expect(await sh('cluster1', 'one', 'cat /etc/resolv.conf')).toMatch(
      /^search default\.svc\.cluster\.local svc\.cluster\.local cluster\.local extra\.test\nnameserver 10\.96\.0\.10\noptions ndots:5 timeout:1$/,
    );
    expect(await sh('cluster1', 'one', 'getent hosts legacy.test')).toMatch(/^192\.0\.2\.7 /);
    expect(await sh('cluster1', 'one', 'hostname -f')).toBe('first.crew.default.svc.cluster.local');
    expect(await sh('cluster1', 'two', 'cat /etc/resolv.conf')).toBe(
      'search default.svc.cluster.local\nnameserver 10.96.0.10',
    );
  });

  describe.skipIf(!existsSync(SEEDS))(`the ConfigMaps of the published documents (in ${SEEDS})`, () => {
    const resolves = (name: string) => names(`d.resolve4('${name}')`);
    const eventually = async (name: string, answer: unknown) => {
      const deadline = performance.now() + 20_000;
      let last: unknown;
      while (performance.now() < deadline) {
        last = await resolves(name);
        if (JSON.stringify(last) === JSON.stringify(answer)) break;
        await sleep(100);
      }
      expect([name, last]).toEqual([name, answer]);
    };
    const setDns = async (configMap: string, data: Record<string, string>) => {
      const object = {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: configMap, namespace: 'kube-system' },
        data,
      };
      const applied = await sandbox.bash(
        `kubectl --context cluster1 apply -f - <<'EOF'\n${JSON.stringify(object)}\nEOF`,
      );
      expect(applied).toMatchObject({ code: 0 });
    };
    /** The documents ask kubectl for the address, and some of their spaces do not break. */
    const readSeed = (file: string) =>
      readFileSync(join(SEEDS, file), 'utf8')
        .replaceAll('\u00a0', ' ')
        .replaceAll(/\$\(kubectl [^)]*\)/g, '10.96.77.53');

    it('kube-dns: stubDomains, live', async () => {
      const text = readSeed('002-managing-a-multicluster-deployment.md');
      const [, stubDomains] = /name: kube-dns .*?stubDomains: \|\s+(\{.*?\}) EOF/.exec(text)!;
      expect(await resolves('httpbin.bar.global')).toBe('ENOTFOUND');
      await setDns('kube-dns', { stubDomains: stubDomains! });
      await eventually('httpbin.bar.global', ['127.255.0.9']);
      expect(await names(`d.lookup('httpbin.bar.global', { family: 4 })`)).toMatchObject({ address: '127.255.0.9' });
      await on('cluster1', '-n', 'kube-system', 'delete', 'configmap', 'kube-dns');
      await eventually('httpbin.bar.global', 'ENOTFOUND');
    });

    it('coredns: a Corefile with proxy, one with forward; a bad one changes nothing and says where', async () => {
      const second = readSeed('002-managing-a-multicluster-deployment.md');
      const [, oneLine] = /name: coredns .*?Corefile: \|(.*?) EOF/.exec(second)!;
      const third = readSeed('003-replicated-control-planes-with-gateways.md');
      const unnumbered = third.replaceAll(/^ *\d+\. /gm, '');
      const numbered = [...unnumbered.matchAll(/Corefile: \|\n(.*?)\nEOF/gs)].map(([, corefile]) => corefile!);
      const corefiles = [oneLine!.trim().split(/ {4,}/).join('\n'), ...numbered];
      expect(corefiles).toHaveLength(3);
      for (const [i, corefile] of corefiles.entries()) {
        // Another domain each time: that it comes is what this Corefile has done.
        await setDns('coredns', { Corefile: corefile.replace('global:53', `global${i}:53`) });
        await eventually(`httpbin.bar.global${i}`, ['127.255.0.9']);
      }
      await setDns('coredns', { Corefile: '.:53 {\n  errors\n}\nglobal:53 {\n  forwrd . 10.96.77.53\n}\n' });
      const events = ['-n', 'kube-system', 'get', 'events', '--field-selector', 'involvedObject.name=coredns'];
      const deadline = performance.now() + 20_000;
      let said = '';
      while (said === '' && performance.now() < deadline)
        said = await on('cluster1', ...events, '-o', 'jsonpath={.items[*].message}');
      expect(said).toMatch(/Corefile line 5: CoreDNS has no plugin "forwrd"; closest: forward/);
      expect(await resolves('httpbin.bar.global2')).toEqual(['127.255.0.9']);
    });
  });
});
