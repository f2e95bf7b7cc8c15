// SPDX-License-Identifier: Apache-2.0
// Did a probe arrive as it should, and if not, how far is it known to have come.
import type { ClusterSight, MeshSight, PairSight } from './evidence.ts';
import { readReply } from './probe/ask.ts';

export interface Verdict {
  readonly ok: boolean;
  /** The last that is proven of it, and the first that is not. */
  readonly proven: string;
  readonly seen: string;
}

export function judgePair(pair: PairSight): Verdict {
  const { answer, skipped } = pair;
  if (answer === undefined) return { ok: false, proven: 'nothing', seen: skipped ?? 'it was not tried' };
  const reply = readReply(answer.outcome);
  const isNamed = 'addresses' in answer.lookup || !pair.byName;
  if (reply !== undefined && reply.cluster === pair.to) {
    const identity = callerOf(reply.clientCertificate);
    if (identity === undefined) return { ok: false, proven: 'an answer', seen: 'it came without mutual TLS' };
    if (!identity.endsWith(`/sa/${pair.caller}`))
      return { ok: false, proven: 'an answer over mutual TLS', seen: `the caller was taken for ${identity}` };
    if (isNamed) return { ok: true, proven: `an answer over mutual TLS, asked by ${identity}`, seen: '' };
    const why = 'error' in answer.lookup ? answer.lookup.error : '';
    return { ok: false, proven: 'an answer over mutual TLS, by address', seen: `the name does not resolve (${why})` };
  }
  const seen = reply === undefined ? describeOutcome(pair) : `the probe of ${reply.cluster} answered`;
  return { ok: false, proven: provenOf(pair), seen };
}

export function failedPairs({ pairs }: MeshSight): PairSight[] {
  return pairs.filter((pair) => !judgePair(pair).ok);
}

/** The SPIFFE identity in X-Forwarded-Client-Cert, which only mutual TLS leaves there. */
export function callerOf(header: string): string | undefined {
  return /URI=(spiffe:\/\/[^;,"]+)/.exec(header)?.[1];
}

export function clusterNamed({ clusters }: MeshSight, name: string): ClusterSight | undefined {
  return clusters.find((cluster) => cluster.name === name);
}

function describeOutcome({ answer }: PairSight): string {
  if (answer === undefined) return '';
  const { outcome } = answer;
  if ('error' in outcome) return outcome.error;
  return `HTTP ${outcome.status}: ${outcome.body.trim().replaceAll(/\s+/g, ' ').slice(0, 200)}`;
}

/** The hops of a request in their order, as far as each was seen to work. */
function provenOf({ answer, door, proxy, byName }: PairSight): string {
  const hops: [string, boolean | undefined][] = [
    ['the name resolves', byName ? answer !== undefined && 'addresses' in answer.lookup : undefined],
    ['the caller’s proxy follows its control plane', proxy?.connected],
    ['it has endpoints for the name', (proxy?.destination?.endpoints.length ?? 0) > 0],
    [`${door?.door.address}:${door?.door.port} takes connections`, door?.tcp === 'open'],
    ['it answers by TLS', door?.tls?.kind === 'chain'],
  ];
  const known = hops.filter(([, is]) => is !== undefined);
  const broken = known.findIndex(([, is]) => !is);
  const proven = broken < 0 ? known : known.slice(0, broken);
  return proven.length === 0 ? 'nothing' : proven.map(([what]) => what).join(', ');
}
