// SPDX-License-Identifier: Apache-2.0
// What is wrong with objects only when they are seen together. A dangling reference is a warning as a rule: objects
// arrive in any order, and the missing one may come a moment later.
import type { DestinationRule } from '../api/destination-rule.ts';
import type { Diagnostic, DiagnosticCode, ObjectRef } from '../api/diagnostics.ts';
import type { Gateway } from '../api/gateway.ts';
import type { Destination } from '../api/http-route.ts';
import { covers, type Hostname } from '../api/names.ts';
import { diagnose, type Locate } from '../api/report.ts';
import type { VirtualService } from '../api/virtual-service.ts';
import { type HostTable, hostTable, isExported, lookUpHost, qualifyHost } from './hosts.ts';
import { type MeshIndex, type MeshService, PROXY_PORTS } from './snapshot.ts';
import { boundGateways } from './view.ts';

type Say = (ref: ObjectRef, code: DiagnosticCode, field: string, message: string, cure: string) => void;
interface Known {
  readonly index: MeshIndex;
  readonly hosts: HostIndex;
  /** Names of subsets by the hosts of their rules. */
  readonly subsets: HostTable<readonly string[]>;
}
type HostIndex = ReadonlyMap<Hostname, readonly MeshService[]>;

export function diagnoseMesh(index: MeshIndex, locate: (ref: ObjectRef) => Locate | undefined): Diagnostic[] {
  const found: Diagnostic[] = [];
  const say: Say = (ref, code, field, message, cure) =>
    found.push(diagnose(ref, code, field, message, cure, { locate: locate(ref) }));
  // The snapshot's maps are in the order of events, which must not show.
  const services = [...index.services.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  const hosts = Map.groupBy(services, (s) => s.hostname);
  const subsets = hostTable(
    rulesInForce(index).map((rule) => [
      qualifyHost(rule.spec.host, rule.ref.namespace, index.settings.dnsDomain),
      rule.spec.subsets.map((subset) => subset.name),
    ]),
  );
  for (const vs of index.virtualServices) {
    checkDestinations(vs, { index, hosts, subsets }, say);
    checkGateways(vs, index, say);
  }
  checkRuleHosts(index, hosts, say);
  checkClaimedHosts(index, hosts, say);
  checkClaimedAddresses(services, say);
  checkPorts(services, say);
  for (const gateway of index.gateways) checkOpenPorts(gateway, services, say);
  return distinct(found);
}

/** One entry may give several services, and its mistake with each of them. */
function distinct(diagnostics: readonly Diagnostic[]): Diagnostic[] {
  return [...new Map(diagnostics.map((d) => [JSON.stringify(d), d])).values()];
}

/** Of rules for one host in one namespace, the oldest. */
function rulesInForce(index: MeshIndex): DestinationRule[] {
  const oldest = new Map<string, DestinationRule>();
  for (const rule of index.destinationRules) {
    const key = `${rule.ref.namespace}/${qualifyHost(rule.spec.host, rule.ref.namespace, index.settings.dnsDomain)}`;
    if (!oldest.has(key)) oldest.set(key, rule);
  }
  return [...oldest.values()];
}

function checkDestinations(vs: VirtualService, known: Known, say: Say): void {
  vs.spec.http.forEach((route, i) => {
    const field = `spec.http[${i}]`;
    route.route.forEach((r, j) => {
      checkDestination(vs, r.destination, `${field}.route[${j}].destination`, known, say);
    });
    if (route.mirror) checkDestination(vs, route.mirror, `${field}.mirror`, known, say);
    route.mirrors.forEach((m, j) => {
      checkDestination(vs, m.destination, `${field}.mirrors[${j}].destination`, known, say);
    });
  });
  vs.spec.tls.forEach((route, i) => {
    checkDestination(vs, route.route[0]!.destination, `spec.tls[${i}].route[0].destination`, known, say);
  });
}

function checkDestination(vs: VirtualService, destination: Destination, field: string, known: Known, say: Say): void {
  const { index, hosts } = known;
  const host = qualifyHost(destination.host, vs.ref.namespace, index.settings.dnsDomain);
  const services = (hosts.get(host) ?? []).filter((s) => isExported(s.exportTo, s.namespace, vs.ref.namespace));
  if (services.length === 0) {
    const cure = hosts.has(host)
      ? `export it to ${vs.ref.namespace}: spec.exportTo of the ServiceEntry, or the annotation networking.istio.io/exportTo`
      : 'create the Service or ServiceEntry, or write the name in full';
    say(vs.ref, 'ISM0101', `${field}.host`, `no service ${host} is known to namespace ${vs.ref.namespace}`, cure);
    return;
  }
  const number = destination.port?.number;
  if (number !== undefined && !services.some((s) => s.ports.some((p) => p.number === number))) {
    const ports = services.flatMap((s) => s.ports.map((p) => p.number)).join(', ');
    say(vs.ref, 'ISM0103', `${field}.port.number`, `${host} has no port ${number}`, `use one of ${ports}`);
  }
  if (destination.subset === undefined) return;
  const subsets = lookUpHost(known.subsets, host).flat();
  if (subsets.includes(destination.subset)) return;
  const cure =
    subsets.length > 0 ? `use one of ${subsets.join(', ')}` : `add a DestinationRule for ${host} with this subset`;
  say(vs.ref, 'ISM0102', `${field}.subset`, `no DestinationRule gives ${host} a subset ${destination.subset}`, cure);
}

function checkGateways(vs: VirtualService, index: MeshIndex, say: Say): void {
  for (const name of boundGateways(vs)) {
    const i = vs.spec.gateways.findIndex((g) => name === g || name === `${vs.ref.namespace}/${g}`);
    const gateway = index.gateways.find((g) => `${g.ref.namespace}/${g.ref.name}` === name);
    if (gateway === undefined) {
      const cure = `create the Gateway ${name}, or write NAMESPACE/NAME if it is in another namespace`;
      say(vs.ref, 'ISM0106', `spec.gateways[${i}]`, `there is no Gateway ${name}`, cure);
      continue;
    }
    const offered = gateway.spec.servers.flatMap((s) => s.hosts.map((h) => h.host));
    vs.spec.hosts.forEach((host, h) => {
      if (offered.some((o) => covers(o, host) || covers(host, o))) return;
      const cure = `use a host of ${offered.join(', ')}, or add this one to the Gateway`;
      say(vs.ref, 'ISM0108', `spec.hosts[${h}]`, `the Gateway ${name} does not serve ${host}`, cure);
    });
  }
}

function checkRuleHosts(index: MeshIndex, hosts: HostIndex, say: Say): void {
  const claimed = new Map<string, ObjectRef>();
  for (const rule of index.destinationRules) {
    const host = qualifyHost(rule.spec.host, rule.ref.namespace, index.settings.dnsDomain);
    if (!host.startsWith('*') && !hosts.has(host)) {
      const cure = 'create the Service or ServiceEntry, or write the name in full';
      say(rule.ref, 'ISM0101', 'spec.host', `no service ${host} is known`, cure);
    }
    const key = `${rule.ref.namespace}/${host}`;
    const first = claimed.get(key);
    if (first === undefined) claimed.set(key, rule.ref);
    else {
      const cure = `merge this rule into ${first.name}`;
      const message = `DestinationRule ${first.name} is older and rules ${host} already, so this one is not used`;
      say(rule.ref, 'ISM0104', 'spec.host', message, cure);
    }
  }
}

function checkClaimedHosts(index: MeshIndex, hosts: HostIndex, say: Say): void {
  for (const [host, services] of hosts) {
    const [first, ...others] = services.toSorted(
      (a, b) =>
        Number(b.registry === 'kubernetes') - Number(a.registry === 'kubernetes') ||
        a.createdAtMs - b.createdAtMs ||
        (a.key < b.key ? -1 : 1),
    );
    for (const other of others) {
      if (!exportsOverlap(first!, other)) continue;
      const by = `${first!.origin.kind} ${first!.origin.namespace}/${first!.origin.name}`;
      const cure = 'give one of them another host, or export them to different namespaces';
      say(other.origin, 'ISM0104', 'spec.hosts', `${host} is defined by ${by} already`, cure);
    }
  }
  const ruled = new Map<string, VirtualService>();
  for (const vs of index.virtualServices.filter((v) => v.spec.gateways.includes('mesh'))) {
    vs.spec.hosts.forEach((raw, i) => {
      const host = qualifyHost(raw, vs.ref.namespace, index.settings.dnsDomain);
      const first = ruled.get(host);
      if (first === undefined) ruled.set(host, vs);
      else if (first.ref.namespace === vs.ref.namespace && first.spec.exportTo.join() === vs.spec.exportTo.join()) {
        const message = `VirtualService ${first.ref.name} is older and rules ${host} already, so this one is not used`;
        say(vs.ref, 'ISM0104', `spec.hosts[${i}]`, message, `merge these routes into ${first.ref.name}`);
      }
    });
  }
}

function exportsOverlap(a: MeshService, b: MeshService): boolean {
  const scopes = (s: MeshService) => s.exportTo.map((scope) => (scope === '.' ? s.namespace : scope));
  const [left, right] = [scopes(a), scopes(b)];
  return left.includes('*') || right.includes('*') || left.some((scope) => scope !== '~' && right.includes(scope));
}

function checkClaimedAddresses(services: readonly MeshService[], say: Say): void {
  const claimed = new Map<string, MeshService>();
  const entries = services.filter((s) => s.registry === 'service-entry');
  for (const service of entries.sort((a, b) => a.createdAtMs - b.createdAtMs || (a.key < b.key ? -1 : 1))) {
    service.addresses.forEach((address, i) => {
      for (const port of service.ports) {
        const key = `${address}:${port.number}`;
        const first = claimed.get(key);
        if (first === undefined) claimed.set(key, service);
        else if (first.origin !== service.origin && port.protocol !== 'http' && port.protocol !== 'http2') {
          const message = `${key} belongs to ${first.hostname} already, so only one of them can be reached`;
          say(service.origin, 'ISM0105', `spec.addresses[${i}]`, message, 'give each host an address of its own');
        }
      }
    });
  }
}

function checkPorts(services: readonly MeshService[], say: Say): void {
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
      if (!addressless || rival === undefined || !['tcp', 'tls'].includes(port.protocol)) return;
      const message = `on port ${port.number} every address belongs to HTTP, which ${rival.hostname} speaks there`;
      say(service.origin, 'ISM0109', field, message, 'give this host addresses of its own, in spec.addresses');
    });
  }
}

/** Services that select what the Gateway selects open its ports to the outside; a server on another port is deaf. */
function checkOpenPorts(gateway: Gateway, all: readonly MeshService[], say: Say): void {
  const wanted = Object.entries(gateway.spec.selector);
  const services = all.filter((service) =>
    Object.values(service.clusters).some(({ selector = {} }) => {
      const shared = wanted.filter(([key]) => selector[key] !== undefined);
      return shared.length > 0 && shared.every(([key, value]) => selector[key] === value);
    }),
  );
  if (services.length === 0) return;
  gateway.spec.servers.forEach((server, i) => {
    const { number } = server.port;
    if (services.some((s) => s.ports.some((p) => p.number === number))) return;
    const names = services.map((s) => `${s.namespace}/${s.origin.name}`).join(', ');
    const message = `no Service of the gateway (${names}) has port ${number}, so nobody can reach it`;
    say(gateway.ref, 'ISM0109', `spec.servers[${i}].port.number`, message, `add port ${number} to the Service`);
  });
}
