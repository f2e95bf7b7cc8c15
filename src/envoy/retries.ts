// SPDX-License-Identifier: Apache-2.0
import { create } from '@bufbuild/protobuf';
import { type RetryPolicy, RetryPolicySchema } from '#gen/envoy/config/route/v3/route_components_pb.ts';
import { PreviousHostsPredicateSchema } from '#gen/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.ts';
import { PreviousPrioritiesConfigSchema } from '#gen/envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config_pb.ts';
import type { RetryIntent } from '../intent/route-types.ts';
import type { InboundRetriesIntent } from '../intent/types.ts';
import { duration, type Init, packed } from './messages.ts';

/**
 * Says of an answer that the application behind the sidecar never saw the request: the sidecar could not connect to it.
 * Only sidecars can say so; what an application says is removed.
 */
export const UNSERVED_HEADER = 'x-isthmus-unserved';

/** Then it is for the client what a refused connection is. */
const RETRIED_HEADERS = [
  { name: UNSERVED_HEADER, headerMatchSpecifier: { case: 'presentMatch' as const, value: true } },
];

/**
 * The sidecar's own attempts at its application, about a second in all: one that starts, or starts again, listens soon.
 * A request that was sent is never sent again.
 */
const LOCAL_RETRIES: RetryPolicy = create(RetryPolicySchema, {
  retryOn: 'connect-failure',
  numRetries: 10,
  retryBackOff: { baseInterval: duration(25), maxInterval: duration(250) },
});

/** Of a sidecar, at its application. */
export function localRetries(said: InboundRetriesIntent | undefined): {
  retryPolicy?: RetryPolicy | Init<typeof RetryPolicySchema>;
} {
  if (said === undefined) return { retryPolicy: LOCAL_RETRIES };
  const { attempts, on, statusCodes, backoffMs } = said;
  if (attempts === 0) return {};
  const backoff = backoffMs !== undefined && { retryBackOff: { baseInterval: duration(backoffMs) } };
  return {
    retryPolicy: { retryOn: on.join(','), retriableStatusCodes: [...statusCodes], numRetries: attempts, ...backoff },
  };
}

/** The type says which predicate it is; the name is nobody's. */
const PREVIOUS_HOSTS = {
  name: 'previous_hosts',
  configType: { case: 'typedConfig' as const, value: packed(PreviousHostsPredicateSchema, {}) },
};

/** Every second attempt looks at the priorities that failed, and leaves them out. */
const PREVIOUS_PRIORITIES = {
  name: 'envoy.retry_priorities.previous_priorities',
  configType: { case: 'typedConfig' as const, value: packed(PreviousPrioritiesConfigSchema, { updateFrequency: 2 }) },
};

/** Of a route, where its virtual host would have it tried again. */
export const NO_RETRIES: RetryPolicy = create(RetryPolicySchema, {});

/** Equal for equal policies. */
export function retriesKey(retries: RetryIntent): string {
  return JSON.stringify(retries);
}

export function buildRetryPolicy(retries: RetryIntent): Init<typeof RetryPolicySchema> {
  const unserved = retries.on.includes('connect-failure');
  return {
    retryOn: [...retries.on, ...(unserved ? ['retriable-headers'] : [])].join(','),
    ...(unserved && { retriableHeaders: RETRIED_HEADERS }),
    numRetries: retries.attempts,
    retriableStatusCodes: [...retries.statusCodes],
    ...(retries.perTryTimeoutMs !== undefined && { perTryTimeout: duration(retries.perTryTimeoutMs) }),
    ...(retries.backoffMs !== undefined && { retryBackOff: { baseInterval: duration(retries.backoffMs) } }),
    ...(retries.otherPriorities && { retryPriority: PREVIOUS_PRIORITIES }),
    ...(retries.avoidPreviousHosts && { retryHostPredicate: [PREVIOUS_HOSTS], hostSelectionRetryMaxAttempts: 5n }),
  };
}
