// SPDX-License-Identifier: Apache-2.0
// What there is to say of one request: a tree, since weights and endpoints part ways, and the ends that it comes to.
import type { XdsResource } from '../xds/types.ts';

/** An object that something was decided by, and where in it. */
export interface Why {
  /** The cluster that has it. */
  readonly cluster: string;
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** `spec.http[0].match[1]` */
  readonly field?: string;
  /** Of what nobody wrote: `ExportedService default/reviews of cluster2`. */
  readonly madeOf?: string;
  /** Where it was read, if from a file; the line is that of the field. */
  readonly file?: string;
  readonly line?: number;
}

/** Who handles the request at one point of its way. */
export interface Place {
  readonly cluster: string;
  readonly namespace: string;
  readonly pod: string;
  /** Deployment, StatefulSet, ... behind the pod; else the pod's own name. */
  readonly workload: string;
  /** `none`: no proxy of the mesh. */
  readonly proxy: 'sidecar' | 'gateway' | 'none';
}

export type StepKind =
  /** How the name became an address. */
  | 'name'
  /** Whether the proxy gets to see it. */
  | 'redirect'
  | 'listener'
  | 'route'
  /** What is done to the request on the way: rewrites, headers. */
  | 'change'
  /** Time-outs, retries, faults, limits. */
  | 'policy'
  | 'mirror'
  | 'cluster'
  | 'endpoint'
  | 'tls'
  | 'note';

export interface Step {
  readonly kind: StepKind;
  readonly text: string;
  readonly why: readonly Why[];
}

/** What one proxy makes of the request. */
export interface Leg {
  readonly at: Place;
  readonly steps: readonly Step[];
  /** At least one; the shares add up to 1. */
  readonly forks: readonly Fork[];
}

export interface Fork {
  /** Of the requests that come to the leg: 0 to 1. */
  readonly share: number;
  /** Envoy's cluster; absent where the request goes nowhere from here. */
  readonly destination?: Destination;
  readonly steps: readonly Step[];
  readonly next: Leg | Ending;
}

export interface Destination {
  /** `outbound|9080|v2|reviews.default.global` */
  readonly cluster: string;
  readonly host: string;
  readonly port: number | undefined;
  readonly subset: string;
}

/** Where it ends, and for which share of the requests. */
export interface Ending {
  /**
   * `served`: a workload of the clusters that were looked at gets it. `outside`: it leaves them. `answered`: a proxy
   * answers itself. `refused`: nobody gets it, and the client sees an error. `unknown`: what decides is not known here.
   */
  readonly kind: 'served' | 'outside' | 'answered' | 'refused' | 'unknown';
  /** 0 to 1, of all requests. */
  readonly probability: number;
  /** Who is served; who answers or refuses; absent where there is nobody to name. */
  readonly at?: Place;
  /** Of `served`: all pods that may get it, `NAMESPACE/NAME`. */
  readonly pods?: readonly string[];
  /** The last destination that was chosen on the way from the caller. */
  readonly destination?: Destination;
  /** Of the caller's own destination: the name that it asked for, before gateways translated it. */
  readonly chosen?: Destination;
  /** The rule that the caller's own proxy went by; absent where a Service alone decided. */
  readonly rule?: Why;
  /** Where it left a cluster: `172.31.0.120:15443`. */
  readonly via: readonly string[];
  /** HTTP status that the client sees, of `answered`, and of `refused` where it is HTTP. */
  readonly status?: number;
  /** `outside`: where to. */
  readonly address?: string;
  /** One sentence without a full stop. */
  readonly text: string;
  /** What to do about it, of `refused`. */
  readonly cure?: string;
  readonly why: readonly Why[];
}

/** A resource of a proxy that the answer rests on. */
export interface UsedResource {
  /** As the user calls it. */
  readonly cluster: string;
  /** The cluster whose control plane gives it. */
  readonly plane: string;
  readonly node: string;
  readonly typeUrl: XdsResource['typeUrl'];
  readonly name: string;
  /** Hash of its content. */
  readonly version: string;
}

export interface Path {
  readonly from: Place;
  /** `GET http://reviews:9080/reviews/0` */
  readonly request: string;
  readonly leg: Leg;
  /** The same end once; the likeliest first. */
  readonly endings: readonly Ending[];
  /** One line: what becomes of the request. */
  readonly verdict: string;
  readonly used: readonly UsedResource[];
}

export function isEnding(next: Leg | Ending): next is Ending {
  return 'kind' in next;
}
