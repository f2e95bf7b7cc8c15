// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { decodeObject } from '../api/kind.ts';
import { decodeMeshConfig } from '../api/mesh-config.ts';
import { PROXY_CONFIG } from '../api/proxy-config.ts';
import { workloadFacts } from '../kube/workload-facts.ts';
import { buildProxyContainer } from './proxy-container.ts';
import { NO_WISHES, type ProxyDefaults, proxyWishes } from './proxy-wishes.ts';
import { DEFAULT_SETTINGS } from './settings.ts';

function config(namespace: string, name: string, spec: object) {
  const raw = { apiVersion: 'networking.istio.io/v1beta1', kind: 'ProxyConfig', metadata: { namespace, name }, spec };
  return decodeObject(PROXY_CONFIG, raw).value!;
}

const MESH = decodeMeshConfig({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'istio' },
  data: { mesh: 'defaultConfig: {concurrency: 1, drainDuration: 5s, proxyMetadata: {A: mesh, B: mesh, C: mesh}}' },
}).value!.defaultConfig;

const DEFAULTS: ProxyDefaults = {
  mesh: MESH,
  rootNamespace: 'istio-system',
  configs: [
    config('istio-system', 'root', { concurrency: 2, environmentVariables: { B: 'root', C: 'root' } }),
    config('shop', 'all', { concurrency: 3, environmentVariables: { C: 'shop' } }),
    config('shop', 'younger', { concurrency: 9 }),
    config('shop', 'one', {
      selector: { matchLabels: { app: 'cart' } },
      concurrency: 4,
      image: { imageType: 'debug' },
    }),
    config('other', 'all', { concurrency: 8 }),
  ],
};

test('what is said of fewer pods goes before what is said of more', () => {
  const of = (namespace: string, app: string, annotation?: string) => {
    const annotated = annotation === undefined ? {} : { annotations: { 'proxy.istio.io/config': annotation } };
    return proxyWishes({ labels: { app }, ...annotated }, namespace, DEFAULTS);
  };
  expect(of('nowhere', 'x')).toMatchObject({ concurrency: 2, environment: { A: 'mesh', B: 'root', C: 'root' } });
  expect(of('shop', 'x')).toMatchObject({
    concurrency: 3,
    environment: { A: 'mesh', B: 'root', C: 'shop' },
    drainMs: 5000,
  });
  expect(of('shop', 'cart')).toMatchObject({ concurrency: 4, imageType: 'debug' });
  const own = 'concurrency: 0\ndrainDuration: 7s\nproxyMetadata: {A: pod}';
  expect(of('shop', 'cart', own)).toMatchObject({
    concurrency: 0,
    drainMs: 7000,
    environment: { A: 'pod', B: 'root' },
  });
});

test('an annotation that cannot be read names what is wrong; what is of no use is warned of', () => {
  const wishesOf = (text: string) =>
    proxyWishes({ annotations: { 'proxy.istio.io/config': text } }, 'shop', { ...DEFAULTS, configs: [] });
  expect(() => wishesOf('concurrency: many')).toThrow(/proxy\.istio\.io\/config: concurrency: "many" is not a whole/);
  expect(() => wishesOf('a: [b')).toThrow(/is no YAML/);
  expect(wishesOf('statusPort: 15020').warnings).toEqual([expect.stringMatching(/statusPort: .* port 15021/)]);
  expect(wishesOf('newInIstio: 1').warnings).toEqual([expect.stringMatching(/no field `newInIstio`/)]);
  expect(wishesOf('fileFlushMinSizeKb: 128').fileFlushKb).toBe(128);
  expect(wishesOf('connectionSettings: {profile: EDGE}').warnings).toHaveLength(1);
  expect(wishesOf('tracing: {sampling: 5}').warnings).toEqual([expect.stringMatching(/tracing counts in the mesh/)]);
});

test('the container runs so, and what it needs stays its own', () => {
  const settings = { ...DEFAULT_SETTINGS, proxyImage: 'isthmus/proxyv2:1', clusterId: 'c1' };
  const build = (wishes: object) =>
    buildProxyContainer('sidecar', settings, {
      facts: workloadFacts({ name: 'x' }, 'c1', 'shop'),
      wishes: { ...NO_WISHES, ...wishes },
    });
  const {
    args = [],
    env = [],
    image,
  } = build({
    concurrency: 3,
    drainMs: 7_000,
    fileFlushMs: 250,
    fileFlushKb: 128,
    imageType: 'debug',
    environment: { POD_NAME: 'forged', ISTIO_META_TEAM: 'red', DD_SERVICE: 'mine' },
    runtime: { 'a.b': '1' },
    stats: { inclusionPrefixes: ['cluster.'], inclusionSuffixes: [], inclusionRegexps: [] },
  });
  const after = (flag: string) => args[args.indexOf(flag) + 1];
  expect([after('--concurrency'), after('--drain-time-s'), after('--file-flush-interval-msec'), image]).toEqual([
    '3',
    '7',
    '250',
    'isthmus/proxyv2:1-debug',
  ]);
  expect(after('--file-flush-min-size-kb')).toBe('128');
  expect(env.filter(({ name }) => name === 'DD_SERVICE')).toEqual([{ name: 'DD_SERVICE', value: 'mine' }]);
  expect(env.filter(({ name }) => name === 'POD_NAME')).toEqual([expect.not.objectContaining({ value: 'forged' })]);
  const bootstrap = JSON.parse(after('--config-yaml')!) as Record<string, unknown>;
  expect(bootstrap).toMatchObject({
    node: { metadata: { TEAM: '$(ISTIO_META_TEAM)' } },
    layered_runtime: { layers: [{}, { static_layer: { 'a.b': '1' } }] },
  });
  const { inclusion_list } = (
    bootstrap['stats_config'] as { stats_matcher: { inclusion_list: { patterns: object[] } } }
  ).stats_matcher;
  expect(inclusion_list.patterns).toEqual(expect.arrayContaining([{ prefix: 'wasmcustom.' }, { prefix: 'cluster.' }]));
  expect(build({ concurrency: 0 }).args).not.toContain('--concurrency');
});
