// SPDX-License-Identifier: Apache-2.0
// The packet rules that lead a pod's TCP through its proxy.
import type { Match, Rule, RuleTable, Verdict } from '../netfilter/rules.ts';

export interface RedirectOptions {
  readonly excludeOutboundBy: 'uid' | 'mark';
  /** The uid, or the mark, of the proxy's own connections. */
  readonly proxyId: number;
  /** undefined: every port. */
  readonly includeInboundPorts: readonly number[] | undefined;
  readonly excludeInboundPorts: readonly number[];
  readonly excludeOutboundPorts: readonly number[];
  /** IPv4 prefixes. */
  readonly excludeOutboundRanges: readonly string[];
}

export const OUTBOUND_PORT = 15_001;
export const INBOUND_PORT = 15_006;

const RETURN: Verdict = { kind: 'return' };
const TCP: Match = { kind: 'l4proto', protocol: 'tcp' };

/**
 * Only TCP, so DNS over UDP goes where resolv.conf says. Of the loopback network only 127.0.0.1 is left alone: the rest
 * of it may be the virtual addresses of remote services (127.255.0.3).
 */
export function buildRedirectRules(options: RedirectOptions): RuleTable {
  const { excludeOutboundBy, proxyId, includeInboundPorts } = options;
  const own: Match = excludeOutboundBy === 'uid' ? { kind: 'skuid', id: proxyId } : { kind: 'mark', mark: proxyId };
  const outbound: Rule[] = [
    { match: [own], verdict: RETURN },
    { match: [{ kind: 'daddr', cidr: '127.0.0.1/32' }], verdict: RETURN },
    { match: [{ kind: 'daddr', cidr: '::1/128' }], verdict: RETURN },
    ...options.excludeOutboundRanges.map((cidr): Rule => ({ match: [{ kind: 'daddr', cidr }], verdict: RETURN })),
    ...portRules(options.excludeOutboundPorts, RETURN),
    { match: [TCP], verdict: { kind: 'redirect', port: OUTBOUND_PORT } },
  ];
  const toProxy: Verdict = { kind: 'redirect', port: INBOUND_PORT };
  const inbound: Rule[] = [
    ...portRules(options.excludeInboundPorts, RETURN),
    ...(includeInboundPorts === undefined
      ? [{ match: [TCP], verdict: toProxy }]
      : portRules(includeInboundPorts, toProxy)),
  ];
  return {
    name: 'isthmus-proxy',
    chains: [
      { name: 'outbound', type: 'nat', hook: 'output', priority: -100, rules: outbound },
      { name: 'inbound', type: 'nat', hook: 'prerouting', priority: -100, rules: inbound },
    ],
  };
}

function portRules(ports: readonly number[], verdict: Verdict): Rule[] {
  return ports.length === 0 ? [] : [{ match: [{ kind: 'dport', protocol: 'tcp', ports }], verdict }];
}
