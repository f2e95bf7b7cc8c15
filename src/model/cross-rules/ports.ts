// SPDX-License-Identifier: Apache-2.0
// Ports on which nobody can be served.
import { closestName } from '../../api/closest-name.ts';
import type { Gateway } from '../../api/gateway.ts';
import { type MeshService, PROXY_PORTS } from '../snapshot.ts';
import type { Say } from './known.ts';

export function checkPorts(services: readonly MeshService[], say: Say): void {
  const http = new Map<number, MeshService>();
  for (const service of services) {
    for (const port of service.ports) if (port.protocol.startsWith('http')) http.set(port.number, service);
  }
  for (const service of services) {
    service.ports.forEach((port, i) => {
      const field = `spec.ports[${i}]`;
      if (PROXY_PORTS.has(port.number) && port.protocol.startsWith('http')) {
        const message = `port ${port.number} is one of the proxies' own, so they pass its traffic by`;
        say(service.origin, 'ISM0109', field, message, 'give the service another port');
      }
      const addressless = service.registry === 'service-entry' && service.addresses.length === 0;
      const rival = http.get(port.number);
      if (!addressless || rival === undefined || port.protocol !== 'tcp') return;
      // A name in TLS says whom it is for; other protocols have only what the client sends first.
      const message = `on port ${port.number} it is told from ${rival.hostname}'s HTTP by what clients send first, and a client that waits for the server sends nothing`;
      say(service.origin, 'ISM0128', field, message, 'give this host addresses of its own, in spec.addresses');
    });
  }
}

/** Services that select what the Gateway selects open its ports to the outside; a server on another port is deaf. */
export function checkOpenPorts(gateway: Gateway, all: readonly MeshService[], say: Say): void {
  const wanted = Object.entries(gateway.spec.selector);
  const services = all.filter((service) =>
    Object.values(service.clusters).some(({ selector = {} }) => {
      const shared = wanted.filter(([key]) => selector[key] !== undefined);
      return shared.length > 0 && shared.every(([key, value]) => selector[key] === value);
    }),
  );
  if (services.length === 0) checkSelector(gateway, all, say);
  else checkNumbers(gateway, services, say);
}

/** Pods need no Service, and may come later; but a value that is nearly one that a Service has is a slip. */
function checkSelector(gateway: Gateway, all: readonly MeshService[], say: Say): void {
  for (const [key, value] of Object.entries(gateway.spec.selector)) {
    const values = all.flatMap((service) =>
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
    if (services.some((s) => s.ports.some((p) => p.number === number))) return;
    const names = services.map((s) => `${s.namespace}/${s.origin.name}`).join(', ');
    const message = `no Service of the gateway (${names}) has port ${number}, so nobody can reach it`;
    say(gateway.ref, 'ISM0126', `spec.servers[${i}].port.number`, message, `add port ${number} to the Service`);
  });
}
