// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { clusterName } from '../api/names.ts';
import type { Vantage } from '../model/networks.ts';
import type { Endpoint } from '../model/snapshot.ts';
import type { NetworkChoice } from './destination-types.ts';
import { buildEndpoints } from './endpoints.ts';

function endpoint(address: string, version: string, draining: boolean, network = ''): Endpoint {
  const rest = { network, cluster: clusterName('one'), locality: '', nodeName: '', weight: 1, identity: undefined };
  return { address, ports: { http: 9080 }, labels: { version }, draining, meshed: true, ...rest };
}

const HERE: Vantage = {
  network: '',
  requested: [],
  gateways: new Map(),
  withoutGateway: 'direct',
  families: 'IPv4',
  far: { direct: [], gateway: [] },
  key: '',
};

function addresses(
  set: readonly Endpoint[],
  labels: Readonly<Record<string, string>> = {},
  from = HERE,
  networks: NetworkChoice = 'all',
): string[] {
  const filter = { labels, networks, meshedOnly: false };
  return buildEndpoints({ portName: 'http', filter }, set, from).map((e) => e.address);
}

describe('endpoints on their way out', () => {
  const set = [endpoint('10.1.0.1', 'v1', true), endpoint('10.1.0.2', 'v2', false), endpoint('10.1.0.3', 'v2', true)];

  test('get nothing while there are others', () => {
    expect(addresses(set)).toEqual(['10.1.0.2']);
    expect(addresses(set, { version: 'v2' })).toEqual(['10.1.0.2']);
  });

  test('are better than none, subset by subset', () => {
    expect(addresses(set, { version: 'v1' })).toEqual(['10.1.0.1']);
    expect(addresses(set.filter((e) => e.draining))).toEqual(['10.1.0.1', '10.1.0.3']);
  });
});

describe('endpoints in the network external', () => {
  const far = endpoint('172.31.0.120', 'v2', false, 'external');
  const exit = endpoint('10.96.0.9', 'v1', false);
  const asked: Vantage = { ...HERE, requested: ['external'] };

  test('are for those who ask for it, instead of the endpoints beside them', () => {
    expect(addresses([exit, far])).toEqual(['10.96.0.9']);
    expect(addresses([exit, far], {}, asked)).toEqual(['172.31.0.120']);
    expect(addresses([far])).toEqual([]);
  });

  test('change nothing for a service that has none', () => {
    expect(addresses([exit], {}, asked)).toEqual(['10.96.0.9']);
    expect(addresses([exit], {}, asked, 'requested')).toEqual([]);
  });

  test('are chosen before labels: a subset without one of them leads nowhere, not back to the gateway', () => {
    expect(addresses([exit, far], { version: 'v1' }, asked)).toEqual([]);
    expect(addresses([exit, far], { version: 'v2' }, asked)).toEqual(['172.31.0.120']);
    expect(addresses([exit, far], { version: 'v2' })).toEqual([]);
  });
});
