// SPDX-License-Identifier: Apache-2.0
// Limits on connections and requests, and which endpoints are left alone for a while
// (https://istio.io/latest/docs/reference/config/networking/destination-rule/#ConnectionPoolSettings).
// In Istio's API a number of 0 is one that nobody gave.
import {
  type At,
  bool,
  checked,
  choice,
  decimal,
  defaulted,
  type Infer,
  integer,
  list,
  optional,
  required,
  struct,
} from './shape.ts';
import { durationMs } from './values.ts';

const INT32_MAX = 2147483647;
const count = integer({ max: INT32_MAX });

export const tcpKeepalive = struct({
  probes: optional(integer()),
  time: optional(durationMs()),
  interval: optional(durationMs()),
});

const tcp = struct({
  maxConnections: optional(count),
  connectTimeout: optional(durationMs()),
  tcpKeepalive: optional(tcpKeepalive),
  maxConnectionDuration: optional(durationMs()),
  idleTimeout: optional(durationMs({ zero: true })),
});

const http = checked(
  struct({
    http1MaxPendingRequests: optional(count),
    http2MaxRequests: optional(count),
    maxRequestsPerConnection: optional(integer({ max: 536870912 })),
    maxRetries: optional(count),
    idleTimeout: optional(durationMs({ zero: true })),
    h2UpgradePolicy: optional(choice(['DEFAULT', 'DO_NOT_UPGRADE', 'UPGRADE'])),
    useClientProtocol: defaulted(bool, false),
    maxConcurrentStreams: optional(count),
    http2KeepAlive: optional(struct({ interval: required(durationMs()), timeout: required(durationMs()) })),
  }),
  (value, at) => {
    if (value.h2UpgradePolicy !== 'UPGRADE' || !value.useClientProtocol) return;
    const message = 'h2UpgradePolicy UPGRADE and useClientProtocol exclude one another';
    at.report.add('ISM0007', at.field, message, 'keep one of them');
  },
);

export const connectionPool = checked(struct({ tcp: optional(tcp), http: optional(http) }), notEmpty('tcp or http'));
export type ConnectionPool = Infer<typeof connectionPool>;

export const outlierDetection = checked(
  struct({
    consecutive5xxErrors: optional(integer()),
    consecutiveGatewayErrors: optional(integer()),
    consecutiveErrors: optional(count),
    splitExternalLocalOriginErrors: defaulted(bool, false),
    consecutiveLocalOriginFailures: optional(integer()),
    interval: optional(durationMs()),
    baseEjectionTime: optional(durationMs()),
    maxEjectionPercent: optional(integer({ max: 100 })),
    minHealthPercent: optional(integer({ max: 100 })),
    /** Statuses that count as errors, in the place of all 5xx. */
    outlierDetectionHttpErrorCodes: defaulted(list(integer({ min: 100, max: 599 })), []),
  }),
  (value, at) => {
    if ((value.consecutiveLocalOriginFailures ?? 0) > 0 && !value.splitExternalLocalOriginErrors) {
      const message = 'consecutiveLocalOriginFailures needs errors of our own side to be counted apart';
      at.report.add('ISM0007', at.field, message, 'add splitExternalLocalOriginErrors: true');
    }
    const newer = value.consecutive5xxErrors ?? value.consecutiveGatewayErrors;
    if (value.consecutiveErrors && newer !== undefined) {
      const cure = 'remove it: consecutive5xxErrors and consecutiveGatewayErrors replaced it';
      at.report.add('ISM0005', `${at.field}.consecutiveErrors`, '`consecutiveErrors` has no effect here', cure);
    }
  },
);
export type OutlierDetection = Infer<typeof outlierDetection>;

export const retryBudget = struct({
  percent: optional(decimal({ min: 0, max: 100 })),
  minRetryConcurrency: optional(integer()),
  budgetInterval: optional(durationMs()),
});
export type RetryBudget = Infer<typeof retryBudget>;

/** Refuses an object without any member. */
export function notEmpty(members: string): (value: object, at: At) => void {
  return (value, at) => {
    const said = Object.values(value).some((v) => v !== undefined && !(Array.isArray(v) && v.length === 0));
    if (!said) at.report.add('ISM0001', at.field, 'it is empty', `give it ${members}, or remove it`);
  };
}
