// SPDX-License-Identifier: Apache-2.0
// Laws of split horizon, on random networks. What a proxy should get is computed here anew, from the mesh as it was drawn.
import { fromBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import { ClusterLoadAssignmentSchema } from '#gen/envoy/config/endpoint/v3/endpoint_pb.ts';
import { clusterName } from '../src/api/names.ts';
import { TYPE_URL } from '../src/envoy/names.ts';
import type { MeshProxy } from '../src/model/proxy.ts';
import type { MeshSnapshot } from '../src/model/snapshot.ts';
import { MeshStore, type StoreEvent } from '../src/model/store.ts';
import { CompileCache, compileProxy } from '../src/pipeline.ts';
import type { DesiredState } from '../src/xds/types.ts';
import { rounds } from './fixture/counts.ts';
import {
  answersOf,
  arbitraryNetworks,
  type ClusterObject,
  ENTRY_HOST,
  entryAddress,
  type NetworkMesh,
  OWN_CLUSTER,
  objectsOf,
  SERVICE_HOST,
  settingsOf,
} from './scenarios/arbitrary-networks.ts';
import { withNameable } from './scenarios/nameable.ts';

const runs = (count: number) => ({ numRuns: rounds(count), seed: 20261122 });
const TIMEOUT_MS = 60_000 * rounds(1);

/** One proxy on each network, a gateway on one, and one that asks for the network external. */
const PROXIES: readonly MeshProxy[] = [
  ...['', 'net1', 'net2', 'net3'].map((network) => proxy('sidecar', network)),
  proxy('gateway', 'net1'),
  proxy('sidecar', 'net2', ['external']),
];

function proxy(kind: MeshProxy['kind'], network: string, requestedNetworks: readonly string[] = []): MeshProxy {
  return {
    id: `${kind} ${network} ${requestedNetworks}`,
    kind,
    // Of no cluster of the mesh and of no block, so that only its own word says where it is.
    cluster: clusterName('nowhere'),
    namespace: 'shop',
    podName: 'p',
    ip: '203.0.113.1',
    labels: {},
    serviceAccount: 'default',
    network,
    requestedNetworks,
    trustDomain: 'cluster.local',
    dnsDomain: 'cluster.local',
  };
}

const settings = { trustDomain: 'cluster.local', dnsDomain: 'cluster.local', rootNamespace: 'istio-system' };
const newStore = () => new MeshStore({ ...settings, configCluster: OWN_CLUSTER });
const upsert = ({ cluster, object }: ClusterObject): StoreEvent => ({ kind: 'upsert', cluster, object });

function snapshotOf(mesh: NetworkMesh): MeshSnapshot {
  const store = newStore();
  store.apply(objectsOf(mesh).map(upsert));
  return store.answer(answersOf(mesh)).snapshot;
}

/** Address and port -> weight, as Envoy reads it; undefined where there is no such cluster. */
function sharesOf(desired: DesiredState, cluster: string): Map<string, bigint> | undefined {
  const own = desired.get(TYPE_URL.cluster)?.get(cluster);
  if (own === undefined) return undefined;
  const told = desired.get(TYPE_URL.endpoints)?.get(cluster);
  const assignment = told
    ? fromBinary(ClusterLoadAssignmentSchema, told.value)
    : fromBinary(ClusterSchema, own.value).loadAssignment;
  const members = assignment?.endpoints.flatMap((l) => l.lbEndpoints) ?? [];
  const shares = members.map(({ hostIdentifier, loadBalancingWeight }) => {
    const address = hostIdentifier.case === 'endpoint' ? hostIdentifier.value.address?.address : undefined;
    if (address?.case !== 'socketAddress') throw new Error('an endpoint without an address');
    const port = address.value.portSpecifier.value;
    return [`${address.value.address}:${port}`, BigInt(loadBalancingWeight ?? 1)] as const;
  });
  expect(new Set(shares.map(([address]) => address)).size, 'Envoy takes an address once only').toBe(shares.length);
  return new Map(shares);
}

interface Target {
  readonly at: string;
  readonly network: string | undefined;
  readonly meshed: boolean;
  readonly draining: boolean;
  readonly weight: bigint;
  readonly locality: string;
}

function networkOfPod(mesh: NetworkMesh, { label, ip, cluster }: NetworkMesh['pods'][number]): string {
  const block = mesh.blocks[Number(ip.split('.')[2])];
  return label || (block ?? mesh.registries[cluster] ?? '');
}

function podTargets(mesh: NetworkMesh, version?: string): Target[] {
  return mesh.pods
    .filter((pod) => pod.state !== 'unready' && (version === undefined || pod.version === version))
    .map((pod) => ({
      at: `${pod.ip}:8080`,
      network: networkOfPod(mesh, pod),
      meshed: pod.meshed,
      draining: pod.state === 'draining',
      weight: 1n,
      locality: pod.zone,
    }));
}

function entryTargets(mesh: NetworkMesh): Target[] {
  return mesh.entry.map((endpoint) => {
    const { network, weight, meshed, locality } = endpoint;
    return {
      at: `${entryAddress(endpoint, mesh)}:80`,
      network,
      meshed,
      draining: false,
      weight: BigInt(weight),
      locality,
    };
  });
}

/** Ways to a target: itself, or gateways; none when it cannot be reached. */
function waysTo(target: Target, from: string, mesh: NetworkMesh): string[] {
  const { network } = target;
  if (network === 'external') return [];
  if (network === undefined || network === from) return [target.at];
  const configured = mesh.networks[network]?.gateways ?? [];
  if (configured.length === 0) return mesh.leaveOut ? [] : [target.at];
  if (!target.meshed) return [];
  const usable = configured
    .filter(({ address }) => address !== '0.0.0.0' && address !== 'lost.example')
    .map((g) => ({ ...g, at: `${g.address.replace(/^gw-|\.example$/g, '')}:${g.port}` }));
  const near = usable.filter(
    (g) => g.locality !== '' && (target.locality === g.locality || target.locality.startsWith(`${g.locality}/`)),
  );
  return (near.length > 0 && target.locality !== '' ? near : usable).map((g) => g.at);
}

interface Fraction {
  readonly over: bigint;
  readonly under: bigint;
}

/** What each address should get, as fractions of all. */
function expectedShares(targets: readonly Target[], from: string, mesh: NetworkMesh): Map<string, Fraction> {
  const reached = targets
    .map((target) => ({ target, ways: waysTo(target, from, mesh) }))
    .filter(({ ways }) => ways.length > 0);
  const staying = reached.filter(({ target }) => !target.draining);
  const chosen = staying.length > 0 ? staying : reached;
  const total = chosen.reduce((sum, { target }) => sum + target.weight, 0n);
  const shares = new Map<string, Fraction>();
  for (const { target, ways } of chosen) {
    for (const way of ways) {
      const { over, under } = shares.get(way) ?? { over: 0n, under: 1n };
      const part = { over: target.weight, under: total * BigInt(ways.length) };
      shares.set(way, { over: over * part.under + part.over * under, under: under * part.under });
    }
  }
  return shares;
}

function expectShares(real: Map<string, bigint> | undefined, wanted: Map<string, Fraction>, about: string): void {
  const weights = real ?? new Map<string, bigint>();
  expect([...weights.keys()].sort(), about).toEqual([...wanted.keys()].sort());
  const sum = [...weights.values()].reduce((a, b) => a + b, 0n);
  expect(sum <= 0xffff_ffffn, `${about}: Envoy takes sums of 32 bits`).toBe(true);
  for (const [address, weight] of weights) {
    const { over, under } = wanted.get(address)!;
    expect(weight > 0n, `${about}: ${address} has no weight`).toBe(true);
    // Only weights that somebody has chosen huge are rounded.
    if (sum < 0x8000_0000n)
      expect(weight * under === over * sum, `${about}: ${address} has ${weight} of ${sum}`).toBe(true);
  }
}

describe('laws of split horizon', { timeout: TIMEOUT_MS }, () => {
  test('shares are exact, and nobody reaches a network that he must not', () => {
    fc.assert(
      fc.property(arbitraryNetworks, (mesh) => {
        const snapshot = snapshotOf(mesh);
        const cache = new CompileCache();
        for (const p of PROXIES.filter((q) => q.kind === 'sidecar' && q.requestedNetworks.length === 0)) {
          const desired = withNameable(compileProxy(snapshot, p, cache));
          const check = (cluster: string, targets: readonly Target[]) =>
            expectShares(sharesOf(desired, cluster), expectedShares(targets, p.network, mesh), `${p.id} ${cluster}`);
          check(`outbound|80||${SERVICE_HOST}`, podTargets(mesh));
          check(`outbound|80|v1|${SERVICE_HOST}`, podTargets(mesh, 'v1'));
          if (desired.get(TYPE_URL.cluster)?.has(`outbound|80||${ENTRY_HOST}`)) {
            check(`outbound|80||${ENTRY_HOST}`, entryTargets(mesh));
          }
        }
      }),
      runs(250),
    );
  });

  test('a gateway passes TLS on to the pods of its own network, and to no others', () => {
    const gateway = PROXIES.find((p) => p.kind === 'gateway')!;
    const labels = { istio: 'ingressgateway' };
    const opened: ClusterObject = {
      cluster: OWN_CLUSTER,
      object: {
        apiVersion: 'networking.istio.io/v1',
        kind: 'Gateway',
        metadata: { name: 'g', namespace: 'istio-system' },
        spec: {
          selector: labels,
          servers: [
            {
              port: { number: 443, name: 'tls', protocol: 'TLS' },
              tls: { mode: 'AUTO_PASSTHROUGH' },
              hosts: ['*.local'],
            },
          ],
        },
      },
    };
    fc.assert(
      fc.property(arbitraryNetworks, (mesh) => {
        const store = newStore();
        const { snapshot } = store.apply([...objectsOf(mesh), opened].map(upsert));
        const { desired } = compileProxy(snapshot, { ...gateway, labels }, new CompileCache());
        const local = podTargets(mesh).filter((t) => t.network === gateway.network && t.meshed);
        const staying = local.filter((t) => !t.draining);
        const wanted = (staying.length > 0 ? staying : local).map((t) => t.at);
        const real = sharesOf(desired, `outbound_.80_._.${SERVICE_HOST}`);
        expect([...(real?.keys() ?? [])].sort()).toEqual(wanted.sort());
      }),
      runs(100),
    );
  });

  test('what asks for the network external gets it, and only where there is one', () => {
    const exit = PROXIES.find((p) => p.requestedNetworks.length > 0)!;
    fc.assert(
      fc.property(arbitraryNetworks, (mesh) => {
        const { desired } = compileProxy(snapshotOf(mesh), exit, new CompileCache());
        const real = sharesOf(desired, `outbound|80||${ENTRY_HOST}`);
        if (real === undefined) return;
        const external = entryTargets(mesh).filter((t) => t.network === 'external');
        if (external.length > 0) expect([...real.keys()].sort()).toEqual(external.map((t) => t.at).sort());
        else
          expect([...real.keys()].sort()).toEqual(
            [...expectedShares(entryTargets(mesh), exit.network, mesh).keys()].sort(),
          );
      }),
      runs(100),
    );
  });

  test('the order of events is irrelevant, the answers of the DNS among them', () => {
    const shuffled = arbitraryNetworks.chain((mesh) => {
      const objects = objectsOf(mesh);
      return fc.record({
        mesh: fc.constant(mesh),
        objects: fc.shuffledSubarray(objects, { minLength: objects.length }),
        answered: fc.nat(objects.length),
      });
    });
    fc.assert(
      fc.property(shuffled, ({ mesh, objects, answered }) => {
        const store = newStore();
        objects.forEach((object, i) => {
          if (i === answered) store.answer(answersOf(mesh));
          store.apply([upsert(object)]);
        });
        store.answer(answersOf(mesh));
        const together = newStore();
        together.apply(objectsOf(mesh).map(upsert));
        const diagnostics = together.answer(answersOf(mesh)).diagnostics;
        expect(versions(store.snapshot)).toEqual(versions(together.snapshot));
        expect(store.apply([]).diagnostics).toEqual(diagnostics);
      }),
      runs(100),
    );
  });

  test('networks that come and go leave the very same resources', () => {
    fc.assert(
      fc.property(arbitraryNetworks, (mesh) => {
        const store = newStore();
        const [config, ...rest] = objectsOf(mesh) as [ClusterObject, ...ClusterObject[]];
        const before = store.apply(rest.map(upsert)).snapshot;
        const cache = new CompileCache();
        const first = PROXIES.map((p) => compileProxy(before, p, cache).desired);
        versions(store.apply([upsert(config)]).snapshot, cache);
        const after = store.apply([{ kind: 'delete', ...config }]).snapshot;
        const last = PROXIES.map((p) => compileProxy(after, p, cache).desired);
        expect(last.flatMap((desired, i) => changedNames(first[i]!, desired))).toEqual([]);
      }),
      runs(60),
    );
  });

  test('a gateway that changes is sent to those who go by it, and to nobody else', () => {
    fc.assert(
      fc.property(arbitraryNetworks, (mesh) => {
        const store = newStore();
        store.apply(objectsOf(mesh).map(upsert));
        const before = store.answer(answersOf(mesh)).snapshot;
        const cache = new CompileCache();
        const first = PROXIES.map((p) => compileProxy(before, p, cache).desired);
        const gateways = mesh.networks['net1']!.gateways;
        if (gateways.length === 0) return;
        const moved = gateways.map((g) => ({ ...g, address: '198.51.100.99', port: g.port }));
        const networks = { ...mesh.networks, net1: { gateways: moved } };
        const object = settingsOf({ ...mesh, networks });
        const after = store.apply([upsert({ cluster: OWN_CLUSTER, object })]).snapshot;
        PROXIES.forEach((p, i) => {
          const next = compileProxy(after, p, cache).desired;
          const touched = changedNames(first[i]!, next);
          if (p.network === 'net1' || p.kind === 'gateway') expect(touched, p.id).toEqual([]);
          for (const name of touched) {
            // A service that loses or finds its only usable gateway may show neither before nor after.
            const shown = [...(sharesOf(first[i]!, name)?.keys() ?? []), ...(sharesOf(next, name)?.keys() ?? [])];
            expect(
              shown.some((at) => at.startsWith('198.51.100.')),
              `${p.id} ${name}`,
            ).toBe(true);
          }
        });
      }),
      runs(100),
    );
  });

  test('a meshNetworks that cannot be used changes nothing', () => {
    fc.assert(
      fc.property(arbitraryNetworks, fc.string(), (mesh, noise) => {
        const store = newStore();
        store.apply(objectsOf(mesh).map(upsert));
        const before = store.answer(answersOf(mesh)).snapshot;
        const object = settingsOf(mesh);
        const data = { ...(object['data'] as object), meshNetworks: `networks: [${noise}` };
        const { snapshot, diagnostics } = store.apply([upsert({ cluster: OWN_CLUSTER, object: { ...object, data } })]);
        if (diagnostics.some((d) => d.severity === 'error' && d.field.startsWith('data.meshNetworks'))) {
          expect(snapshot).toBe(before);
        } else expect(snapshot.index.networks.gateways.size).toBe(0);
      }),
      runs(50),
    );
  });
});

function versions(snapshot: MeshSnapshot, cache = new CompileCache()): string[] {
  return PROXIES.flatMap((p) =>
    [...compileProxy(snapshot, p, cache).desired.values()].flatMap((resources) =>
      [...resources.values()].map((r) => `${p.id} ${r.typeUrl} ${r.name} ${r.version}`).sort(),
    ),
  );
}

/** Names of resources that are not the very same object. */
function changedNames(a: DesiredState, b: DesiredState): string[] {
  return [...new Set([...a.keys(), ...b.keys()])].flatMap((typeUrl) => {
    const [left, right] = [a.get(typeUrl), b.get(typeUrl)];
    const names = new Set([...(left?.keys() ?? []), ...(right?.keys() ?? [])]);
    return [...names].filter((name) => left?.get(name) !== right?.get(name));
  });
}
