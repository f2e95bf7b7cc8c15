// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { readValues as readLayers } from './read-values.ts';
import type { Values } from './values.ts';
import { ValuesError } from './values-error.ts';

function readValues(sets: readonly string[], clusterName: string): Values {
  return readLayers({ sets: sets.map((text) => ({ text })), clusterName }).values;
}

test('values are set by their path, in the type that they have', () => {
  const values = readValues(
    [
      'global.tag=2',
      'global.proxy.concurrency=2',
      'gateways.istio-ingressgateway.enabled=false',
      'pilot.resources.requests.cpu=1',
    ],
    'cluster1',
  );
  expect(values.global.tag).toBe('2');
  expect(values.global.proxy.concurrency).toBe(2);
  expect(values.gateways['istio-ingressgateway'].enabled).toBe(false);
  expect(values.pilot.resources.requests).toEqual({ cpu: '1', memory: '128Mi' });
});

test('the cluster is named after its context unless it is set', () => {
  expect(readValues([], 'cluster1').global.multiCluster.clusterName).toBe('cluster1');
  expect(readValues(['global.multiCluster.clusterName=eu'], 'cluster1').global.multiCluster.clusterName).toBe('eu');
});

test('mesh networks are as free as Istio has them', () => {
  const values = readValues(
    [
      'global.meshNetworks.network2.endpoints[0].fromRegistry=n2-k8s-config',
      'global.meshNetworks.network2.gateways[0].address=0.0.0.0',
      'global.meshNetworks.network2.gateways[0].port=443',
    ],
    'c',
  );
  expect(values.global.meshNetworks).toEqual({
    network2: { endpoints: [{ fromRegistry: 'n2-k8s-config' }], gateways: [{ address: '0.0.0.0', port: 443 }] },
  });
});

test('one reading leaves nothing behind for the next', () => {
  readValues(['global.tag=changed', 'global.meshNetworks.n.endpoints[0].fromRegistry=x'], 'c');
  expect(readValues([], 'c').global.tag).not.toBe('changed');
  expect(readValues([], 'c').global.meshNetworks).toEqual({});
});

test.each([
  ['global.tga=1', 'there is no value global.tga; did you mean global.tag?'],
  ['nothing=1', 'known here: global'],
  ['global.tag', 'NAME=VALUE'],
  ['global.proxy=1', 'is a group'],
  ['global.tag.major=1', 'has no members'],
  ['global.proxy.concurrency=two', 'whole number'],
  ['istiocoredns.enabled=yes', 'true or false'],
  ['global.proxy.excludeOutboundBy=gid', 'auto, uid, mark'],
  ['global.hub=', 'where images come from'],
  ['global.tag=a b', 'the tag of an image'],
  ['pilot.logLevel=loud', 'error, warn, info, debug'],
  ['istiocoredns.zone=a b', 'a DNS name'],
  ['gateways.istio-ingressgateway.loadBalancerIP=999.1.1.1', 'an IP address'],
  ['global.meshNetworks.n1.endpoints=x', 'global.meshNetworks.n1.endpoints: '],
  ['global.meshNetworks.n1.gateways[0].address=1.2.3.4', 'global.meshNetworks.n1.gateways[0].port: '],
  ['global.istioRemote=true,global.remotePilotAddress=127.0.0.1', 'leads nowhere'],
  ['global.__proto__.polluted=1', 'cannot be a name'],
])('%s is refused: %s', (assignment, reason) => {
  expect(() => readValues([assignment], 'c')).toThrow(ValuesError);
  expect(() => readValues([assignment], 'c')).toThrow(reason);
});

test('a name that could break out of the node id is refused', () => {
  expect(() => readValues([], 'a~b')).toThrow('cannot be a cluster');
});
