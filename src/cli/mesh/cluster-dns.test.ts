// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import type { KubeObject } from '../../kube/types.ts';
import { type DnsChange, type DnsState, planStubRemoval, planStubZones } from './cluster-dns.ts';

const ADDRESS = '10.96.4.2';

function configMap(name: string, data: Record<string, string>, annotations: Record<string, string> = {}): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: 'kube-system', resourceVersion: '7', annotations },
    data,
  };
}

function state(objects: Partial<Pick<DnsState, 'kubeDns' | 'coreDns' | 'running'>>): DnsState {
  return { kubeDns: undefined, coreDns: undefined, running: undefined, ...objects };
}

/** As the server merges it. */
function merged(live: KubeObject | undefined, change: DnsChange): KubeObject | undefined {
  if (change.kind === 'delete') return undefined;
  if (change.kind !== 'write') return live;
  const merge = (member: 'data' | 'annotations'): Record<string, string> => {
    const pick = (object: KubeObject | undefined) =>
      ((member === 'data' ? object?.['data'] : object?.metadata.annotations) ?? {}) as Record<string, string | null>;
    const all = { ...pick(live), ...pick(change.object) };
    return Object.fromEntries(Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== null));
  };
  return configMap(change.object.metadata.name ?? '', merge('data'), merge('annotations'));
}

const COREFILE = '.:53 {\n    errors\n    kubernetes cluster.local\n    forward . /etc/resolv.conf\n}';

describe('stub zones', () => {
  it('are written where the DNS that runs reads them, and once', () => {
    const before = state({
      coreDns: configMap('coredns', { Corefile: COREFILE, other: 'x' }),
      kubeDns: configMap('kube-dns', {}),
      running: 'coredns',
    });
    const change = planStubZones(before, 'auto', ADDRESS);
    expect(change.kind === 'write' && change.object.metadata.name).toBe('coredns');
    const coreDns = merged(before.coreDns, change);
    expect((coreDns!['data'] as Record<string, string>)['Corefile']).toContain(
      `global:53 clusterset.local:53 {\n    errors\n    cache 5\n    forward . ${ADDRESS}\n}`,
    );
    expect(planStubZones({ ...before, coreDns }, 'auto', ADDRESS)).toEqual({ kind: 'none' });
    // istiocoredns has another address since it was installed anew.
    expect(planStubZones({ ...before, coreDns }, 'auto', '10.96.9.9').kind).toBe('write');
  });

  it.each([
    ['a Corefile', 'coreDns', configMap('coredns', { Corefile: COREFILE })],
    ['a Corefile that ends in empty lines', 'coreDns', configMap('coredns', { Corefile: `${COREFILE}\n\n\n` })],
    [
      'stub domains of others',
      'kubeDns',
      configMap('kube-dns', { stubDomains: '{"corp": ["10.0.0.1"]}', upstreamNameservers: '["8.8.8.8"]' }),
    ],
    ['a ConfigMap without stub domains', 'kubeDns', configMap('kube-dns', { upstreamNameservers: '["8.8.8.8"]' })],
    ['an empty ConfigMap', 'kubeDns', configMap('kube-dns', {})],
    ['no ConfigMap', 'kubeDns', undefined],
  ] as const)('go again without a trace: %s', (_what, member, live) => {
    const with_ = merged(live, planStubZones(state({ [member]: live }), 'auto', ADDRESS));
    expect(JSON.stringify(with_)).toContain(ADDRESS);
    const [removal] = planStubRemoval(state({ [member]: with_ }));
    const after = merged(with_, removal!);
    const content = (object: KubeObject | undefined) => {
      const { stubDomains, ...data } = (object?.['data'] ?? {}) as Record<string, string>;
      return object && { data, stubs: JSON.parse(stubDomains ?? '{}'), annotations: object.metadata.annotations };
    };
    expect(content(after)).toEqual(content(live));
    expect(planStubRemoval(state({ [member]: after }))).toEqual([]);
  });

  it('that somebody leads elsewhere are not taken away from them', () => {
    const kubeDns = configMap('kube-dns', { stubDomains: '{"global": ["10.1.2.3"]}' });
    for (const address of [ADDRESS, undefined]) {
      const change = planStubZones(state({ kubeDns }), 'auto', address);
      expect(change.kind === 'problem' && change.message).toContain('leads .global to 10.1.2.3');
    }
    const coreDns = configMap('coredns', { Corefile: 'global:53 {\n  forward . 10.1.2.3\n}\n' });
    expect(planStubZones(state({ coreDns }), 'auto', ADDRESS).kind).toBe('problem');
    // One that somebody has led to istiocoredns is theirs, and stays when the mesh goes.
    const byHand = configMap('kube-dns', {
      stubDomains: `{"global": ["${ADDRESS}"], "clusterset.local": ["${ADDRESS}"]}`,
    });
    expect(planStubZones(state({ kubeDns: byHand }), 'auto', ADDRESS)).toEqual({ kind: 'none' });
    expect(planStubRemoval(state({ kubeDns: byHand }))).toEqual([]);
  });

  it('are a problem, and not a guess, where what is there cannot be read', () => {
    const broken = configMap('kube-dns', { stubDomains: '{' });
    expect(planStubZones(state({ kubeDns: broken }), 'auto', ADDRESS)).toMatchObject({ kind: 'problem' });
    expect(planStubZones(state({}), 'coredns', ADDRESS)).toMatchObject({ kind: 'problem' });
    const corefile = configMap('coredns', { Corefile: 'global:53 {' });
    expect(planStubZones(state({ coreDns: corefile }), 'auto', ADDRESS)).toMatchObject({ kind: 'problem' });
  });
});
