// SPDX-License-Identifier: Apache-2.0
// One host that several objects claim.
import { isForMesh, type VirtualService } from '../../api/virtual-service.ts';
import { qualifyHost } from '../hosts.ts';
import { compareServiceAges } from '../service-facts.ts';
import type { MeshService } from '../snapshot.ts';
import type { Known, Say } from './known.ts';

/** `services`: all of one host. */
export function checkClaimedHost(host: string, services: readonly MeshService[], say: Say): void {
  if (services.length < 2) return;
  const [first, ...others] = services.toSorted(
    (a, b) => Number(b.registry === 'kubernetes') - Number(a.registry === 'kubernetes') || compareServiceAges(a, b),
  );
  for (const other of others) {
    if (!exportsOverlap(first!, other) || areOne(first!, other)) continue;
    const by = `${first!.origin.kind} ${first!.origin.namespace}/${first!.origin.name}`;
    const cure =
      other.likeness !== undefined && first!.likeness !== undefined && first!.namespace === other.namespace
        ? 'give both the same resolution, location, exportTo and workloadSelector, so that they are one, or other hosts'
        : 'give one of them another host, or export them to different namespaces';
    say(other.origin, 'ISM0104', 'spec.hosts', `${host} is defined by ${by} already, which is used in its stead`, cure);
  }
}

/** Hosts in full for which a rule's HTTP routes are, where sidecars call them. */
export function ruledHosts({ spec, ref }: VirtualService, dnsDomain: string): readonly string[] {
  if (!isForMesh(spec) || spec.http.length === 0) return [];
  return spec.hosts.map((host) => qualifyHost(host, ref.namespace, dnsDomain));
}

/** `rules`: all that rule one host, the oldest first. */
export function checkRuledHost(
  host: string,
  rules: readonly VirtualService[],
  { settings: { dnsDomain }, hosts }: Pick<Known, 'settings' | 'hosts'>,
  say: Say,
): void {
  let first: VirtualService | undefined;
  for (const vs of rules) {
    ruledHosts(vs, dnsDomain).forEach((each, i) => {
      if (each !== host) return;
      if (first === undefined) {
        if (concernsAll(vs)) first = vs;
      } else if (first.ref.namespace === vs.ref.namespace && first.spec.exportTo.join() === vs.spec.exportTo.join()) {
        // A host that no service has is made up on ports of the rule's own.
        const used = hosts.has(host) ? 'not used' : 'used on no port that both have';
        const message = `VirtualService ${first.ref.name} is older and rules ${host} already, so this one is ${used}`;
        say(vs.ref, 'ISM0121', `spec.hosts[${i}]`, message, `merge these routes into ${first.ref.name}`);
      }
    });
  }
}

/** Whoever calls the host, on whatever port, has a route by it. */
function concernsAll({ spec }: VirtualService): boolean {
  return spec.http.some(
    ({ match }) =>
      match.length === 0 ||
      match.some((m) => m.port === undefined && m.sourceNamespace === undefined && isEmpty(m.sourceLabels)),
  );
}

function isEmpty(labels: Readonly<Record<string, string>>): boolean {
  return Object.keys(labels).length === 0;
}

/** Before they are joined, as an object is that is not there yet. */
export function areOne(a: MeshService, b: MeshService): boolean {
  const isOfHost = a.namespace === b.namespace && a.hostname === b.hostname;
  return isOfHost && a.likeness !== undefined && a.likeness === b.likeness;
}

/** Somebody sees both. */
export function exportsOverlap(a: MeshService, b: MeshService): boolean {
  const scopes = (s: MeshService) => s.exportTo.map((scope) => (scope === '.' ? s.namespace : scope));
  const [left, right] = [scopes(a), scopes(b)];
  return left.includes('*') || right.includes('*') || left.some((scope) => scope !== '~' && right.includes(scope));
}
