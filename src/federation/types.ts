// SPDX-License-Identifier: Apache-2.0
// What is derived from what: a service of the own cluster and who exports it -> what the others are told of it; what all
// clusters tell -> objects of this one.
import type { ObjectRef } from '../api/diagnostics.ts';
import type { ExportedGateway, ExportedServiceSpec } from '../api/exported-service.ts';
import type { KubeObject } from '../kube/types.ts';

/** `NAMESPACE/NAME` of a service, the same in all clusters. */
export type ServiceName = string;

/** Of an ExportedService, a ServiceExport or a ServiceImport, before it has a time. */
export interface Condition {
  readonly type: 'Valid' | 'Ready' | 'Conflict';
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
}

/** Why a service is exported. */
export interface ExportClaim {
  readonly kind: 'annotation' | 'ServiceExport' | 'ExportPolicy';
  readonly ref: ObjectRef;
  /** RFC 3339; undefined where nothing says since when. */
  readonly since: string | undefined;
  /** How clusters are to share the requests, if it says so (src/api/traffic-shares.ts). */
  readonly traffic: string | undefined;
}

export type Labels = Readonly<Record<string, string>>;

/** A pod, or whatever else takes requests for the service. */
export interface ReadyEndpoint {
  readonly labels: Labels;
  readonly locality: string;
  /** Gateways pass nothing on but the mesh's own TLS, so that nothing without a sidecar is reached. */
  readonly meshed: boolean;
}

export interface SelectedPod {
  readonly labels: Labels;
  /** SPIFFE ID. */
  readonly identity: string;
}

/** A subset that a DestinationRule of the own cluster makes of the service. */
export interface OwnSubset {
  readonly name: string;
  readonly labels: Labels;
}

export interface DigestInput {
  readonly cluster: string;
  readonly namespace: string;
  readonly name: string;
  /** undefined: there is no such Service. */
  readonly service: KubeObject | undefined;
  /** None: it is not exported. */
  readonly claims: readonly ExportClaim[];
  readonly endpoints: readonly ReadyEndpoint[];
  /** The pods that the service selects, ready or not: a version stays while a pod of it is there. */
  readonly pods: readonly SelectedPod[];
  readonly subsets: readonly OwnSubset[];
  /** Of the own cluster, those that lead somewhere. */
  readonly gateways: readonly ExportedGateway[];
  /** What the cluster has told of it so far: since when it is exported stays. */
  readonly before: ExportedServiceSpec | undefined;
  readonly nowMs: number;
}

export interface Digest {
  /** undefined: the others are told nothing. */
  readonly spec: ExportedServiceSpec | undefined;
  /** For those who export it: `Valid`. */
  readonly conditions: readonly Condition[];
}

/** What one cluster tells of a service; `cluster` is the name by which this cluster knows it. */
export interface Export {
  readonly cluster: string;
  readonly spec: ExportedServiceSpec;
}

/** An object that a person wrote for a host of ours, or under a name of ours. */
export interface PersonsObject {
  readonly ref: ObjectRef;
  readonly host: string;
}

export interface ImportInput {
  /** The own cluster's name. */
  readonly cluster: string;
  /** `cluster.local` */
  readonly dnsDomain: string;
  readonly namespace: string;
  readonly name: string;
  /** Of all clusters, the own one too. */
  readonly exports: readonly Export[];
  /** The own cluster has a namespace of the service's. */
  readonly hasNamespace: boolean;
  readonly addresses: readonly string[];
  /** ServiceEntries and DestinationRules of persons for one of its hosts, wildcards among them. */
  readonly claims: readonly PersonsObject[];
}

/** Something that stands between an export and its import, for people. */
export interface Disagreement {
  readonly service: ServiceName;
  readonly reason: string;
  /** Names both owners. */
  readonly message: string;
  /** The object that stands in the way. */
  readonly ref: ObjectRef;
}

export interface Import {
  /** The objects that the own cluster is to have of it, each byte for byte. */
  readonly objects: readonly KubeObject[];
  readonly disagreements: readonly Disagreement[];
  /** What there is to say to the own cluster's exporter of the service, if it exports it too. */
  readonly conflict: Condition | undefined;
}
