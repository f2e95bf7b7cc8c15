// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import type { KubeObject } from '../kube/types.ts';
import { ENVOY_FILTER } from './envoy-filter.ts';
import { decodeObject } from './kind.ts';

const decoded = (patch: object) =>
  decodeObject(ENVOY_FILTER, {
    apiVersion: 'networking.istio.io/v1alpha3',
    kind: 'EnvoyFilter',
    metadata: { name: 'x', namespace: 'default' },
    spec: { configPatches: [patch] },
  } as KubeObject);

test('durations may be written as Go does, wherever a message has them', () => {
  const tcpProxy = {
    '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
    stat_prefix: 'x',
    cluster: 'y',
    idle_timeout: '1m30s',
    maxDownstreamConnectionDuration: '2.5s',
  };
  const filter = decoded({
    applyTo: 'NETWORK_FILTER',
    patch: { operation: 'ADD', value: { name: 'x', typed_config: tcpProxy } },
  });
  expect(filter.diagnostics).toEqual([]);
  expect(filter.value!.spec.configPatches[0]!.patch.value).toEqual({
    name: 'x',
    typed_config: { ...tcpProxy, idle_timeout: '90s' },
  });
  const value = {
    name: 'x',
    connect_timeout: '250ms',
    dnsRefreshRate: '500us',
    health_checks: [
      { timeout: '1h', interval: '1.5s', tcp_health_check: {}, unhealthy_threshold: 1, healthy_threshold: 1 },
    ],
    metadata: { filter_metadata: { a: { connect_timeout: '250ms' } } },
  };
  const cluster = decoded({ applyTo: 'CLUSTER', patch: { operation: 'ADD', value } });
  expect(cluster.diagnostics).toEqual([]);
  expect(cluster.value!.spec.configPatches[0]!.patch.value).toEqual({
    ...value,
    connect_timeout: '0.25s',
    dnsRefreshRate: '0.0005s',
    health_checks: [{ ...value.health_checks[0], timeout: '3600s' }],
  });
});

test('what is no duration is refused', () => {
  const { diagnostics } = decoded({
    applyTo: 'CLUSTER',
    patch: { operation: 'MERGE', value: { connect_timeout: 'soon' } },
  });
  expect(diagnostics.map(({ code }) => code)).toEqual(['ISM0002']);
});
