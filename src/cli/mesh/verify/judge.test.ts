// SPDX-License-Identifier: Apache-2.0
// A healthy mesh of three, and what is said of it when one thing about it changes.
import { describe, expect, test } from 'vitest';
import { makeIntermediate, makeRoot } from '../../../identity/ca-material.ts';
import type { Remark } from '../../analyze/judge.ts';
import type { ClusterSight, PairSight } from './evidence.ts';
import { judgeMesh } from './judge.ts';
import type { DoorSight } from './probe/wire.ts';
import {
  ADDRESS,
  answered,
  authority,
  type Change,
  ca,
  chain,
  clusterSight,
  DAY_MS,
  doorTo,
  failing,
  gatewayAt,
  mesh,
  type Name,
  nowMs,
  other,
  REFUSED,
  see,
  token,
} from './testing/three-clusters.ts';

/** `cause cluster: pairs`, the causes of failures first. */
function told(change: Change): string[] {
  return judgeMesh(mesh(change)).map(({ cause, cluster, pairs, severity }) =>
    [
      severity === 'warning' ? '!' : '',
      `${cause} ${cluster}:`,
      ...pairs.map(({ from, to }) => `${from.at(-1)}${to.at(-1)}`),
    ]
      .join(' ')
      .trim(),
  );
}

test('of a healthy mesh nothing is said', () => {
  expect(judgeMesh(mesh())).toEqual([]);
});

describe('the way to a gateway', () => {
  const silent = failing('cluster2', { tcp: 'silent' });
  const dark: Partial<DoorSight> = { tcp: 'silent', otherPorts: [{ port: 80, tcp: 'silent' }] };

  test.each<[string, Change, string[]]>([
    ['one port is blocked', { pairs: { 'cluster1 cluster2': silent } }, ['port-blocked cluster2: 12']],
    [
      'for two clusters, told once',
      { pairs: { 'cluster1 cluster2': silent, 'cluster3 cluster2': silent } },
      ['port-blocked cluster2: 12 32'],
    ],
    [
      'one way is cut',
      { pairs: { 'cluster1 cluster2': failing('cluster2', dark) } },
      ['gateway-unreachable cluster2: 12'],
    ],
    [
      'a cluster is an island',
      {
        pairs: {
          'cluster1 cluster2': failing('cluster2', dark),
          'cluster3 cluster2': failing('cluster2', dark),
          'cluster2 cluster1': failing('cluster1', dark),
          'cluster2 cluster3': failing('cluster3', dark),
        },
      },
      ['gateway-unreachable cluster2: 12 21 23 32'],
    ],
    [
      'a refusal at every port',
      {
        pairs: {
          'cluster1 cluster2': failing('cluster2', { tcp: 'refused', otherPorts: [{ port: 80, tcp: 'refused' }] }),
        },
      },
      ['nobody-listens cluster2: 12'],
    ],
    [
      'somebody takes connections and throws them away, and it is chance which word meets it',
      {
        pairs: {
          'cluster1 cluster2': failing('cluster2', { tcp: 'reset', otherPorts: [{ port: 80, tcp: 'open' }] }),
          'cluster3 cluster2': failing('cluster2', { tls: { kind: 'closed', message: 'ECONNRESET' } }),
        },
      },
      ['nobody-listens cluster2: 12 32'],
    ],
    [
      'a name without an address',
      { pairs: { 'cluster1 cluster2': failing('cluster2', { tcp: { error: 'x' }, addresses: [], otherPorts: [] }) } },
      ['wrong-gateway-address cluster2: 12'],
    ],
    [
      'HTTP is spoken there',
      {
        pairs: {
          'cluster1 cluster2': failing('cluster2', {
            tls: { kind: 'not-tls', message: 'x' },
            plain: 'HTTP/1.1 400 Bad Request',
          }),
        },
      },
      ['layer-7-balancer cluster2: 12'],
    ],
    [
      'TLS ends there',
      {
        pairs: {
          'cluster1 cluster2': failing('cluster2', {
            tls: { kind: 'chain', protocol: 'TLSv1.3', chain: chain(other) },
            plain: '',
          }),
        },
      },
      ['layer-7-balancer cluster2: 12'],
    ],
    [
      'the SNI is not known there',
      { pairs: { 'cluster1 cluster2': failing('cluster2', { tls: { kind: 'closed', message: 'x' }, plain: '' }) } },
      ['not-passed-on cluster2: 12'],
    ],
    [
      'nothing explains it',
      { pairs: { 'cluster1 cluster2': { answer: answered('cluster2', 'x', REFUSED) } } },
      ['unknown cluster1: 12'],
    ],
    [
      'another cluster answers',
      { pairs: { 'cluster1 cluster2': { answer: answered('cluster3', 'probe-cluster1') } } },
      ['wrong-destination cluster1: 12'],
    ],
  ])('%s', (_, change, expected) => {
    expect(told(change)).toEqual(expected);
  });
});

describe('gateways and networks', () => {
  const gateway = clusterSight('cluster2').gateway!;
  const failed = { 'cluster1 cluster2': failing('cluster2', { tcp: 'refused' }) };
  test.each<[string, Change, string[]]>([
    ['no Service', { clusters: { cluster2: { gateway: undefined } }, pairs: failed }, ['gateway-missing cluster2: 12']],
    [
      'no port',
      { clusters: { cluster2: { gateway: { ...gateway, ports: [{ number: 80 }], door: undefined } } }, pairs: failed },
      ['gateway-port-missing cluster2: 12'],
    ],
    [
      'no address',
      { clusters: { cluster2: { gateway: { ...gateway, addresses: [], door: undefined } } }, pairs: failed },
      ['gateway-no-address cluster2: 12'],
    ],
    [
      'nobody behind it',
      { clusters: { cluster2: { gateway: { ...gateway, endpoints: 0 } } }, pairs: failed },
      ['gateway-no-endpoints cluster2: 12'],
    ],
    [
      'not ready, which is told also while the last connections go on',
      {
        clusters: {
          cluster2: {
            parts: [{ name: 'istio-ingressgateway', version: '1.0.0', wanted: 0, ready: 0, state: '' }],
          },
        },
      },
      ['gateway-not-ready cluster2:'],
    ],
    [
      'a load balancer that is still to come is no fault as long as all goes well',
      {
        clusters: { cluster2: { gateway: { ...gateway, addresses: [], door: { address: '10.0.0.9', port: 31_000 } } } },
      },
      [],
    ],
    [
      'no network for a cluster whose pods cannot be dialled',
      {
        clusters: { cluster1: { networks: {} } },
        pairs: { 'cluster1 cluster3': failing('cluster3', { tcp: 'silent', otherPorts: [] }) },
      },
      ['network-missing cluster1: 13'],
    ],
    [
      'the network’s gateway is elsewhere',
      {
        clusters: {
          cluster1: {
            networks: {
              n3: { endpoints: [{ kind: 'registry', name: 'cluster3' }], gateways: [gatewayAt('172.31.0.199')] },
            },
          },
        },
        pairs: { 'cluster1 cluster3': failing('cluster3', { tcp: 'silent', otherPorts: [] }) },
      },
      ['wrong-gateway-address cluster1: 13'],
    ],
  ])('%s', (_, change, expected) => {
    expect(told(change)).toEqual(expected);
  });
});

describe('how a cluster without a control plane reaches it', () => {
  const gateway = clusterSight('cluster1').gateway!;
  const pilot = {
    ...doorTo('cluster1', { tcp: 'silent', otherPorts: [{ port: 15_443, tcp: 'open' }] }),
    door: { address: ADDRESS.cluster1, port: 15_011, sni: '', otherPorts: [15_443] },
  } as const;
  const probe = { injected: true, ready: false, state: 'not ready', proxyErrors: [], pilot };
  const pairs = { 'cluster1 cluster3': { answer: undefined, skipped: 'x' } as unknown as Partial<PairSight> };
  test.each<[string, Change, string[]]>([
    [
      'its gateway has no such port',
      { clusters: { cluster1: { gateway: { ...gateway, ports: [{ number: 15_443 }] } } } },
      ['gateway-port-missing cluster1:'],
    ],
    [
      'it looks for it elsewhere',
      { clusters: { cluster3: { pilotAt: ['172.31.0.99'] } } },
      ['wrong-gateway-address cluster3:'],
    ],
    ['the port is blocked', { clusters: { cluster3: { probe } }, pairs }, ['port-blocked cluster1: 13']],
    [
      'the gateway of its own takes itself for one of another network',
      {
        clusters: { cluster3: { gatewayNetwork: 'n9' } },
        pairs: { 'cluster1 cluster3': failing('cluster3', { tls: { kind: 'closed', message: 'x' }, plain: '' }) },
      },
      ['network-missing cluster3: 13'],
    ],
  ])('%s', (_, change, expected) => {
    expect(told(change)).toEqual(expected);
  });
});

describe('what is told though no probe fails', () => {
  const entry = (address: string, port: number) => {
    return { entries: [{ object: 'ServiceEntry a/b', host: 'b.a.global', endpoints: [{ address, port }] }] };
  };
  test.each<[string, Partial<ClusterSight>, string[]]>([
    ['a ServiceEntry that leads to a gateway', entry(ADDRESS.cluster2, 15_443), []],
    ['one that leads elsewhere', entry('192.0.2.1', 15_443), ['! wrong-gateway-address cluster1:']],
    ['one that leads to another port of a gateway', entry(ADDRESS.cluster2, 443), ['wrong-gateway-address cluster1:']],
    [
      'an export that did not arrive',
      { late: [{ target: 'cluster2', reported: 'x' }] },
      ['exports-not-arriving cluster1:'],
    ],
    ['a peer that nobody reads', { strangers: ['cluster2'] }, ['peer-not-read cluster1:']],
    [
      'a rule of plaintext for one name',
      { tlsRules: [{ object: 'DestinationRule a/b', host: 'b.a.global', mode: 'DISABLE' }] },
      ['plaintext-rule cluster1:'],
    ],
  ])('%s', (_, cluster1, expected) => {
    expect(told({ clusters: { cluster1 } })).toEqual(expected);
  });
});

describe('trust and time', () => {
  const all = (to: Name) => failing(to, { tls: { kind: 'silent', message: 'x' } });
  const touching2 = {
    'cluster1 cluster2': all('cluster2'),
    'cluster2 cluster1': all('cluster1'),
    'cluster2 cluster3': all('cluster3'),
    'cluster3 cluster2': all('cluster2'),
  };
  const old = makeIntermediate(makeRoot(ca('old root', nowMs - 100 * DAY_MS, 30)), ca('x', nowMs - 100 * DAY_MS, 30));
  const oldIntermediate = makeIntermediate(
    makeRoot(ca('root', nowMs - 100 * DAY_MS)),
    ca('x', nowMs - 100 * DAY_MS, 30),
  );

  test.each<[string, Change, string[]]>([
    [
      'another root',
      { clusters: { cluster2: { authority: authority(other) } }, pairs: touching2 },
      ['different-roots cluster2: 12 21 23 32'],
    ],
    [
      'the right root, not loaded',
      {
        clusters: { cluster2: { authority: { ...authority(), trusted: other['root-cert.pem'] } } },
        pairs: touching2,
      },
      ['ca-not-reloaded cluster2: 12 21 23 32'],
    ],
    [
      'an expired root',
      { clusters: { cluster2: { authority: authority(old) } }, pairs: touching2 },
      ['root-expired cluster2: 12 21 23 32', 'different-roots cluster2:'],
    ],
    [
      'an expired intermediate',
      { clusters: { cluster2: { authority: { ...authority(), intermediate: see(oldIntermediate['ca-cert.pem']) } } } },
      ['intermediate-expired cluster2:'],
    ],
    [
      'a CA that has expired by the clock of its cluster',
      { clusters: { cluster2: { aheadMs: 400 * DAY_MS } } },
      ['root-expired cluster2:', 'clock-skew cluster2:'],
    ],
    ['a clock that is off', { clusters: { cluster3: { aheadMs: -3_600_000 } } }, ['clock-skew cluster3:']],
    [
      'a node’s clock that is off',
      { pairs: { 'cluster2 cluster1': { podAheadMs: 90_000 } } },
      ['clock-skew cluster2:'],
    ],
    [
      'a clock that is off by less than anybody minds',
      { clusters: { cluster3: { aheadMs: -20_000 } }, pairs: { 'cluster2 cluster1': { podAheadMs: 10_000 } } },
      [],
    ],
  ])('%s', (_, change, expected) => {
    expect(told(change)).toEqual(expected);
  });
});

describe('names, rules and pods', () => {
  const unresolved = { answer: answered('cluster2', 'probe-cluster1', { lookup: { error: 'ENOTFOUND' } }) };
  const fault: Remark = {
    code: 'ISM0313',
    severity: 'warning',
    field: 'data.stubDomains',
    cure: 'write it',
    object: { apiVersion: 'v1', kind: 'ConfigMap', namespace: 'kube-system', name: 'kube-dns' },
    message: 'nothing leads names below .global to istiocoredns: probe.global does not resolve',
  };
  const proxy = { connected: true, destination: { tls: true, endpoints: ['172.31.0.120:15443'] } };
  const rule = { object: 'DestinationRule a/b', host: '*.global', mode: 'DISABLE' };
  const failed = answered('cluster2', 'x', REFUSED);

  test.each<[string, Change, string[]]>([
    [
      'no stub domain',
      { clusters: { cluster1: { names: { isInstalled: true, fault } } }, pairs: { 'cluster1 cluster2': unresolved } },
      ['dns-stub-missing cluster1: 12'],
    ],
    [
      'a stub domain that is not where it is looked for, and names that resolve all the same',
      { clusters: { cluster1: { names: { isInstalled: true, fault } } } },
      [],
    ],
    ['a name, and no reason', { pairs: { 'cluster1 cluster2': unresolved } }, ['name-unresolved cluster1: 12']],
    [
      'a rule of plaintext',
      {
        clusters: { cluster1: { tlsRules: [rule] } },
        pairs: {
          'cluster1 cluster2': {
            answer: failed,
            proxy: { ...proxy, destination: { ...proxy.destination, tls: false } },
            door: doorTo('cluster2', { tls: { kind: 'chain', protocol: 'TLSv1.3', chain: [] }, plain: '' }),
          },
        },
      },
      ['plaintext-rule cluster1: 12'],
    ],
    [
      'a proxy without its control plane',
      { pairs: { 'cluster1 cluster2': { answer: failed, proxy: { ...proxy, connected: false } } } },
      ['proxy-disconnected cluster1: 12'],
    ],
    [
      'a rule for all names answers in its stead',
      {
        clusters: { cluster1: { wideRoutes: [{ object: 'VirtualService a/b', host: '*.global' }] } },
        pairs: {
          'cluster1 cluster2': {
            ...{ answer: failed, proxy },
            door: doorTo('cluster2', { tls: { kind: 'chain', protocol: 'TLSv1.3', chain: [] }, plain: '' }),
          },
        },
      },
      ['rule-in-the-way cluster1: 12'],
    ],
    [
      'a Sidecar hides it',
      {
        clusters: { cluster1: { sidecars: ['Sidecar istio-system/default'] } },
        pairs: { 'cluster1 cluster2': { answer: failed, proxy: { connected: true } } },
      },
      ['hidden-by-sidecar cluster1: 12'],
    ],
    [
      'no endpoints',
      { pairs: { 'cluster1 cluster2': { answer: failed, proxy: { connected: true } } } },
      ['no-endpoints cluster1: 12'],
    ],
    [
      'no sidecar',
      {
        clusters: { cluster2: { probe: { injected: false, ready: true, state: '', proxyErrors: [] } } },
        pairs: { 'cluster1 cluster2': { answer: failed }, 'cluster2 cluster1': { answer: failed } },
      },
      ['injection-off cluster2: 12 21'],
    ],
  ])('%s', (_, change, expected) => {
    expect(told(change)).toEqual(expected);
  });
});

describe('who reads whom', () => {
  const skipped = { answer: undefined, skipped: 'the probe in cluster3 is not ready' } as unknown as Partial<PairSight>;
  const pairs = {
    'cluster1 cluster3': skipped,
    'cluster2 cluster3': skipped,
    'cluster3 cluster1': skipped,
    'cluster3 cluster2': skipped,
  };
  const probe = { injected: true, ready: false, state: 'istio-proxy not ready', proxyErrors: [] };
  const all = '13 23 31 32';
  test.each<[string, Partial<ClusterSight>, string]>([
    [
      'a token that is refused',
      { tokens: [token({ kind: 'unauthorized', message: 'x' })] },
      `bad-token cluster1: ${all}`,
    ],
    [
      'a token without rights',
      { tokens: [token({ kind: 'forbidden', message: 'x', lacking: ['services'] })] },
      `powerless-token cluster1: ${all}`,
    ],
    [
      'a kubeconfig of another cluster',
      { tokens: [token({ kind: 'elsewhere', message: 'x' })] },
      `wrong-server-address cluster1: ${all}`,
    ],
    ['no kubeconfig', { tokens: [] }, `cluster-not-watched cluster1: ${all}`],
  ])('%s', (_, cluster1, expected) => {
    expect(told({ clusters: { cluster1, cluster3: { probe } }, pairs })).toEqual([expected]);
  });

  test('a cluster that cannot be asked is told, and what is known of the others', () => {
    const away = { unreachable: 'connect ECONNREFUSED', role: 'none' } as const;
    const gone = { answer: undefined, skipped: 'cluster2 cannot be asked' } as unknown as Partial<PairSight>;
    const change = { clusters: { cluster2: away }, pairs: { 'cluster1 cluster2': gone, 'cluster2 cluster1': gone } };
    expect(told(change)).toEqual(['cluster-unreachable cluster2: 12 21']);
  });
});

test('versions that differ are a warning', () => {
  const parts = [{ name: 'istiod', version: '0.9.0', wanted: 1, ready: 1, state: '' }];
  expect(told({ clusters: { cluster2: { parts: [...parts, ...clusterSight('cluster2').parts.slice(1)] } } })).toEqual([
    '! version-skew cluster2:',
  ]);
});

test('a trust domain that differs is a warning, though the probes believe one another', () => {
  const seenAs = (from: string) => ({
    answer: answered('cluster1', from, {
      outcome: {
        status: 200,
        tookMs: 5,
        body: JSON.stringify({
          cluster: 'cluster1',
          clientCertificate: `By=x;URI=spiffe://other.example/ns/v/sa/${from}`,
        }),
      },
    }),
  });
  const pairs = { 'cluster3 cluster1': seenAs('probe-cluster3'), 'cluster3 cluster2': { answer: undefined } };
  expect(told({ pairs: pairs as unknown as Record<string, Partial<PairSight>> })).toContain(
    '! trust-domain-differs cluster3:',
  );
  expect(told({})).toEqual([]);
});
