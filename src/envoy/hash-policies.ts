// SPDX-License-Identifier: Apache-2.0
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { RouteAction_HashPolicySchema } from '#gen/envoy/config/route/v3/route_components_pb.ts';
import type { HashIntent } from '../intent/destination-types.ts';
import { duration } from './messages.ts';

type HashPolicyInit = MessageInitShape<typeof RouteAction_HashPolicySchema>;

/** What of a request its hash is made of, for clusters that balance by one. */
export function hashPolicy(intent: HashIntent): HashPolicyInit {
  return { policySpecifier: specifier(intent) };
}

function specifier(intent: HashIntent): NonNullable<HashPolicyInit['policySpecifier']> {
  switch (intent.kind) {
    case 'header':
      return { case: 'header', value: { headerName: intent.name } };
    case 'query':
      return { case: 'queryParameter', value: { name: intent.name } };
    case 'source-ip':
      return { case: 'connectionProperties', value: { sourceIp: true } };
    case 'cookie': {
      const { name, path, ttlMs, attributes } = intent;
      const ttl = ttlMs === undefined ? {} : { ttl: duration(ttlMs) };
      return { case: 'cookie', value: { name, path, ...ttl, attributes: attributes.map((a) => ({ ...a })) } };
    }
  }
}
