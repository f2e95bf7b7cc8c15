// SPDX-License-Identifier: Apache-2.0
import { create } from '@bufbuild/protobuf';
import { type RetryPolicy, RetryPolicySchema } from '#gen/envoy/config/route/v3/route_components_pb.ts';
import { PreviousHostsPredicateSchema } from '#gen/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.ts';
import type { RetryIntent } from '../intent/types.ts';
import { duration, packed } from './messages.ts';

const PREVIOUS_HOSTS = {
  name: 'envoy.retry_host_predicates.previous_hosts',
  configType: { case: 'typedConfig' as const, value: packed(PreviousHostsPredicateSchema, {}) },
};

export function buildRetryPolicy(retries: RetryIntent): RetryPolicy {
  return create(RetryPolicySchema, {
    retryOn: retries.on.join(','),
    numRetries: retries.attempts,
    retriableStatusCodes: [...retries.statusCodes],
    ...(retries.perTryTimeoutMs !== undefined && { perTryTimeout: duration(retries.perTryTimeoutMs) }),
    ...(retries.backoffMs !== undefined && { retryBackOff: { baseInterval: duration(retries.backoffMs) } }),
    ...(retries.avoidPreviousHosts && { retryHostPredicate: [PREVIOUS_HOSTS], hostSelectionRetryMaxAttempts: 5n }),
  });
}
