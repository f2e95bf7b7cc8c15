// SPDX-License-Identifier: Apache-2.0
// The end of a way that came to somebody: who is served, and whether both ends trust one another.
import { spiffeId } from '../api/names.ts';
import { INBOUND_PASSTHROUGH } from '../envoy/names.ts';
import type { Hop } from './crossing.ts';
import type { Destination, Ending } from './path.ts';
import { endingOf, type Refusal } from './refusals.ts';

type Served = Pick<Hop, 'at' | 'carried' | 'trail'> & { readonly pods?: readonly string[] };

/** @param how what is remarkable of the last piece of the way */
export function servedEnding({ at, trail, pods }: Served, destination: Destination | undefined, how?: string): Ending {
  const unclaimed = destination?.cluster === INBOUND_PASSTHROUGH;
  const note = unclaimed ? 'no Service is for this port of it' : how;
  const all = pods !== undefined && pods.length > 0 ? pods : [`${at.namespace}/${at.pod}`];
  return {
    kind: 'served',
    probability: 1,
    ...endingOf(trail),
    at,
    pods: all,
    text: `${at.workload} in ${at.cluster}${note === undefined ? '' : ` (${note})`}`,
    why: [],
  };
}

/** Why the two ends do not trust one another; undefined where they do, as far as is known. */
export function handshakeFault({ at, carried, resources, cluster }: Hop): Refusal | undefined {
  const { tls } = carried;
  if (tls?.mesh !== true) return undefined;
  const { trustDomain, namespace, serviceAccount } = resources.proxy;
  const own = spiffeId(trustDomain, namespace, serviceAccount);
  if (
    tls.roots !== undefined &&
    cluster.roots !== undefined &&
    !tls.roots.some((root) => cluster.roots!.includes(root))
  ) {
    const text = `${tls.by.workload} in ${tls.by.cluster} and ${at.workload} in ${at.cluster} have no root in common: the handshake fails`;
    return {
      text,
      cure: 'give both clusters intermediates of one root (isthmus certs), and restart what has a proxy',
      at,
    };
  }
  if (tls.peers.length > 0 && !tls.peers.includes(own)) {
    const text = `${at.workload} in ${at.cluster} is ${own}, and ${tls.by.workload} takes nobody but ${tls.peers.join(', ')}`;
    return { text, cure: 'mend subjectAltNames, or the service account', at, why: tls.why };
  }
  return undefined;
}
