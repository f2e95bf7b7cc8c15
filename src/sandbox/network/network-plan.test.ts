// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { type NetworkWishes, planNetworks } from './network-plan.ts';

describe('the clusters’ networks', () => {
  const plan = (wishes: NetworkWishes, clusters = 3) =>
    planNetworks(clusters, wishes).map(({ network, podCidr }) => `${network} ${podCidr}`);

  it('are separate, with other addresses, unless told otherwise', () => {
    const separate = ['network1 10.1.0.0/16', 'network2 10.2.0.0/16', 'network3 10.3.0.0/16'];
    expect(plan({})).toEqual(separate);
    expect(plan({ network: 'separate' })).toEqual(separate);
    expect(plan({ network: 'flat' })).toEqual(separate.map((line) => line.replace(/network\d/, 'network1')));
  });

  it('are named cluster by cluster', () => {
    expect(plan({ network: 'cluster1=eu,cluster3=eu' })).toEqual([
      'eu 10.1.0.0/16',
      'network2 10.2.0.0/16',
      'eu 10.3.0.0/16',
    ]);
    expect(() => plan({ network: 'seperate' })).toThrow(
      /"seperate" is neither "separate" nor "flat".*cluster1=seperate/,
    );
    expect(plan({ podCidr: 'cluster2=192.168.0.0/16' })[1]).toBe('network2 192.168.0.0/16');
  });

  it('may have the same addresses, where they are separate', () => {
    expect(plan({ podCidr: '10.0.0.0/16' }, 2)).toEqual(['network1 10.0.0.0/16', 'network2 10.0.0.0/16']);
    expect(() => plan({ podCidr: '10.0.0.0/16', network: 'flat' })).toThrow(
      /cluster1 and cluster2 are on one network \(network1\).*10\.0\.0\.0\/16.*--network separate.*--pod-cidr cluster1=/,
    );
  });

  it('stay as they were when nothing is said', () => {
    const before = planNetworks(2, { network: 'flat', podCidr: 'cluster2=10.9.0.0/16' });
    expect(planNetworks(3, {}, before)).toEqual([...before, { network: 'network3', podCidr: '10.3.0.0/16' }]);
    expect(planNetworks(2, { network: 'separate' }, before).map(({ network }) => network)).toEqual([
      'network1',
      'network2',
    ]);
  });

  it.each([
    [{ network: 'cluster9=a' }, /--network: there is no cluster "cluster9"; closest: cluster[123]\..*--clusters/],
    [{ network: 'cluster1' + '=' }, /"cluster1=" is not of the form/],
    [{ network: 'cluster1=Net 1' }, /"Net 1" is not a network's name/],
    [{ podCidr: '10.0.0.0/8' }, /"10.0.0.0\/8" is not a private network of 65536 addresses/],
    [{ podCidr: '8.8.0.0/16' }, /is not a private network/],
    [{ podCidr: '10.300.0.0/16' }, /is not a private network/],
    [{ podCidr: 'cluster1=10.96.0.0/16' }, /has 10\.96\.0\.0\/16 for itself/],
    [{ podCidr: '172.31.0.0/16' }, /for itself/],
  ])('%j is refused', (wishes, message) => {
    expect(() => plan(wishes)).toThrow(message);
  });
});
