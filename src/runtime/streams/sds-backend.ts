// SPDX-License-Identifier: Apache-2.0

import type { WorkloadSubject } from '../../identity/authority.ts';
import { CaError } from '../../identity/ca-material.ts';
import { spiffeId } from '../../identity/spiffe.ts';
import type { SecretSubscription, WorkloadSecrets } from '../../identity/workload-secrets.ts';
import { readNode } from '../../injector/proxy-node.ts';
import { provenPod } from '../../xds/proven-pod.ts';
import { SECRET_TYPE } from '../../xds/session/type-urls.ts';
import { type PeerIdentity, type XdsBackend, type XdsNode, type XdsProxy, XdsRefusal } from '../../xds/types.ts';
import { checkClaims } from './checked-claims.ts';
import type { Refusal } from './refusals.ts';

/** The word of a proxy that refuses its own key, certificate or roots. */
export type RefusedSecrets = Pick<Refusal, 'proxy' | 'client' | 'message'>;

/** Keys and certificates for the identity that the token proves, and for no other. */
export class SdsBackend implements XdsBackend {
  readonly #secrets: WorkloadSecrets;
  readonly #cluster: string;
  readonly #onRefusal: (refusal: RefusedSecrets) => void;
  readonly #factsOf: (peer: PeerIdentity) => WorkloadSubject | undefined;

  /**
   * `cluster`: whose workloads get keys here; those of others have a CA of their own at home. `factsOf`: what is known of a
   * pod; of one that is not known here, what its node says goes into the certificate's subject, which proves nothing.
   */
  constructor(
    secrets: WorkloadSecrets,
    cluster: string,
    onRefusal: (refusal: RefusedSecrets) => void,
    factsOf: (peer: PeerIdentity) => WorkloadSubject | undefined,
  ) {
    this.#factsOf = factsOf;
    this.#secrets = secrets;
    this.#cluster = cluster;
    this.#onRefusal = onRefusal;
  }

  async connect(peer: PeerIdentity, node: XdsNode, changed: () => void): Promise<XdsProxy> {
    const claims = readNode(node);
    checkClaims(claims, peer, this.#cluster);
    if (peer.clusterName !== this.#cluster) {
      const own = `its own cluster’s istio-citadel, not of that of ${this.#cluster}`;
      throw new XdsRefusal('PERMISSION_DENIED', `a workload of cluster ${peer.clusterName} gets its keys of ${own}`);
    }
    const subscription = this.#open(peer, this.#factsOf(peer) ?? { ...claims.facts, cluster: this.#cluster }, changed);
    return {
      desired: () => new Map([[SECRET_TYPE, subscription.resources()]]),
      acknowledged: () => {},
      rejected: ({ message }) => this.#onRefusal({ proxy: node.id, client: provenPod(peer) ?? node.id, message }),
      closed: () => subscription.close(),
    };
  }

  #open(peer: PeerIdentity, subject: WorkloadSubject, changed: () => void): SecretSubscription {
    try {
      return this.#secrets.open({ id: spiffeId(peer), instance: peer.podUid, subject }, changed);
    } catch (error) {
      throw error instanceof CaError ? new XdsRefusal('UNAVAILABLE', `no certificate: ${error.message}`) : error;
    }
  }
}
