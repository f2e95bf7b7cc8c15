// SPDX-License-Identifier: Apache-2.0
// HTTPRoute: what happens to a request that one of its matches takes.
import { checkWeights, destination } from './destination.ts';
import type { ObjectRef } from './diagnostics.ts';
import { type Headers, headerNames, headers, headerValues, isAuthority } from './header-operations.ts';
import { directResponse, exclude, mirror, redirect, rewrite } from './http-actions.ts';
import { corsPolicy } from './http-cors.ts';
import { fault } from './http-fault.ts';
import { httpMatch } from './http-match.ts';
import { retries } from './http-retries.ts';
import {
  type At,
  checked,
  defaulted,
  type Infer,
  idle,
  integer,
  list,
  optional,
  required,
  struct,
  text,
  turned,
} from './shape.ts';
import { dnsLabel, durationMs, percent } from './values.ts';

const objectName = text({ pattern: /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/, what: 'the name of a VirtualService' });

/** How Istio wrote header operations before 1.5. */
const retiredHeaders = {
  appendRequestHeaders: defaulted(headerValues('request'), {}),
  removeRequestHeaders: defaulted(headerNames, []),
  appendResponseHeaders: defaulted(headerValues('response'), {}),
  removeResponseHeaders: defaulted(headerNames, []),
};
interface RetiredHeaders {
  readonly appendRequestHeaders: Readonly<Record<string, string>>;
  readonly removeRequestHeaders: readonly string[];
  readonly appendResponseHeaders: Readonly<Record<string, string>>;
  readonly removeResponseHeaders: readonly string[];
}

const weightedDestination = turned(
  struct({
    destination: required(destination),
    weight: optional(integer()),
    headers: optional(headers),
    ...retiredHeaders,
  }),
  (raw) => {
    const { appendRequestHeaders, removeRequestHeaders, appendResponseHeaders, removeResponseHeaders, ...rest } = raw;
    return { ...rest, headers: withRetired(raw.headers, raw) };
  },
);
export type WeightedDestination = Infer<typeof weightedDestination>;

const fields = struct({
  name: optional(text()),
  match: defaulted(list(httpMatch), []),
  route: defaulted(list(weightedDestination), []),
  redirect: optional(redirect),
  directResponse: optional(directResponse),
  delegate: optional(struct({ name: required(objectName), namespace: optional(dnsLabel) })),
  rewrite: optional(rewrite),
  timeout: optional(durationMs({ zero: true })),
  retries: optional(retries),
  fault: optional(fault),
  mirror: optional(destination),
  mirrorPercentage: optional(percent),
  mirrors: defaulted(list(mirror), []),
  corsPolicy: optional(corsPolicy),
  headers: optional(headers),
  mirrorPercent: optional(integer({ max: 100 })),
  mirror_percent: optional(integer({ max: 100 })),
  ...retiredHeaders,
  appendHeaders: defaulted(headerValues('request'), {}),
  websocketUpgrade: idle('WebSocket is always let through; remove it'),
});

type Retired = keyof RetiredHeaders | 'appendHeaders' | 'mirrorPercent' | 'mirror_percent';
export interface HttpRoute extends Omit<Infer<typeof fields>, Retired> {
  /** Of a route that was taken over from another rule, and of those beside it: where it stands, and each of its matches. */
  readonly writtenAt?: { readonly object: ObjectRef; readonly field: string; readonly matches?: readonly string[] };
}

export const httpRoute = turned(checked(fields, checkRoute), (raw): HttpRoute => {
  const { appendRequestHeaders, removeRequestHeaders, appendResponseHeaders, removeResponseHeaders, ...known } = raw;
  const { appendHeaders, mirrorPercent, mirror_percent, ...route } = known;
  const share = mirrorPercent ?? mirror_percent;
  return {
    ...route,
    mirrorPercentage: route.mirrorPercentage ?? (share === undefined ? undefined : { value: share }),
    headers: withRetired(route.headers, {
      ...raw,
      appendRequestHeaders: { ...appendHeaders, ...appendRequestHeaders },
    }),
  };
});

function withRetired(given: Headers | undefined, retired: RetiredHeaders): Headers | undefined {
  const { appendRequestHeaders, removeRequestHeaders, appendResponseHeaders, removeResponseHeaders } = retired;
  const fold = (side: Headers['request'], add: Readonly<Record<string, string>>, remove: readonly string[]) => {
    if (Object.keys(add).length === 0 && remove.length === 0) return side;
    return {
      set: side?.set ?? {},
      add: { ...add, ...side?.add },
      remove: [...(side?.remove ?? []), ...remove],
    };
  };
  const request = fold(given?.request, appendRequestHeaders, removeRequestHeaders);
  const response = fold(given?.response, appendResponseHeaders, removeResponseHeaders);
  return request === given?.request && response === given?.response ? given : { request, response };
}

function checkRoute(route: Infer<typeof fields>, at: At): void {
  const { redirect, directResponse, delegate, rewrite, fault, mirror, mirrors, corsPolicy: cors } = route;
  const actions = {
    route: route.route.length > 0 ? true : undefined,
    redirect,
    directResponse,
    delegate,
  };
  if (Object.values(actions).every((action) => action === undefined)) {
    const cure = 'add `route`, `redirect`, `directResponse` or `delegate`';
    at.report.add('ISM0001', at.field, 'it says nothing of where requests go', cure);
  }
  exclude(actions, at);
  for (const [name, answer] of Object.entries({ redirect, directResponse })) {
    if (answer === undefined) continue;
    for (const [other, value] of Object.entries({ rewrite, fault })) {
      if (value === undefined) continue;
      const message = `${other} and ${name} exclude one another`;
      at.report.add('ISM0007', `${at.field}.${other}`, message, 'keep one of them');
    }
  }
  if (cors !== undefined && route.route.length === 0 && delegate === undefined) {
    const message = 'proxies add CORS to what a destination answers: a redirect or directResponse goes out without it';
    const cure = 'say it by headers.response, or remove it';
    at.report.add('ISM0005', `${at.field}.corsPolicy`, message, cure);
  }
  exclude({ mirror, mirrors: mirrors.length > 0 ? mirrors : undefined }, at);
  checkPrefixRewrite(route, at);
  checkAuthority(route, at);
  checkWeights(route.route, { ...at, field: `${at.field}.route` });
}

/** What is put in the place of a prefix needs one. */
function checkPrefixRewrite({ redirect, match }: Infer<typeof fields>, at: At): void {
  if (redirect?.prefixRewrite === undefined) return;
  match.forEach(({ uri }, i) => {
    if (uri === undefined || uri.kind === 'prefix') return;
    const message = 'redirect.prefixRewrite replaces a prefix, and this match has none';
    at.report.add('ISM0007', `${at.field}.match[${i}].uri`, message, 'match by prefix, or use redirect.uri');
  });
}

function checkAuthority({ rewrite, headers }: Infer<typeof fields>, at: At): void {
  const operations = [headers?.request?.set ?? {}, headers?.request?.add ?? {}];
  const byHeader = operations.flatMap((values) => Object.keys(values).filter(isAuthority)).length;
  if (byHeader + (rewrite?.authority === undefined ? 0 : 1) < 2) return;
  at.report.add('ISM0007', at.field, 'the authority is set more than once', 'keep rewrite.authority or one header');
}
