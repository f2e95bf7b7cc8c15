// SPDX-License-Identifier: Apache-2.0
import { create } from '@bufbuild/protobuf';
import { type GrpcService, GrpcServiceSchema } from '#gen/envoy/config/core/v3/grpc_service_pb.ts';
import type { CollectorIntent } from '../../intent/telemetry-types.ts';
import { duration } from '../messages.ts';
import { destinationName } from '../names.ts';

/** A collector that speaks gRPC, by the cluster that leads to it. */
export function collectorService(
  { to, timeoutMs }: CollectorIntent,
  metadata: Readonly<Record<string, string>> = {},
): GrpcService {
  return create(GrpcServiceSchema, {
    targetSpecifier: { case: 'envoyGrpc', value: { clusterName: destinationName(to), authority: to.host } },
    ...(timeoutMs !== undefined && { timeout: duration(timeoutMs) }),
    initialMetadata: Object.entries(metadata).map(([key, value]) => ({ key, value })),
  });
}
