// SPDX-License-Identifier: Apache-2.0
// networking.istio.io VirtualService: https://istio.io/latest/docs/reference/config/networking/virtual-service/
import { checkWeights, connectionShare } from './destination.ts';
import { reportDuplicates } from './duplicates.ts';
import { httpRoute } from './http-route.ts';
import type { Kind, MeshObject } from './kind.ts';
import { covers } from './names.ts';
import { reportUnreachable } from './route-coverage.ts';
import { reportTargets } from './rule-targets.ts';
import { type At, checked, defaulted, type Infer, list, optional, refused, required, struct } from './shape.ts';
import { checkExportTo, dnsLabel, exportTo, gatewayName, hostPattern, labels, portNumber, subnet } from './values.ts';

/** Of a connection, before anything is read from it. */
const connectionMatch = {
  destinationSubnets: defaulted(list(subnet), []),
  port: optional(portNumber),
  sourceLabels: defaulted(labels, {}),
  gateways: defaulted(list(gatewayName), []),
  sourceNamespace: optional(dnsLabel),
};

const shares = checked(list(connectionShare, { min: 1 }), checkWeights);

/** TLS that is passed on unopened, by the name that the client asks for. */
const tlsRoute = struct({
  match: required(list(struct({ ...connectionMatch, sniHosts: required(list(hostPattern, { min: 1 })) }), { min: 1 })),
  route: required(shares),
});
export type TlsRoute = Infer<typeof tlsRoute>;

const tcpRoute = struct({
  match: defaulted(
    list(
      struct({
        ...connectionMatch,
        sourceSubnet: refused('remove it; clients are told apart by sourceLabels and sourceNamespace'),
      }),
    ),
    [],
  ),
  route: required(shares),
});
export type TcpRoute = Infer<typeof tcpRoute>;
export type ConnectionMatch = TcpRoute['match'][number];

const spec = struct(
  {
    hosts: defaulted(list(hostPattern), []),
    gateways: defaulted(list(gatewayName), []),
    http: defaulted(list(httpRoute), []),
    tls: defaulted(list(tlsRoute), []),
    tcp: defaulted(list(tcpRoute), []),
    exportTo,
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
  check(value, at, { ref }) {
    checkExportTo(value.exportTo, ref.namespace, { ...at, field: `${at.field}.exportTo` });
    if (value.http.length === 0 && value.tls.length === 0 && value.tcp.length === 0) {
      const cure = 'add at least one entry to spec.http, spec.tls or spec.tcp';
      at.report.add('ISM0001', `${at.field}.http`, 'it has no routes', cure);
    }
    if (isDelegate(value)) checkDelegate(value, at);
    checkServerNames(value, at);
    checkStrangers(value, at);
    checkHosts(value, at);
    reportUnreachable(value, at);
  },
  complete(value, raw, report) {
    reportTargets(raw, report);
    return value;
  },
};

/** Without hosts it is no rule by itself: other rules take their routes from it. */
export function isDelegate(spec: VirtualServiceSpec): boolean {
  return spec.hosts.length === 0;
}

/** Where rules for hosts without a service make those up, as in Istio. */
export const USUAL_PORT = 80;

/** Whether a match asks for that port: the host is made up there even if its service has other ports alone. */
export function asksForUsualPort({ http }: VirtualServiceSpec): boolean {
  return http.some(({ match }) => match.some(({ port }) => port === USUAL_PORT));
}

/** For sidecars: said so, or not said otherwise. */
export function isForMesh(spec: VirtualServiceSpec): boolean {
  return !isDelegate(spec) && (spec.gateways.length === 0 || spec.gateways.includes('mesh'));
}

function checkDelegate(value: VirtualServiceSpec, at: At): void {
  for (const name of ['gateways', 'tls', 'tcp'] as const) {
    if (value[name].length === 0) continue;
    const message = `without hosts other rules take their http routes from it, and \`${name}\` has no meaning`;
    at.report.add('ISM0007', `${at.field}.${name}`, message, `add spec.hosts, or remove ${name}`);
  }
  value.http.forEach((route, i) => {
    if (route.delegate === undefined) return;
    const field = `${at.field}.http[${i}].delegate`;
    const message = 'a rule that others take routes from cannot take them from a third';
    at.report.add('ISM0007', field, message, 'write the routes here, or add spec.hosts');
  });
}

/** Istio's: of two hosts that cover one another the second would never be asked. */
function checkHosts({ hosts, gateways }: VirtualServiceSpec, at: At): void {
  reportDuplicates(hosts, `${at.field}.hosts`, at);
  const places = new Map(hosts.map((host, i) => [host, i]));
  hosts.forEach((host, i) => {
    const wide = widerHosts(host).find((name) => places.has(name));
    if (wide === undefined) return;
    const message = `${wide}, at ${at.field}.hosts[${places.get(wide)}], covers ${host} already`;
    at.report.add('ISM0009', `${at.field}.hosts[${i}]`, message, 'remove one of them');
  });
  const all = hosts.indexOf('*');
  if (all < 0 || (gateways.length > 0 && !gateways.includes('mesh'))) return;
  const message = '`*` would take over every host for all sidecars';
  at.report.add(
    'ISM0006',
    `${at.field}.hosts[${all}]`,
    message,
    'name the hosts, or name the gateway in spec.gateways',
  );
}

/** `a.b.c` and `*.a.b.c`: `*.b.c`, `*.c`, `*`. */
function widerHosts(host: string): string[] {
  const labels = host.replace(/^\*\./, '').split('.');
  const parents = labels.slice(1).map((_, i) => `*.${labels.slice(i + 1).join('.')}`);
  return host === '*' ? [] : [...parents, '*'];
}

/** What a gateway cannot know of its clients, or need not ask. */
function checkStrangers(value: VirtualServiceSpec, at: At): void {
  if (isDelegate(value) || isForMesh(value)) return;
  for (const name of ['tls', 'tcp'] as const) {
    value[name].forEach((route, i) => {
      route.match.forEach(({ sourceLabels, sourceNamespace, destinationSubnets }, j) => {
        const asked = {
          sourceLabels: Object.keys(sourceLabels).length > 0,
          sourceNamespace: sourceNamespace !== undefined,
          destinationSubnets: destinationSubnets.length > 0,
        };
        for (const [member, isAsked] of Object.entries(asked)) {
          if (!isAsked) continue;
          const field = `${at.field}.${name}[${i}].match[${j}].${member}`;
          const message = 'gateways do not ask for it, and this rule is for gateways alone';
          at.report.add('ISM0005', field, message, 'remove it, or add mesh to spec.gateways');
        }
      });
    });
  }
}

function checkServerNames({ hosts, tls }: VirtualServiceSpec, at: At): void {
  tls.forEach((route, i) => {
    route.match.forEach((match, j) => {
      match.sniHosts.forEach((name, k) => {
        if (hosts.some((host) => covers(host, name))) return;
        const field = `${at.field}.tls[${i}].match[${j}].sniHosts[${k}]`;
        const message = `${name} is not among the hosts of this VirtualService`;
        at.report.add('ISM0006', field, message, 'add it to spec.hosts');
      });
    });
  });
}
