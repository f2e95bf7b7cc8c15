// SPDX-License-Identifier: Apache-2.0
import type { PeerIdentity } from './types.ts';

/**
 * Tells pods of all clusters apart; undefined where the transport proved none. What a pod may cause is limited by it: its
 * node id is the client's own word, and it can have as many as it likes.
 */
export function provenPod({ clusterName, podUid }: PeerIdentity): string | undefined {
  return podUid === '' ? undefined : `${clusterName}/${podUid}`;
}
