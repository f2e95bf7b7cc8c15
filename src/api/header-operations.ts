// SPDX-License-Identifier: Apache-2.0
// Headers to set, add and remove. Envoy refuses a whole route table for one header that it cannot make, so its rules
// are asked here: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#custom-request-response-headers
import { type At, checked, defaulted, type Infer, list, mapOf, optional, struct } from './shape.ts';
import { headerName, headerText } from './values.ts';

const operations = struct({
  set: defaulted(mapOf(headerText, headerName), {}),
  add: defaulted(mapOf(headerText, headerName), {}),
  remove: defaulted(list(headerName), []),
});
export type HeaderOperations = Infer<typeof operations>;

/** `Host` may be set on requests only: that rewrites the authority. */
function headerOperations(side: 'request' | 'response') {
  return checked(operations, (value, at) => {
    for (const [kind, values] of [
      ['set', value.set],
      ['add', value.add],
    ] as const) {
      for (const [name, text] of Object.entries(values)) {
        const field = `${at.field}.${kind}[${JSON.stringify(name)}]`;
        if (isAuthority(name) && side === 'request' && kind === 'set') continue;
        checkName(name, field, at);
        checkFormat(text, field, at);
      }
    }
    value.remove.forEach((name, i) => {
      checkName(name, `${at.field}.remove[${i}]`, at);
    });
  });
}

export const headers = struct({
  request: optional(headerOperations('request')),
  response: optional(headerOperations('response')),
});
export type Headers = Infer<typeof headers>;

function isAuthority(name: string): boolean {
  return ['host', ':authority'].includes(name.toLowerCase());
}

function checkName(name: string, field: string, at: At): void {
  if (!name.startsWith(':') && !isAuthority(name)) return;
  const cure = 'rewrite the authority or the path by `rewrite`; Host may be set under headers.request.set only';
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
