// SPDX-License-Identifier: Apache-2.0
// CorsPolicy: https://fetch.spec.whatwg.org/#http-cors-protocol, answered by the proxy.
import { bool, checked, choice, defaulted, type Infer, list, optional, struct, text, turned } from './shape.ts';
import { durationMs, headerName, stringMatch } from './values.ts';

const method = choice(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', '*']);

const maxAge = checked(durationMs({ zero: true }), (value, at) => {
  if (value % 1000 === 0) return;
  at.report.add('ISM0006', at.field, 'browsers are told whole seconds', 'write it in seconds, as 24h or 90s');
});

export const corsPolicy = turned(
  struct({
    allowOrigins: defaulted(list(stringMatch), []),
    /** How Istio 1.4 and before wrote exact origins. */
    allowOrigin: defaulted(list(text()), []),
    allowMethods: defaulted(list(method), []),
    allowHeaders: defaulted(list(headerName), []),
    exposeHeaders: defaulted(list(headerName), []),
    maxAge: optional(maxAge),
    allowCredentials: optional(bool),
    unmatchedPreflights: defaulted(choice(['UNSPECIFIED', 'FORWARD', 'IGNORE']), 'UNSPECIFIED'),
  }),
  ({ allowOrigin, allowOrigins, ...rest }, at) => {
    allowOrigins.forEach(({ value }, i) => {
      if (value !== '') return;
      at.report.add('ISM0006', `${at.field}.allowOrigins[${i}]`, 'no origin is empty', 'give it a text, or remove it');
    });
    const exact = allowOrigin.map((value) => ({ kind: 'exact' as const, value }));
    return { ...rest, allowOrigins: allowOrigins.length > 0 ? allowOrigins : exact };
  },
);
export type CorsPolicy = Infer<typeof corsPolicy>;
