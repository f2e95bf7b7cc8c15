// SPDX-License-Identifier: Apache-2.0
// Which resources of which proxies an answer rests on, so that it can be compared with what the proxies have.
import { TYPE_URL } from '../envoy/names.ts';
import type { Outcome } from '../envoy/simulate/outcome.ts';
import type { Hop } from './crossing.ts';
import type { UsedResource } from './path.ts';

export class Used {
  readonly #all = new Map<string, UsedResource>();

  get all(): readonly UsedResource[] {
    return [...this.#all.values()];
  }

  note(hop: Hop, outcome: Outcome): void {
    const { table, virtualHost } = outcome.chosen;
    if (outcome.listener !== '') this.#add(hop, TYPE_URL.listener, outcome.listener);
    if (table !== undefined) this.#add(hop, TYPE_URL.routes, table);
    if (table !== undefined && virtualHost !== undefined) this.#add(hop, TYPE_URL.virtualHost, virtualHost.name);
    if (outcome.kind !== 'forward') return;
    for (const { cluster } of outcome.to) {
      this.#add(hop, TYPE_URL.cluster, cluster);
      this.#add(hop, TYPE_URL.endpoints, cluster);
    }
  }

  /** Nothing where there is no such resource: a table within its listener, endpoints within their cluster. */
  #add({ cluster, resources }: Hop, typeUrl: string, name: string): void {
    const { desired, offered } = resources.compiled;
    const resource = desired.get(typeUrl)?.get(name) ?? offered.get(typeUrl)?.resources.get(name);
    if (resource === undefined) return;
    const node = resources.proxy.id;
    const used = { cluster: cluster.id, plane: cluster.plane.id, node, typeUrl, name, version: resource.version };
    this.#all.set(`${cluster.id} ${node} ${typeUrl} ${name}`, used);
  }
}
