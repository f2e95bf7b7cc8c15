// SPDX-License-Identifier: Apache-2.0
// HTTPRetry: when a request that failed is tried again.
import { bool, checked, defaulted, type Infer, idle, integer, optional, struct, text } from './shape.ts';
import { durationMs } from './values.ts';

const RETRY_CONDITIONS = new Set([
  '5xx',
  'gateway-error',
  'reset',
  'reset-before-request',
  'connect-failure',
  'retriable-4xx',
  'refused-stream',
  'retriable-status-codes',
  'retriable-headers',
  'envoy-ratelimited',
  'http3-post-connect-failure',
  'cancelled',
  'deadline-exceeded',
  'internal',
  'resource-exhausted',
  'unavailable',
]);

/** Conditions and status codes; Envoy would take a name that it does not know, and never retry by it. */
const retryOn = checked(text(), (value, at) => {
  for (const condition of value.split(',').map((c) => c.trim())) {
    if (RETRY_CONDITIONS.has(condition) || /^[1-5]\d\d$/.test(condition)) continue;
    const cure = `use a status code, or one of ${[...RETRY_CONDITIONS].join(', ')}`;
    at.report.add('ISM0006', at.field, `${JSON.stringify(condition)} is no condition for a retry`, cure);
  }
});

export const retries = checked(
  struct({
    attempts: defaulted(integer({ max: 1000 }), 0),
    perTryTimeout: optional(durationMs()),
    retryOn: optional(retryOn),
    retryIgnorePreviousHosts: defaulted(bool, true),
    backoff: optional(durationMs()),
    retryRemoteLocalities: optional(bool),
  }),
  (value, at) => {
    if (value.attempts > 0) return;
    const others = (['perTryTimeout', 'retryOn', 'retryRemoteLocalities'] as const).filter(
      (name) => value[name] !== undefined,
    );
    if (others.length === 0) return;
    const message = `without attempts there are no retries, so ${others.join(', ')} would do nothing`;
    at.report.add('ISM0007', `${at.field}.attempts`, message, `give the number of attempts, or remove the others`);
  },
);
export type Retries = Infer<typeof retries>;

const onePlace = 'there is one application behind a sidecar';

/** Of sidecars, at their own applications: `defaultInboundHttpRetryPolicy` of the mesh. */
export const inboundRetries = checked(
  struct({
    attempts: defaulted(integer({ max: 1000 }), 0),
    retryOn: optional(retryOn),
    backoff: optional(durationMs()),
    perTryTimeout: idle('how long an application may take is for its clients to say, by timeout and perTryTimeout'),
    retryIgnorePreviousHosts: idle(onePlace),
    retryRemoteLocalities: idle(onePlace),
  }),
  ({ attempts, retryOn, backoff }, at) => {
    if (attempts > 0 || (retryOn === undefined && backoff === undefined)) return;
    const message = 'without attempts there are no retries, so the others would do nothing';
    at.report.add('ISM0007', `${at.field}.attempts`, message, 'give the number of attempts, or remove the others');
  },
);
export type InboundRetries = Infer<typeof inboundRetries>;
