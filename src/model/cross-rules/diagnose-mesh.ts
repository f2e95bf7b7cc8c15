// SPDX-License-Identifier: Apache-2.0
// What is wrong with objects only when they are seen together.
import type { Diagnostic, ObjectRef } from '../../api/diagnostics.ts';
import { diagnose, type Locate } from '../../api/report.ts';
import { IdentityMemo } from '../../incremental/identity-memo.ts';
import { hostTable, qualifyHost } from '../hosts.ts';
import type { MeshIndex, MeshService } from '../snapshot.ts';
import { aliasTarget } from '../view.ts';
import { checkAddressless, checkClaimedAddresses } from './addresses.ts';
import { checkClaimedHosts } from './claims.ts';
import { checkDelegates } from './delegates.ts';
import { checkServers } from './gateway-servers.ts';
import type { Known, Say } from './known.ts';
import { checkNetworks } from './networks.ts';
import { checkOpenPorts, checkPorts } from './ports.ts';
import { checkGeneral, checkProviders } from './providers.ts';
import { checkJoined, checkReach } from './reach.ts';
import { checkDestinations, checkGateways, checkRuleHosts } from './references.ts';
import { checkSidecars } from './sidecars.ts';

/** Of which kinds each group of checks speaks. */
const KINDS = {
  rule: ['VirtualService'],
  rules: ['VirtualService'],
  destinations: ['DestinationRule'],
  hosts: ['VirtualService', 'ServiceEntry'],
  services: ['ServiceEntry'],
  networks: ['ServiceEntry', 'ConfigMap'],
  gateways: ['Gateway'],
  sidecars: ['Sidecar'],
  telemetry: ['Telemetry', 'ProxyConfig'],
} as const satisfies Readonly<Record<string, readonly string[]>>;

/** What was said, before it is known where it stands in a text. */
type Said = Parameters<Say>;

/** What was found, by what was looked at: a rule that changes has only itself looked at anew. */
export class MeshChecks {
  readonly #services = new IdentityMemo<Services>();
  readonly #subsets = new IdentityMemo<Known['subsets']>();
  readonly #said = new IdentityMemo<readonly Said[]>();

  /** All that is to be said now; with `only`, whatever is to be said of that object, and perhaps of others. */
  diagnose(index: MeshIndex, locate: (ref: ObjectRef) => Locate | undefined, only?: ObjectRef): Diagnostic[] {
    const { services, destinationRules, gateways, writtenRules, networks, mesh, sidecars, settings } = index;
    const { telemetries, proxyConfigs } = index;
    const { sorted, hosts } = this.#services.get([services], '', () => servicesOf(index));
    const subsets = this.#subsets.get([destinationRules, settings], '', () => subsetsOf(index));
    const known = { index, hosts, subsets };
    const about = (of: readonly object[], what: keyof typeof KINDS, check: (say: Say) => void) => {
      if (only !== undefined && !(KINDS[what] as readonly string[]).includes(only.kind)) return [];
      return this.#said.get(of, what, () => {
        const said: Said[] = [];
        check((...words) => said.push(words));
        return said;
      });
    };
    const isWanted = ({ ref }: { readonly ref: ObjectRef }) =>
      only === undefined || (ref.namespace === only.namespace && ref.name === only.name);
    const said = [
      ...writtenRules.filter(isWanted).flatMap((vs) =>
        about([services, destinationRules, gateways, settings, vs], 'rule', (say) => {
          checkDestinations(vs, known, say);
          checkGateways(vs, known, say);
          checkReach(vs, known, say);
        }),
      ),
      ...about([writtenRules, settings], 'rules', (say) => {
        checkDelegates(index, say);
        checkJoined(writtenRules, say);
      }),
      ...about([services, destinationRules, settings], 'destinations', (say) => checkRuleHosts(index, hosts, say)),
      ...about([services, writtenRules, settings], 'hosts', (say) => checkClaimedHosts(index, hosts, say)),
      ...about([services], 'services', (say) => {
        checkClaimedAddresses(sorted, say);
        checkAddressless(sorted, say);
        checkPorts(sorted, say);
      }),
      ...about([services, networks, mesh, settings], 'networks', (say) => checkNetworks(index, sorted, say)),
      ...about([gateways, services], 'gateways', (say) => {
        checkServers(gateways, say);
        for (const gateway of gateways) checkOpenPorts(gateway, sorted, say);
      }),
      ...about([sidecars], 'sidecars', (say) => checkSidecars(sidecars, say)),
      ...about([services, mesh, telemetries, proxyConfigs], 'telemetry', (say) => {
        checkProviders(index, hosts, say);
        checkGeneral(index, say);
      }),
    ];
    return distinct(said.map(([ref, ...words]) => diagnose(ref, ...words, { locate: locate(ref) })));
  }
}

interface Services {
  /** The snapshot's maps are in the order of events, which must not show. */
  readonly sorted: readonly MeshService[];
  readonly hosts: Known['hosts'];
}

function servicesOf({ services }: MeshIndex): Services {
  const sorted = [...services.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  return { sorted, hosts: Map.groupBy(servedByTargets(sorted), (s) => s.hostname) };
}

function subsetsOf({ destinationRules, settings }: MeshIndex): Known['subsets'] {
  return hostTable(
    destinationRules.map((rule) => [
      qualifyHost(rule.spec.host, rule.ref.namespace, settings.dnsDomain),
      rule.spec.subsets.map((subset) => subset.name),
    ]),
  );
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
