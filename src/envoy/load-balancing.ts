// SPDX-License-Identifier: Apache-2.0
// How a cluster chooses among its endpoints.
import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  type Cluster,
  Cluster_LbPolicy,
  type Cluster_SlowStartConfigSchema,
  type ClusterSchema,
} from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import type { BalancingIntent, DestinationIntent, LocalityIntent, WarmupIntent } from '../intent/destination-types.ts';
import { duration } from './messages.ts';

type ClusterInit = Exclude<MessageInitShape<typeof ClusterSchema>, Cluster>;
type Balancing = Pick<ClusterInit, 'lbPolicy' | 'lbConfig'>;

export function balancing(intent: BalancingIntent): Balancing {
  switch (intent.kind) {
    case 'random':
      return { lbPolicy: Cluster_LbPolicy.RANDOM };
    case 'round-robin':
      return {
        lbPolicy: Cluster_LbPolicy.ROUND_ROBIN,
        ...(intent.warmup && {
          lbConfig: { case: 'roundRobinLbConfig', value: { slowStartConfig: slowStart(intent.warmup) } },
        }),
      };
    case 'least-request':
      return {
        lbPolicy: Cluster_LbPolicy.LEAST_REQUEST,
        ...(intent.warmup && {
          lbConfig: { case: 'leastRequestLbConfig', value: { slowStartConfig: slowStart(intent.warmup) } },
        }),
      };
    case 'ring-hash':
      return {
        lbPolicy: Cluster_LbPolicy.RING_HASH,
        lbConfig: { case: 'ringHashLbConfig', value: { minimumRingSize: BigInt(intent.minimumRingSize) } },
      };
    case 'maglev':
      return {
        lbPolicy: Cluster_LbPolicy.MAGLEV,
        lbConfig: { case: 'maglevLbConfig', value: { tableSize: BigInt(intent.tableSize) } },
      };
  }
}

function slowStart(warmup: WarmupIntent): MessageInitShape<typeof Cluster_SlowStartConfigSchema> {
  return {
    slowStartWindow: duration(warmup.durationMs),
    minWeightPercent: { value: warmup.minimumPercent },
    // The key names no runtime setting: there is none that could change it.
    aggression: { defaultValue: warmup.aggression, runtimeKey: 'upstream.slow_start_aggression' },
  };
}

/** Localities have weights, and not only their endpoints. */
export function isWeighed(locality: LocalityIntent | undefined): boolean {
  return locality !== undefined && (locality.kind !== 'failover' || locality.weighted);
}

/** Weights of localities are obeyed where somebody set them: they would change what least-request comes to. */
export function commonLb({ discovery, locality, outlier }: DestinationIntent): Pick<ClusterInit, 'commonLbConfig'> {
  const isDialled = discovery.kind === 'original' || discovery.kind === 'by-name';
  const byLocality = isWeighed(locality) && !isDialled;
  if (outlier === undefined && !byLocality) return {};
  return {
    commonLbConfig: {
      ...(outlier && { healthyPanicThreshold: { value: outlier.minHealthPercent } }),
      ...(byLocality && { localityConfigSpecifier: { case: 'localityWeightedLbConfig', value: {} } }),
    },
  };
}
