// SPDX-License-Identifier: Apache-2.0
// What filters before the router answer themselves: preflight requests, and faults that concern every request. Faults that
// concern a part of the requests are left to chance, which a simulation has not got.
import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import type { Route } from '#gen/envoy/config/route/v3/route_components_pb.ts';
import { type CorsPolicy, CorsPolicySchema } from '#gen/envoy/extensions/filters/http/cors/v3/cors_pb.ts';
import { HTTPFaultSchema } from '#gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts';
import { type FractionalPercent, FractionalPercent_DenominatorType } from '#gen/envoy/type/v3/percent_pb.ts';
import { type HttpRequest, takesString } from './route-choice.ts';

/** The status of the answer; undefined where the request goes on. */
export function answerBeforeRouting(route: Route, request: HttpRequest): number | undefined {
  const cors = configOf(route, 'envoy.filters.http.cors', CorsPolicySchema);
  if (cors !== undefined && answersPreflight(cors, request)) return 200;
  const abort = configOf(route, 'envoy.filters.http.fault', HTTPFaultSchema)?.abort;
  if (abort === undefined || !isCertain(abort.percentage)) return undefined;
  switch (abort.errorType.case) {
    case 'httpStatus':
      return abort.errorType.value;
    case 'grpcStatus':
      // The status of gRPC is a header of its own.
      return 200;
    default:
      return undefined;
  }
}

function configOf<D extends DescMessage>(route: Route, filter: string, schema: D): MessageShape<D> | undefined {
  const config = route.typedPerFilterConfig[filter];
  return config && anyUnpack(config, schema);
}

function answersPreflight(cors: CorsPolicy, { method, headers }: HttpRequest): boolean {
  const { origin, 'access-control-request-method': asked } = headers;
  if (method !== 'OPTIONS' || origin === undefined || origin === '' || asked === undefined || asked === '')
    return false;
  const allowed = cors.allowOriginStringMatch.some((match) => takesString(match, '*') || takesString(match, origin));
  return allowed || cors.forwardNotMatchingPreflights === false;
}

function isCertain(percentage: FractionalPercent | undefined): boolean {
  const { HUNDRED, TEN_THOUSAND, MILLION } = FractionalPercent_DenominatorType;
  const whole = { [HUNDRED]: 100, [TEN_THOUSAND]: 10_000, [MILLION]: 1_000_000 };
  return percentage !== undefined && percentage.numerator >= whole[percentage.denominator];
}
