// SPDX-License-Identifier: Apache-2.0
// HTTPMatchRequest: the conditions of one match are joined by AND, the matches of one route by OR.
import { bool, defaulted, type Infer, list, mapOf, optional, refused, struct, text } from './shape.ts';
import { dnsLabel, headerName, labels, portNumber, stringMatch } from './values.ts';

/** Envoy's bounds; it refuses a whole table of routes for one name beyond them. */
const parameterName = text({ pattern: /^.{1,1024}$/s, what: 'a name of 1 to 1024 characters' });

export const httpMatch = struct({
  name: optional(text()),
  uri: optional(stringMatch),
  scheme: optional(stringMatch),
  method: optional(stringMatch),
  authority: optional(stringMatch),
  headers: defaulted(mapOf(headerCondition(), headerName), {}),
  withoutHeaders: defaulted(mapOf(headerCondition(), headerName), {}),
  queryParams: defaulted(mapOf(stringMatch, parameterName), {}),
  port: optional(portNumber),
  sourceLabels: defaulted(labels, {}),
  sourceNamespace: optional(dnsLabel),
  gateways: defaulted(list(text()), []),
  ignoreUriCase: defaulted(bool, false),
  statPrefix: refused('remove it; statistics of a route have no prefix of their own'),
});
export type HttpMatch = Infer<typeof httpMatch>;

/** A header's condition: a string match, or `{}` for "present". */
export type HeaderCondition = Infer<ReturnType<typeof headerCondition>>;

function headerCondition() {
  const present = { kind: 'present' } as const;
  return {
    schema: stringMatch.schema,
    decode(raw: unknown, at: Parameters<typeof stringMatch.decode>[1]) {
      const empty = typeof raw === 'object' && raw !== null && Object.keys(raw).length === 0;
      return empty ? present : stringMatch.decode(raw, at);
    },
  };
}
