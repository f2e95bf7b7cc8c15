// SPDX-License-Identifier: Apache-2.0
import pino from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { KubeFixture } from '../../../test/mesh/kube-fixture.ts';
import { DEFAULT_SETTINGS, INJECTOR_CONFIG_MAP } from '../../injector/settings.ts';
import type { KubeClient } from '../../kube/client.ts';
import type { KubeObject } from '../../kube/types.ts';
import { ownFamilies } from '../../process/own-addresses.ts';
import { FollowedSettings } from './followed-settings.ts';

const MAPS = '/api/v1/namespaces/istio-system/configmaps';
const log = pino({ level: 'silent' });
let kube: KubeFixture;
let client: KubeClient;
let lifetime: AbortController;

beforeEach(async () => {
  kube = await KubeFixture.start();
  client = kube.client();
  lifetime = new AbortController();
});
afterEach(() => {
  lifetime.abort();
  client.close();
  kube.close();
});

function put(changes: object): void {
  const given = { ...DEFAULT_SETTINGS, proxyImage: 'proxy', clusterId: '', ...changes };
  const metadata = { name: INJECTOR_CONFIG_MAP, namespace: 'istio-system' };
  kube.put(MAPS, { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { settings: JSON.stringify(given) } });
}

function follow(): FollowedSettings {
  const settings = new FollowedSettings();
  void settings.run(client, log, lifetime.signal);
  return settings;
}

test.each([
  ['1', '32', true],
  ['1', '30+', true],
  ['1', '29', false],
])('left to the cluster, Kubernetes %s.%s has native sidecars: %s', async (major, minor, nativeSidecars) => {
  kube.version = { major, minor };
  put({ nativeSidecars: 'auto' });
  const settings = follow();
  await vi.waitFor(() => expect(settings.current).toMatchObject({ nativeSidecars, excludeOutboundBy: 'uid' }), 10_000);
});

test('left to the cluster, Envoy’s connections are told by their mark on nodes where all users are one', async () => {
  const metadata = { name: 'n', labels: { 'isthmus.dev/rootless': 'true' } };
  kube.put('/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata });
  put({ excludeOutboundBy: 'auto' });
  const settings = follow();
  await vi.waitFor(() => expect(settings.current?.excludeOutboundBy).toBe('mark'), 10_000);
});

test.each([
  ['nothing of IPv6', {}, false],
  ['a range of IPv6 for its pods', { spec: { podCIDRs: ['10.1.0.0/24', 'fd00:1::/64'] } }, true],
  ['an IPv6 address', { status: { addresses: [{ type: 'InternalIP', address: 'fd00::1' }] } }, true],
  ['an IPv6 address outside', { status: { addresses: [{ type: 'ExternalIP', address: '2001:db8::1' }] } }, false],
])('a node with %s tells what pods have', async (_, facts, has) => {
  kube.put('/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' }, ...facts } as KubeObject);
  put({});
  const settings = follow();
  await vi.waitFor(() => expect(settings.current).toBeDefined(), 10_000);
  expect(settings.current?.hasIpv6 === true).toBe(has || ownFamilies() !== 'IPv4');
});

test('a node without IPv6 keeps its address out of all bootstraps: there no Envoy would start with it', async () => {
  const spec = { podCIDRs: ['10.1.0.0/24', 'fd00:1::/64'] };
  kube.put('/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' }, spec } as KubeObject);
  kube.put('/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: 'old' } });
  put({});
  const settings = follow();
  await vi.waitFor(() => expect(settings.current).toBeDefined(), 10_000);
  expect(settings.current?.hasIpv6 === true).toBe(ownFamilies() !== 'IPv4');
});

test('what was said stays as it was said, and a text that cannot be used changes nothing', async () => {
  kube.version = { major: '1', minor: '29' };
  put({ nativeSidecars: true, excludeOutboundBy: 'mark' });
  const settings = follow();
  await vi.waitFor(
    () => expect(settings.current).toMatchObject({ nativeSidecars: true, excludeOutboundBy: 'mark' }),
    10_000,
  );
  put({ nativeSidecars: 'perhaps' });
  put({ concurrency: 7, nativeSidecars: false });
  await vi.waitFor(() => expect(settings.current).toMatchObject({ nativeSidecars: false, concurrency: 7 }), 10_000);
});
