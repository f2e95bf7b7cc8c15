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
  /** Prefixes of either family. */
  readonly excludeOutboundRanges: readonly string[];
}

export const OUTBOUND_PORT = 15_001;
export const INBOUND_PORT = 15_006;
/** Of IPv6 only one address is on the loopback interface; this one is put there (`isthmus proxy-init`). */
export const INBOUND_SOURCE_V6 = '::6';
/** What the proxy dials its own application from: the one connection of its to this pod that is not to be caught. */
const INBOUND_SOURCES = ['127.0.0.6/32', `${INBOUND_SOURCE_V6}/128`];

const RETURN: Verdict = { kind: 'return' };
const TCP: Match = { kind: 'l4proto', protocol: 'tcp' };

/**
 * Of both families. Only TCP, so DNS over UDP goes where resolv.conf says. Of the loopback network only 127.0.0.1 is left alone: the rest
 * of it may be the virtual addresses of remote services (127.255.0.3). A pod that calls a service of which it is an
 * endpoint itself meets its own proxy twice: what that sends to the pod's address is inbound again, or the application
 * would get the TLS of the mesh. An application that dials its own pod's address is left alone.
 */
export function buildRedirectRules(options: RedirectOptions): RuleTable {
  const { excludeOutboundBy, proxyId, includeInboundPorts } = options;
  const own: Match = excludeOutboundBy === 'uid' ? { kind: 'skuid', id: proxyId } : { kind: 'mark', mark: proxyId };
  const toProxy: Verdict = { kind: 'redirect', port: INBOUND_PORT };
  // A match of an address is one of its family, so each needs its own rule.
  const toItself = ['127.0.0.0/8', '::1/128'].map((cidr): readonly Match[] => [
    { kind: 'oifname', name: 'lo' },
    { kind: 'daddr', cidr, not: true },
  ]);
  const outbound: Rule[] = [
    ...INBOUND_SOURCES.map((cidr): Rule => ({ match: [{ kind: 'saddr', cidr }], verdict: RETURN })),
    ...toItself.flatMap((match) => [
      ...portRules(options.excludeInboundPorts, RETURN, [own, ...match]),
      ...inboundRules(includeInboundPorts, toProxy, [own, ...match]),
    ]),
    { match: [own], verdict: RETURN },
    ...toItself.map((match): Rule => ({ match, verdict: RETURN })),
    { match: [{ kind: 'daddr', cidr: '127.0.0.1/32' }], verdict: RETURN },
    { match: [{ kind: 'daddr', cidr: '::1/128' }], verdict: RETURN },
    ...options.excludeOutboundRanges.map((cidr): Rule => ({ match: [{ kind: 'daddr', cidr }], verdict: RETURN })),
    ...portRules(options.excludeOutboundPorts, RETURN),
    { match: [TCP], verdict: { kind: 'redirect', port: OUTBOUND_PORT } },
  ];
  const inbound: Rule[] = [
    ...portRules(options.excludeInboundPorts, RETURN),
    ...inboundRules(includeInboundPorts, toProxy),
  ];
  return {
    name: 'isthmus-proxy',
    chains: [
      { name: 'outbound', type: 'nat', hook: 'output', priority: -100, rules: outbound },
      { name: 'inbound', type: 'nat', hook: 'prerouting', priority: -100, rules: inbound },
    ],
  };
}

function inboundRules(ports: readonly number[] | undefined, verdict: Verdict, also: readonly Match[] = []): Rule[] {
  return ports === undefined ? [{ match: [...also, TCP], verdict }] : portRules(ports, verdict, also);
}

function portRules(ports: readonly number[], verdict: Verdict, also: readonly Match[] = []): Rule[] {
  return ports.length === 0 ? [] : [{ match: [...also, { kind: 'dport', protocol: 'tcp', ports }], verdict }];
}
