// SPDX-License-Identifier: Apache-2.0
// A healthy mesh of three for tests of judgement, and how it may differ.
import { X509Certificate } from 'node:crypto';
import { makeIntermediate, makeRoot } from '../../../../identity/ca-material.ts';
import type { ClusterSight, MeshSight, PairSight } from '../evidence.ts';
import type { Answer, DoorSight } from '../probe/wire.ts';

export const DAY_MS = 24 * 3_600_000;
export const nowMs = Date.now();
export const ca = (commonName: string, atMs = nowMs, days = 365) => ({
  organization: 'test',
  commonName,
  days,
  nowMs: atMs,
});
const root = makeRoot(ca('root'));
const files = makeIntermediate(root, ca('intermediate'));
export const other = makeIntermediate(makeRoot(ca('other root')), ca('other'));
const NAMES = ['cluster1', 'cluster2', 'cluster3'] as const;
export type Name = (typeof NAMES)[number];
export const ADDRESS = { cluster1: '172.31.0.100', cluster2: '172.31.0.120', cluster3: '172.31.0.140' } as const;

export const see = (pem: string) => {
  const { subject, fingerprint256: fingerprint, validFromDate, validToDate } = new X509Certificate(pem);
  return { subject, fingerprint, notBeforeMs: validFromDate.getTime(), notAfterMs: validToDate.getTime() };
};
export const authority = (of = files): NonNullable<ClusterSight['authority']> => ({
  secret: 'cacerts',
  roots: [see(of['root-cert.pem'])],
  intermediate: see(of['ca-cert.pem']),
  trusted: of['root-cert.pem'],
});

/** cluster3 is served by cluster1; cluster2 has a control plane of its own. */
export function clusterSight(name: Name, more: Partial<ClusterSight> = {}): ClusterSight {
  const role = name === 'cluster3' ? 'remote' : 'primary';
  const part = (part: string) => ({ name: part, version: '1.0.0', wanted: 1, ready: 1, state: '' });
  return {
    ...{ name, role, meshName: name, plane: name === 'cluster3' ? 'cluster1' : name, aheadMs: 0, remarks: [] },
    parts: [part(role === 'remote' ? 'istio-citadel' : 'istiod'), part('istio-ingressgateway')],
    gateway: {
      type: 'LoadBalancer',
      ports: [80, 443, 15_443, ...(name === 'cluster1' ? [15_011] : [])].map((number) => ({ number })),
      addresses: [ADDRESS[name]],
      endpoints: 1,
      door: { address: ADDRESS[name], port: 15_443 },
    },
    authority: authority(),
    networks:
      name === 'cluster1'
        ? { n3: { endpoints: [{ kind: 'registry', name: 'cluster3' }], gateways: [gatewayAt(ADDRESS.cluster3)] } }
        : {},
    names: role === 'remote' ? undefined : { isInstalled: true, fault: undefined },
    tokens: name === 'cluster1' ? [token({ kind: 'good' })] : [],
    ...{
      tlsRules: [],
      policies: [],
      late: [],
      strangers: [],
      gatewayNetwork: undefined,
      pilotAt: [],
      entries: [],
      sidecars: [],
      wideRoutes: [],
      injector: 'there',
    },
    probe: { injected: true, ready: true, state: '', address: '10.3.0.9', proxyErrors: [] },
    ...more,
  };
}

export function gatewayAt(address: string) {
  return { kind: 'address', address, port: 15_443, locality: '' } as const;
}

export function token(verdict: ClusterSight['tokens'][number]['verdict']): ClusterSight['tokens'][number] {
  const server = 'https://172.31.0.13:6443';
  return { kind: 'remote', secret: 's3', key: 'cluster3', target: 'cluster3', server, askedAt: server, verdict };
}

export const answered = (to: string, caller: string, more: Partial<Answer> = {}): Answer => ({
  podMs: nowMs,
  lookup: { addresses: ['240.255.254.1'] },
  attempts: 1,
  outcome: {
    status: 200,
    tookMs: 5,
    body: JSON.stringify({ cluster: to, clientCertificate: `By=x;URI=spiffe://cluster.local/ns/v/sa/${caller}` }),
  },
  ...more,
});
export const REFUSED = { outcome: { status: 503, tookMs: 5, body: 'upstream connect error' } } as const;
export const doorTo = (to: Name, more: Partial<DoorSight>): DoorSight => ({
  door: { address: ADDRESS[to], port: 15_443, sni: `outbound_.7080_._.probe-${to}.v.global`, otherPorts: [80, 443] },
  ...{ podMs: nowMs, addresses: [ADDRESS[to]], tcp: 'open' },
  otherPorts: [80, 443].map((port) => ({ port, tcp: 'open' })),
  ...more,
});

export interface Change {
  readonly clusters?: Partial<Record<Name, Partial<ClusterSight>>>;
  /** `from to` -> what differs. */
  readonly pairs?: Readonly<Record<string, Partial<PairSight>>>;
}

export function mesh({ clusters = {}, pairs = {} }: Change = {}): MeshSight {
  return {
    clusters: NAMES.map((name) => clusterSight(name, clusters[name])),
    pairs: NAMES.flatMap((from) =>
      NAMES.filter((to) => to !== from).map((to): PairSight => {
        const model = from !== 'cluster2' && to !== 'cluster2' ? 'served' : 'own-plane';
        const caller = `probe-${from}`;
        return {
          ...{ from, to, model, caller, host: `probe-${to}.v.global`, byName: from !== 'cluster3' },
          answer: answered(to, caller),
          ...pairs[`${from} ${to}`],
        };
      }),
    ),
  };
}

export const failing = (to: Name, more: Partial<DoorSight>): Partial<PairSight> => ({
  answer: answered(to, 'nobody', REFUSED),
  door: doorTo(to, more),
});
export const chain = (of: typeof files) => [of['ca-cert.pem'], of['root-cert.pem']];
