// SPDX-License-Identifier: Apache-2.0
// What metrics read of the destination of a request: metadata `istio` of its cluster, and of its endpoint in short names,
// for there are many.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { MetadataSchema } from '#gen/envoy/config/core/v3/base_pb.ts';
import type { DestinationIntent, WorkloadIntent } from '../intent/destination-types.ts';
import { configPath } from './rule-metadata.ts';

const NAMESPACE = 'istio';

const MEMBER = {
  workload: 'w',
  namespace: 'n',
  service: 's',
  revision: 'r',
  app: 'a',
  version: 'v',
  cluster: 'c',
} as const satisfies Record<keyof WorkloadIntent, string>;

type Metadata = Exclude<MessageInitShape<typeof MetadataSchema>, { $typeName: string }>;
type FilterMetadata = NonNullable<Metadata['filterMetadata']>;

export interface ServiceLabels {
  readonly host: string;
  readonly name: string;
  readonly namespace: string;
}

/** `rule`: the DestinationRule in force, where Istio's users look for it. */
export function serviceMetadata(service: ServiceLabels, rule?: DestinationIntent['rule']): Metadata {
  return { filterMetadata: { [NAMESPACE]: { ...service, ...(rule && { config: configPath(rule) }) } } };
}

/** A format command. */
export function ofService(member: keyof ServiceLabels): string {
  return `%METADATA(CLUSTER:${NAMESPACE}:${member})%`;
}

export function workloadMetadata(workload: WorkloadIntent): FilterMetadata {
  const members = Object.entries(MEMBER).map(([fact, short]) => [short, workload[fact as keyof WorkloadIntent]]);
  return { [NAMESPACE]: Object.fromEntries(members) as Record<string, string> };
}

/** A format command. */
export function ofEndpoint(fact: keyof WorkloadIntent): string {
  return `%METADATA(UPSTREAM_HOST:${NAMESPACE}:${MEMBER[fact]})%`;
}
