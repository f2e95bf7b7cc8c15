// SPDX-License-Identifier: Apache-2.0
// Headers to set, add and remove. Envoy refuses a whole route table for one header that it cannot make, so its rules
// are asked here: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#custom-request-response-headers
import { type At, checked, defaulted, type Infer, list, mapOf, optional, type Shape, struct } from './shape.ts';
import { headerName, headerText } from './values.ts';

type Side = 'request' | 'response';

function operations(side: Side) {
  return struct({
    set: defaulted(headerValues(side), {}),
    add: defaulted(headerValues(side), {}),
    remove: defaulted(headerNames, []),
  });
}
export type HeaderOperations = Infer<ReturnType<typeof operations>>;

/** `Host` may be set on requests only: that rewrites the authority. */
export function headerValues(side: Side): Shape<Readonly<Record<string, string>>> {
  return checked(mapOf(headerText, headerName), (values, at) => {
    for (const [name, text] of Object.entries(values)) {
      const field = `${at.field}[${JSON.stringify(name)}]`;
      if (isAuthority(name) && side === 'request') continue;
      checkName(name, field, at);
      checkFormat(text, field, at);
    }
  });
}

export const headerNames: Shape<readonly string[]> = checked(list(headerName), (names, at) => {
  names.forEach((name, i) => {
    checkName(name, `${at.field}[${i}]`, at);
  });
});

export const headers = struct({
  request: optional(operations('request')),
  response: optional(operations('response')),
});
export type Headers = Infer<typeof headers>;

export function isAuthority(name: string): boolean {
  return ['host', ':authority'].includes(name.toLowerCase());
}

function checkName(name: string, field: string, at: At): void {
  if (!name.startsWith(':') && !isAuthority(name)) return;
  const cure = 'rewrite the authority or the path by `rewrite`; Host may be set under headers.request only';
  at.report.add('ISM0006', field, `${name} is no header that can be changed so`, cure);
}

const PLAIN_COMMANDS = new Set([
  'PROTOCOL',
  'HOSTNAME',
  'START_TIME',
  'RESPONSE_CODE',
  'RESPONSE_FLAGS',
  'ROUTE_NAME',
  'REQUESTED_SERVER_NAME',
  'UPSTREAM_CLUSTER',
  'UPSTREAM_HOST',
  'UPSTREAM_REMOTE_ADDRESS',
  'DOWNSTREAM_REMOTE_ADDRESS',
  'DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT',
  'DOWNSTREAM_LOCAL_ADDRESS',
  'DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT',
  'DOWNSTREAM_LOCAL_PORT',
  'DOWNSTREAM_TLS_VERSION',
  'DOWNSTREAM_PEER_URI_SAN',
  'DOWNSTREAM_PEER_SUBJECT',
]);

/** `%` begins one of Envoy's commands: `%PROTOCOL%`, `%REQ(x-name)%`. */
function checkFormat(text: string, field: string, at: At): void {
  const rest = text
    .replace(/%%/g, '')
    .replace(/%([A-Z_]+)(?:\(([^()%]*)\))?%/g, (whole, name: string, argument?: string) => {
      if (argument === undefined) return PLAIN_COMMANDS.has(name) ? '' : whole;
      return ['REQ', 'RESP'].includes(name) && /^:?[\w-]+(\?:?[\w-]+)?$/.test(argument) ? '' : whole;
    });
  if (!rest.includes('%')) return;
  const cure = 'write %% for a percent sign, or use a command such as %REQ(x-name)%';
  at.report.add('ISM0006', field, `${JSON.stringify(text)} has a % that begins no known command`, cure);
}
