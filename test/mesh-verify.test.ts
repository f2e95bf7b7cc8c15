// SPDX-License-Identifier: Apache-2.0
// `isthmus mesh verify` and `mesh status` on three clusters: a healthy mesh of both models gives no alarm, and what breaks
// is named by its cause.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { rounds } from './fixture/counts.ts';
import { root, sandboxObstacle } from './fixture/sandbox.ts';
import { until } from './fixture/waiting.ts';
import { FAULTS, type Fault, THREE_AT_ONCE, TWO_AT_ONCE } from './mesh-verify/faults.ts';
import { causesOf, VerifyScene } from './mesh-verify/scene.ts';

const obstacle = sandboxObstacle('kubectl');
const MINUTES_MS = 60_000;
const isFull = rounds(1, 2) > 1;

interface Status {
  readonly ok: boolean;
  readonly problems: readonly { severity: string; cluster: string; object: string }[];
  readonly clusters: readonly {
    name: string;
    controlPlane: string;
    rootDays: number;
    workloadHours: number;
    proxies: { all: number; inSync: number; refusing: number };
  }[];
  readonly links: readonly { reader: string; cluster: string; reads: string; state: string }[];
}

describe.skipIf(obstacle !== undefined)(`mesh verify${obstacle ? ` (skipped: ${obstacle})` : ''}`, () => {
  const scene = new VerifyScene();

  beforeAll(() => scene.up(), 4 * MINUTES_MS);
  afterAll(async () => {
    expect(await scene.sandbox.down()).toEqual([]);
  });

  test(
    'a healthy mesh: every pair, by its model, and nothing to remark on',
    async () => {
      for (let i = 0; i < rounds(1, 50); i++) {
        const { ok, pairs, findings } = await scene.verify();
        expect({ ok, findings }, `round ${i}`).toEqual({ ok: true, findings: [] });
        const models = pairs.map(({ from, to, model }) => `${from.at(-1)}${to.at(-1)} ${model}`).sort();
        expect(models).toEqual([
          ...['12 own-plane', '13 served', '21 own-plane', '23 own-plane', '31 served', '32 own-plane'],
        ]);
      }
      expect(await scene.leftovers()).toEqual([]);
    },
    rounds(1, 30) * MINUTES_MS,
  );

  test('mesh status of it', async () => {
    let status: Status | undefined;
    await until('all in sync', async () => {
      status = JSON.parse((await scene.status()).stdout) as Status;
      return status.clusters.every(({ proxies: { all, inSync } }) => all > 0 && all === inSync);
    });
    expect(status).toMatchObject({
      ok: true,
      problems: [],
      clusters: [
        { name: 'cluster1', controlPlane: 'own', proxies: { refusing: 0 } },
        { name: 'cluster2', controlPlane: 'own' },
        { name: 'cluster3', controlPlane: 'served by cluster1' },
      ],
    });
    for (const { rootDays, workloadHours } of status!.clusters) {
      expect(rootDays).toBeGreaterThan(300);
      expect([22, 23, 24]).toContain(workloadHours);
    }
    const links = status!.links.map(({ reader, reads, cluster, state }) => `${reader} ${reads} ${cluster} ${state}`);
    expect(links.sort()).toEqual([
      'cluster1 endpoints cluster3 synced',
      'cluster1 exports cluster2 synced',
      'cluster2 exports cluster1 synced',
    ]);
  });

  test('three faults at once, after a run that was killed: each is named, and nothing is left of either run', async () => {
    const entry = join(root, 'dist/isthmus.mjs');
    const killed = spawn(process.execPath, [entry, ...scene.verifyArgs()], { env: scene.sandbox.env, stdio: 'ignore' });
    await until('its namespaces', async () => (await scene.leftovers()).length === 3);
    killed.kill('SIGKILL');
    await injectAll(THREE_AT_ONCE);
    expect(await scene.leftovers()).toEqual([]);
  });

  test('what answers for the gateway, and who may read whom; mesh status says the latter', async () => {
    await injectAll(TWO_AT_ONCE, async () => {
      const { code, stdout } = await scene.status();
      const { ok, problems } = JSON.parse(stdout) as Status;
      expect({ ok, code }).toEqual({ ok: false, code: 1 });
      expect(problems).toMatchObject([
        { severity: 'error', cluster: 'cluster2', object: 'Secret istio-system/isthmus-peer-cluster1' },
      ]);
    });
  });

  // Half a minute each: the judgement of each is in src/cli/mesh/verify/judge.test.ts, too.
  test.skipIf(!isFull).each(FAULTS)(
    '$name',
    async (fault) => {
      await injectAll([fault]);
    },
    5 * MINUTES_MS,
  );

  async function injectAll(faults: readonly Fault[], meanwhile?: () => Promise<void>): Promise<void> {
    const possible = faults.filter(({ name, skip }) => {
      if (skip) console.warn(`${name}: not tried, ${skip}`);
      return !skip;
    });
    const mend: (() => Promise<unknown>)[] = [];
    try {
      for (const { inject } of possible) mend.push(await inject(scene));
      const told = await scene.verify();
      const causes = causesOf(told);
      const expected = possible.flatMap((fault) => (typeof fault.told === 'function' ? [] : fault.told));
      const judged = possible.filter((fault) => typeof fault.told === 'function');
      for (const fault of judged)
        expect(typeof fault.told === 'function' && fault.told(causes), JSON.stringify(told)).toBe(true);
      if (judged.length === 0) expect(causes, JSON.stringify(told.findings)).toEqual([...expected].sort());
      await meanwhile?.();
    } finally {
      for (const back of mend.reverse()) await back();
    }
    // The next of many begins with a mesh that is whole again.
    if (isFull) await until('the mesh is mended', async () => (await scene.verify()).ok === true, 2 * MINUTES_MS);
  }
});
