// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { clusterName } from '../api/names.ts';
import type { Endpoint } from '../model/snapshot.ts';
import { buildEndpoints } from './endpoints.ts';

function endpoint(address: string, version: string, draining: boolean): Endpoint {
  const rest = { cluster: clusterName('one'), locality: '', weight: 1, identity: undefined, meshed: true };
  return { address, ports: { http: 9080 }, labels: { version }, draining, ...rest };
}

function addresses(set: readonly Endpoint[], labels: Readonly<Record<string, string>> = {}): string[] {
  const filter = { labels, cluster: '', meshedOnly: false };
  return buildEndpoints({ kind: 'endpoints', service: 's', portName: 'http', filter }, set).map((e) => e.address);
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
