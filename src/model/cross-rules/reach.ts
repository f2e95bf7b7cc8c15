// SPDX-License-Identifier: Apache-2.0
// Routes that no connection comes to: of protocols that the host does not speak, and of ports that it does not have.

import { type GatewayServer, layerOf, terminatesHttps } from '../../api/gateway.ts';
import { covers } from '../../api/names.ts';
import { takesAll } from '../../api/route-coverage.ts';
import { asksForUsualPort, isForMesh, USUAL_PORT, type VirtualService } from '../../api/virtual-service.ts';
import { qualifyHost } from '../hosts.ts';
import { qualifyGateway } from '../qualify-gateway.ts';
import { boundGateways } from '../view.ts';
import type { Known, Say } from './known.ts';
import type { PortFacts } from './ports-below.ts';

const SPEAKS = {
  http: { protocols: ['http', 'http2', 'auto'], what: 'HTTP', prefix: 'http-' },
  tls: { protocols: ['tls'], what: 'TLS', prefix: 'tls-' },
  tcp: { protocols: ['tcp', 'auto'], what: 'plain TCP', prefix: 'tcp-' },
} as const;

export function checkReach(vs: VirtualService, known: Known, say: Say): void {
  const served = isForMesh(vs.spec) ? servedPorts(vs, known) : undefined;
  const gateways = new Set(boundGateways(vs).flatMap((name) => known.gateways.get(name) ?? []));
  checkProtocols(vs, served, say);
  checkServers(vs, known, say);
  if (served === undefined && gateways.size === 0) return;
  const ports = new Set([
    ...(served ?? []).map((port) => port.number),
    ...[...gateways].flatMap((gateway) => gateway.spec.servers.map((server) => server.port.number)),
  ]);
  for (const name of ['http', 'tls', 'tcp'] as const) {
    vs.spec[name].forEach((route, i) => {
      route.match.forEach(({ port }, j) => {
        if (port === undefined || ports.has(port)) return;
        // Sidecars make the host up there: how a rule sends on what is called in plain text, where its service has only TLS.
        if (name === 'http' && port === USUAL_PORT && served !== undefined) return;
        const field = `spec.${name}[${i}].match[${j}].port`;
        const known = [...ports].sort((a, b) => a - b).join(', ');
        say(
          vs.ref,
          'ISM0120',
          field,
          `nothing of ${vs.spec.hosts.join(', ')} is on port ${port}`,
          `use one of ${known}`,
        );
      });
    });
  }
}

/** undefined: nobody knows any of its hosts. */
function servedPorts(vs: VirtualService, { settings, hosts, below }: Known): readonly PortFacts[] | undefined {
  const found = vs.spec.hosts.flatMap((raw): (readonly PortFacts[])[] => {
    const host = qualifyHost(raw, vs.ref.namespace, settings.dnsDomain);
    if (!host.startsWith('*')) return (hosts.get(host) ?? []).map(({ ports }) => ports);
    const ports = below.get(host) ?? [];
    return ports.length === 0 ? [] : [ports];
  });
  return found.length === 0 ? undefined : found.flat();
}

/** For sidecars a route needs a port that speaks what it routes. */
function checkProtocols(vs: VirtualService, ports: readonly PortFacts[] | undefined, say: Say): void {
  if (!isForMesh(vs.spec) || boundGateways(vs).length > 0) return;
  for (const name of ['http', 'tls', 'tcp'] as const) {
    if (vs.spec[name].length === 0 || (name === 'http' && asksForUsualPort(vs.spec))) continue;
    const { protocols, what, prefix } = SPEAKS[name];
    const hosts = vs.spec.hosts.join(', ');
    if (ports === undefined) {
      if (name === 'http') continue;
      const message = `no service ${hosts} is known, so no connection comes to these routes`;
      say(vs.ref, 'ISM0120', `spec.${name}`, message, 'create the Service or ServiceEntry, or write the name in full');
      continue;
    }
    if (ports.some((port) => (protocols as readonly string[]).includes(port.protocol))) continue;
    const found = ports.map((port) => `${port.number} ${port.protocol}`).join(', ') || 'none';
    const message = `no port of ${hosts} speaks ${what} (${found}), so nothing comes to these routes`;
    const cure = `call a port ${prefix}..., or give it an appProtocol; or write routes for what the ports speak`;
    say(vs.ref, 'ISM0120', `spec.${name}`, message, cure);
  }
}

/** Gateways alone: what TLS is to a server decides which of a rule's routes it takes. */
function checkServers(vs: VirtualService, { gateways }: Known, say: Say): void {
  if (isForMesh(vs.spec)) return;
  const bound = boundGateways(vs).map((name) => gateways.get(name));
  const servers = bound.flatMap((gateway) => gateway?.spec.servers ?? []);
  const meant = servers.filter(({ hosts }) =>
    hosts.some((offer) => vs.spec.hosts.some((host) => covers(offer.host, host) || covers(host, offer.host))),
  );
  // What is not there, or serves others, is said elsewhere.
  if (meant.length === 0 || bound.includes(undefined)) return;
  const taken = new Set(meant.map(routesTaken));
  for (const name of ['http', 'tls', 'tcp'] as const) {
    if (vs.spec[name].length === 0 || taken.has(name)) continue;
    const found = meant.map(({ port, tls }) => [port.number, port.protocol, ...(tls ? [tls.mode] : [])].join(' '));
    const message = `no server for ${vs.spec.hosts.join(', ')} takes ${name} routes (${found.join(', ')}), so nothing comes to these`;
    const others = [...taken].filter((kind) => kind !== undefined).join(' or ');
    const cure = `${others === '' ? '' : `write ${others} routes, or `}add ${SERVERS[name]} to the Gateway`;
    say(vs.ref, 'ISM0120', `spec.${name}`, message, cure);
  }
}

const SERVERS = {
  http: 'a server of protocol HTTP, or of HTTPS with mode SIMPLE or MUTUAL,',
  tls: 'a server with tls mode PASSTHROUGH',
  tcp: 'a server of protocol TCP, or of TLS with mode SIMPLE or MUTUAL,',
} as const;

/** undefined: it goes by no rule. */
function routesTaken(server: GatewayServer): 'http' | 'tls' | 'tcp' | undefined {
  if (server.tls?.mode === 'AUTO_PASSTHROUGH') return undefined;
  if (layerOf(server.port.protocol) === 'http' || terminatesHttps(server)) return 'http';
  return server.tls?.mode === 'PASSTHROUGH' ? 'tls' : 'tcp';
}

/** Rules joined at a gateway: of several that take all the rest of a host, the oldest does. */
export function checkJoined(rules: readonly VirtualService[], say: Say): void {
  const firsts = new Map<string, VirtualService>();
  for (const vs of rules) {
    if (boundGateways(vs).length === 0) continue;
    const rest = vs.spec.http.findIndex((route) => route.match.length === 0 || route.match.some(takesAll));
    if (rest < 0) continue;
    for (const gateway of boundGateways(vs)) {
      for (const host of vs.spec.hosts) {
        const key = `${qualifyGateway(gateway, vs.ref.namespace)} ${host}`;
        const first = firsts.get(key);
        if (first === undefined) firsts.set(key, vs);
        if (first === undefined || first === vs) continue;
        const by = `${first.ref.namespace}/${first.ref.name}`;
        const message = `VirtualService ${by} is older and takes all the rest of ${host} at gateway ${gateway}`;
        say(vs.ref, 'ISM0011', `spec.http[${rest}]`, message, 'remove one of the two, or give it a match');
      }
    }
  }
}
