// SPDX-License-Identifier: Apache-2.0
// What there is to judge by: facts as they were found, no opinion among them.
import type { MeshNetworks } from '../../../api/mesh-networks.ts';
import type { Remark } from '../../analyze/judge.ts';
import type { Answer, Door, DoorSight, ProxySight } from './probe/wire.ts';

export interface MeshSight {
  readonly clusters: readonly ClusterSight[];
  readonly pairs: readonly PairSight[];
}

/** Clusters are known by their contexts everywhere here. */
export interface ClusterSight {
  readonly name: string;
  /** Why nothing of it could be read; the rest is then what nothing looks like. */
  readonly unreachable?: string;
  readonly role: 'primary' | 'remote' | 'none';
  /** The cluster whose control plane rules it; undefined: nobody's, as far as these clusters tell. */
  readonly plane: string | undefined;
  /** What the mesh calls it; undefined where that could not be read. */
  readonly meshName: string | undefined;
  /** How far its API server's clock is ahead of this machine's. */
  readonly aheadMs: number | undefined;
  /** What `isthmus analyze` says of the installation. */
  readonly remarks: readonly Remark[];
  readonly parts: readonly PartSight[];
  readonly gateway: GatewaySight | undefined;
  readonly authority: AuthoritySight | undefined;
  /** Of a control plane's cluster; undefined: there is none, or it cannot be read. */
  readonly networks: MeshNetworks | undefined;
  readonly names: NamesSight | undefined;
  /** Secrets of this cluster by which others are read. */
  readonly tokens: readonly TokenSight[];
  /** Exports of peers that did not arrive here. */
  readonly late: readonly ImportSight[];
  /** Own-plane clusters that a mesh.yaml has and no peer Secret here opens. */
  readonly strangers: readonly string[];
  /** Of the ingress gateway's own network; undefined: it is not told any. */
  readonly gatewayNetwork: string | undefined;
  /** Where its proxies dial another cluster's control plane. */
  readonly pilotAt: readonly string[];
  /** Somebody's ServiceEntries for names below `.global`. */
  readonly entries: readonly EntrySight[];
  /** Why the control plane's cluster did not take a ServiceEntry. */
  readonly entryRefused?: string;
  /** Sidecars that say for every namespace what pods see. */
  readonly sidecars: readonly string[];
  /** VirtualServices for every name there is, or every name of one zone. */
  readonly wideRoutes: readonly { readonly object: string; readonly host: string }[];
  /** DestinationRules for names below `.global` or for everything, that say something of TLS. */
  readonly tlsRules: readonly TlsRule[];
  /** `NAMESPACE/NAME` of NetworkPolicies that may stand in the way. */
  readonly policies: readonly string[];
  /** The configuration that has sidecars put into pods: `no-ca` is one that cannot be called. */
  readonly injector: 'there' | 'missing' | 'no-ca';
  readonly probe: ProbeSight;
}

/** A Deployment of the mesh. */
export interface PartSight {
  readonly name: string;
  /** The tag of its image. */
  readonly version: string;
  readonly wanted: number;
  readonly ready: number;
  /** What its pods are doing; '' when all is well. */
  readonly state: string;
}

export interface GatewaySight {
  readonly type: string;
  readonly ports: readonly { readonly number: number; readonly nodePort?: number }[];
  /** Addresses by which others reach it. */
  readonly addresses: readonly string[];
  /** Ready pods behind 15443. */
  readonly endpoints: number;
  /** Where others dial it; undefined: nowhere. */
  readonly door: Pick<Door, 'address' | 'port'> | undefined;
}

export interface CertificateSight {
  readonly subject: string;
  readonly fingerprint: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** The public half of a CA. */
export interface AuthoritySight {
  /** `cacerts`, or the one that was made in its stead. */
  readonly secret: string;
  readonly roots: readonly CertificateSight[];
  readonly intermediate: CertificateSight | undefined;
  /** PEM of what its workloads trust now. */
  readonly trusted: string;
}

/** How names below `.global` come to be resolved. */
export interface NamesSight {
  /** Service istiocoredns is there. */
  readonly isInstalled: boolean;
  /** What stands in the way by what is written. */
  readonly fault: Remark | undefined;
}

export interface TokenSight {
  readonly kind: 'remote' | 'peer';
  readonly secret: string;
  /** The key: what the mesh calls the cluster. */
  readonly key: string;
  /** The cluster that it is for. */
  readonly target: string | undefined;
  readonly server: string;
  /** By what other address this machine asked it. */
  readonly askedAt?: string;
  readonly verdict:
    | { readonly kind: 'good' }
    | { readonly kind: 'unauthorized' | 'elsewhere' | 'unreachable' | 'unusable'; readonly message: string }
    | { readonly kind: 'forbidden'; readonly message: string; readonly lacking: readonly string[] };
}

/** A service that a peer exports, and that this cluster did not get. */
export interface ImportSight {
  readonly target: string;
  /** What the control plane says of that peer. */
  readonly reported: string;
}

export interface EntrySight {
  readonly object: string;
  readonly host: string;
  readonly endpoints: readonly { readonly address: string; readonly port: number }[];
}

export interface TlsRule {
  readonly object: string;
  readonly host: string;
  readonly mode: string;
}

export interface ProbeSight {
  /** Why it could not be made. */
  readonly refused?: string;
  readonly injected: boolean;
  readonly ready: boolean;
  /** What it is doing instead; '' when it is ready. */
  readonly state: string;
  readonly address?: string;
  /** Label topology.istio.io/network. */
  readonly network?: string;
  /** Of a pod that is not ready, where another cluster has its control plane: the way there. */
  readonly pilot?: DoorSight;
  /** The last lines of its proxy that tell of an error. */
  readonly proxyErrors: readonly string[];
}

export interface PairSight {
  readonly from: string;
  readonly to: string;
  /** `served`: one control plane for both; `own-plane`: one each, by a name below `.global`. */
  readonly model: 'served' | 'own-plane';
  readonly host: string;
  /** ServiceAccount of the caller, which the far side has to see in its certificate. */
  readonly caller: string;
  /** Whether names of that kind are resolved in the caller's cluster at all. */
  readonly byName: boolean;
  /** Why it was not tried. */
  readonly skipped?: string;
  readonly answer?: Answer;
  /** How far the pod's clock is ahead of this machine's, as far as that is certain. */
  readonly podAheadMs?: number;
  /** Of pairs that failed. */
  readonly door?: DoorSight;
  readonly proxy?: ProxySight;
}

/** `analyze` looks at one cluster, and its cures name none. */
export function cureIn(context: string, { cure }: Remark): string {
  return cure.replaceAll('kubectl -n ', `kubectl --context ${context} -n `);
}
