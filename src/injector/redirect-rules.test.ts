// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { renderNft } from '../netfilter/nft-text.ts';
import { assertValid } from '../netfilter/rules.ts';
import { buildRedirectRules, type RedirectOptions } from './redirect-rules.ts';

const PLAIN: RedirectOptions = {
  excludeOutboundBy: 'uid',
  proxyId: 1337,
  includeInboundPorts: undefined,
  excludeInboundPorts: [15_021],
  excludeOutboundPorts: [],
  excludeOutboundRanges: [],
};

function linesOf(options: Partial<RedirectOptions>): string[] {
  const table = buildRedirectRules({ ...PLAIN, ...options });
  assertValid(table);
  return renderNft(table)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => /return$|redirect/.test(line));
}

test('the proxy’s own connections and loopback pass, every other TCP goes through the proxy', () => {
  expect(linesOf({})).toEqual([
    'ip saddr 127.0.0.6/32 return',
    'ip6 saddr ::6/128 return',
    'meta skuid 1337 oifname "lo" ip daddr != 127.0.0.0/8 tcp dport { 15021 } return',
    'meta skuid 1337 oifname "lo" ip daddr != 127.0.0.0/8 meta l4proto tcp redirect to :15006',
    'meta skuid 1337 oifname "lo" ip6 daddr != ::1/128 tcp dport { 15021 } return',
    'meta skuid 1337 oifname "lo" ip6 daddr != ::1/128 meta l4proto tcp redirect to :15006',
    'meta skuid 1337 return',
    'oifname "lo" ip daddr != 127.0.0.0/8 return',
    'oifname "lo" ip6 daddr != ::1/128 return',
    'ip daddr 127.0.0.1/32 return',
    'ip6 daddr ::1/128 return',
    'meta l4proto tcp redirect to :15001',
    'tcp dport { 15021 } return',
    'meta l4proto tcp redirect to :15006',
  ]);
});

test('exclusions come before the redirect', () => {
  const lines = linesOf({
    excludeOutboundBy: 'mark',
    excludeOutboundPorts: [15_012],
    excludeOutboundRanges: ['10.9.0.0/16', 'fd00:9::/48'],
  });
  expect(lines[6]).toMatch(/^meta mark (0x0*539|1337) return$/);
  expect(lines.slice(11, 15)).toEqual([
    'ip daddr 10.9.0.0/16 return',
    'ip6 daddr fd00:9::/48 return',
    'tcp dport { 15012 } return',
    'meta l4proto tcp redirect to :15001',
  ]);
});

test('with included ports only these are taken, and without any none', () => {
  expect(linesOf({ includeInboundPorts: [9080] }).at(-1)).toBe('tcp dport { 9080 } redirect to :15006');
  expect(linesOf({ includeInboundPorts: [] }).filter((line) => line.includes('15006'))).toEqual([]);
});
