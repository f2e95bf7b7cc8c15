// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import type { KubeObject } from '../../kube/types.ts';
import { type DnsFacts, judgeGlobalDns } from './global-dns.ts';

const ADDRESS = '10.96.4.2';
const configMap = (name: string, data: Record<string, string>): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'kube-system' },
  data,
});
const kubeDns = (stubDomains: string) => configMap('kube-dns', { stubDomains });
const coreDns = (...lines: string[]) =>
  configMap('coredns', { Corefile: ['.:53 {', '  proxy . /etc/resolv.conf', '}', ...lines].join('\n') });
const said = (facts: Partial<DnsFacts>) =>
  judgeGlobalDns({
    zone: 'global',
    host: 'httpbin.app2.global',
    serverAddress: ADDRESS,
    serverReady: true,
    kubeDns: undefined,
    coreDns: undefined,
    running: undefined,
    ...facts,
  }).map(({ code, object, field, message }) => `${code} ${object.kind}/${object.name} ${field}: ${message}`);

test.each<[string, Partial<DnsFacts>]>([
  ['no name below the zone', { host: undefined, serverAddress: undefined }],
  ['kube-dns with stubDomains', { kubeDns: kubeDns(`{"global": ["${ADDRESS}"]}`), running: 'kube-dns' }],
  ['CoreDNS with proxy', { coreDns: coreDns('global:53 {', `  proxy . ${ADDRESS}`, '}'), running: 'coredns' }],
  ['CoreDNS with forward', { coreDns: coreDns('global {', `  forward . ${ADDRESS}:53`, '}') }],
])('%s: nothing to say', (_, facts) => expect(said(facts)).toEqual([]));

test('nothing leads to istiocoredns', () => {
  expect(said({ running: 'coredns', coreDns: coreDns() })).toEqual([
    'ISM0313 ConfigMap/coredns data.Corefile: nothing leads names below .global to istiocoredns: httpbin.app2.global does not resolve',
  ]);
});

test('what is written for the DNS that does not run is nothing', () => {
  const facts = { kubeDns: kubeDns(`{"global": ["${ADDRESS}"]}`), running: 'coredns' as const };
  expect(said(facts)).toEqual([expect.stringMatching(/^ISM0313 ConfigMap\/coredns .*nothing leads/)]);
});

test('an address that istiocoredns had before', () => {
  expect(said({ kubeDns: kubeDns('{"global": ["10.96.9.9"]}') })).toEqual([
    expect.stringContaining(`10.96.9.9 is asked for names below .global, and istiocoredns is at ${ADDRESS}`),
  ]);
});

test('a configuration that the DNS cannot read', () => {
  expect(said({ kubeDns: kubeDns('{"global": [10.96.4.2]}') })).toEqual([
    expect.stringMatching(/^ISM0313 ConfigMap\/kube-dns data: .*stubDomains/),
  ]);
  expect(said({ coreDns: coreDns('global:53 {', `  forward . ${ADDRESS}`) })).toEqual([
    expect.stringMatching(/^ISM0313 ConfigMap\/coredns data.Corefile: .*line 4/),
  ]);
});

test('an istiocoredns that is not there, or not ready', () => {
  expect(said({ serverAddress: undefined })).toEqual([expect.stringContaining('it is not installed')]);
  expect(said({ serverReady: false })).toEqual([expect.stringContaining('istiocoredns is not ready')]);
});

test('each zone for itself', () => {
  const facts = { zone: 'clusterset.local', host: 'reviews.default.svc.clusterset.local', running: 'coredns' as const };
  const corefile = coreDns('global:53 {', `  forward . ${ADDRESS}`, '}');
  expect(said({ ...facts, coreDns: corefile })).toEqual([
    expect.stringContaining('nothing leads names below .clusterset.local to istiocoredns'),
  ]);
  expect(said({ coreDns: corefile, running: 'coredns' })).toEqual([]);
});
