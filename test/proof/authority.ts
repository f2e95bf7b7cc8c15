// SPDX-License-Identifier: Apache-2.0
import { TestAuthority } from '../fixture/test-authority.ts';
import type { WorkloadKeys } from '../scenarios/static-bootstrap.ts';

/** Vouches for whoever is asked for; each identity gets one certificate. */
export class ProofAuthority {
  readonly #authority = new TestAuthority();
  readonly #issued = new Map<string, WorkloadKeys>();

  /** `uri`: `spiffe://cluster.local/ns/default/sa/x` */
  keysOf(uri: string): WorkloadKeys {
    const known = this.#issued.get(uri);
    if (known !== undefined) return known;
    const { cert: chain, key } = this.#authority.issue(undefined, {
      uris: [uri],
      usages: ['serverAuth', 'clientAuth'],
    });
    const keys = { chain, key, roots: this.#authority.rootPem };
    this.#issued.set(uri, keys);
    return keys;
  }
}
