// SPDX-License-Identifier: Apache-2.0
import { CaError } from '../../identity/ca-material.ts';
import { spiffeId } from '../../identity/spiffe.ts';
import type { SecretSubscription, WorkloadSecrets } from '../../identity/workload-secrets.ts';
import { SECRET_TYPE } from '../../xds/session/type-urls.ts';
import { type PeerIdentity, type XdsBackend, type XdsNode, type XdsProxy, XdsRefusal } from '../../xds/types.ts';
import { checkClaims, readNode } from './proxy-node.ts';

/** Keys and certificates for the identity that the token proves, and for no other. */
export class SdsBackend implements XdsBackend {
  readonly #secrets: WorkloadSecrets;
  readonly #onRefusal: (proxy: string, message: string) => void;

  constructor(secrets: WorkloadSecrets, onRefusal: (proxy: string, message: string) => void) {
    this.#secrets = secrets;
    this.#onRefusal = onRefusal;
  }

  async connect(peer: PeerIdentity, node: XdsNode, changed: () => void): Promise<XdsProxy> {
    checkClaims(readNode(node), peer);
    const subscription = this.#open(peer, changed);
    return {
      desired: () => new Map([[SECRET_TYPE, subscription.resources()]]),
      acknowledged: () => {},
      rejected: (nack) => this.#onRefusal(node.id, nack.message),
      closed: () => subscription.close(),
    };
  }

  #open(peer: PeerIdentity, changed: () => void): SecretSubscription {
    try {
      return this.#secrets.open({ id: spiffeId(peer), instance: peer.podUid }, changed);
    } catch (error) {
      throw error instanceof CaError ? new XdsRefusal('UNAVAILABLE', `no certificate: ${error.message}`) : error;
    }
  }
}
