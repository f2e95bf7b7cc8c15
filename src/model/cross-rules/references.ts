// SPDX-License-Identifier: Apache-2.0
// References of rules to what is not there. A dangling one is a warning as a rule: objects arrive in any order, and the
// missing one may come a moment later.
import type { Destination } from '../../api/destination.ts';
import type { DestinationRule } from '../../api/destination-rule.ts';
import type { Gateway } from '../../api/gateway.ts';
import { selects } from '../../api/kubernetes.ts';
import { covers } from '../../api/names.ts';
import { isForMesh, type VirtualService } from '../../api/virtual-service.ts';
import { groupKey } from '../destination-policies.ts';
import { isExported, lookUpHost, qualifyHost } from '../hosts.ts';
import { qualifyGateway } from '../qualify-gateway.ts';
import type { MeshService } from '../snapshot.ts';
import { boundGateways } from '../view.ts';
import type { Known, Say } from './known.ts';
import { servicesOfGateway } from './ports.ts';

export function checkDestinations(vs: VirtualService, known: Known, say: Say): void {
  const clients = clientsOf(vs, known);
  const checkAll = (route: Matching, places: readonly Place[]) => {
    const own = clientsAt(vs, route, clients);
    for (const place of places) checkDestination(vs, own, place, known, say);
  };
  vs.spec.http.forEach((route, i) => {
    const field = `spec.http[${i}]`;
    checkAll(route, [
      ...placesOf(route.route, `${field}.route`),
      ...(route.mirror ? [{ destination: route.mirror, field: `${field}.mirror` }] : []),
      ...placesOf(route.mirrors, `${field}.mirrors`),
    ]);
  });
  for (const name of ['tls', 'tcp'] as const) {
    vs.spec[name].forEach((route, i) => {
      checkAll(route, placesOf(route.route, `spec.${name}[${i}].route`));
    });
  }
}

interface Place {
  readonly destination: Destination;
  readonly field: string;
}

function placesOf(shares: readonly { readonly destination: Destination }[], field: string): Place[] {
  return shares.map(({ destination }, i) => ({ destination, field: `${field}[${i}].destination` }));
}

interface Matching {
  readonly match: readonly { readonly gateways: readonly string[] }[];
}

/** Somebody who goes by a rule's routes. */
interface Client {
  readonly namespace: string;
  /** NAMESPACE/NAME of the Gateway whose workloads it is; undefined: who calls from the rule's own namespace. */
  readonly gateway?: string;
}

/** A gateway sees what its own namespace sees, wherever its rules are from. */
function clientsOf(vs: VirtualService, { gateways, selecting }: Known): readonly Client[] {
  const own = { namespace: vs.ref.namespace };
  const others = boundGateways(vs).flatMap((name): Client[] => {
    const gateway = gateways.get(name);
    const services = gateway === undefined ? [] : servicesOfGateway(gateway, selecting).filter(selectsAllOf(gateway));
    const namespaces = new Set(services.map(({ namespace }) => namespace));
    return [...namespaces].map((namespace) => ({ namespace, gateway: name }));
  });
  return isForMesh(vs.spec) || others.length === 0 ? [own, ...others] : others;
}

/** A Service that says less of its pods than the Gateway may have others than the Gateway's, in a namespace that is not theirs. */
function selectsAllOf(gateway: Gateway): (service: MeshService) => boolean {
  return ({ clusters }) =>
    Object.values(clusters).some(({ selector = {} }) => selects(gateway.spec.selector, selector));
}

/** Those of whose requests the route may take any. */
function clientsAt(vs: VirtualService, { match }: Matching, clients: readonly Client[]): readonly Client[] {
  if (match.length === 0 || match.some(({ gateways }) => gateways.length === 0)) return clients;
  const names = new Set(
    match.flatMap(({ gateways }) => gateways.map((name) => qualifyGateway(name, vs.ref.namespace))),
  );
  const own = clients.filter(({ gateway = 'mesh' }) => names.has(gateway));
  return own.length > 0 ? own : [{ namespace: vs.ref.namespace }];
}

function checkDestination(vs: VirtualService, clients: readonly Client[], place: Place, known: Known, say: Say): void {
  for (const client of clients) if (!isSound(vs, client, place, known, say)) return;
}

/** What one of them cannot reach is said once. */
function isSound(vs: VirtualService, client: Client, { destination, field }: Place, known: Known, say: Say): boolean {
  const { settings, hosts } = known;
  const { namespace, gateway } = client;
  const host = qualifyHost(destination.host, vs.ref.namespace, settings.dnsDomain);
  const services = (hosts.get(host) ?? []).filter((s) => isExported(s.exportTo, s.namespace, namespace));
  const where = gateway === undefined ? '' : `, where Gateway ${gateway} is served: nothing gets through there (503)`;
  if (services.length === 0) {
    const cure = hosts.has(host)
      ? `export it to ${namespace}: spec.exportTo of the ServiceEntry, or the annotation networking.istio.io/exportTo`
      : 'create the Service or ServiceEntry, or write the name in full';
    say(vs.ref, 'ISM0101', `${field}.host`, `no service ${host} is known to namespace ${namespace}${where}`, cure);
    return false;
  }
  let sound = true;
  const number = destination.port?.number;
  if (number !== undefined && !services.some((s) => s.ports.some((p) => p.number === number))) {
    const ports = services.flatMap((s) => s.ports.map((p) => p.number)).join(', ');
    const [{ origin }] = services as [MeshService];
    const cure = ports === '' ? `add it to ${origin.kind} ${origin.namespace}/${origin.name}` : `use one of ${ports}`;
    say(vs.ref, 'ISM0103', `${field}.port.number`, `${host} has no port ${number}`, cure);
    sound = false;
  }
  if (destination.subset === undefined) return sound;
  const fault = faultOfSubset(destination.subset, host, { services, client, where }, known);
  if (fault === undefined) return sound;
  say(vs.ref, 'ISM0102', `${field}.subset`, ...fault);
  return false;
}

/** Message and cure. */
function faultOfSubset(
  subset: string,
  host: string,
  { services, client, where }: { services: readonly MeshService[]; client: Client; where: string },
  { policies, settings }: Known,
): [message: string, cure: string] | undefined {
  const rules = lookUpHost(policies, services[0]!.aliasOf ?? host);
  const giving = rules.filter(({ subsets }) => subsets.includes(subset));
  const message = `no DestinationRule gives ${host} a subset ${subset}`;
  if (giving.length === 0) {
    const others = rules.flatMap(({ subsets }) => subsets);
    const cure =
      others.length > 0 ? `use one of ${others.join(', ')}` : `add a DestinationRule for ${host} with this subset`;
    return [message, cure];
  }
  // Rules of sidecars' own namespaces are theirs; where a gateway is, is known.
  if (client.gateway === undefined) return undefined;
  const { namespace } = client;
  const seen = giving.filter((rule) => isExported(rule.exportTo, rule.namespace, namespace));
  const home = [namespace, ...services.map((s) => s.namespace), settings.rootNamespace];
  if (seen.some((rule) => home.includes(rule.namespace))) return undefined;
  const cure =
    seen.length === 0
      ? `export it to ${namespace}: spec.exportTo of the DestinationRule in ${giving[0]!.namespace}`
      : `move the DestinationRule from ${seen[0]!.namespace} to ${services[0]!.namespace}, where the service is`;
  return [`${message} that counts in namespace ${namespace}${where}`, cure];
}

export function checkGateways(vs: VirtualService, { settings, hosts, gateways }: Known, say: Say): void {
  for (const name of boundGateways(vs)) {
    const i = vs.spec.gateways.findIndex((g) => name === g || name === `${vs.ref.namespace}/${g}`);
    const gateway = gateways.get(name);
    if (gateway === undefined) {
      const cure = `create the Gateway ${name}, or write NAMESPACE/NAME if it is in another namespace`;
      say(vs.ref, 'ISM0106', `spec.gateways[${i}]`, `there is no Gateway ${name}`, cure);
      continue;
    }
    const offered = gateway.spec.servers.flatMap((s) => s.hosts.map((h) => h.host));
    const isOfMesh = (host: string) =>
      isForMesh(vs.spec) && hosts.has(qualifyHost(host, vs.ref.namespace, settings.dnsDomain));
    vs.spec.hosts.forEach((host, h) => {
      if (isOfMesh(host) || offered.some((o) => covers(o, host) || covers(host, o))) return;
      const cure = `use a host of ${offered.join(', ')}, or add this one to the Gateway`;
      say(vs.ref, 'ISM0108', `spec.hosts[${h}]`, `the Gateway ${name} does not serve ${host}`, cure);
    });
  }
}

/** `rules`: all of one host, which is given in full; the oldest first. */
export function checkRulesOfHost(
  host: string,
  rules: readonly DestinationRule[],
  { settings, hosts }: Pick<Known, 'settings' | 'hosts'>,
  say: Say,
): void {
  const isUnknown = !host.startsWith('*') && !hosts.has(host);
  const groups = new Map<string, Merged>();
  for (const rule of rules) {
    if (isUnknown) {
      const cure = 'create the Service or ServiceEntry, or write the name in full';
      say(rule.ref, 'ISM0119', 'spec.host', `no service ${host} is known`, cure);
    }
    const key = groupKey(rule, settings.rootNamespace);
    const older = groups.get(key) ?? { policy: undefined, subsets: new Map() };
    groups.set(key, older);
    checkMerged(rule, older, host, say);
  }
}

/** Who said first what the rules of one namespace say of one host. */
interface Merged {
  policy: DestinationRule | undefined;
  readonly subsets: Map<string, DestinationRule>;
}

/** Rules of one namespace for one host are one; what two of them say is said by the older. Adds this one to the others. */
function checkMerged(rule: DestinationRule, older: Merged, host: string, say: Say): void {
  const { policy } = older;
  if (rule.spec.trafficPolicy !== undefined && policy !== undefined) {
    const message = `DestinationRule ${policy.ref.name} is older and has a policy for ${host}, so this one is not used`;
    say(rule.ref, 'ISM0124', 'spec.trafficPolicy', message, `merge this policy into ${policy.ref.name}`);
  }
  rule.spec.subsets.forEach(({ name }, i) => {
    const first = older.subsets.get(name);
    if (first === undefined) return;
    const message = `DestinationRule ${first.ref.name} is older and has the subset ${name}, so this one is not used`;
    say(rule.ref, 'ISM0124', `spec.subsets[${i}]`, message, 'give it another name, or remove it');
  });
  if (rule.spec.trafficPolicy !== undefined) older.policy ??= rule;
  for (const { name } of rule.spec.subsets) if (!older.subsets.has(name)) older.subsets.set(name, rule);
}
