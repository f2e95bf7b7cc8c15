// SPDX-License-Identifier: Apache-2.0
// Ports on which nobody can be served.
import { closestName } from '../../api/closest-name.ts';
import type { Gateway } from '../../api/gateway.ts';
import { lookUpHost } from '../hosts.ts';
import { compareKeys } from '../service-facts.ts';
import { type MeshService, PROXY_PORTS } from '../snapshot.ts';
import type { Known, Say } from './known.ts';

/** Numbers of a service's HTTP ports. */
export function httpPorts({ ports }: MeshService): string[] {
  return ports.filter(({ protocol }) => protocol.startsWith('http')).map(({ number }) => String(number));
}

/** `http`: services by their HTTP ports, those of one port by key. */
export function checkPorts(service: MeshService, http: ReadonlyMap<string, readonly MeshService[]>, say: Say): void {
  service.ports.forEach((port, i) => {
    const field = `spec.ports[${i}]`;
    if (PROXY_PORTS.has(port.number) && port.protocol.startsWith('http')) {
      const message = `port ${port.number} is one of the proxies' own, so they pass its traffic by`;
      say(service.origin, 'ISM0109', field, message, 'give the service another port');
    }
    const addressless = service.registry === 'service-entry' && service.addresses.length === 0;
    const rival = addressless && port.protocol === 'tcp' ? http.get(String(port.number))?.at(-1) : undefined;
    if (rival === undefined) return;
    // A name in TLS says whom it is for; other protocols have only what the client sends first.
    const message = `on port ${port.number} it is told from ${rival.hostname}'s HTTP by what clients send first, and a client that waits for the server sends nothing`;
    say(service.origin, 'ISM0128', field, message, 'give this host addresses of its own, in spec.addresses');
  });
}

/** Behind a wildcard each request names its server, and hardly ever the port. */
export function checkTargets(service: MeshService, { policies }: Pick<Known, 'policies'>, say: Say): void {
  if (service.resolution !== 'by-name') return;
  service.ports.forEach(({ protocol, number, targetPort }, i) => {
    if (!protocol.startsWith('http') || targetPort === number) return;
    const isSecured = lookUpHost(policies, service.hostname).some(({ secures }) => secures);
    if (number === 80 && targetPort === 443 && isSecured) return;
    const message = `a request goes to the port that its Host names, or else to 80 (443 with TLS), never to ${targetPort}`;
    const cure =
      number === 80 && targetPort === 443
        ? `add a DestinationRule for ${service.hostname} with tls, or remove it`
        : 'remove it: whoever asks has to name the port at which the server listens';
    say(service.origin, 'ISM0005', `spec.ports[${i}].targetPort`, message, cure);
  });
}

/** Labels by which a service selects its pods, in any cluster. */
export function selectorKeys({ clusters }: MeshService): string[] {
  return Object.values(clusters).flatMap(({ selector = {} }) => Object.keys(selector));
}

/** Services that select what the Gateway selects open its ports to the outside; a server on another port is deaf. */
export function checkOpenPorts(gateway: Gateway, selecting: Known['selecting'], say: Say): void {
  const services = servicesOfGateway(gateway, selecting);
  if (services.length === 0) checkSelector(gateway, selecting, say);
  else checkNumbers(gateway, services, say);
}

/** Services of the pods that the Gateway selects, by key. */
export function servicesOfGateway(gateway: Gateway, selecting: Known['selecting']): readonly MeshService[] {
  const wanted = Object.entries(gateway.spec.selector);
  const all = new Set(wanted.flatMap(([key]) => selecting.get(key) ?? []));
  return [...all]
    .filter((service) =>
      Object.values(service.clusters).some(({ selector = {} }) => {
        const shared = wanted.filter(([key]) => selector[key] !== undefined);
        return shared.length > 0 && shared.every(([key, value]) => selector[key] === value);
      }),
    )
    .sort(compareKeys);
}

/** Pods need no Service, and may come later; but a value that is nearly one that a Service has is a slip. */
function checkSelector(gateway: Gateway, selecting: Known['selecting'], say: Say): void {
  for (const [key, value] of Object.entries(gateway.spec.selector)) {
    const values = (selecting.get(key) ?? []).flatMap((service) =>
      Object.values(service.clusters).flatMap(({ selector }) => selector?.[key] ?? []),
    );
    const meant = values.includes(value) ? undefined : closestName(value, [...new Set(values)]);
    if (meant === undefined) continue;
    const message = `no Service has pods with ${key}=${value}, so nobody can reach this Gateway`;
    say(gateway.ref, 'ISM0127', `spec.selector.${key}`, message, `did you mean \`${meant}\`?`);
  }
}

function checkNumbers(gateway: Gateway, services: readonly MeshService[], say: Say): void {
  gateway.spec.servers.forEach((server, i) => {
    const { number } = server.port;
    // Either is meant by users: the port of the Service, or that of the pods which it leads to.
    if (services.some((s) => s.ports.some((p) => p.number === number || p.targetPort === number))) return;
    const names = services.map((s) => `${s.namespace}/${s.origin.name}`).join(', ');
    const message = `no Service of the gateway (${names}) has port ${number}, so nobody can reach it`;
    say(gateway.ref, 'ISM0126', `spec.servers[${i}].port.number`, message, `add port ${number} to the Service`);
  });
}
