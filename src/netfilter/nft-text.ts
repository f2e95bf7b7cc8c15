// SPDX-License-Identifier: Apache-2.0
// Rules as a script for `nft -f -` (nft(8)).
import { type Match, mergePorts, type Rule, type RuleChain, type RuleTable, type Verdict } from './rules.ts';

/** Declared, deleted, declared again: the idiom that replaces a table whether or not it was there, atomically. */
export function renderNft(table: RuleTable): string {
  return [
    `table inet ${table.name}`,
    `delete table inet ${table.name}`,
    `table inet ${table.name} {`,
    ...table.chains.flatMap(renderChain),
    '}',
    '',
  ].join('\n');
}

export function renderNftDelete(tableName: string): string {
  return `table inet ${tableName}\ndelete table inet ${tableName}\n`;
}

function renderChain(chain: RuleChain): string[] {
  return [
    `  chain ${chain.name} {`,
    `    type ${chain.type} hook ${chain.hook} priority ${chain.priority}; policy ${chain.policy ?? 'accept'};`,
    ...chain.rules.map((rule) => `    ${renderRule(rule)}`),
    '  }',
  ];
}

function renderRule(rule: Rule): string {
  return [...rule.match.map(renderMatch), renderVerdict(rule.verdict)].join(' ');
}

function renderMatch(match: Match): string {
  const operator = 'not' in match && match.not ? '!= ' : '';
  switch (match.kind) {
    case 'skuid':
    case 'skgid':
      return `meta ${match.kind} ${operator}${match.id}`;
    case 'mark':
      return `meta mark ${operator}${match.mark}`;
    case 'daddr':
    case 'saddr':
      return `${match.cidr.includes(':') ? 'ip6' : 'ip'} ${match.kind} ${operator}${match.cidr}`;
    case 'l4proto':
      return `meta l4proto ${match.protocol}`;
    case 'dport': {
      const ports = mergePorts(match.ports).map((port) => (typeof port === 'number' ? port : port.join('-')));
      return `${match.protocol} dport { ${ports.join(', ')} }`;
    }
    case 'iifname':
    case 'oifname':
      return `${match.kind} ${operator}"${match.name}"`;
    case 'ctState':
      return `ct state { ${match.states.join(', ')} }`;
  }
}

function renderVerdict(verdict: Verdict): string {
  return verdict.kind === 'redirect' ? `redirect to :${verdict.port}` : verdict.kind;
}
