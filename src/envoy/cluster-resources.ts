// SPDX-License-Identifier: Apache-2.0
import { ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import type { ConfigSource } from '#gen/envoy/config/core/v3/config_source_pb.ts';
import { DerivedMap } from '../incremental/derived-map.ts';
import { LineageMemo } from '../incremental/lineage-memo.ts';
import type { DestinationIntent } from '../intent/destination-types.ts';
import type { ProxyIntent } from '../intent/types.ts';
import type { XdsResource } from '../xds/types.ts';
import { buildBlackHole, buildCluster, buildInboundCluster, buildPassthrough, buildStrangers } from './clusters.ts';
import { TYPE_URL } from './names.ts';
import { OwnResources } from './own-resources.ts';
import { nameOf, type ResourceCache, type ResourceMap } from './resource-cache.ts';

const CLUSTER = { typeUrl: TYPE_URL.cluster, schema: ClusterSchema, name: 'name' as const };
/** Copies of a pod have equal ones. */
const INBOUND = { ...CLUSTER, isRepeated: true as const };

/** The clusters of a proxy: those of its destinations, which others have too, and its own. */
export class ClusterResources {
  readonly #cache: ResourceCache;
  readonly #secrets: ConfigSource;
  readonly #own = new OwnResources();
  /** Of destinations, and all their later versions. */
  readonly #derived = new LineageMemo<DerivedMap<DestinationIntent, XdsResource>>();
  /** Nodes for resources that no intent node stands for. */
  readonly #fixed = { passthrough: {}, blackHole: {}, inboundRest: {}, nothing: {} };

  constructor(cache: ResourceCache, secrets: ConfigSource) {
    this.#cache = cache;
    this.#secrets = secrets;
  }

  of(destinations: ProxyIntent['destinations']): ResourceMap {
    return this.#derived.get(destinations, '', () => new DerivedMap((d) => this.ofOne(d), nameOf)).of(destinations);
  }

  ofOne(destination: DestinationIntent): XdsResource {
    return this.#cache.get(destination, '', CLUSTER, () => buildCluster(destination, this.#secrets));
  }

  own(intent: ProxyIntent): ResourceMap {
    const keepsCase = intent.telemetry.client.headers?.keepsCase;
    const tag = `clusters ${intent.kind} ${intent.upstreamMark} ${intent.hasIpv6} ${keepsCase}`;
    const parts = [intent.inbound ?? this.#fixed.nothing, intent.outbound?.strangers ?? this.#fixed.nothing];
    return this.#own.of(parts, tag, () => this.#ownClusters(intent));
  }

  *#ownClusters(intent: ProxyIntent): Generator<XdsResource> {
    if (intent.kind === 'gateway') return;
    const keepsCase = intent.telemetry.client.headers?.keepsCase === true;
    yield this.#cache.get(this.#fixed.passthrough, `passthrough ${keepsCase}`, CLUSTER, () =>
      buildPassthrough(10_000, keepsCase),
    );
    yield this.#cache.get(this.#fixed.blackHole, 'black hole', CLUSTER, buildBlackHole);
    const strangers = intent.outbound?.strangers;
    if (strangers !== undefined)
      yield this.#cache.get(strangers, `strangers ${keepsCase}`, CLUSTER, () =>
        buildStrangers(strangers, keepsCase, this.#secrets),
      );
    const { upstreamMark, hasIpv6 } = intent;
    const own = { upstreamMark, ...(hasIpv6 && { hasIpv6 }) };
    const context = `inbound ${upstreamMark} ${hasIpv6}`;
    for (const port of intent.inbound?.ports ?? []) {
      yield this.#cache.get(port, context, INBOUND, () => buildInboundCluster(port, own));
    }
    yield this.#cache.get(this.#fixed.inboundRest, context, CLUSTER, () => buildInboundCluster(undefined, own));
  }
}
