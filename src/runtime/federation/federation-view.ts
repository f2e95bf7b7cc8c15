// SPDX-License-Identifier: Apache-2.0
// What a control plane shows of exports and imports: /debug/federation, from which `isthmus mesh status` reads.
import { clustersetHost, globalHost } from '../../api/export-names.ts';
import { SERVICE_ENTRY } from '../../api/service-entry.ts';
import type { Imports } from '../../federation/imports.ts';
import type { Digest, ServiceName } from '../../federation/types.ts';
import type { RefusedKey } from '../registries/claims.ts';
import type { PeerStatus } from './peers.ts';

export interface FederationView {
  readonly cluster: string;
  /** Only the leader knows of peers, exports and imports. */
  readonly leader: boolean;
  /** Grows with each change of what is exported or imported. */
  readonly revision: number;
  readonly peers: readonly (PeerStatus & { readonly exports: number })[];
  readonly refused: readonly Pick<RefusedKey, 'secret' | 'key' | 'message' | 'cure'>[];
  readonly exports: readonly ExportView[];
  readonly imports: readonly ImportView[];
  readonly conflicts: readonly { readonly service: ServiceName; readonly reason: string; readonly message: string }[];
  /** Objects that cannot be written, and why. */
  readonly obstacles: Readonly<Record<string, string>>;
  /** Objects whose writing is being tried again. */
  readonly failing: number;
}

export interface ExportView {
  readonly namespace: string;
  readonly name: string;
  readonly valid: boolean;
  readonly reason: string;
  readonly message: string;
  readonly ready: number;
  readonly gateways: readonly string[];
}

export interface ImportView {
  readonly namespace: string;
  readonly name: string;
  readonly hosts: readonly string[];
  /** undefined where it is withheld. */
  readonly address: string | undefined;
  readonly clusters: readonly string[];
}

/** What is counted, without a list of it. */
export interface FederationCounts {
  readonly peers: number;
  readonly exports: number;
  readonly imports: number;
  readonly conflicts: number;
  /** By cluster, in milliseconds. */
  readonly ages: ReadonlyMap<string, number>;
}

export interface ViewInput {
  readonly cluster: string;
  readonly isLeader: boolean;
  readonly revision: number;
  readonly peers: readonly PeerStatus[];
  /** Peer -> why what it says is not taken. */
  readonly faults: ReadonlyMap<string, string>;
  readonly refused: readonly RefusedKey[];
  readonly digests: ReadonlyMap<ServiceName, Digest>;
  readonly imports: Imports;
  readonly obstacles: ReadonlyMap<string, string>;
  readonly failing: number;
}

export function viewOf(input: ViewInput): FederationView {
  const { cluster, isLeader, revision, faults, imports } = input;
  return {
    cluster,
    leader: isLeader,
    revision,
    peers: input.peers.map((peer) => {
      const fault = faults.get(peer.cluster);
      const error = peer.error === undefined && fault !== undefined ? { error: fault } : {};
      return { ...peer, ...error, exports: imports.countOf(peer.cluster) };
    }),
    refused: input.refused.map(({ secret, key, message, cure }) => ({ secret, key, message, cure })),
    exports: [...input.digests].map(([service, digest]) => exportView(service, digest)),
    imports: isLeader ? importViews(cluster, imports) : [],
    conflicts: isLeader ? conflictsOf(imports) : [],
    obstacles: Object.fromEntries(input.obstacles),
    failing: input.failing,
  };
}

/** undefined: another replica leads. */
export function countsOf({ isLeader, peers, digests, imports, cluster }: ViewInput): FederationCounts | undefined {
  if (!isLeader) return undefined;
  const counts = { exports: 0, imports: 0, conflicts: 0 };
  for (const { spec } of digests.values()) if (spec !== undefined) counts.exports++;
  for (const [service, { conflict, disagreements }] of imports.imports) {
    if (imports.exportsOf(service).some((each) => each.cluster !== cluster)) counts.imports++;
    if (conflict?.status === 'True') counts.conflicts++;
    counts.conflicts += disagreements.length;
  }
  const ages = peers.flatMap((peer) => (peer.lastSyncMs === null ? [] : [[peer.cluster, peer.lastSyncMs] as const]));
  return { ...counts, peers: peers.length, ages: new Map(ages) };
}

function exportView(service: ServiceName, { spec, conditions }: Digest): ExportView {
  const [namespace = '', name = ''] = service.split('/');
  const said = conditions.find(({ status }) => status === 'False') ?? conditions[0];
  return {
    namespace,
    name,
    valid: spec !== undefined,
    reason: said?.reason ?? '',
    message: said?.message ?? '',
    ready: spec?.ready ?? 0,
    gateways: spec?.gateways.map(({ address, port }) => `${address}:${port}`) ?? [],
  };
}

function importViews(cluster: string, imports: Imports): ImportView[] {
  return [...imports.imports].flatMap(([service, { objects }]) => {
    const [namespace = '', name = ''] = service.split('/');
    const clusters = imports.exportsOf(service).map((each) => each.cluster);
    if (clusters.every((each) => each === cluster)) return [];
    const entry = objects.find(({ kind }) => kind === SERVICE_ENTRY.kind)?.['spec'] as
      | { addresses?: string[] }
      | undefined;
    const hosts = [globalHost(namespace, name), clustersetHost(namespace, name)];
    return [{ namespace, name, hosts, address: entry?.addresses?.[0], clusters: clusters.sort() }];
  });
}

function conflictsOf(imports: Imports): FederationView['conflicts'] {
  return [...imports.imports].flatMap(([service, { conflict, disagreements }]) => [
    ...(conflict?.status === 'True' ? [{ service, reason: conflict.reason, message: conflict.message }] : []),
    ...disagreements.map(({ reason, message }) => ({ service, reason, message })),
  ]);
}
