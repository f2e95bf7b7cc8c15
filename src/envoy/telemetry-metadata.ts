// SPDX-License-Identifier: Apache-2.0
// What metrics read of the destination of a request: metadata `istio` of its cluster and of its endpoint, in short names,
// for there are many.
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { MetadataSchema } from '#gen/envoy/config/core/v3/base_pb.ts';
import type { DestinationIntent, WorkloadIntent } from '../intent/destination-types.ts';
import { configName } from './rule-metadata.ts';

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

const LABEL = { host: 'h', name: 'n', namespace: 's' } as const satisfies Record<keyof ServiceLabels, string>;

/** `rule`: the DestinationRule in force. A service without a name of its own is known by its host. */
export function serviceMetadata({ host, name, namespace }: ServiceLabels, rule?: DestinationIntent['rule']): Metadata {
  const labels = { [LABEL.host]: host, ...(name !== host && { [LABEL.name]: name }), [LABEL.namespace]: namespace };
  const config = rule && configName(rule, 'DestinationRule');
  return { filterMetadata: { [NAMESPACE]: { ...labels, ...(config !== undefined && { config }) } } };
}

/** A format command. */
export function ofService(member: keyof ServiceLabels): string {
  if (member !== 'name') return `%METADATA(CLUSTER:${NAMESPACE}:${LABEL[member]})%`;
  const operators = [LABEL.name, LABEL.host].map((label) => ({
    command: 'METADATA',
    param: `CLUSTER:${NAMESPACE}:${label}`,
  }));
  return `%COALESCE(${JSON.stringify({ operators })})%`;
}

export function workloadMetadata(workload: WorkloadIntent): FilterMetadata {
  const members = Object.entries(MEMBER).map(([fact, short]) => [short, workload[fact as keyof WorkloadIntent]]);
  return { [NAMESPACE]: Object.fromEntries(members) as Record<string, string> };
}

/** A format command. */
export function ofEndpoint(fact: keyof WorkloadIntent): string {
  return `%METADATA(UPSTREAM_HOST:${NAMESPACE}:${MEMBER[fact]})%`;
}
