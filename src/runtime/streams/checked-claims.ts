// SPDX-License-Identifier: Apache-2.0
// What of a proxy's own words its token bears out.
import type { NodeClaims } from '../../injector/proxy-node.ts';
import { type PeerIdentity, XdsRefusal } from '../../xds/types.ts';

/** What the token says anyway: proxies of a remote cluster do not know the name that its registry has in the mesh. */
const MAY_BE_LEFT_OUT: ReadonlySet<string> = new Set(['cluster', 'service account']);

/**
 * `cluster` is the control plane's own: what an installation elsewhere calls itself is not the name by which it is watched.
 * @throws XdsRefusal PERMISSION_DENIED when the node claims to be what its token does not prove
 */
export function checkClaims(claims: NodeClaims, peer: PeerIdentity, cluster: string): void {
  const contradictions: readonly [what: string, claimed: string, proven: string][] = [
    ['cluster', peer.clusterName === cluster ? claims.clusterId : peer.clusterName, peer.clusterName],
    ['namespace', claims.namespace, peer.namespace],
    ['service account', claims.serviceAccount, peer.serviceAccount],
    ['pod', claims.podName, peer.podName],
  ];
  for (const [what, claimed, proven] of contradictions) {
    if (claimed === proven || (claimed === '' && MAY_BE_LEFT_OUT.has(what))) continue;
    throw new XdsRefusal(
      'PERMISSION_DENIED',
      `the node says that its ${what} is "${claimed}", but its token proves "${proven}"`,
    );
  }
}
