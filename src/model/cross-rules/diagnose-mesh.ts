// SPDX-License-Identifier: Apache-2.0
// What is wrong with objects only when they are seen together.
import type { Diagnostic, ObjectRef } from '../../api/diagnostics.ts';
import { diagnose, type Locate } from '../../api/report.ts';
import { hostTable, qualifyHost } from '../hosts.ts';
import type { MeshIndex, MeshService } from '../snapshot.ts';
import { aliasTarget } from '../view.ts';
import { checkAddressless, checkClaimedAddresses } from './addresses.ts';
import { checkClaimedHosts } from './claims.ts';
import { checkDelegates } from './delegates.ts';
import { checkServers } from './gateway-servers.ts';
import type { Say } from './known.ts';
import { checkNetworks } from './networks.ts';
import { checkOpenPorts, checkPorts } from './ports.ts';
import { checkGeneral, checkProviders } from './providers.ts';
import { checkJoined, checkReach } from './reach.ts';
import { checkDestinations, checkGateways, checkRuleHosts } from './references.ts';
import { checkSidecars } from './sidecars.ts';

export function diagnoseMesh(index: MeshIndex, locate: (ref: ObjectRef) => Locate | undefined): Diagnostic[] {
  const found: Diagnostic[] = [];
  const say: Say = (ref, code, field, message, cure) =>
    found.push(diagnose(ref, code, field, message, cure, { locate: locate(ref) }));
  // The snapshot's maps are in the order of events, which must not show.
  const services = [...index.services.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  const hosts = Map.groupBy(servedByTargets(services), (s) => s.hostname);
  const subsets = hostTable(
    index.destinationRules.map((rule) => [
      qualifyHost(rule.spec.host, rule.ref.namespace, index.settings.dnsDomain),
      rule.spec.subsets.map((subset) => subset.name),
    ]),
  );
  const known = { index, hosts, subsets };
  for (const vs of index.writtenRules) {
    checkDestinations(vs, known, say);
    checkGateways(vs, known, say);
    checkReach(vs, known, say);
  }
  checkDelegates(index, say);
  checkJoined(index.writtenRules, say);
  checkRuleHosts(index, hosts, say);
  checkClaimedHosts(index, hosts, say);
  checkClaimedAddresses(services, say);
  checkAddressless(services, say);
  checkNetworks(index, services, say);
  checkPorts(services, say);
  checkServers(index.gateways, say);
  checkSidecars(index.sidecars, say);
  checkProviders(index, hosts, say);
  checkGeneral(index, say);
  for (const gateway of index.gateways) checkOpenPorts(gateway, services, say);
  return distinct(found);
}

/** One entry may give several services, and its mistake with each of them. */
function distinct(diagnostics: readonly Diagnostic[]): Diagnostic[] {
  return [...new Map(diagnostics.map((d) => [JSON.stringify(d), d])).values()];
}

/** What stands in the place of another service of the mesh has that one's ports. */
function servedByTargets(services: readonly MeshService[]): MeshService[] {
  const serviceOf = new Map(services.toReversed().map((service) => [service.hostname as string, service]));
  return services.map((service) => {
    const target = aliasTarget({ serviceOf }, service);
    return target === undefined ? service : { ...service, ports: target.ports, aliasOf: target.hostname };
  });
}
