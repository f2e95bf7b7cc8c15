// SPDX-License-Identifier: Apache-2.0
// HTTPRoute: what happens to a request that one of its matches takes.
import { headers } from './header-operations.ts';
import { httpMatch } from './http-match.ts';
import { groupCount } from './regex.ts';
import {
  type At,
  bool,
  checked,
  defaulted,
  type Infer,
  idle,
  integer,
  list,
  optional,
  refused,
  required,
  struct,
  text,
} from './shape.ts';
import { dnsLabel, durationMs, headerText, hostPattern, percent, portSelector, regex, stringMatch } from './values.ts';

export const destination = struct({
  host: required(hostPattern),
  subset: optional(dnsLabel),
  port: optional(portSelector),
});
export type Destination = Infer<typeof destination>;

const weightedDestination = struct({
  destination: required(destination),
  weight: optional(integer()),
  headers: optional(headers),
});

const status = integer({ min: 200, max: 599 });
const redirect = checked(
  struct({
    uri: optional(headerText),
    authority: optional(headerText),
    scheme: optional(text({ pattern: /^https?$/, what: 'http or https' })),
    port: optional(integer({ min: 1, max: 65535 })),
    derivePort: refused('give the port as a number, in `port`'),
    redirectCode: defaulted(integer({ min: 301, max: 308 }), 301),
  }),
  (value, at) => {
    if ([301, 302, 303, 307, 308].includes(value.redirectCode)) return;
    at.report.add(
      'ISM0006',
      `${at.field}.redirectCode`,
      `${value.redirectCode} is no redirect`,
      'use 301, 302, 303, 307 or 308',
    );
  },
);

const directResponse = struct({
  status: required(status),
  body: optional(
    struct({
      string: optional(text({ max: 262_144 })),
      bytes: refused('give the body as `string`'),
    }),
  ),
});

const rewrite = checked(
  struct({
    uri: optional(headerText),
    authority: optional(headerText),
    uriRegexRewrite: optional(struct({ match: required(regex), rewrite: required(text()) })),
  }),
  (value, at) => {
    const { match = '', rewrite: substitution = '' } = value.uriRegexRewrite ?? {};
    const highest = Math.max(0, ...[...substitution.matchAll(/\\(\d)/g)].map(([, n]) => Number(n)));
    if (highest > groupCount(match)) {
      const message = `\\${highest} stands for a group that ${JSON.stringify(match)} does not have`;
      at.report.add('ISM0006', `${at.field}.uriRegexRewrite.rewrite`, message, `use \\0 to \\${groupCount(match)}`);
    }
    if (value.uri === undefined || value.uriRegexRewrite === undefined) return;
    at.report.add('ISM0007', at.field, 'uri and uriRegexRewrite exclude one another', 'keep one of them');
  },
);

const RETRY_CONDITIONS = new Set([
  '5xx',
  'gateway-error',
  'reset',
  'reset-before-request',
  'connect-failure',
  'retriable-4xx',
  'refused-stream',
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
    if (RETRY_CONDITIONS.has(condition) || /^[2-5]\d\d$/.test(condition)) continue;
    const cure = `use a status code, or one of ${[...RETRY_CONDITIONS].join(', ')}`;
    at.report.add('ISM0006', at.field, `${JSON.stringify(condition)} is no condition for a retry`, cure);
  }
});

const retries = struct({
  attempts: defaulted(integer({ max: 1000 }), 2),
  perTryTimeout: optional(durationMs()),
  retryOn: optional(retryOn),
  retryIgnorePreviousHosts: defaulted(bool, true),
  backoff: optional(durationMs()),
  retryRemoteLocalities: refused('remove it; retries do not choose by locality yet'),
});
export type Retries = Infer<typeof retries>;

const percentage = {
  percentage: optional(percent),
  percent: refused('use `percentage: {value: ...}`, which replaced it'),
};
const fault = struct({
  delay: optional(
    struct({
      ...percentage,
      fixedDelay: required(durationMs()),
      exponentialDelay: refused('use fixedDelay'),
    }),
  ),
  abort: optional(
    struct({
      ...percentage,
      httpStatus: required(integer({ min: 200, max: 599 })),
      grpcStatus: refused('use httpStatus'),
      http2Error: refused('use httpStatus'),
    }),
  ),
});
export type Fault = Infer<typeof fault>;

const mirror = struct({ destination: required(destination), percentage: optional(percent) });

const corsPolicy = struct({
  allowOrigins: defaulted(list(stringMatch), []),
  allowMethods: defaulted(list(text()), []),
  allowHeaders: defaulted(list(text()), []),
  exposeHeaders: defaulted(list(text()), []),
  maxAge: optional(durationMs({ zero: true })),
  allowCredentials: optional(bool),
  allowOrigin: refused('use `allowOrigins: [{exact: ...}]`, which replaced it'),
  unmatchedPreflights: refused('remove it; preflight requests that no origin matches are forwarded'),
});
export type CorsPolicy = Infer<typeof corsPolicy>;

const fields = struct({
  name: optional(text()),
  match: defaulted(list(httpMatch), []),
  route: defaulted(list(weightedDestination), []),
  redirect: optional(redirect),
  directResponse: optional(directResponse),
  rewrite: optional(rewrite),
  timeout: optional(durationMs({ zero: true })),
  retries: optional(retries),
  fault: optional(fault),
  mirror: optional(destination),
  mirrorPercentage: optional(percent),
  mirrors: defaulted(list(mirror), []),
  corsPolicy: optional(corsPolicy),
  headers: optional(headers),
  delegate: refused('write the delegated routes into this VirtualService'),
  mirrorPercent: refused('use `mirrorPercentage: {value: ...}`, which replaced it'),
  mirror_percent: refused('use `mirrorPercentage: {value: ...}`, which replaced it'),
  appendHeaders: refused('use `headers.request.add`, which replaced it'),
  removeResponseHeaders: refused('use `headers.response.remove`, which replaced it'),
  websocketUpgrade: idle('WebSocket is always let through; remove it'),
});
export type HttpRoute = Infer<typeof fields>;
export const httpRoute = checked(fields, checkRoute);
export type WeightedDestination = Infer<typeof weightedDestination>;

function checkRoute(route: HttpRoute, at: At): void {
  const actions = [
    ...(route.route.length > 0 ? ['route'] : []),
    ...(route.redirect ? ['redirect'] : []),
    ...(route.directResponse ? ['directResponse'] : []),
  ];
  if (actions.length === 0) {
    at.report.add(
      'ISM0001',
      at.field,
      'it says nothing of where requests go',
      'add `route`, `redirect` or `directResponse`',
    );
  } else if (actions.length > 1) {
    at.report.add('ISM0007', at.field, `${actions.join(' and ')} exclude one another`, 'keep one of them');
  }
  if (route.rewrite && route.redirect) {
    at.report.add('ISM0007', `${at.field}.rewrite`, 'a redirect cannot be rewritten', 'keep `rewrite` or `redirect`');
  }
  if (route.mirror && route.mirrors.length > 0) {
    at.report.add('ISM0007', at.field, 'mirror and mirrors exclude one another', 'keep `mirrors`');
  }
  checkWeights(route.route, at);
}

/** Weights are shares of their sum, as in today's Istio; a sum other than 100 is probably a slip, so it is named. */
function checkWeights(routes: readonly WeightedDestination[], at: At): void {
  if (routes.length < 2) return;
  const sum = routes.reduce((total, route) => total + (route.weight ?? 0), 0);
  const field = `${at.field}.route`;
  if (sum === 0) {
    at.report.add(
      'ISM0008',
      field,
      'the weights add up to 0, so nothing would be sent anywhere',
      'give each destination a weight',
    );
  } else if (sum > 0xffff_ffff) {
    at.report.add('ISM0008', field, 'the weights add up to more than 4294967295', 'use smaller ones');
  } else if (sum !== 100) {
    const cure = 'make them add up to 100, or ignore this: they are shares of their sum';
    at.report.add('ISM0008', field, `the weights add up to ${sum}, not 100`, cure, 'warning');
  }
}
