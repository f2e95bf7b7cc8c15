// SPDX-License-Identifier: Apache-2.0
// `.global` names at work, beyond what the documents do with them: three clusters, one of them the client.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { sandboxObstacle, TestSandbox } from './fixture/sandbox.ts';
import { gatewayAddress, linesWith, waitForPods } from './seeds/scenario.ts';

const obstacle = sandboxObstacle('kubectl');
const HELLO = 'helloworld.hello.global:5000/hello';

const MESH = `set -e
./isthmus certs --out "$CERTS" --clusters cluster1,cluster2,cluster3
install_mesh() {
  kubectl --context $1 create namespace istio-system
  kubectl --context $1 create secret generic cacerts -n istio-system --from-file="$CERTS/$1"
  ./isthmus install --context $1 --wait
}
for context in cluster1 cluster2 cluster3; do install_mesh $context & pids="$pids $!"; done
for pid in $pids; do wait $pid; done
kubectl --context cluster1 apply -f - <<END
apiVersion: v1
kind: ConfigMap
metadata: {name: kube-dns, namespace: kube-system}
data:
  stubDomains: |
    {"global": ["$(kubectl --context cluster1 get svc -n istio-system istiocoredns -o jsonpath={.spec.clusterIP})"]}
END
for context in cluster1 cluster2 cluster3; do
  kubectl --context $context create namespace hello
  kubectl --context $context label namespace hello istio-injection=enabled
done
kubectl --context cluster1 -n hello apply -f samples/sleep/sleep.yaml
for version in v2 v3; do
  context=cluster\${version#v}
  kubectl --context $context -n hello apply -f samples/helloworld/service.yaml
  kubectl --context $context -n hello apply -f samples/helloworld/helloworld.yaml -l version=$version
  # The remote gateway takes a subset's name from the client, so its own cluster has to know it.
  kubectl --context $context -n hello apply -f - <<END
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: helloworld}
spec:
  host: helloworld.hello.svc.cluster.local
  subsets: [{name: east}, {name: west}]
END
done`;

interface EntryEndpoint {
  readonly address: string;
  readonly port?: number;
  readonly cluster?: string;
}

describe.skipIf(obstacle !== undefined)(`.global names${obstacle ? ` (skipped: ${obstacle})` : ''}`, () => {
  const sandbox = new TestSandbox('global');
  let gateway2 = '';
  let gateway3 = '';
  const kubectl = (...args: string[]): Promise<string> =>
    sandbox.kubectl('--context', 'cluster1', '-n', 'hello', ...args);
  const apply = async (object: object): Promise<void> => {
    const { code, stderr } = await sandbox.bash(
      `kubectl --context cluster1 -n hello apply -f - <<'END'\n${JSON.stringify(object)}\nEND`,
    );
    expect(code, stderr).toBe(0);
  };
  /** The one entry of these tests, for helloworld in other clusters. */
  const applyEntry = (address: string, endpoints: readonly EntryEndpoint[]): Promise<void> =>
    apply({
      apiVersion: 'networking.istio.io/v1',
      kind: 'ServiceEntry',
      metadata: { name: 'helloworld' },
      spec: {
        hosts: ['helloworld.hello.global'],
        location: 'MESH_INTERNAL',
        ports: [{ name: 'http1', number: 5000, protocol: 'http' }],
        resolution: 'DNS',
        addresses: [address],
        endpoints: endpoints.map(({ address, port = 15443, cluster }) => ({
          address,
          ports: { http1: port },
          ...(cluster && { labels: { cluster } }),
        })),
      },
    });
  const applySubsets = (...subsets: readonly object[]): Promise<void> =>
    apply({
      apiVersion: 'networking.istio.io/v1',
      kind: 'DestinationRule',
      metadata: { name: 'helloworld-global' },
      spec: { host: 'helloworld.hello.global', subsets },
    });
  /** What analysis of all clusters prints. */
  const analyze = async (): Promise<string> => {
    const contexts = ['cluster1', 'cluster2', 'cluster3'].flatMap((context) => ['--context', context]);
    return (await sandbox.isthmus('analyze', '-A', ...contexts)).stdout;
  };
  const curl = (url: string, count = 1, ...args: string[]) =>
    sandbox.bash(
      `kubectl --context cluster1 -n hello exec deploy/sleep -c sleep -- curl -sS -m 10 ${args.join(' ')} ${`${url} `.repeat(count)}`,
    );
  /** Who answered so many calls: v2 is in cluster2, v3 in cluster3; what else came is in it too. */
  const answers = async (count: number, ...args: string[]): Promise<string[]> => {
    const { stdout } = await curl(HELLO, count, ...args);
    return stdout.split('\n').flatMap((line) => (line === '' ? [] : [/version: (v\d)/.exec(line)?.[1] ?? line]));
  };
  /** Calls until the caller's proxy has logged a line with all of the words. */
  const untilLogged = (...words: string[]) =>
    expect
      .poll(
        async () => {
          await answers(1);
          return linesWith(await kubectl('logs', 'deploy/sleep', '-c', 'istio-proxy'), ...words).length;
        },
        { timeout: 40_000 },
      )
      .toBeGreaterThan(0);
  const untilAnswers = (...wanted: string[]) =>
    expect.poll(async () => new Set(await answers(8)), { timeout: 40_000 }).toEqual(new Set(wanted));

  beforeAll(async () => {
    await sandbox.up('--clusters', '3');
    sandbox.env['CERTS'] = `${sandbox.dir}/certs`;
    const made = await sandbox.bash(MESH);
    expect(made, made.stdout + made.stderr).toMatchObject({ code: 0 });
    gateway2 = await gatewayAddress(sandbox, 'cluster2');
    gateway3 = await gatewayAddress(sandbox, 'cluster3');
    for (const context of ['cluster1', 'cluster2', 'cluster3']) await waitForPods(sandbox, context, 'hello');
  });

  afterAll(async () => {
    expect(await sandbox.down()).toEqual([]);
  });

  test('one name for two clusters: either answers, and a subset by the endpoints’ labels is one of them', async () => {
    await applyEntry('240.0.0.2', [
      { address: gateway2, cluster: 'cluster2' },
      { address: gateway3, cluster: 'cluster3' },
    ]);
    // Without tls: what is behind a gateway is spoken to by mutual TLS unless a rule says otherwise.
    const east = { name: 'east', labels: { cluster: 'cluster2' } };
    const west = { name: 'west', labels: { cluster: 'cluster3' } };
    await applySubsets(east, west);
    const to = (subset: string) => [{ destination: { host: 'helloworld.hello.global', subset } }];
    await apply({
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata: { name: 'helloworld' },
      spec: {
        hosts: ['helloworld.hello.global'],
        http: [
          { match: [{ headers: { go: { exact: 'east' } } }], route: to('east') },
          { match: [{ headers: { go: { exact: 'west' } } }], route: to('west') },
          { route: [{ destination: { host: 'helloworld.hello.global' } }] },
        ],
      },
    });
    await untilAnswers('v2', 'v3');
    expect(await answers(20, '-H', 'go:east')).toEqual(Array(20).fill('v2'));
    expect(await answers(20, '-H', 'go:west')).toEqual(Array(20).fill('v3'));
    expect(await analyze()).toMatch(/^✔/);
    await applySubsets(east, west, { name: 'north', labels: { cluster: 'cluster3' } });
    expect(await analyze()).toMatch(/IST0101.*no DestinationRule of cluster3 for helloworld.* has the subset north/);
  });

  test('the virtual address may be in 240.0.0.0/4 and in 127.255.0.0/16: the proxy takes both', async () => {
    await untilLogged(' 200 ', ' 240.0.0.2:5000 ');
    await applyEntry('127.255.0.2', [{ address: gateway2 }]);
    await untilLogged(' 200 ', ' 127.255.0.2:5000 ', `"${gateway2}:15443"`);
  });

  test('a port that the entry does not declare leads nowhere', async () => {
    await applyEntry('240.0.0.3', [{ address: gateway2 }]);
    await untilLogged(' 200 ', ' 240.0.0.3:5000 ');
    const { stdout, code } = await curl('helloworld.hello.global:5001/hello');
    expect([code === 0, stdout]).toEqual([false, '']);
    await untilLogged('"240.0.0.3:5001"', 'PassthroughCluster');
  });

  test('a node’s address and the node port, where there is no load balancer', async () => {
    const remote = (...args: string[]) => sandbox.kubectl('--context', 'cluster3', ...args);
    const node = await remote(
      'get',
      'nodes',
      '-o',
      'jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}',
    );
    const path = 'jsonpath={.spec.ports[?(@.port==15443)].nodePort}';
    const port = Number(await remote('get', 'svc', '-n', 'istio-system', 'istio-ingressgateway', '-o', path));
    await applyEntry('240.0.0.2', [{ address: node, port }]);
    await untilLogged(' 200 ', `"${node}:${port}"`);
    expect(new Set(await answers(8))).toEqual(new Set(['v3']));
  });

  test('a gateway by its host name: followed when its answer changes, and asked for again when there is none', async () => {
    const name = 'far-gateway.hello.svc.cluster.local';
    const pointAt = (address: string): Promise<void> =>
      apply({
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { name: 'far-gateway', labels: { 'kubernetes.io/service-name': 'far-gateway' } },
        addressType: 'IPv4',
        ports: [{ name: 'tls', port: 15443 }],
        endpoints: [{ addresses: [address], conditions: { ready: true } }],
      });
    const port = { name: 'tls', port: 15443 };
    const service = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'far-gateway' } };
    await applyEntry('240.0.0.2', [{ address: name }]);
    await expect.poll(async () => (await curl(HELLO)).stdout, { timeout: 20_000 }).toContain('no healthy upstream');
    await expect
      .poll(analyze, { timeout: 40_000 })
      .toMatch(/ISM0315.*far-gateway\.hello\.svc\.cluster\.local of ServiceEntry hello\/helloworld does not resolve/);
    await apply({ ...service, spec: { clusterIP: 'None', ports: [port] } });
    await pointAt(gateway2);
    await untilAnswers('v2');
    await pointAt(gateway3);
    await untilAnswers('v3');
  });
});
