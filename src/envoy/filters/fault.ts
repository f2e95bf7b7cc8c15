// SPDX-License-Identifier: Apache-2.0
import type { Any } from '@bufbuild/protobuf/wkt';
import { HTTPFaultSchema } from '#gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts';
import type { FaultIntent } from '../../intent/route-types.ts';
import { duration, fraction, packed } from '../messages.ts';

const FAULT = 'envoy.filters.http.fault';

export function faultFilter(): { name: string; config: Any } {
  return { name: FAULT, config: packed(HTTPFaultSchema, {}) };
}

export function faultConfig(fault: FaultIntent): Record<string, Any> {
  const { delay, abort } = fault;
  return {
    [FAULT]: packed(HTTPFaultSchema, {
      ...(delay && {
        delay: {
          percentage: fraction(delay.percent),
          faultDelaySecifier: { case: 'fixedDelay', value: duration(delay.delayMs) },
        },
      }),
      ...(abort && {
        abort: {
          percentage: fraction(abort.percent),
          errorType: { case: abort.error.kind === 'http' ? 'httpStatus' : 'grpcStatus', value: abort.error.status },
        },
      }),
    }),
  };
}
