// SPDX-License-Identifier: Apache-2.0
// networking.istio.io VirtualService: https://istio.io/latest/docs/reference/config/networking/virtual-service/
import { destination, type HttpRoute, httpRoute } from './http-route.ts';
import type { Kind, MeshObject } from './kind.ts';
import { covers } from './names.ts';
import { type At, defaulted, type Infer, integer, list, optional, refused, required, struct, text } from './shape.ts';
import { exportTo, hostPattern, portNumber } from './values.ts';

/** TLS that a gateway passes on unopened, by the name that the client asks for. */
const tlsRoute = struct({
  match: required(
    list(
      struct({
        sniHosts: required(list(hostPattern, { min: 1 })),
        port: optional(portNumber),
        gateways: refused('bind the whole VirtualService by spec.gateways'),
        destinationSubnets: refused('match by sniHosts'),
        sourceLabels: refused('match by sniHosts'),
        sourceNamespace: refused('match by sniHosts'),
      }),
      { min: 1 },
    ),
  ),
  route: required(list(struct({ destination: required(destination), weight: optional(integer()) }), { min: 1 })),
});

const spec = struct(
  {
    hosts: required(list(hostPattern, { min: 1 })),
    gateways: defaulted(
      list(text({ pattern: /^(mesh|([-a-z0-9.]+\/)?[-a-z0-9.]+)$/, what: 'mesh, NAME or NAMESPACE/NAME' })),
      ['mesh'],
    ),
    http: defaulted(list(httpRoute), []),
    tls: defaulted(list(tlsRoute), []),
    exportTo,
    tcp: refused('TCP goes by the addresses and ports of Services and ServiceEntries'),
  },
  'Routing rules for the requests that are made to its hosts.',
);
export type VirtualServiceSpec = Infer<typeof spec>;
export type VirtualService = MeshObject<VirtualServiceSpec>;

export const VIRTUAL_SERVICE: Kind<VirtualServiceSpec> = {
  group: 'networking.istio.io',
  kind: 'VirtualService',
  plural: 'virtualservices',
  singular: 'virtualservice',
  shortNames: ['vs'],
  versions: ['v1alpha3', 'v1beta1', 'v1'],
  description: 'Routing rules for the requests that are made to its hosts.',
  columns: [
    {
      name: 'Gateways',
      type: 'string',
      jsonPath: '.spec.gateways',
      description: 'The names of gateways and sidecars that apply these routes',
    },
    { name: 'Hosts', type: 'string', jsonPath: '.spec.hosts', description: 'The hosts that the rules are for' },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since it was created' },
  ],
  spec,
  check(value, at) {
    if (value.http.length === 0 && value.tls.length === 0) {
      at.report.add('ISM0001', `${at.field}.http`, 'it has no routes', 'add at least one entry to spec.http');
    }
    checkTlsRoutes(value, at);
    reportDuplicates(value.hosts, `${at.field}.hosts`, at);
    reportUnreachable(value.http, at);
    reportBareWildcard(value, at);
  },
};

export function reportDuplicates(values: readonly string[], field: string, at: At): void {
  values.forEach((value, i) => {
    const first = values.indexOf(value);
    if (first === i) return;
    at.report.add(
      'ISM0009',
      `${field}[${i}]`,
      `${value} is there already, at ${field}[${first}]`,
      'remove one of them',
    );
  });
}

/** A route without a match takes every request, so that the routes after it are dead. */
function reportUnreachable(routes: readonly HttpRoute[], at: At): void {
  const last = routes.findIndex((route) => route.match.length === 0 || route.match.some(takesAll));
  for (let i = last + 1; last >= 0 && i < routes.length; i++) {
    const message = `spec.http[${last}] takes every request before it`;
    at.report.add(
      'ISM0011',
      `${at.field}.http[${i}]`,
      message,
      `move spec.http[${last}] to the end, or give it a match`,
    );
  }
}

function checkTlsRoutes(value: VirtualServiceSpec, at: At): void {
  if (value.tls.length > 0 && value.gateways.includes('mesh')) {
    const cure =
      'bind it to a Gateway by spec.gateways; sidecars route TLS by the hosts of Services and ServiceEntries';
    at.report.add('ISM0004', `${at.field}.tls`, 'TLS routes for sidecars are not supported', cure);
  }
  value.tls.forEach((route, i) => {
    const field = `${at.field}.tls[${i}]`;
    if (route.route.length > 1) {
      at.report.add('ISM0004', `${field}.route[1]`, 'weights for TLS are not supported', 'keep one destination');
    }
    route.match.forEach((match, j) => {
      match.sniHosts.forEach((name, k) => {
        if (value.hosts.some((host) => covers(host, name))) return;
        const message = `${name} is not among the hosts of this VirtualService`;
        at.report.add('ISM0006', `${field}.match[${j}].sniHosts[${k}]`, message, 'add it to spec.hosts');
      });
    });
  });
}

/** Nothing but `name` and a uri prefix of `/` is set. */
function takesAll(match: HttpRoute['match'][number]): boolean {
  const { name, uri, ignoreUriCase, ...conditions } = match;
  const anyPath = uri === undefined || (uri.kind === 'prefix' && uri.value === '/');
  return anyPath && Object.values(conditions).every(isEmpty);
}

function isEmpty(condition: unknown): boolean {
  return condition === undefined || (typeof condition === 'object' && Object.keys(condition ?? {}).length === 0);
}

function reportBareWildcard(value: VirtualServiceSpec, at: At): void {
  const i = value.hosts.indexOf('*');
  if (i < 0 || !value.gateways.includes('mesh')) return;
  at.report.add(
    'ISM0006',
    `${at.field}.hosts[${i}]`,
    '`*` would take over every host for all sidecars',
    'name the hosts, or name the gateway in spec.gateways',
  );
}
