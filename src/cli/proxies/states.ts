// SPDX-License-Identifier: Apache-2.0
// From what a control plane's replicas say of their streams to one row for each proxy.
import { refName } from '../../api/diagnostics.ts';
import { CLUSTER_TYPE, ENDPOINT_TYPE, LISTENER_TYPE, ROUTE_TYPE } from '../../xds/session/type-urls.ts';

/** What /debug/proxies has of one stream, as far as it is looked at. */
export interface ReportedStream {
  readonly service: string;
  readonly peer: { readonly clusterName: string };
  readonly node: { readonly id: string; readonly metadata: Readonly<Record<string, unknown>> };
  readonly connectedAtMs: number;
  readonly types: readonly ReportedType[];
}

export interface ReportedType {
  readonly typeUrl: string;
  readonly held: number;
  readonly outstanding: boolean;
  readonly unsent: number;
  /** Resource -> what the proxy refuses of it now. */
  readonly rejected: Readonly<Record<string, { readonly version: string; readonly message: string }>>;
  readonly lastAckMs?: number;
}

/** One of /debug/refusals: the last hundred of a replica, mended ones included. */
export interface ReportedRefusal {
  readonly proxy: string;
  readonly typeUrl: string;
  readonly resource: string;
  readonly version: string;
  readonly message: string;
  readonly blamed: readonly { readonly kind: string; readonly namespace: string; readonly name: string }[];
  /** ISO 8601. */
  readonly at: string;
}

/** What one replica said. */
export interface ReplicaReport {
  readonly istiod: string;
  readonly streams: readonly ReportedStream[];
  readonly refusals: readonly ReportedRefusal[];
}

/**
 * SYNCED: the proxy has all that is meant for it. STALE: something is under way, or refused. NOT SENT: it asked, and has
 * had no answer. IGNORED: it never asked for this type.
 */
export type SyncState = 'SYNCED' | 'STALE' | 'NOT SENT' | 'IGNORED';

export const TYPES = { cds: CLUSTER_TYPE, lds: LISTENER_TYPE, eds: ENDPOINT_TYPE, rds: ROUTE_TYPE } as const;

export interface ProxyRow extends Readonly<Record<keyof typeof TYPES, SyncState>> {
  /** `POD.NAMESPACE` */
  readonly name: string;
  readonly cluster: string;
  /** The replica that serves it. */
  readonly istiod: string;
  readonly version: string;
  readonly refusals: readonly ShownRefusal[];
}

export interface ShownRefusal {
  readonly type: string;
  readonly resource: string;
  /** false: it, or what it came from, has changed since. */
  readonly inForce: boolean;
  readonly message: string;
  /** ISO 8601; absent where the replica has forgotten. */
  readonly at?: string;
  /** `KIND NAMESPACE/NAME` of what is behind it. */
  readonly objects: readonly string[];
}

/** Sorted by name, then cluster. A proxy that has just moved to another replica may still be known to both. */
export function readRows(reports: readonly ReplicaReport[]): ProxyRow[] {
  const newest = new Map<string, { stream: ReportedStream; report: ReplicaReport }>();
  for (const report of reports) {
    for (const stream of report.streams) {
      if (stream.service !== 'ads') continue;
      const key = `${stream.peer.clusterName} ${stream.node.id}`;
      const known = newest.get(key);
      if (known === undefined || known.stream.connectedAtMs < stream.connectedAtMs) newest.set(key, { stream, report });
    }
  }
  const rows = [...newest.values()].map(({ stream, report }) => rowOf(stream, report));
  return rows.sort((a, b) => compare(a.name, b.name) || compare(a.cluster, b.cluster));
}

function rowOf(stream: ReportedStream, { istiod, refusals }: ReplicaReport): ProxyRow {
  const { node, peer, types } = stream;
  const state = (typeUrl: string): SyncState => stateOf(types.find((type) => type.typeUrl === typeUrl));
  const version = node.metadata['ISTIO_VERSION'];
  return {
    name: node.id.split('~')[2] ?? node.id,
    cluster: peer.clusterName,
    ...{ cds: state(TYPES.cds), lds: state(TYPES.lds), eds: state(TYPES.eds), rds: state(TYPES.rds) },
    istiod,
    version: typeof version === 'string' ? version : 'unknown',
    refusals: refusalsOf(
      types,
      refusals.filter(({ proxy }) => proxy === node.id),
    ),
  };
}

export function stateOf(type: ReportedType | undefined): SyncState {
  if (type === undefined) return 'IGNORED';
  const isRefused = Object.keys(type.rejected).length > 0;
  // A proxy that came back with all that it needs holds it without having been sent anything.
  if (type.held === 0 && type.lastAckMs === undefined && !isRefused) return type.outstanding ? 'STALE' : 'NOT SENT';
  return type.outstanding || type.unsent > 0 || isRefused ? 'STALE' : 'SYNCED';
}

/** It has taken all that is meant for it. */
export function inSync(row: ProxyRow): boolean {
  return (Object.keys(TYPES) as (keyof typeof TYPES)[]).every((type) => ['SYNCED', 'IGNORED'].includes(row[type]));
}

/** The latest of each resource; what is in force comes first. */
function refusalsOf(types: readonly ReportedType[], told: readonly ReportedRefusal[]): ShownRefusal[] {
  const shown = new Map<string, ShownRefusal>();
  for (const { typeUrl, rejected } of types) {
    for (const [resource, { message }] of Object.entries(rejected)) {
      shown.set(`${typeUrl} ${resource}`, { type: shortType(typeUrl), resource, inForce: true, message, objects: [] });
    }
  }
  for (const { typeUrl, resource, version, message, blamed, at } of told) {
    const rejected = types.find((type) => type.typeUrl === typeUrl)?.rejected[resource];
    // An older refusal of a resource that is refused now in another version.
    if (rejected !== undefined && rejected.version !== version) continue;
    const objects = blamed.map(refName);
    const inForce = rejected !== undefined;
    shown.set(`${typeUrl} ${resource}`, { type: shortType(typeUrl), resource, inForce, message, at, objects });
  }
  return [...shown.values()].sort((a, b) => Number(b.inForce) - Number(a.inForce));
}

/** CDS of a Cluster's URL. */
function shortType(typeUrl: string): string {
  const known = Object.entries(TYPES).find(([, url]) => url === typeUrl);
  return known === undefined ? typeUrl.slice(typeUrl.lastIndexOf('.') + 1) : known[0].toUpperCase();
}

/** By code units: the same everywhere. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
