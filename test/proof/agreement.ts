// SPDX-License-Identifier: Apache-2.0
// Whether what Envoy did with a call is among what the simulator said that it may do: whom it reached, by which request,
// what came back, what was tried again and what was copied.
import { applyChanges } from '../../src/envoy/simulate/header-operations.ts';
import type { Call, ForwardTarget, Outcome, Retries, Upstream } from '../../src/envoy/simulate/outcome.ts';
import type { Answer } from './client.ts';
import { ANSWER_HEADERS, ARRIVAL_HEADER, type Arrival, type ArrivedRequest, ASK_HEADER } from './echo-server.ts';
import type { StandIn } from './observed-envoy.ts';

export interface Observation {
  readonly answer: Answer;
  readonly elapsedMs: number;
  readonly arrivals: readonly Arrival[];
  standIn(address: string): StandIn | undefined;
}

/** Undefined: they agree. */
export function disagreement(outcome: Outcome, call: Call, seen: Observation): string | undefined {
  switch (outcome.kind) {
    // Nothing is claimed.
    case 'unknown':
      return undefined;
    case 'refuse':
      return isRefused(seen.answer) && seen.arrivals.length === 0 ? undefined : 'it was not refused';
    case 'respond':
      if (aborted(outcome, seen)) return undefined;
      return answered(outcome.status, outcome, seen) ?? told(outcome, call, seen.answer);
    case 'redirect':
      if (aborted(outcome, seen)) return undefined;
      if (seen.answer.headers['location'] !== outcome.location)
        return `the location is ${seen.answer.headers['location']}`;
      return answered(outcome.status, outcome, seen);
    case 'forward':
      return aborted(outcome, seen) ? undefined : forwarded(outcome, call, seen);
  }
}

/** Bytes where HTTP is spoken are told so. */
function isRefused(answer: Answer): boolean {
  return isClosed(answer) || answer.body.startsWith('HTTP/1.1 400');
}

function isClosed({ status, body }: Answer): boolean {
  return status === undefined && body === '';
}

function answered(status: number, { responseHeaders = [] }: Partial<ForwardTarget>, seen: Observation) {
  if (seen.arrivals.length > 0) return 'it reached somebody';
  if (seen.answer.status !== status) return `the status is ${seen.answer.status}`;
  return changed({}, responseHeaders, seen.answer);
}

function told(
  outcome: Extract<Outcome, { kind: 'respond' }>,
  call: Call,
  { headers, body }: Answer,
): string | undefined {
  const { grpcStatus, body: said } = outcome;
  const isGrpc = (call.request?.headers['content-type'] ?? '').startsWith('application/grpc');
  if (grpcStatus !== undefined && isGrpc && Number(headers['grpc-status']) !== grpcStatus)
    return 'the gRPC status is another';
  const text = said === undefined ? '' : Buffer.from(said).toString();
  return outcome.by === 'rule' && !isGrpc && call.request?.method !== 'HEAD' && body !== text
    ? 'the body is another'
    : undefined;
}

function aborted({ faults }: Outcome, { answer, arrivals }: Observation): boolean {
  const { abort } = faults ?? {};
  return abort !== undefined && arrivals.length === 0 && [abort.status, 200].includes(answer.status ?? 0);
}

type Forward = Extract<Outcome, { kind: 'forward' }>;

function forwarded(outcome: Forward, call: Call, seen: Observation): string | undefined {
  const possible = outcome.to.filter(({ probability }) => probability > 0);
  const own = seen.arrivals.filter(({ request }) => request === undefined || !isShadow(request));
  const last = own.at(-1);
  if (last === undefined) {
    const isHollow = possible.some(({ upstream }) => isEmpty(upstream));
    const fails = call.request === undefined ? isClosed(seen.answer) : seen.answer.status === 503;
    const grpc = seen.answer.headers['grpc-status'] === '14';
    return isHollow && (fails || grpc) ? undefined : `nobody was reached: ${seen.answer.status}`;
  }
  const lastAt = seen.standIn(last.address)?.cluster;
  // One destination may be there twice, as two parts with headers of their own.
  const faults = possible
    .filter(({ cluster }) => cluster === lastAt)
    .map((to) => reachedRight(outcome, to, call, own, seen));
  return faults.length === 0 ? `it reached ${lastAt}` : faults.includes(undefined) ? undefined : faults[0];
}

function reachedRight(outcome: Forward, target: ForwardTarget, call: Call, own: readonly Arrival[], seen: Observation) {
  for (const [i, arrival] of own.entries()) {
    const fault =
      arrivedRight(outcome, target, arrival, seen.standIn(arrival.address)) ?? timeoutFault(outcome, arrival, i === 0);
    if (fault !== undefined) return fault;
  }
  return (
    tries(outcome.http?.retries, call, own.length) ??
    copies(outcome, call, seen) ??
    (call.request === undefined ? undefined : returned(target, call, own.at(-1)!, seen.answer))
  );
}

function isEmpty(upstream: Upstream | undefined): boolean {
  return upstream === undefined || (upstream.endpoints.length === 0 && !upstream.original && !upstream.byName);
}

/** Copies are marked by their name. */
export function isShadow({ authority }: ArrivedRequest): boolean {
  return /-shadow(:\d+)?$/.test(authority);
}

function arrivedRight(outcome: Forward, target: ForwardTarget, arrival: Arrival, standIn: StandIn | undefined) {
  if (standIn?.cluster !== target.cluster) return `it was tried at ${standIn?.cluster}, too`;
  const fault = endpointFault(target.upstream, arrival, standIn);
  if (fault !== undefined) return fault;
  if (outcome.tunnel !== undefined && arrival.tunnel !== outcome.tunnel.target)
    return `the tunnel leads to ${arrival.tunnel}`;
  if (arrival.request === undefined || target.request === undefined) return undefined;
  return requestFault(target.request, arrival.request);
}

/** Envoy tells destinations how long it waits; of a later try it is what is left. */
function timeoutFault({ http }: Forward, { request }: Arrival, isFirst: boolean): string | undefined {
  if (http === undefined || request === undefined) return undefined;
  const { timeoutMs, retries } = http;
  const perTry = retries?.perTryTimeoutMs ?? 0;
  const wanted = perTry > 0 && (timeoutMs === 0 || perTry < timeoutMs) ? perTry : timeoutMs;
  const real = Number(request.headers['x-envoy-expected-rq-timeout-ms'] ?? 0);
  return real === wanted || (!isFirst && real < wanted) ? undefined : `its timeout is ${real} ms, not ${wanted}`;
}

function endpointFault(upstream: Upstream | undefined, arrival: Arrival, { endpoint }: StandIn): string | undefined {
  if (upstream === undefined) return 'there is no such cluster';
  if (upstream.original || upstream.byName)
    return endpoint === 'original' ? undefined : 'it did not go where it was going';
  const known = upstream.endpoints.find(({ address, weight }) => address === endpoint && weight > 0);
  if (known === undefined) return `it reached ${endpoint}`;
  const [wanted, real] = [known.tls?.serverName, arrival.tls[0]?.serverName];
  // An application's own TLS goes on as it came.
  return wanted === real || (wanted === undefined && arrival.bytes !== undefined)
    ? undefined
    : `its TLS is for ${real}`;
}

/** Headers that proxies and Node add of themselves. */
const OWN_HEADERS =
  /^(x-request-id|x-forwarded-(proto|for|client-cert|host|port)|x-envoy-.*|content-length|transfer-encoding|host|te|connection|upgrade|http2-settings|keep-alive|traceparent|tracestate|x-b3-.*|date)$/;

function requestFault(wanted: NonNullable<ForwardTarget['request']>, real: ArrivedRequest): string | undefined {
  if (real.method !== wanted.method && real.method !== 'CONNECT') return `the method is ${real.method}`;
  if (real.path !== wanted.path) return `the path is ${real.path}`;
  if (real.authority !== wanted.authority) return `the authority is ${real.authority}`;
  return headersFault(wanted.headers, real.headers);
}

function headersFault(wanted: Readonly<Record<string, string>>, real: Readonly<Record<string, string>>) {
  for (const name of new Set([...Object.keys(wanted), ...Object.keys(real)])) {
    if (OWN_HEADERS.test(name)) continue;
    if (!isText(wanted[name], real[name]))
      return `the header ${name} is ${JSON.stringify(real[name])}, not ${JSON.stringify(wanted[name])}`;
  }
  return undefined;
}

/** A %COMMAND% that is left is one that only the proxy can answer. */
function isText(wanted: string | undefined, real: string | undefined): boolean {
  // Blanks at either end are none of a header's value (RFC 9110, section 5.5).
  const plain = (text: string | undefined) => text?.replace(/,\s+/g, ',').trim();
  return plain(wanted) === plain(real) || (wanted !== undefined && /%[A-Z_]+/.test(wanted));
}

/** How often Envoy tries where every answer is of this kind (https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter#x-envoy-retry-on). */
function triesFor(retries: Retries | undefined, ask: string): number {
  if (retries === undefined) return 1;
  const { on, statusCodes, attempts } = retries;
  const status = Number(ask);
  const isRetried =
    (on.includes('5xx') && (status >= 500 || ask === 'reset')) ||
    (on.includes('gateway-error') && ([502, 503, 504].includes(status) || ask === 'reset')) ||
    (on.includes('retriable-status-codes') && statusCodes.includes(status)) ||
    (on.includes('retriable-4xx') && status === 409) ||
    (on.includes('reset') && ask === 'reset');
  return isRetried ? attempts + 1 : 1;
}

function tries(retries: Retries | undefined, { request }: Call, real: number): string | undefined {
  if (request === undefined) return real === 1 ? undefined : `it was sent ${real} times`;
  const ask = request.headers[ASK_HEADER] ?? '200';
  // Tries that take too long are repeated as long as there is time.
  if (ask === 'hang') return real <= (retries?.attempts ?? 0) + 1 ? undefined : `it was tried ${real} times`;
  const wanted = triesFor(retries, ask);
  return real === wanted ? undefined : `it was tried ${real} times, not ${wanted}`;
}

function isUpgrade({ request }: Call): boolean {
  return request?.headers['connection'] !== undefined;
}

/**
 * Certain ones are there, and no others than those that are possible. Of an upgrade none is certain: Envoy drops a copy whose
 * request has not ended when its connection does.
 */
function copies({ http, to }: Forward, call: Call, { arrivals, standIn }: Observation): string | undefined {
  const mirrors = http?.mirrors ?? [];
  const shadows = arrivals.filter(({ request }) => request !== undefined && isShadow(request));
  for (const { address, request } of shadows) {
    const copy = standIn(address);
    if (!mirrors.some(({ cluster }) => cluster === copy?.cluster)) return `it was copied to ${copy?.cluster}`;
    if (!to.some((each) => each.request?.path === request!.path)) return `the copy's path is ${request!.path}`;
  }
  for (const { cluster, probability, upstream } of mirrors) {
    const count = shadows.filter(({ address }) => standIn(address)?.cluster === cluster).length;
    if (probability >= 1 && !isEmpty(upstream) && !isUpgrade(call) && count === 0)
      return `it was not copied to ${cluster}`;
  }
  return undefined;
}

function returned(target: ForwardTarget, call: Call, arrival: Arrival, answer: Answer): string | undefined {
  const ask = call.request?.headers[ASK_HEADER];
  if (ask === 'reset' || arrival.request === undefined) return undefined;
  if (ask === 'hang') return answer.status === 504 ? undefined : `it ended by ${answer.status}`;
  const wanted = isUpgrade(call) ? 101 : Number(ask ?? 200);
  if (answer.status !== wanted) return `the answer is ${answer.status}`;
  // Node's client cannot read the oldest version's headers.
  if (call.request?.protocol === 'http/1.0') return undefined;
  return changed(ANSWER_HEADERS, target.responseHeaders ?? [], answer);
}

const CHANGED = new Set([...Object.keys(ANSWER_HEADERS), ARRIVAL_HEADER]);

function changed(
  given: Readonly<Record<string, string>>,
  changes: NonNullable<ForwardTarget['responseHeaders']>,
  { headers }: Answer,
): string | undefined {
  let wanted = { ...given };
  for (const change of changes) wanted = { ...applyChanges(wanted, [change], (value) => value.replaceAll('%%', '%')) };
  const names = new Set([
    ...CHANGED,
    ...changes.map(({ name }) => name),
    ...Object.keys(headers).filter((n) => n.startsWith('access-control-')),
  ]);
  for (const name of names) {
    // A proxy names itself.
    if (name === ARRIVAL_HEADER || name === 'server') continue;
    if (Object.keys(given).length === 0 && name in ANSWER_HEADERS && !(name in wanted)) continue;
    if (!isText(wanted[name], headers[name])) return `the answer's ${name} is ${headers[name]}, not ${wanted[name]}`;
  }
  return undefined;
}
