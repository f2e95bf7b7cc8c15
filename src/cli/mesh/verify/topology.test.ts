// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import type { ClientConfig } from '../../../kube/config.ts';
import { matchRegistry } from '../../analyze/remote-secrets.ts';
import { nameServices } from './probe-objects.ts';
import { groupOf, type PlacedCluster, pairUp, placeClusters } from './topology.ts';

const registry = (name: string, config: ClientConfig) => {
  return { name, config, secret: { apiVersion: 'v1', kind: 'Secret', namespace: 'istio-system', name } };
};
const placed = (name: string, more: Partial<PlacedCluster> = {}): PlacedCluster => ({
  ...{ name, calledInFile: undefined, servedBy: undefined, role: 'primary', ownName: name },
  ...{
    server: `https://${name}:6443`,
    caPem: `ca of ${name}`,
    registries: [],
    pilotAt: [],
    gatewayAddresses: [`gw-${name}`],
  },
  ...more,
});
const remote = (name: string, more: Partial<PlacedCluster> = {}): PlacedCluster =>
  placed(name, { role: 'remote', ownName: undefined, ...more });

test('a remote cluster belongs to where its proxies dial, whoever watches it', () => {
  const clusters = [placed('a'), placed('b'), remote('c', { pilotAt: ['gw-b'] })];
  const { planes, meshNames } = placeClusters(clusters);
  expect([...planes]).toEqual([
    ['a', 'a'],
    ['b', 'b'],
    ['c', 'b'],
  ]);
  expect(meshNames.get('c')).toBe('c');
});

test('the key of its Secret is its name in the mesh: by the CA, though the address is another cluster’s', () => {
  const mistyped = registry('n2', { server: 'https://b:6443', caPem: 'ca of c' });
  const clusters = [placed('a', { registries: [mistyped] }), placed('b'), remote('c')];
  const { planes, meshNames } = placeClusters(clusters);
  expect(planes.get('c')).toBe('a');
  expect(meshNames.get('c')).toBe('n2');
  expect(meshNames.get('b')).toBe('b');
});

test('for whoever asks what is done a mistyped address leads where it leads', () => {
  const mistyped = registry('n2', { server: 'https://b:6443', caPem: 'ca of c' });
  const clusters = [placed('a', { registries: [mistyped] }), placed('b'), remote('c')];
  const { planes, meshNames } = placeClusters(clusters, matchRegistry);
  expect(planes.get('c')).toBeUndefined();
  expect(meshNames.get('c')).toBe('c');
  const mended = registry('n2', { server: 'https://c:6443', caPem: 'ca of c' });
  const well = placeClusters([placed('a', { registries: [mended] }), ...clusters.slice(1)], matchRegistry);
  expect([well.planes.get('c'), well.meshNames.get('c')]).toEqual(['a', 'n2']);
});

test('what mesh.yaml says counts before what a broken cluster tells', () => {
  const clusters = [placed('a'), placed('b'), remote('c', { servedBy: 'a', calledInFile: 'third', pilotAt: ['gw-b'] })];
  const { planes, meshNames } = placeClusters(clusters);
  expect(planes.get('c')).toBe('a');
  expect(meshNames.get('c')).toBe('third');
});

test('with several control planes, and no word of any, it is nobody’s', () => {
  expect(placeClusters([placed('a'), placed('b'), remote('c')]).planes.get('c')).toBeUndefined();
  expect(placeClusters([placed('a'), remote('c')]).planes.get('c')).toBe('a');
});

test('pairs and groups follow the control planes', () => {
  const planes = new Map([
    ['a', 'a'],
    ['b', 'b'],
    ['c', 'a'],
  ]);
  expect(pairUp(['a', 'b', 'c'], planes).map(({ from, to, model }) => `${from}${to} ${model}`)).toEqual([
    ...['ab own-plane', 'ac served', 'ba own-plane', 'bc own-plane', 'ca served', 'cb own-plane'],
  ]);
  expect(groupOf('c', ['a', 'b', 'c'], planes)).toEqual(['a', 'c']);
  expect(groupOf('x', ['x', 'y'], new Map())).toEqual(['x']);
});

test('any context’s name becomes the name of a Service, and no two the same', () => {
  const names = ['arn:aws:eks:eu-1:123:cluster/Shop', 'kind-a', 'kind_a'];
  const services = nameServices(names).map(({ service }) => service);
  expect(services).toEqual(['probe-arn-aws-eks-eu-1-123-cluster-shop', 'probe-kind-a', 'probe-kind-a-2']);
});
