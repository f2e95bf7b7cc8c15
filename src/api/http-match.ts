// SPDX-License-Identifier: Apache-2.0
// HTTPMatchRequest: the conditions of one match are joined by AND, the matches of one route by OR.
import { bool, defaulted, type Infer, isRecord, list, mapOf, optional, type Shape, struct, text } from './shape.ts';
import { dnsLabel, gatewayName, headerName, labels, portNumber, type StringMatch, stringMatch } from './values.ts';

/** Envoy's bounds; it refuses a whole table of routes for one name beyond them. */
const parameterName = text({ pattern: /^.{1,1024}$/s, what: 'a name of 1 to 1024 characters' });

/** Statistics of the route are below it, so that it must not be everything. */
const statPrefix = text({ pattern: /^[^\s]+$/, what: 'a name without blanks' });

/** A condition on a header or a query parameter: a string match; `{}` and `{regex: "*"}` are "present". */
const condition: Shape<Condition> = {
  schema: stringMatch.schema,
  decode(raw, at) {
    const keys = isRecord(raw) ? Object.keys(raw) : ['?'];
    const present = keys.length === 0 || (keys.length === 1 && isRecord(raw) && raw['regex'] === '*');
    return present ? { kind: 'present' } : stringMatch.decode(raw, at);
  },
};
export type Condition = StringMatch | { readonly kind: 'present' };

const claims = 'route by a header that the application or a filter sets: claims of tokens are not read for routes';
/** Istio's names for claims of a token: `@request.auth.claims.groups`, `@request.auth.claims[groups]`. */
const matchedHeader: Shape<string> = {
  schema: headerName.schema,
  decode(raw, at) {
    if (typeof raw !== 'string' || !raw.startsWith('@request.auth.claims')) return headerName.decode(raw, at);
    at.report.add('ISM0004', at.field, 'routing by claims of a token is not supported', claims);
    return undefined;
  },
};

/** Of a path, unlike of other texts, every one may be asked for: `prefix: ""`. */
const uriMatch: Shape<StringMatch> = {
  schema: stringMatch.schema,
  decode(raw, at) {
    const all = isRecord(raw) && raw['prefix'] === '' && Object.keys(raw).length === 1;
    return all ? { kind: 'prefix', value: '' } : stringMatch.decode(raw, at);
  },
};

export const httpMatch = struct({
  name: optional(text()),
  uri: optional(uriMatch),
  scheme: optional(stringMatch),
  method: optional(stringMatch),
  authority: optional(stringMatch),
  headers: defaulted(mapOf(condition, matchedHeader), {}),
  withoutHeaders: defaulted(mapOf(condition, matchedHeader), {}),
  queryParams: defaulted(mapOf(condition, parameterName), {}),
  port: optional(portNumber),
  sourceLabels: defaulted(labels, {}),
  sourceNamespace: optional(dnsLabel),
  gateways: defaulted(list(gatewayName), []),
  ignoreUriCase: defaulted(bool, false),
  statPrefix: optional(statPrefix),
});
export type HttpMatch = Infer<typeof httpMatch>;
