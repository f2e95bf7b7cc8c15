// SPDX-License-Identifier: Apache-2.0
// Do clusters trust one another's workloads? Only public parts of their CAs are looked at.
import type { X509Certificate } from 'node:crypto';
import type { ObjectRef } from '../../api/diagnostics.ts';
import { diagnose } from '../../api/report.ts';
import { CaError, readCertificates } from '../../identity/ca-material.ts';
import type { Remark } from './judge.ts';

/** What a cluster's workloads are verified with. */
export interface TrustedRoots {
  readonly cluster: string;
  readonly source: ObjectRef;
  readonly certificates: readonly X509Certificate[];
}

/** undefined for what holds no certificate: that is told of the CA itself. */
export function readRoots(cluster: string, source: ObjectRef, pem: string): TrustedRoots | undefined {
  try {
    return { cluster, source, certificates: readCertificates('root-cert.pem', pem) };
  } catch (error) {
    if (error instanceof CaError) return undefined;
    throw error;
  }
}

/** Each cluster whose roots have none in common with the first's is told, with both fingerprints. */
export function compareRoots([first, ...others]: readonly TrustedRoots[]): Remark[] {
  if (first === undefined) return [];
  const known = new Set(first.certificates.map(({ fingerprint256 }) => fingerprint256));
  return others
    .filter(({ certificates }) => !certificates.some(({ fingerprint256 }) => known.has(fingerprint256)))
    .map(({ cluster, source, certificates }) => {
      const message =
        `${cluster} and ${first.cluster} have different roots: ${cluster} ${fingerprints(certificates)}, ` +
        `${first.cluster} ${fingerprints(first.certificates)}; neither trusts the other’s workloads, so no mutual TLS ` +
        'between them succeeds';
      const cure =
        'make an intermediate for each below one root (isthmus certs), replace Secret cacerts, restart istiod, then ' +
        'everything with a proxy';
      return diagnose({ ...source, cluster }, 'ISM0312', 'data["root-cert.pem"]', message, cure);
    });
}

function fingerprints(certificates: readonly X509Certificate[]): string {
  return certificates.map(({ fingerprint256 }) => `SHA-256 ${fingerprint256}`).join(' and ');
}
