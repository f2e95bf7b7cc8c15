// SPDX-License-Identifier: Apache-2.0
// What filters before the router do: preflight requests are answered, faults injected. Filters that somebody else put
// there may do anything.
import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import type { Route } from '#gen/envoy/config/route/v3/route_components_pb.ts';
import { type CorsPolicy, CorsPolicySchema, CorsSchema } from '#gen/envoy/extensions/filters/http/cors/v3/cors_pb.ts';
import { FilterConfigSchema as ByNameSchema } from '#gen/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy_pb.ts';
import { HTTPFaultSchema } from '#gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts';
import { FilterConfigSchema as GrpcStatsSchema } from '#gen/envoy/extensions/filters/http/grpc_stats/v3/config_pb.ts';
import { OnDemandSchema } from '#gen/envoy/extensions/filters/http/on_demand/v3/on_demand_pb.ts';
import { RouterSchema } from '#gen/envoy/extensions/filters/http/router/v3/router_pb.ts';
import { ConfigSchema as FilterStateSchema } from '#gen/envoy/extensions/filters/http/set_filter_state/v3/set_filter_state_pb.ts';
import type { HttpConnectionManager } from '#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import type { Faults, HeaderChange, HttpRequest, Response } from './outcome.ts';
import { probabilityOf, takesString } from './route-choice.ts';

export interface BeforeRouting {
  readonly faults?: Faults;
  /** Certain; absent where the request goes on, or may. */
  readonly answer?: Response;
  /** Of any answer. */
  readonly responseHeaders: readonly HeaderChange[];
}

const CORS = 'envoy.filters.http.cors';
const FAULT = 'envoy.filters.http.fault';

/** Those whose part in a request is known here: they change nothing, or `runFilters` says what. */
const KNOWN = [
  CorsSchema,
  HTTPFaultSchema,
  RouterSchema,
  OnDemandSchema,
  FilterStateSchema,
  GrpcStatsSchema,
  ByNameSchema,
].map(({ typeName }) => `type.googleapis.com/${typeName}`);

/** Names of filters that may do anything to a request. */
export function strangeFilters({ httpFilters }: HttpConnectionManager): string[] {
  return httpFilters
    .filter(({ configType: { case: kind, value }, disabled }) => {
      return !disabled && !(kind === 'typedConfig' && KNOWN.includes(value.typeUrl));
    })
    .map(({ name }) => name);
}

export function runFilters(route: Route, request: HttpRequest, manager: HttpConnectionManager): BeforeRouting {
  const runs = (name: string) => manager.httpFilters.some((filter) => filter.name === name);
  // Envoy asks it of routes that lead somewhere, and not of its own answers.
  const cors = runs(CORS) && route.action.case === 'route' ? corsOf(route, request) : { responseHeaders: [] };
  if ('answer' in cors) return cors;
  const faults = runs(FAULT) ? faultsOf(route) : undefined;
  if (faults?.abort === undefined || faults.abort.probability < 1) return { ...cors, ...(faults && { faults }) };
  const { status, grpcStatus } = faults.abort;
  const { delay } = faults;
  const answer: Response = { kind: 'respond', by: 'fault', status, ...(grpcStatus !== undefined && { grpcStatus }) };
  return { ...cors, ...(delay && { faults: { delay } }), answer };
}

function configOf<D extends DescMessage>(route: Route, filter: string, schema: D): MessageShape<D> | undefined {
  const config = route.typedPerFilterConfig[filter];
  return config && anyUnpack(config, schema);
}

function faultsOf(route: Route): Faults | undefined {
  const fault = configOf(route, FAULT, HTTPFaultSchema);
  if (fault === undefined) return undefined;
  const { delay, abort } = fault;
  const held = delay?.faultDelaySecifier;
  const probability = probabilityOf(delay?.percentage);
  return {
    ...(held?.case === 'fixedDelay' &&
      probability > 0 && { delay: { probability, delayMs: milliseconds(held.value) } }),
    ...(abort && abortOf(abort)),
  };
}

function abortOf({ errorType, percentage }: NonNullable<MessageShape<typeof HTTPFaultSchema>['abort']>): Faults {
  const probability = probabilityOf(percentage);
  if (probability === 0) return {};
  switch (errorType.case) {
    case 'httpStatus':
      return { abort: { probability, status: errorType.value } };
    case 'grpcStatus':
      // gRPC tells of errors in a header of its own.
      return { abort: { probability, status: 200, grpcStatus: errorType.value } };
    default:
      return {};
  }
}

export function milliseconds({ seconds, nanos }: { readonly seconds: bigint; readonly nanos: number }): number {
  return Number(seconds) * 1000 + nanos / 1e6;
}

function corsOf(route: Route, request: HttpRequest): BeforeRouting {
  const cors = configOf(route, CORS, CorsPolicySchema);
  const { origin = '', 'access-control-request-method': asked = '' } = request.headers;
  if (cors === undefined || origin === '') return { responseHeaders: [] };
  const isPreflight = request.method === 'OPTIONS' && asked !== '';
  const allowed = cors.allowOriginStringMatch.some((match) => takesString(match, '*') || takesString(match, origin));
  const answers = isPreflight && (allowed || cors.forwardNotMatchingPreflights === false);
  if (!allowed && !answers) return { responseHeaders: [] };
  const responseHeaders = [
    // Without this one the browser lets nobody have the answer.
    ...(allowed ? [set('access-control-allow-origin', origin)] : []),
    ...(cors.allowCredentials === true ? [set('access-control-allow-credentials', 'true')] : []),
    ...(allowed ? given('access-control-expose-headers', cors.exposeHeaders) : []),
    ...(answers ? preflightHeaders(cors, request, asked) : []),
  ];
  return { ...(answers && { answer: { kind: 'respond', by: 'preflight', status: 200 } }), responseHeaders };
}

function preflightHeaders(cors: CorsPolicy, { headers }: HttpRequest, method: string): HeaderChange[] {
  const asked = headers['access-control-request-headers'] ?? '';
  return [
    ...given('access-control-allow-methods', cors.allowMethods === '*' ? method : cors.allowMethods),
    ...given('access-control-allow-headers', cors.allowHeaders === '*' ? asked : cors.allowHeaders),
    ...given('access-control-max-age', cors.maxAge),
  ];
}

function set(name: string, value: string): HeaderChange {
  return { action: 'set', name, value };
}

function given(name: string, value: string): HeaderChange[] {
  return value === '' ? [] : [set(name, value)];
}
