// SPDX-License-Identifier: Apache-2.0
// The stub domains that the cluster's two ConfigMaps (kube-system/kube-dns and kube-system/coredns) say, as they change.
import type { KubeObject } from '../../kube/types.ts';
import { readCorefile } from './corefile.ts';
import { readKubeDnsConfig, type StubDomains } from './stub-domains.ts';

export interface StubConfigOptions {
  /** Never asked, or it would ask itself for ever: this DNS' own address. */
  readonly ownAddress: string;
  /** A ConfigMap was read: these domains hold now. `notes` is what of it is not carried out. */
  onRead(configMap: string, domains: readonly string[], notes: readonly string[]): void;
  /** A ConfigMap could not be read: what it said before still holds. */
  onMistake(object: KubeObject, sentence: string): void;
}

export class StubConfig {
  readonly #byName = new Map<string, StubDomains>();
  readonly #options: StubConfigOptions;
  #current: StubDomains = new Map();

  constructor(options: StubConfigOptions) {
    this.#options = options;
  }

  get current(): StubDomains {
    return this.#current;
  }

  upsert(object: KubeObject): void {
    const name = object.metadata.name!;
    const data = (object['data'] ?? {}) as Record<string, string>;
    try {
      if (name === 'kube-dns') this.#set(name, readKubeDnsConfig(data), []);
      if (name !== 'coredns') return;
      const { stubs, notes } = readCorefile(data['Corefile'] ?? '');
      this.#set(name, stubs, notes);
    } catch (error) {
      this.#options.onMistake(object, (error as Error).message);
    }
  }

  remove(object: KubeObject): void {
    if (this.#byName.has(object.metadata.name!)) this.#set(object.metadata.name!, new Map(), []);
  }

  #set(name: string, stubs: StubDomains, notes: readonly string[]): void {
    const foreign = [...stubs].flatMap(([domain, servers]) => {
      const others = servers.filter(({ host }) => host !== this.#options.ownAddress);
      return others.length > 0 || servers.length === 0 ? [[domain, others] as const] : [];
    });
    this.#byName.set(name, new Map(foreign));
    this.#current = new Map([...this.#byName.values()].flatMap((domains) => [...domains]));
    this.#options.onRead(name, [...this.#current.keys()], notes);
  }
}
