// SPDX-License-Identifier: Apache-2.0
import { generateKeyPair, issueCertificate, privateKeyPem } from '../../src/pki/x509.ts';
import type { WorkloadKeys } from '../scenarios/static-bootstrap.ts';

/** Vouches for whoever is asked for; each identity gets one certificate. */
export class ProofAuthority {
  readonly #root = generateKeyPair();
  readonly #lifetime = { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 36_000_000) };
  readonly #pem = issueCertificate({
    subject: { commonName: 'root' },
    publicKey: this.#root.publicKey,
    selfKey: this.#root.privateKey,
    isCa: true,
    ...this.#lifetime,
  });
  readonly #issued = new Map<string, WorkloadKeys>();

  /** `uri`: `spiffe://cluster.local/ns/default/sa/x` */
  keysOf(uri: string): WorkloadKeys {
    const known = this.#issued.get(uri);
    if (known !== undefined) return known;
    const { publicKey, privateKey } = generateKeyPair();
    const chain = issueCertificate({
      subject: {},
      publicKey,
      issuer: { certPem: this.#pem, key: this.#root.privateKey },
      uris: [uri],
      usages: ['serverAuth', 'clientAuth'],
      ...this.#lifetime,
    });
    const keys = { chain, key: privateKeyPem(privateKey), roots: this.#pem };
    this.#issued.set(uri, keys);
    return keys;
  }
}
