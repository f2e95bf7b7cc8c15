// SPDX-License-Identifier: Apache-2.0
import { CaError, readCertificates } from './ca-material.ts';

/** SHA-256 fingerprints of the roots in a bundle; undefined for what holds no certificate. */
export function rootFingerprints(pem: string): readonly string[] | undefined {
  try {
    return readCertificates('root-cert.pem', pem).map(({ fingerprint256 }) => fingerprint256);
  } catch (error) {
    if (error instanceof CaError) return undefined;
    throw error;
  }
}

/** One root in common is enough: so it is while roots are exchanged. */
export function trustEachOther(a: readonly string[], b: readonly string[]): boolean {
  return a.some((fingerprint) => b.includes(fingerprint));
}

/** What a user is told of two clusters that do not. */
export function describeDifferentRoots(
  [one, ones]: readonly [cluster: string, fingerprints: readonly string[]],
  [other, others]: readonly [cluster: string, fingerprints: readonly string[]],
): string {
  const list = (fingerprints: readonly string[]) => fingerprints.map((each) => `SHA-256 ${each}`).join(' and ');
  return (
    `${one} and ${other} have different roots: ${one} ${list(ones)}, ${other} ${list(others)}; neither trusts the ` +
    'other’s workloads, so no mutual TLS between them succeeds'
  );
}
