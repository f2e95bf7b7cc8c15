// SPDX-License-Identifier: Apache-2.0
// Whatever a random mesh makes, a real Envoy takes: one Envoy is given the resources of one proxy after another, of one
// mesh after another, as a stream is. `make test-all` pushes 10,000 meshes.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import type { KubeObject } from '../src/kube/types.ts';
import type { MeshProxy } from '../src/model/proxy.ts';
import { CompileCache, compileProxy } from '../src/pipeline.ts';
import { findEnvoy } from '../src/runtime/toolchain.ts';
import { rounds } from './fixture/counts.ts';
import { newStore, upsert } from './fixture/mesh-store.ts';
import { anyMesh, PROXIES } from './scenarios/any-mesh.ts';
import { FollowingEnvoy } from './xds/following-envoy.ts';

const envoy = findEnvoy();
const SEED = Number(process.env['ISTHMUS_PROOF_SEED'] ?? 20261122);
const MESHES = rounds(24, 10_000);
/** That are made at once, with a seed of their own. */
const BATCH = 500;
const ENOUGH = 5;

const GIVEN = PROXIES.filter(({ podName }) => ['reviews-v1', 'orders-v2', 'ingress-1'].includes(podName));
/** One that is not given everything at once: its virtual hosts are resources of their own. */
const ON_DEMAND: readonly MeshProxy[] = (['CLUSTERS_ON_DEMAND', 'ALL_ON_DEMAND'] as const).map((delivery) => ({
  ...GIVEN[1]!,
  id: `orders-v2 ${delivery}`,
  delivery,
}));
/** The gateway's own Service, so that it has its 15443. */
const INGRESS: KubeObject = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'ingress', namespace: 'gamma' },
  spec: {
    clusterIP: '10.96.200.1',
    selector: { istio: 'ingressgateway' },
    ports: [
      { name: 'http2', port: 80, targetPort: 8080 },
      { name: 'tls', port: 15443 },
    ],
  },
};

/** The first refusal, if there is one. */
async function refusalOf(following: FollowingEnvoy, objects: readonly KubeObject[]): Promise<string | undefined> {
  const { snapshot } = newStore().apply([...objects, INGRESS].map(upsert));
  const cache = new CompileCache({ secrets: 'ads' });
  for (const proxy of [...GIVEN, ...ON_DEMAND]) {
    const [nack] = await following.take(compileProxy(snapshot, proxy, cache).desired);
    if (nack !== undefined) return `${proxy.id}: ${[...nack.resources.keys()]}: ${nack.message}`;
  }
  return undefined;
}

/** As few of the objects as are refused, too. */
async function reduce(following: FollowingEnvoy, objects: readonly KubeObject[]): Promise<readonly KubeObject[]> {
  let kept = objects;
  for (const object of objects) {
    const fewer = kept.filter((each) => each !== object);
    if ((await refusalOf(following, fewer)) !== undefined) kept = fewer;
  }
  return kept;
}

test.skipIf(envoy === undefined)(
  'Envoy takes whatever a random mesh makes, one after another',
  async () => {
    const following = await FollowingEnvoy.start(envoy!);
    const refusals: string[] = [];
    try {
      for (let done = 0; done < MESHES && refusals.length < ENOUGH; done += BATCH) {
        const meshes = fc.sample(anyMesh, { numRuns: Math.min(BATCH, MESHES - done), seed: SEED + done });
        for (const objects of meshes) {
          if ((await refusalOf(following, objects)) === undefined) continue;
          const few = await reduce(following, objects);
          const text = few.map((object) => stringify(object)).join('---\n');
          refusals.push(`ISTHMUS_PROOF_SEED=${SEED + done}: ${await refusalOf(following, few)}\n${text}`);
        }
        if (MESHES > BATCH) console.info(`seed ${SEED}: ${done + meshes.length} meshes, ${refusals.length} refused`);
      }
      expect(refusals).toEqual([]);
    } finally {
      await following.stop();
    }
  },
  60_000 * rounds(1, 200),
);

test('there is an Envoy to ask (ENVOY_BIN, .tools/envoy or PATH)', (context) => {
  if (envoy === undefined) context.skip('no Envoy found: nothing was offered to it');
});
