// SPDX-License-Identifier: Apache-2.0
// Who reaches whom, in real namespaces: as root, and rootless where the kernel lets this user.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';

const scene = fileURLToPath(new URL('./network-scene.ts', import.meta.url));
const NAMESPACES = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
const isRoot = process.getuid?.() === 0;
const canBeRootless = spawnSync('unshare', ['--user', '--map-root-user', ...NAMESPACES, 'true']).status === 0;

interface Result {
  networkMs: number;
  first: Attached;
  second: Attached;
  reach: Record<string, string | number>;
}

interface Attached {
  pods: { ip: string; netns: string }[];
  elapsedMs: number;
  again: { ip: string };
  afterRestart: { ip: string };
  recovered: string[];
  gone: boolean;
}

function play(user: string[]): Result {
  const dir = mkdtempSync(join(tmpdir(), 'isthmus-network-'));
  try {
    const command = [...user, ...NAMESPACES, process.execPath, '--disable-warning=ExperimentalWarning', scene, dir];
    const { stdout, stderr, status } = spawnSync('unshare', command, { encoding: 'utf8', timeout: 60_000 });
    if (status !== 0) throw new Error(stderr);
    return JSON.parse(stdout) as Result;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

describe.each([
  ['as root', [], isRoot],
  ['rootless', ['--user', '--map-root-user'], canBeRootless],
] as const)('two clusters’ networks, %s', (_name, user, possible) => {
  let result: Result;
  const hostInterfaces = readdirSync('/sys/class/net').sort();
  beforeAll(() => {
    if (possible) result = play([...user]);
  });

  it.skipIf(!possible)('pods reach what they may, and nothing else [needs namespaces]', () => {
    const { reach, first, second } = result;
    const [a] = first.pods;
    expect(a!.ip).toMatch(/^10\.1\./);
    expect(second.pods[0]!.ip).toMatch(/^10\.2\./);
    expect(reach).toMatchObject({
      'pod to pod': a!.ip,
      'pod to own service address': a!.ip,
      // Masqueraded: the pod networks mean nothing outside.
      'pod to the load balancer of the other cluster': '172.31.0.11',
      'pod to the API server of the other cluster': '172.31.0.11',
      'first namespace to a load balancer': '172.31.0.1',
    });
    expect(reach['pod to a pod of the other cluster']).toMatch(/unreachable/);
    expect(reach['pod to a service of the other cluster']).toMatch(/refused/);
    expect(reach['router to a pod of the other cluster']).toMatch(/unreachable/);
    expect(reach['pod to nowhere']).toMatch(/unreachable/);
    expect(reach['external network into a pod']).toBe(1);
    expect(reach['external network to a service address']).toBe(1);
    expect(readdirSync('/sys/class/net').sort()).toEqual(hostInterfaces);
  });

  it.skipIf(!possible)(
    'a pod keeps its address over restarts of its node, and leaves nothing [needs namespaces]',
    () => {
      const { first } = result;
      const { ip } = first.pods[0]!;
      expect(first.pods[1]!.ip).not.toBe(ip);
      expect([first.again.ip, first.afterRestart.ip]).toEqual([ip, ip]);
      expect(first.recovered).toEqual(['uid-a', 'uid-b']);
      expect(first.gone).toBe(true);
    },
  );
});
