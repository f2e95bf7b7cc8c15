// SPDX-License-Identifier: Apache-2.0
// The samples hold what the seed documents call by name, and nothing in them gives a reader a warning.
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseYamlObjects } from '../src/api/yaml-documents.ts';
import type { KubeObject } from '../src/kube/types.ts';
import { MeshStore } from '../src/model/store.ts';
import { resolveImage } from '../src/sandbox/images/catalogue.ts';
import { root } from './fixture/sandbox.ts';

const SEEDS = process.env['ISTHMUS_SEEDS'] ?? join(root, '../shared/seeds');
const SAMPLES = globSync('samples/**/*.yaml', { cwd: root }).sort();

/** What a reader of the sample has applied before: by the start of its path. */
const CONTEXTS: Readonly<Record<string, readonly string[]>> = {
  'samples/bookinfo/networking/': [
    'samples/bookinfo/platform/kube/bookinfo.yaml',
    'samples/bookinfo/networking/destination-rule-all.yaml',
  ],
  'samples/bookinfo/multicluster/reviews-': ['cluster1', 'reviews-remote', 'reviews-subsets'].map(
    (name) => `samples/bookinfo/multicluster/${name}.yaml`,
  ),
};

const objectsOf = (path: string): KubeObject[] => {
  const text = readFileSync(join(root, path), 'utf8').replaceAll(`\${CLUSTER2_GW_ADDR}`, '172.31.0.120');
  const { objects, faults } = parseYamlObjects(text);
  expect(faults, path).toEqual([]);
  return objects.map(({ object }) => ({
    ...object,
    metadata: { ...object.metadata, namespace: object.metadata.namespace ?? 'default' },
  }));
};

test.skipIf(!existsSync(SEEDS))('every sample that a seed document names is there', () => {
  const named = readdirSync(SEEDS)
    .filter((file) => file.endsWith('.md'))
    .flatMap((file) => readFileSync(join(SEEDS, file), 'utf8').match(/\bsamples\/[\w./-]+\.\w+/g) ?? []);
  // The certificates are made by `isthmus certs`: a key is no sample.
  const files = [...new Set(named)].filter((path) => !path.startsWith('samples/certs/')).sort();
  expect(files.length).toBeGreaterThan(6);
  expect(files.filter((path) => !existsSync(join(root, path)))).toEqual([]);
});

describe.each(SAMPLES)('%s', (path) => {
  test('is free of faults, beside the services and the versions that it speaks of', () => {
    const [, context = []] = Object.entries(CONTEXTS).find(([start]) => path.startsWith(start)) ?? [];
    const store = new MeshStore({
      trustDomain: 'cluster.local',
      dnsDomain: 'cluster.local',
      rootNamespace: 'istio-system',
      configCluster: 'cluster1',
    });
    const objects = [...context, path].flatMap(objectsOf);
    const { diagnostics } = store.apply(
      objects.map((object) => ({ kind: 'upsert' as const, cluster: 'cluster1', object })),
    );
    expect(diagnostics).toEqual([]);
  });

  test('names each object once, and images that the sandbox has', () => {
    const objects = objectsOf(path);
    const names = objects.map(({ kind, metadata }) => `${kind}/${metadata.name}`);
    expect(names.length).toBeGreaterThan(0);
    expect(new Set(names).size).toBe(names.length);
    for (const { kind, spec } of objects) {
      if (kind !== 'Deployment') continue;
      const { template } = spec as { template: { spec: { containers: { image: string }[] } } };
      for (const { image } of template.spec.containers) expect(resolveImage(image).kind, image).toBe('program');
    }
  });
});

test('helloworld can be created in parts: the Service by its app, each version by its own label, nothing twice', () => {
  const objects = objectsOf('samples/helloworld/helloworld.yaml');
  const selected = (label: string, value: string): string[] =>
    objects.filter(({ metadata }) => metadata.labels?.[label] === value).map(({ metadata }) => metadata.name ?? '');
  expect(selected('app', 'helloworld')).toEqual(['helloworld']);
  for (const version of ['v1', 'v2', 'v3']) expect(selected('version', version)).toEqual([`helloworld-${version}`]);
  expect(objects).toHaveLength(4);
  expect(objectsOf('samples/helloworld/service.yaml')).toEqual(objects.slice(0, 1));
});
