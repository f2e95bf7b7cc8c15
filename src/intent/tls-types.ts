// SPDX-License-Identifier: Apache-2.0
// Keys, certificates, and what is asked of clients that show theirs. See types.ts.

/** Keys and certificates are in none of these: a proxy gets them apart, by these names. */
export type CertificateSource =
  /** A Secret in the proxy's own namespace. */
  | { readonly kind: 'secret'; readonly name: string }
  /** Files in the proxy. */
  | { readonly kind: 'files'; readonly chain: string; readonly key: string };

export type RootsSource =
  /** The Secret NAME-cacert, or else NAME itself, in the proxy's own namespace. */
  | { readonly kind: 'secret'; readonly name: string }
  | { readonly kind: 'files'; readonly roots: string; readonly crl: string | undefined };

export type TlsVersion = '1.0' | '1.1' | '1.2' | '1.3';

/** How the proxy proves itself to its clients, and what it asks of them. */
export interface ServerTlsIntent {
  /** `mesh`: its own identity. Several: one for each kind of key. */
  readonly certificates: 'mesh' | readonly CertificateSource[];
  /** Whether clients need a certificate, may have one, or are not asked. */
  readonly clients: 'required' | 'asked' | 'unasked';
  /** Who vouches for them; undefined while they are not asked. */
  readonly roots: 'mesh' | RootsSource | undefined;
  /** A file in the proxy: of the mesh's roots, certificates that are revoked. */
  readonly meshCrl: string | undefined;
  /** Of which the client's certificate must have one as a subject alternative name; empty: any. */
  readonly names: readonly string[];
  /** SHA-256 of the public key (base64) and of the certificate (hexadecimal), of which one must be the client's; empty: any. */
  readonly keyHashes: readonly string[];
  readonly hashes: readonly string[];
  /** Certificates count even if nobody vouches for them. */
  readonly untrusted: boolean;
  readonly versions: { readonly min: TlsVersion; readonly max: TlsVersion };
  /** Up to TLS 1.2; empty: the usual. */
  readonly cipherSuites: readonly string[];
  readonly curves: readonly string[];
}
