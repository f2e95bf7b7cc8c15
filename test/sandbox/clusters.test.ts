// SPDX-License-Identifier: Apache-2.0
// What passes between the clusters of one sandbox, tried from pods by the programs that users have.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findProgram, sandboxObstacle, TestSandbox } from '../fixture/sandbox.ts';

const obstacle = sandboxObstacle() ?? (findProgram('kubectl') ? undefined : 'kubectl is not on PATH');

const CURL = `
apiVersion: v1
kind: Pod
metadata: { name: curl }
spec:
  containers:
  - { name: curl, image: governmentpaas/curl-ssl }
`;

describe.skipIf(obstacle !== undefined)(`clusters side by side${obstacle ? ` (skipped: ${obstacle})` : ''}`, () => {
  const sandbox = new TestSandbox('clusters');
  /** What curl in the pod of a cluster says: the status, or its exit code (28: timed out, 7: refused). */
  const curl = async (cluster: string, ...args: string[]) => {
    const script = 'curl -sk -m 2 -o /dev/null -w "%{http_code}" "$@" || echo "exit $?"';
    return (await sandbox.kubectl('--context', cluster, 'exec', 'curl', '--', 'sh', '-c', script, '_', ...args)).trim();
  };

  beforeAll(async () => {
    await sandbox.up();
    for (const cluster of ['cluster1', 'cluster2']) {
      await sandbox.bash(`kubectl --context ${cluster} apply -f - <<'EOF'\n${CURL}\nEOF`);
      await sandbox.kubectl('--context', cluster, 'wait', '--for=condition=Ready', 'pod/curl', '--timeout=60s');
    }
  }, 120_000);
  afterAll(async () => {
    expect(await sandbox.down()).toEqual([]);
  }, 60_000);

  it('one that is cut off is silent towards the others, lives on, and comes back', async () => {
    const api = (index: number) => `https://172.31.0.${10 + index}:6443/readyz`;
    expect(await curl('cluster1', api(2))).toBe('200');
    await sandbox.must('sandbox', 'network', 'disconnect', 'cluster2', '--name', sandbox.name);
    expect(await curl('cluster1', api(2))).toBe('exit 28');
    expect(await curl('cluster2', api(1))).toBe('exit 28');
    // Its own API server, its own pods, and kubectl from this machine.
    expect(await curl('cluster2', api(2))).toBe('200');
    expect((await sandbox.must('sandbox', 'status', '--name', sandbox.name)).stdout).toMatch(
      /cluster2 .* yes, cut off/,
    );
    await sandbox.must('sandbox', 'network', 'connect', 'cluster2', '--name', sandbox.name);
    expect(await curl('cluster1', api(2))).toBe('200');
    expect(await curl('cluster2', api(1))).toBe('200');
    const unknown = await sandbox.isthmus('sandbox', 'network', 'connect', 'cluster7', '--name', sandbox.name);
    expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringContaining('There are: cluster1, cluster2.')]);
  });
});
