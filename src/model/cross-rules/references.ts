// SPDX-License-Identifier: Apache-2.0
// References of rules to what is not there. A dangling one is a warning as a rule: objects arrive in any order, and the
// missing one may come a moment later.
import type { Destination } from '../../api/destination.ts';
import type { DestinationRule } from '../../api/destination-rule.ts';
import { covers } from '../../api/names.ts';
import { isForMesh, type VirtualService } from '../../api/virtual-service.ts';
import { groupKey } from '../destination-policies.ts';
import { isExported, lookUpHost, qualifyHost } from '../hosts.ts';
import { boundGateways } from '../view.ts';
import type { Known, Say } from './known.ts';

export function checkDestinations(vs: VirtualService, known: Known, say: Say): void {
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
  for (const name of ['tls', 'tcp'] as const) {
    vs.spec[name].forEach((route, i) => {
      route.route.forEach((share, j) => {
        checkDestination(vs, share.destination, `spec.${name}[${i}].route[${j}].destination`, known, say);
      });
    });
  }
}

function checkDestination(vs: VirtualService, destination: Destination, field: string, known: Known, say: Say): void {
  const { settings, hosts } = known;
  const host = qualifyHost(destination.host, vs.ref.namespace, settings.dnsDomain);
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
  const subsets = lookUpHost(known.subsets, services[0]!.aliasOf ?? host).flat();
  if (subsets.includes(destination.subset)) return;
  const cure =
    subsets.length > 0 ? `use one of ${subsets.join(', ')}` : `add a DestinationRule for ${host} with this subset`;
  say(vs.ref, 'ISM0102', `${field}.subset`, `no DestinationRule gives ${host} a subset ${destination.subset}`, cure);
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
