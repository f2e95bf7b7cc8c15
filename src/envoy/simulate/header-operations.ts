// SPDX-License-Identifier: Apache-2.0
// What routes and weighted clusters do to headers
// (https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#custom-request-response-headers).
import {
  HeaderValueOption_HeaderAppendAction as Append,
  type HeaderValueOption,
} from '#gen/envoy/config/core/v3/base_pb.ts';
import type { HeaderChange, HttpRequest } from './outcome.ts';
import { headerValue } from './route-choice.ts';

/** What one level, a weighted cluster or a route, asks for. */
export interface Operations {
  readonly add: readonly HeaderValueOption[];
  readonly remove: readonly string[];
}

/** What %COMMANDS% in values stand for. */
export interface FormatContext {
  readonly request: HttpRequest;
  readonly routeName: string;
  readonly cluster: string;
  readonly serverName: string;
}

type Values = Readonly<Record<string, string>>;

/** In the order in which they are done; an addition of a header that is there makes a list of it. */
export function changesOf({ add, remove }: Operations): HeaderChange[] {
  const changes = add.flatMap(({ header, appendAction }): HeaderChange[] => {
    if (header === undefined) return [];
    const action = appendAction === Append.OVERWRITE_IF_EXISTS_OR_ADD ? 'set' : 'add';
    return [{ action, name: header.key.toLowerCase(), value: header.value }];
  });
  return [
    ...remove.map((name): HeaderChange => ({ action: 'remove', name: name.toLowerCase() })),
    ...changes.filter(({ action }) => action === 'set'),
    ...changes.filter(({ action }) => action === 'add'),
  ];
}

/** Whether every option is of a kind that `changesOf` knows. */
export function isKnown({ add }: Operations): boolean {
  return add.every(
    ({ appendAction }) =>
      appendAction === Append.OVERWRITE_IF_EXISTS_OR_ADD || appendAction === Append.APPEND_IF_EXISTS_OR_ADD,
  );
}

/**
 * A header that becomes empty is left out; one with a command that only the proxy can answer keeps it as it is written.
 * `format`: a value, from the headers as they are when what is to be removed is.
 */
export function applyChanges(
  headers: Values,
  changes: readonly HeaderChange[],
  format: (value: string, headers: Values) => string,
): Values {
  const result = new Map(Object.entries(headers));
  for (const { action, name } of changes) if (action === 'remove') result.delete(name);
  const current = Object.fromEntries(result);
  for (const { action, name, value = '' } of changes) {
    if (action === 'remove') continue;
    const text = format(value, current);
    const present = result.get(name);
    if (text !== '') result.set(name, action === 'add' && present !== undefined ? `${present},${text}` : text);
  }
  return Object.fromEntries(result);
}

export function formatRequestValue(template: string, context: FormatContext): string {
  return template.replace(/%%|%([A-Z_]+)(?:\(([^()%]*)\))?%/g, (whole, name: string | undefined, argument?: string) =>
    name === undefined ? '%' : (commandValue(name, argument, context) ?? whole),
  );
}

function commandValue(name: string, argument: string | undefined, context: FormatContext): string | undefined {
  const { request } = context;
  switch (name) {
    case 'PROTOCOL':
      return { 'http/1.0': 'HTTP/1.0', 'http/1.1': 'HTTP/1.1', h2: 'HTTP/2' }[request.protocol ?? 'http/1.1'];
    case 'ROUTE_NAME':
      return context.routeName;
    case 'UPSTREAM_CLUSTER':
      return context.cluster;
    case 'REQUESTED_SERVER_NAME':
      return context.serverName;
    case 'REQ': {
      const [first = '', second = ''] = (argument ?? '').split('?');
      return headerValue(first, request) ?? (second === '' ? undefined : headerValue(second, request)) ?? '';
    }
    default:
      return undefined;
  }
}
