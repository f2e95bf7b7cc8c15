// SPDX-License-Identifier: Apache-2.0
// What is told of a pod or a service: plain data, which text, JSON and YAML show alike.
import type { Diagnostic } from '../api/diagnostics.ts';

/** `KIND NAMESPACE/NAME`, and the place in it. */
export interface RuleFact {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly field?: string;
}

export interface ShareFact {
  readonly host: string;
  readonly port: number;
  readonly subset?: string;
  readonly percent: number;
}

export interface RouteFact {
  /** Of the service, or of the gateway. */
  readonly port: number;
  /** `path begins with /reviews, end-user = jason`; '' for everything. */
  readonly match: string;
  /** Empty for what is answered by the proxy itself. */
  readonly to: readonly ShareFact[];
  /** `redirect to ...`, `503 at once`, `time-out 2s, 3 retries`: what is done besides. */
  readonly policy: readonly string[];
  readonly rule: RuleFact;
}

/** A way in from outside of the cluster. */
export interface EntryFact {
  /** `NAMESPACE/WORKLOAD`. */
  readonly gateway: string;
  /** Where the gateway can be reached; empty while nobody knows. */
  readonly addresses: readonly string[];
  readonly hosts: readonly string[];
  readonly tls: boolean;
  readonly routes: readonly RouteFact[];
}

export interface SubsetFact {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** The pod is in it; absent where no pod is described. */
  readonly hasPod?: boolean;
  readonly endpoints: number;
}

export interface ServiceFact {
  readonly kind: 'Service';
  readonly cluster: string;
  readonly namespace: string;
  readonly name: string;
  readonly host: string;
  readonly addresses: readonly string[];
  readonly ports: readonly {
    readonly name: string;
    readonly port: number;
    readonly targetPort: string;
    readonly protocol: string;
  }[];
  /** As whom the following is seen; absent: nobody with a sidecar is there, and nobody's rules are known. */
  readonly seenBy?: string;
  readonly destinationRule?: RuleFact & { readonly subsets: readonly SubsetFact[]; readonly policy: readonly string[] };
  /** What clients in the mesh do with a request to it. */
  readonly routes: readonly RouteFact[];
  readonly entries: readonly EntryFact[];
  /** How clients connect. */
  readonly security: string;
  /** Endpoints, by cluster: gateways to other networks count as one each. */
  readonly endpoints: readonly { readonly cluster: string; readonly ready: number }[];
  readonly clusters: readonly ClusterFact[];
  readonly problems: readonly Diagnostic[];
}

/** What a cluster has of the service, and tells others. */
export interface ClusterFact {
  readonly cluster: string;
  readonly hasService: boolean;
  readonly pods: number;
  /** Names by which other clusters call it; empty: it is not exported. */
  readonly exportedAs: readonly string[];
  /** Conditions that say no, or that there is a conflict. */
  readonly remarks: readonly string[];
  /** Other clusters' part that this one has: `ServiceEntry shop/web`. */
  readonly importedBy?: RuleFact;
}

export interface PodFact {
  readonly kind: 'Pod';
  readonly cluster: string;
  readonly namespace: string;
  readonly name: string;
  readonly phase: string;
  readonly proxy: 'sidecar' | 'gateway' | 'none';
  /** The image of the proxy; or why there is none. */
  readonly because: string;
  readonly identity?: string;
  readonly ports: readonly { readonly container: string; readonly port: number; readonly protocol: string }[];
  /** What it lets in. */
  readonly mtls: string;
  readonly services: readonly ServiceFact[];
  /** Sidecar, EnvoyFilter, Telemetry, ProxyConfig: what shapes its proxy. */
  readonly rules: readonly RuleFact[];
  readonly problems: readonly Diagnostic[];
}
