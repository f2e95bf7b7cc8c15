// SPDX-License-Identifier: Apache-2.0
import type { ConfigMap, PersistentVolume, Pod, Secret, Service } from '../pod-types.ts';

export interface ServiceAccountToken {
  readonly token: string;
  readonly expiresAt: Date;
}

export interface TokenRequest {
  readonly audience: string | undefined;
  readonly expirationSeconds: number;
}

/** What a pod needs of the rest of the cluster. */
export interface ObjectSource {
  /**
   * Calls `listener` with the present object (undefined: there is none) as soon as it is known, and at every change,
   * until the returned function is called.
   */
  observeConfigMap(namespace: string, name: string, listener: (object: ConfigMap | undefined) => void): () => void;
  observeSecret(namespace: string, name: string, listener: (object: Secret | undefined) => void): () => void;
  /** The services of a namespace; resolves when the first full list is there. */
  services(namespace: string): Promise<readonly Service[]>;
  /** The volume that the claim is bound to. @throws Error that says why there is none */
  volumeOfClaim(namespace: string, claim: string): Promise<PersistentVolume>;
  /** A token of the pod's service account that is bound to the pod. */
  requestToken(pod: Pod, request: TokenRequest): Promise<ServiceAccountToken>;
}

export interface PodEvent {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
  /** The container that it is about. */
  readonly fieldPath?: string;
}
