// SPDX-License-Identifier: Apache-2.0
// The rules across objects for one object that is not there yet: all others stay as they are.
import type { Diagnostic, ObjectRef } from '../../api/diagnostics.ts';
import { IdentityMemo } from '../../incremental/identity-memo.ts';
import { hostTable, qualifyHost } from '../hosts.ts';
import { compareKeys } from '../service-facts.ts';
import type { MeshIndex, MeshService } from '../snapshot.ts';
import { checkAddressless, claimsOf, compareClaims, contestsOf, lengthsOf, tellContests } from './addresses.ts';
import { checkClaimedHost, checkRuledHost, ruledHosts } from './claims.ts';
import { checkDelegates } from './delegates.ts';
import { checkServers } from './gateway-servers.ts';
import { factsOf, type HostIndex, type Known, type Say } from './known.ts';
import { checkNetworks } from './networks.ts';
import { checkOpenPorts, checkPorts, checkTargets, httpPorts, selectorKeys } from './ports.ts';
import { portsBelow, wildcardHosts } from './ports-below.ts';
import { checkGeneral, checkProviders } from './providers.ts';
import { checkJoined, checkReach } from './reach.ts';
import { checkDestinations, checkGateways, checkRulesOfHost } from './references.ts';
import { SaidDiagnostics, saidBy } from './said.ts';
import { servedByTargets } from './served-hosts.ts';
import { checkSidecars } from './sidecars.ts';

interface Services {
  /** By key. */
  readonly sorted: readonly MeshService[];
  readonly hosts: HostIndex;
}

/** Keeps the tables of what stays as it is. */
export class PreviewChecks {
  readonly #services = new IdentityMemo<Services>();
  readonly #policies = new IdentityMemo<Known['policies']>();
  readonly #selecting = new IdentityMemo<Known['selecting']>();
  readonly #gateways = new IdentityMemo<Known['gateways']>();

  /** What is to be said of the object in `index`, and perhaps of others. */
  diagnose(index: MeshIndex, { kind, namespace, name }: ObjectRef): readonly Diagnostic[] {
    const { services, destinationRules, gateways, settings } = index;
    const { sorted, hosts } = this.#services.get([services], '', () => servicesOf(index));
    const isIt = ({ ref }: { readonly ref: ObjectRef }) => ref.namespace === namespace && ref.name === name;
    const wildcards = kind === 'VirtualService' ? [...wildcardHosts(index.writtenRules.filter(isIt))] : [];
    const known: Known = {
      settings,
      hosts,
      below: new Map(wildcards.map((host) => [host, portsBelow(host, hosts)])),
      policies: this.#policies.get([destinationRules], '', () => policiesOf(index)),
      selecting: this.#selecting.get([services], '', () => byKeys(sorted, selectorKeys)),
      gateways: this.#gateways.get(
        [gateways],
        '',
        () => new Map(gateways.map((gateway) => [`${gateway.ref.namespace}/${gateway.ref.name}`, gateway])),
      ),
    };
    return new SaidDiagnostics().of(
      saidBy((say) => {
        switch (kind) {
          case 'VirtualService':
            return checkVirtualServices(index, known, isIt, say);
          case 'DestinationRule':
            return checkDestinationRules(index, known, say);
          case 'ServiceEntry':
            return checkServices(index, sorted, known, say);
          case 'Gateway':
            checkServers(gateways, say);
            for (const each of gateways.filter(isIt)) checkOpenPorts(each, known.selecting, say);
            return;
          case 'Sidecar':
            return checkSidecars(index.sidecars, say);
          case 'Telemetry':
          case 'ProxyConfig':
            checkProviders(index, hosts, say);
            checkGeneral(index, say);
        }
      }),
    );
  }
}

function checkVirtualServices(
  { writtenRules, settings }: MeshIndex,
  known: Known,
  isIt: (vs: MeshIndex['writtenRules'][number]) => boolean,
  say: Say,
): void {
  const { dnsDomain } = settings;
  const own = writtenRules.filter(isIt);
  for (const vs of own) {
    checkDestinations(vs, known, say);
    checkGateways(vs, known, say);
    checkReach(vs, known, say);
  }
  checkDelegates({ writtenRules, settings }, say);
  checkJoined(writtenRules, say);
  for (const host of new Set(own.flatMap((vs) => ruledHosts(vs, dnsDomain)))) {
    checkRuledHost(
      host,
      writtenRules.filter((vs) => ruledHosts(vs, dnsDomain).includes(host)),
      known,
      say,
    );
  }
}

function checkDestinationRules({ destinationRules, settings }: MeshIndex, known: Known, say: Say): void {
  const byHost = Map.groupBy(destinationRules, (r) => qualifyHost(r.spec.host, r.ref.namespace, settings.dnsDomain));
  for (const [host, rules] of byHost) checkRulesOfHost(host, rules, known, say);
}

function checkServices(index: MeshIndex, sorted: readonly MeshService[], known: Known, say: Say): void {
  for (const [host, services] of known.hosts) {
    checkClaimedHost(host, services, say);
    checkAddressless(host, services, say);
  }
  const blocks = Map.groupBy(sorted.flatMap(claimsOf).sort(compareClaims), ({ bits }) => bits);
  const lengths = lengthsOf(blocks.keys());
  tellContests(
    [...blocks].flatMap(([bits, claims]) => contestsOf(bits, claims, blocks, lengths)),
    say,
  );
  const http = byKeys(sorted, httpPorts);
  for (const service of sorted) {
    checkPorts(service, http, say);
    checkTargets(service, known, say);
    checkNetworks(service, index, say);
  }
}

function servicesOf({ services }: MeshIndex): Services {
  const sorted = [...services.values()].sort(compareKeys);
  const byHost = Map.groupBy(sorted, ({ hostname }) => hostname as string);
  return { sorted, hosts: new Map([...byHost].map(([host, own]) => [host, servedByTargets(own, byHost)])) };
}

function policiesOf({ destinationRules, settings }: MeshIndex): Known['policies'] {
  return hostTable(
    destinationRules.map((rule) => [
      qualifyHost(rule.spec.host, rule.ref.namespace, settings.dnsDomain),
      factsOf(rule),
    ]),
  );
}

/** Those of one key in the order of `services`. */
function byKeys(
  services: readonly MeshService[],
  keysOf: (service: MeshService) => readonly string[],
): ReadonlyMap<string, readonly MeshService[]> {
  const groups = new Map<string, MeshService[]>();
  for (const service of services) {
    for (const key of new Set(keysOf(service))) {
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [service]);
      else group.push(service);
    }
  }
  return groups;
}
