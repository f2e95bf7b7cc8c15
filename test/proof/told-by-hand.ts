// SPDX-License-Identifier: Apache-2.0
// What a person has written in calls.yaml of a call beside where it goes: held against what a real Envoy did, and against
// nothing that was compiled.
import type { CallCase } from '../scenarios/calls.ts';
import { isShadow, type Observation } from './agreement.ts';
import type { Arrival } from './echo-server.ts';

type Headers = Readonly<Record<string, string>>;

/** Undefined: it is as it was written. */
export function faultOfTold(said: CallCase, seen: Observation): string | undefined {
  const own = seen.arrivals.filter((arrival) => !isCopy(arrival));
  const request = own.at(-1)?.request;
  const asked = request && `${request.method} ${request.authority} ${request.path}`;
  if (said.upstream !== undefined && asked !== said.upstream) return `the server is asked ${asked}`;
  if (said.tries !== undefined && own.length !== said.tries) return `it is tried ${own.length} times`;
  const timeoutMs = Number(own[0]?.request?.headers['x-envoy-expected-rq-timeout-ms'] ?? 0);
  if (said.timeoutMs !== undefined && timeoutMs !== said.timeoutMs) return `the server has ${timeoutMs} ms`;
  // Clocks of two processes may differ by a little.
  if (said.delayMs !== undefined && seen.elapsedMs < said.delayMs - 5) return `it takes ${seen.elapsedMs} ms`;
  if (said.body !== undefined && seen.answer.body !== said.body) return `the body is ${seen.answer.body}`;
  return (
    faultOfHeaders('sent', said.sent, request?.headers) ??
    faultOfHeaders('answered', said.answered, seen.answer.headers)
  );
}

function faultOfHeaders(what: string, said: CallCase['sent'] = {}, headers: Headers = {}): string | undefined {
  const wrong = Object.entries(said).find(([name, value]) => (headers[name] ?? null) !== value);
  return wrong && `${what}: ${wrong[0]} is ${JSON.stringify(headers[wrong[0]] ?? null)}`;
}

/** Of all that was seen of a call: whether as many were copied as was written, by six standard deviations. */
export function faultOfCopies(said: CallCase, all: readonly Observation[]): string | undefined {
  for (const [cluster, percent] of Object.entries(said.copied ?? {})) {
    const count = all.filter(({ arrivals, standIn }) =>
      arrivals.some((arrival) => isCopy(arrival) && standIn(arrival.address)?.cluster === cluster),
    ).length;
    const p = percent / 100;
    const far = 6 * Math.sqrt(all.length * p * (1 - p));
    if (Math.abs(count - all.length * p) > far) return `${count} of ${all.length} are copied to ${cluster}`;
  }
  return undefined;
}

function isCopy({ request }: Arrival): boolean {
  return request !== undefined && isShadow(request);
}
