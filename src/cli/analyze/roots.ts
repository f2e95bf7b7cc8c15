// SPDX-License-Identifier: Apache-2.0
// Do clusters trust one another's workloads? Only public parts of their CAs are looked at.
import type { ObjectRef } from '../../api/diagnostics.ts';
import { diagnose } from '../../api/report.ts';
import { describeDifferentRoots, rootFingerprints, trustEachOther } from '../../identity/root-fingerprints.ts';
import type { Remark } from './judge.ts';

export const ROOTS_CURE =
  'make an intermediate for each below one root (isthmus certs), replace Secret cacerts, restart the control plane, then ' +
  'everything with a proxy';

/** What a cluster's workloads are verified with. */
export interface TrustedRoots {
  readonly cluster: string;
  readonly source: ObjectRef;
  readonly fingerprints: readonly string[];
}

/** undefined for what holds no certificate: that is told of the CA itself. */
export function readRoots(cluster: string, source: ObjectRef, pem: string): TrustedRoots | undefined {
  const fingerprints = rootFingerprints(pem);
  return fingerprints && { cluster, source, fingerprints };
}

/** Each cluster whose roots have none in common with the first's is told, with both fingerprints. */
export function compareRoots([first, ...others]: readonly TrustedRoots[]): Remark[] {
  if (first === undefined) return [];
  return others
    .filter(({ fingerprints }) => !trustEachOther(first.fingerprints, fingerprints))
    .map(({ cluster, source, fingerprints }) => {
      const message = describeDifferentRoots([cluster, fingerprints], [first.cluster, first.fingerprints]);
      return diagnose({ ...source, cluster }, 'ISM0312', 'data["root-cert.pem"]', message, ROOTS_CURE);
    });
}
