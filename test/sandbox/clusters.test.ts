// SPDX-License-Identifier: Apache-2.0
// What passes between the clusters of one sandbox, tried from pods: cluster1 and cluster2 share a network; cluster3 has
// one of its own, and gives its pods the addresses that cluster1 gives.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sandboxObstacle, TestSandbox } from '../fixture/sandbox.ts';

const obstacle = sandboxObstacle('kubectl');
const CLUSTERS = ['cluster1', 'cluster2', 'cluster3'] as const;

/** Tells its clients who it is and whom it sees. */
const PEER = (name: string) => `
apiVersion: v1
kind: Pod
metadata: { name: peer }
spec:
  containers:
  - name: peer
    image: curlimages/curl
    command:
    - node
    - -e
    - require('http').createServer((q, r) => r.end('${name} sees ' + q.socket.remoteAddress)).listen(8080, '0.0.0.0')
    readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 }
`;

describe.skipIf(obstacle !== undefined)(`clusters side by side${obstacle ? ` (skipped: ${obstacle})` : ''}`, () => {
  const sandbox = new TestSandbox('clusters');
  const ip: Record<string, string> = {};
  /** What curl in the pod of a cluster gets, or its exit code (28: timed out, 7: refused or unreachable). */
  const curl = async (cluster: string, url: string) => {
    const script = 'curl -sk -m 2 "$1" || echo "exit $?"';
    return (await sandbox.kubectl('--context', cluster, 'exec', 'peer', '--', 'sh', '-c', script, '_', url)).trim();
  };
  const api = (index: number) => `https://172.31.0.${10 + index}:6443/readyz`;

  beforeAll(async () => {
    const networks = ['--network', 'cluster1=shared,cluster2=shared', '--pod-cidr', 'cluster3=10.1.0.0/16'];
    await sandbox.up('--clusters', '3', ...networks);
    await Promise.all(
      CLUSTERS.map(async (cluster) => {
        const kubectl = `kubectl --context ${cluster}`;
        const pod = `${kubectl} apply -f - <<'EOF'\n${PEER(cluster)}\nEOF\n${kubectl} wait --for=condition=Ready pod/peer --timeout=60s`;
        expect(await sandbox.bash(pod)).toMatchObject({ code: 0 });
        ip[cluster] = await sandbox.kubectl(
          ...['--context', cluster, 'get', 'pod', 'peer', '-o', 'jsonpath={.status.podIP}'],
        );
      }),
    );
  }, 120_000);
  afterAll(async () => {
    expect(await sandbox.down()).toEqual([]);
  }, 60_000);

  it('start with every part at its first attempt', async () => {
    const { stdout } = await sandbox.must('sandbox', 'status', '--name', sandbox.name, '-o', 'json');
    type Parts = { components: { name: string; restarts: number }[] };
    const { clusters, components } = JSON.parse(stdout) as Parts & { clusters: Parts[] };
    const parts = [...components, ...clusters.flatMap((cluster) => cluster.components)];
    expect(parts).toHaveLength(1 + 4 * CLUSTERS.length);
    expect(parts.filter(({ restarts }) => restarts > 0)).toEqual([]);
  });

  it('on one network pods reach one another under their own addresses', async () => {
    expect(await curl('cluster1', `http://${ip['cluster2']}:8080`)).toBe(`cluster2 sees ${ip['cluster1']}`);
    expect(await curl('cluster2', `http://${ip['cluster1']}:8080`)).toBe(`cluster1 sees ${ip['cluster2']}`);
  });

  it('on separate networks the same address is another pod in each', async () => {
    expect(ip['cluster3']).toBe(ip['cluster1']);
    // Their own, each time: nothing leads from one network into another.
    expect(await curl('cluster1', `http://${ip['cluster1']}:8080`)).toBe(`cluster1 sees ${ip['cluster1']}`);
    expect(await curl('cluster3', `http://${ip['cluster3']}:8080`)).toBe(`cluster3 sees ${ip['cluster3']}`);
    expect(await curl('cluster3', `http://${ip['cluster2']}:8080`)).toBe('exit 7');
    expect(await curl('cluster3', api(1))).toBe('ok');
    expect(await curl('cluster1', api(3))).toBe('ok');
  });

  it('say which network they are on', async () => {
    const { stdout } = await sandbox.must('sandbox', 'status', '--name', sandbox.name, '-o', 'json');
    const { clusters } = JSON.parse(stdout) as { clusters: { network: string; podCidr: string }[] };
    expect(clusters.map(({ network, podCidr }) => `${network} ${podCidr}`)).toEqual([
      'shared 10.1.0.0/16',
      'shared 10.2.0.0/16',
      'network3 10.1.0.0/16',
    ]);
    const label = ['-o', 'jsonpath={.items[0].metadata.labels.topology\\.istio\\.io/network}'];
    expect(await sandbox.kubectl('--context', 'cluster2', 'get', 'nodes', ...label)).toBe('shared');
    const again = await sandbox.isthmus('sandbox', 'up', '--name', sandbox.name, '--network', 'separate');
    expect([again.code, again.stderr]).toEqual([1, expect.stringContaining('other networks or pod addresses')]);
  });

  it('one that is cut off is silent towards the others, lives on, and comes back', async () => {
    expect(await curl('cluster1', api(2))).toBe('ok');
    await sandbox.must('sandbox', 'network', 'disconnect', 'cluster2', '--name', sandbox.name);
    const [there, back, straight] = await Promise.all([
      curl('cluster1', api(2)),
      curl('cluster2', api(1)),
      curl('cluster1', `http://${ip['cluster2']}:8080`),
    ]);
    expect([there, back, straight]).toEqual(['exit 28', 'exit 28', 'exit 28']);
    // Its own API server, its own pods, and kubectl from this machine.
    expect(await curl('cluster2', api(2))).toBe('ok');
    expect((await sandbox.must('sandbox', 'status', '--name', sandbox.name)).stdout).toMatch(
      /cluster2 .* yes, cut off/,
    );
    await sandbox.must('sandbox', 'network', 'connect', 'cluster2', '--name', sandbox.name);
    expect(await curl('cluster1', api(2))).toBe('ok');
    expect(await curl('cluster2', api(1))).toBe('ok');
    const unknown = await sandbox.isthmus('sandbox', 'network', 'connect', 'cluster7', '--name', sandbox.name);
    expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringContaining('There are: cluster1, cluster2, ')]);
  });
});
