// SPDX-License-Identifier: Apache-2.0
// meshNetworks as it is in force: the last one that could be read, with its gateways' names and Services as addresses.
import { isIP } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import type { Diagnostic } from '../api/diagnostics.ts';
import {
  type DecodedNetworks,
  isPlaceholder,
  type MeshNetworks,
  NETWORKS_FIELD,
  type NetworkGateway,
  type SayOfNetworks,
} from '../api/mesh-networks.ts';
import { type ClusterName, clusterName } from '../api/names.ts';
import { member } from '../api/shape.ts';
import {
  clusterOf,
  type GatewayAddress,
  membersOf,
  type NetworkIndex,
  type NetworkMembers,
  NO_NETWORKS,
  pairedByFamily,
} from './networks.ts';

/** What a Service is reached by from outside of its cluster: IP addresses and names; undefined where there is none. */
export type ExternalAddresses = (cluster: ClusterName, service: string) => readonly string[] | undefined;

export class NetworkState {
  readonly #configCluster: string;
  #networks: MeshNetworks = {};
  #decoded: readonly Diagnostic[] = [];
  #say: SayOfNetworks | undefined;
  /** Names of gateways -> the IP addresses that they have. */
  #answers: ReadonlyMap<string, readonly string[]> = new Map();
  #members = NO_NETWORKS.members;
  #gateways = NO_NETWORKS.gateways;
  #names: readonly string[] = [];
  #found: readonly Diagnostic[] = [];

  constructor(configCluster: string) {
    this.#configCluster = configCluster;
  }

  get members(): NetworkMembers {
    return this.#members;
  }
  get gateways(): NetworkIndex['gateways'] {
    return this.#gateways;
  }
  /** Names that somebody has to look up, sorted; see `setAnswers`. */
  get names(): readonly string[] {
    return this.#names;
  }
  get diagnostics(): readonly Diagnostic[] {
    return [...this.#decoded, ...this.#found];
  }

  /** What cannot be used leaves the networks before it in force. */
  setNetworks({ value, diagnostics, say }: DecodedNetworks): void {
    this.#decoded = diagnostics;
    if (value === undefined) return;
    this.#networks = value;
    this.#say = say;
    const members = membersOf(value, this.#configCluster);
    if (!isDeepStrictEqual(members, this.#members)) this.#members = members;
  }

  /** A name without an entry has not been answered. */
  setAnswers(answers: ReadonlyMap<string, readonly string[]>): void {
    this.#answers = answers;
  }

  /** Brings `gateways`, `names` and the diagnostics up to date; what is as before keeps its identity. */
  settle(external: ExternalAddresses): void {
    const names = new Set<string>();
    const found: Diagnostic[] = [];
    const gateways = new Map<string, readonly GatewayAddress[]>();
    for (const [network, { gateways: configured }] of Object.entries(this.#networks)) {
      if (configured.length === 0) continue;
      const usable = configured.flatMap((gateway, i) => {
        const field = `${member(`${NETWORKS_FIELD}.networks`, network)}.gateways[${i}]`;
        const say = (fault: string, cure: string) => found.push(this.#say!('ISM0112', field, fault, cure));
        const known = this.#addressesOf(network, gateway, external, say);
        for (const address of known) if (isIP(address) === 0) names.add(address);
        const { port, locality } = gateway;
        const ips = known.flatMap((address) => (isIP(address) === 0 ? (this.#answers.get(address) ?? []) : address));
        return pairedByFamily(ips.filter((ip) => !isPlaceholder(ip))).map(
          (pair): GatewayAddress => ({ ...pair, port, locality }),
        );
      });
      const sorted = distinct(usable);
      const before = this.#gateways.get(network);
      gateways.set(network, isDeepStrictEqual(before, sorted) ? before! : sorted);
    }
    const same =
      gateways.size === this.#gateways.size && [...gateways].every(([name, list]) => this.#gateways.get(name) === list);
    if (!same) this.#gateways = gateways;
    const sortedNames = [...names].sort();
    if (!isDeepStrictEqual(sortedNames, this.#names)) this.#names = sortedNames;
    if (!isDeepStrictEqual(found, this.#found)) this.#found = found;
  }

  #addressesOf(
    network: string,
    gateway: NetworkGateway,
    external: ExternalAddresses,
    say: (fault: string, cure: string) => void,
  ): readonly string[] {
    if (gateway.kind === 'address') return [gateway.address];
    const name = `${gateway.namespace}/${gateway.name}`;
    const clusters = (this.#networks[network]?.endpoints ?? []).flatMap((entry) =>
      entry.kind === 'registry' ? [clusterOf(entry.name, this.#configCluster)] : [],
    );
    if (clusters.length === 0) {
      say(
        `network ${network} has no fromRegistry, so nobody knows whose Service ${name} is meant`,
        'add one, or an address',
      );
      return [];
    }
    const found = clusters.flatMap((cluster) => external(clusterName(cluster), name) ?? []);
    if (found.length === 0) {
      const cure = 'give the Service type LoadBalancer, or write the gateway’s address';
      say(`Service ${name} has no external address in ${clusters.join(', ')}, so nothing goes by this gateway`, cure);
    }
    return found;
  }
}

/** In one order, each address and port once. */
function distinct(gateways: readonly GatewayAddress[]): GatewayAddress[] {
  const byKey = new Map<string, GatewayAddress>();
  for (const gateway of gateways) {
    const key = `${gateway.address} ${gateway.port}`;
    if (!byKey.has(key)) byKey.set(key, gateway);
  }
  return [...byKey].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, gateway]) => gateway);
}
