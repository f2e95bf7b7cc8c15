// SPDX-License-Identifier: Apache-2.0
// What proxies say of their network nobody proves, and what they are sent depends on it: for each new answer a whole mesh is
// compiled and kept. One pod that says something else each time that it connects must not wear out the control plane.

import type { NodeClaims } from '../../injector/proxy-node.ts';
import { XdsRefusal } from '../../xds/types.ts';

export interface NetworkClaimLimits {
  /** Of one namespace of a cluster. */
  readonly answers: number;
  readonly rememberedMs: number;
}

/** A namespace has pods on a few networks. */
const LIMITS: NetworkClaimLimits = { answers: 16, rememberedMs: 3600_000 };

export class ClaimedNetworks {
  /** CLUSTER/NAMESPACE -> what was said -> when last. */
  readonly #said = new Map<string, Map<string, number>>();
  readonly #nowMs: () => number;
  readonly #limits: NetworkClaimLimits;

  constructor(nowMs: () => number = Date.now, limits: NetworkClaimLimits = LIMITS) {
    this.#nowMs = nowMs;
    this.#limits = limits;
  }

  /** @throws XdsRefusal PERMISSION_DENIED for one answer too many */
  take(
    cluster: string,
    { namespace, network, requestedNetworks }: Pick<NodeClaims, 'namespace' | 'network' | 'requestedNetworks'>,
  ): void {
    const { answers, rememberedMs } = this.#limits;
    const place = `${cluster}/${namespace}`;
    const said = this.#said.get(place) ?? new Map<string, number>();
    this.#said.set(place, said);
    const nowMs = this.#nowMs();
    for (const [answer, atMs] of said) if (nowMs - atMs > rememberedMs) said.delete(answer);
    const answer = JSON.stringify([network, requestedNetworks]);
    if (!said.has(answer) && said.size >= answers) {
      const message = `proxies of namespace ${namespace} named ${answers} different NETWORKs and REQUESTED_NETWORK_VIEWs within an hour`;
      throw new XdsRefusal('PERMISSION_DENIED', `${message}; no more are taken: set the same for its pods`);
    }
    said.set(answer, nowMs);
  }
}
