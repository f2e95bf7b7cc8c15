// SPDX-License-Identifier: Apache-2.0
// A cluster without its leg on the external network, as when a cable is pulled: for trying what the mesh does then.
import { applyRules, removeRules } from '../../netfilter/apply.ts';
import type { RuleTable } from '../../netfilter/rules.ts';
import { type ClusterAddresses, EXTERNAL_GATEWAY, EXTERNAL_LEG } from './addresses.ts';

const TABLE = 'isthmus_cut';
/** Before the router's own filter. */
const PRIORITY = -10;

/**
 * Drops, without a word to anybody, what comes from and goes to the external network; connections that are open stall.
 * This machine's own way in (kubectl, the gateway's port on 127.0.0.1) stays: it is how one watches.
 */
export function cutOff(cluster: Pick<ClusterAddresses, 'netns'>): Promise<void> {
  return applyRules(CUT, { netns: `/run/netns/${cluster.netns}` });
}

/** What TCP still has to say, it says again. Idempotent. */
export function rejoin(cluster: Pick<ClusterAddresses, 'netns'>): Promise<void> {
  return removeRules(TABLE, { netns: `/run/netns/${cluster.netns}` });
}

const CUT: RuleTable = (() => {
  const incoming = { kind: 'iifname', name: EXTERNAL_LEG } as const;
  const outgoing = { kind: 'oifname', name: EXTERNAL_LEG } as const;
  const drop = { kind: 'drop' } as const;
  return {
    name: TABLE,
    chains: [
      {
        name: 'arriving',
        type: 'filter',
        hook: 'input',
        priority: PRIORITY,
        rules: [{ match: [incoming, { kind: 'saddr', cidr: EXTERNAL_GATEWAY, not: true }], verdict: drop }],
      },
      {
        name: 'passing',
        type: 'filter',
        hook: 'forward',
        priority: PRIORITY,
        rules: [
          { match: [incoming], verdict: drop },
          { match: [outgoing], verdict: drop },
        ],
      },
      {
        name: 'leaving',
        type: 'filter',
        hook: 'output',
        priority: PRIORITY,
        rules: [{ match: [outgoing, { kind: 'daddr', cidr: EXTERNAL_GATEWAY, not: true }], verdict: drop }],
      },
    ],
  };
})();
