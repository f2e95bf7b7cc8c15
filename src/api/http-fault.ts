// SPDX-License-Identifier: Apache-2.0
// HTTPFaultInjection: requests that are held up or answered with an error, to see how their clients take it.
import {
  type At,
  checked,
  choice,
  type Infer,
  integer,
  optional,
  refused,
  type Shape,
  struct,
  turned,
} from './shape.ts';
import { durationMs, percent } from './values.ts';

/** https://github.com/grpc/grpc/blob/master/doc/statuscodes.md, in the order of their numbers. */
export const GRPC_STATUS = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
] as const;

/** `percent` is how Istio 1.4 and before wrote it. */
const share = { percentage: optional(percent), percent: optional(integer({ max: 100 })) };
interface Share {
  readonly percentage: { readonly value: number } | undefined;
  readonly percent: number | undefined;
}

export interface FaultDelay {
  /** 0 to 100. */
  readonly percent: number;
  readonly delayMs: number;
}

export interface FaultAbort {
  readonly percent: number;
  readonly error:
    | { readonly kind: 'http'; readonly status: number }
    | { readonly kind: 'grpc'; readonly status: (typeof GRPC_STATUS)[number] };
}

/** Undefined where nothing would ever happen, which is said. */
type Maybe<T> = { readonly [K in keyof T]: T[K] } | { readonly nothing: true };

const delay: Shape<Maybe<FaultDelay>> = turned(
  struct({
    ...share,
    fixedDelay: optional(durationMs()),
    exponentialDelay: refused('use fixedDelay'),
  }),
  (value, at) => {
    const percent = shareOf(value, at);
    if (value.fixedDelay !== undefined) return { percent, delayMs: value.fixedDelay };
    at.report.add('ISM0005', at.field, 'it does not say for how long', 'add fixedDelay');
    return { nothing: true };
  },
);

const abort: Shape<Maybe<FaultAbort>> = turned(
  struct({
    ...share,
    httpStatus: optional(integer({ min: 200, max: 599 })),
    grpcStatus: optional(choice(GRPC_STATUS)),
    http2Error: refused('use httpStatus or grpcStatus'),
  }),
  (value, at) => {
    const { httpStatus, grpcStatus } = value;
    if (httpStatus !== undefined && grpcStatus !== undefined) {
      at.report.add('ISM0007', at.field, 'httpStatus and grpcStatus exclude one another', 'keep one of them');
      return undefined;
    }
    const percent = shareOf(value, at);
    if (httpStatus !== undefined) return { percent, error: { kind: 'http', status: httpStatus } };
    if (grpcStatus !== undefined) return { percent, error: { kind: 'grpc', status: grpcStatus } };
    at.report.add('ISM0005', at.field, 'it does not say with which error', 'add httpStatus or grpcStatus');
    return { nothing: true };
  },
);

export const fault = turned(
  checked(struct({ delay: optional(delay), abort: optional(abort) }), (value, at) => {
    if (value.delay === undefined && value.abort === undefined) {
      at.report.add('ISM0001', at.field, 'it has neither a delay nor an abort', 'add one of them, or remove it');
    }
  }),
  ({ delay, abort }) => ({
    delay: delay === undefined || 'nothing' in delay ? undefined : delay,
    abort: abort === undefined || 'nothing' in abort ? undefined : abort,
  }),
);
export type Fault = Infer<typeof fault>;

function shareOf({ percentage, percent }: Share, at: At): number {
  if (percentage === undefined && percent === undefined) {
    const cure = 'add `percentage: {value: 100}` for every request';
    at.report.add('ISM0005', at.field, 'without a percentage no request is concerned', cure);
  }
  return percentage?.value ?? percent ?? 0;
}
