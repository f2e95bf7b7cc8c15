// SPDX-License-Identifier: Apache-2.0
// A backend that tests and benchmarks script: everybody gets the same state.
import { createHash } from 'node:crypto';
import type {
  DesiredState,
  OfferedState,
  PeerIdentity,
  XdsBackend,
  XdsNack,
  XdsNode,
  XdsProxy,
  XdsResource,
} from '../../src/xds/types.ts';

export function resource(typeUrl: string, name: string, value: Uint8Array): XdsResource {
  const version = createHash('sha256').update(value).digest('hex').slice(0, 16);
  return { typeUrl, name, version, value };
}

export function desiredState(resources: readonly XdsResource[]): DesiredState {
  const state = new Map<string, Map<string, XdsResource>>();
  for (const each of resources) {
    const ofType = state.get(each.typeUrl) ?? new Map<string, XdsResource>();
    state.set(each.typeUrl, ofType.set(each.name, each));
  }
  return state;
}

export class MemoryBackend implements XdsBackend {
  readonly nacks: XdsNack[] = [];
  readonly acks: { typeUrl: string; nonce: string }[] = [];
  readonly connected: { peer: PeerIdentity; node: XdsNode }[] = [];
  open = 0;
  /** Set to refuse, or to wait, at connect. */
  onConnect: (peer: PeerIdentity, node: XdsNode) => void | Promise<void> = () => {};
  /** Set to fail when asked what a proxy should have. */
  onDesired: () => void = () => {};
  readonly #listeners = new Set<() => void>();
  #state: DesiredState;
  #offered: OfferedState = new Map();

  constructor(resources: readonly XdsResource[] = []) {
    this.#state = desiredState(resources);
  }

  set(resources: readonly XdsResource[]): void {
    this.setState(desiredState(resources));
  }

  setState(state: DesiredState, offered: OfferedState = new Map()): void {
    this.#state = state;
    this.#offered = offered;
    for (const listener of this.#listeners) listener();
  }

  async connect(peer: PeerIdentity, node: XdsNode, changed: () => void): Promise<XdsProxy> {
    await this.onConnect(peer, node);
    this.connected.push({ peer, node });
    this.#listeners.add(changed);
    this.open++;
    return {
      desired: () => {
        this.onDesired();
        return this.#state;
      },
      offered: () => this.#offered,
      acknowledged: (typeUrl, nonce) => this.acks.push({ typeUrl, nonce }),
      rejected: (nack) => this.nacks.push(nack),
      closed: () => {
        this.#listeners.delete(changed);
        this.open--;
      },
    };
  }
}
