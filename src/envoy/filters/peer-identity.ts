// SPDX-License-Identifier: Apache-2.0
// Who the client is, read from its certificate once per connection: the mesh's CA has written it there, so that no header
// can pretend to it, and TCP has it as well as HTTP.
import { create } from '@bufbuild/protobuf';
import { type Filter, FilterSchema } from '#gen/envoy/config/listener/v3/listener_components_pb.ts';
import { ConfigSchema } from '#gen/envoy/extensions/filters/network/set_filter_state/v3/set_filter_state_pb.ts';
import { CelSchema } from '#gen/envoy/extensions/formatter/cel/v3/cel_pb.ts';
import type { WorkloadFact } from '../../xds/proxy-environment.ts';
import { packed } from '../messages.ts';

const SUBJECT = 'connection.subject_peer_certificate';

/**
 * As identity/ writes a subject: OUs for cluster, version, app, revision and service, then the workload as CN. RFC 2253 shows
 * the last first. Another CA of the mesh may know less.
 */
const PLACES: readonly WorkloadFact[] = ['workload', 'service', 'revision', 'app', 'version', 'cluster'];

const EXPRESSIONS: readonly (readonly [WorkloadFact, string])[] = [
  ...PLACES.map((fact, i) => {
    const value = `${SUBJECT}.split(",")[${i}].substring(3)`;
    return [fact, `${SUBJECT}.matches("^CN=[^,]+(,OU=[^,]+){5}$")?${value}:"unknown"`] as const;
  }),
  ['namespace', 're.extract(connection.uri_san_peer_certificate,"/ns/([^/]+)/sa/","\\\\1")'],
];

/** A format command for what `peerIdentity` has found. */
export function peerFact(fact: WorkloadFact): string {
  return `%FILTER_STATE(peer.${fact}:PLAIN)%`;
}

/** Goes before the filter that serves the connection. */
export function peerIdentity(): Filter {
  const formatters = [
    {
      name: 'envoy.formatter.cel',
      typedConfig: packed(CelSchema, { celConfig: { enableStringFunctions: true } }),
    },
  ];
  const onDownstreamTlsHandshake = EXPRESSIONS.map(([fact, expression]) => ({
    key: { case: 'objectKey' as const, value: `peer.${fact}` },
    factoryKey: 'envoy.string',
    value: {
      case: 'formatString' as const,
      value: {
        format: {
          case: 'textFormatSource' as const,
          value: { specifier: { case: 'inlineString' as const, value: `%CEL(${expression})%` } },
        },
        formatters,
      },
    },
  }));
  return create(FilterSchema, {
    name: 'envoy.filters.network.set_filter_state',
    configType: { case: 'typedConfig', value: packed(ConfigSchema, { onDownstreamTlsHandshake }) },
  });
}
