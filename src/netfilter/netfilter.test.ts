// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { availableWriters } from './apply.ts';
import { addLoopbackAddress } from './loopback-address.ts';
import { renderNetlink } from './netlink-batch.ts';
import { renderNft } from './nft-text.ts';
import { mergePorts, parseCidr, type RuleTable } from './rules.ts';

const redirect: RuleTable = {
  name: 'isthmus_test',
  chains: [
    {
      name: 'out',
      type: 'nat',
      hook: 'output',
      priority: -100,
      rules: [
        { match: [{ kind: 'skuid', id: 1337 }], verdict: { kind: 'return' } },
        { match: [{ kind: 'mark', mark: 1337 }], verdict: { kind: 'return' } },
        { match: [{ kind: 'daddr', cidr: '127.0.0.1' }], verdict: { kind: 'return' } },
        { match: [{ kind: 'daddr', cidr: '::1' }], verdict: { kind: 'return' } },
        { match: [{ kind: 'daddr', cidr: '10.96.0.0/20', not: true }], verdict: { kind: 'return' } },
        { match: [{ kind: 'l4proto', protocol: 'tcp' }], verdict: { kind: 'redirect', port: 15001 } },
      ],
    },
    {
      name: 'pre',
      type: 'nat',
      hook: 'prerouting',
      priority: -100,
      rules: [{ match: [{ kind: 'dport', protocol: 'tcp', ports: [22] }], verdict: { kind: 'return' } }],
    },
    {
      name: 'post',
      type: 'nat',
      hook: 'postrouting',
      priority: 100,
      rules: [
        {
          match: [
            { kind: 'oifname', name: 'ext' },
            { kind: 'saddr', cidr: '10.1.0.0/16' },
          ],
          verdict: { kind: 'masquerade' },
        },
      ],
    },
    {
      name: 'forward',
      type: 'filter',
      hook: 'forward',
      priority: 0,
      policy: 'drop',
      rules: [
        { match: [{ kind: 'ctState', states: ['established'] }], verdict: { kind: 'accept' } },
        { match: [{ kind: 'iifname', name: 'ext', not: true }], verdict: { kind: 'accept' } },
      ],
    },
  ],
};

const loopbackModule = fileURLToPath(new URL('./loopback-address.ts', import.meta.url));

/** In a network namespace of its own. */
function runIsolated(command: readonly string[]): string {
  const user = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
  const { stdout, stderr, status } = spawnSync('unshare', [...user, '--net', ...command], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return stdout;
}

/** A program in a network namespace of its own: applies the table, then prints what `nft` sees. */
function listAfterApply(table: RuleTable, via: string, nft: string): string {
  const applyModule = fileURLToPath(new URL('./apply.ts', import.meta.url));
  const program = `
    import { applyRules, removeRules } from ${JSON.stringify(applyModule)};
    import { execFileSync } from 'node:child_process';
    const table = ${JSON.stringify(table)};
    await applyRules(table, { via: ${JSON.stringify(via)} });
    await applyRules(table, { via: ${JSON.stringify(via)} });
    process.stdout.write(execFileSync(${JSON.stringify(nft)}, ['list', 'ruleset']));
    await removeRules(table.name, { via: ${JSON.stringify(via)} });
    process.stdout.write('left:' + execFileSync(${JSON.stringify(nft)}, ['list', 'ruleset']));
  `;
  return runIsolated([process.execPath, '--input-type=module', '-e', program]);
}

const writers = availableWriters();
const nft = writers.find(({ kind }) => kind === 'nft')?.path;
const canUnshare =
  spawnSync('unshare', [...(process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']), '--net', 'true']).status ===
  0;

describe('packet rules', () => {
  it.skipIf(nft === undefined || !canUnshare)(
    'the kernel lists the same rules from both writers [needs nft, namespaces]',
    () => {
      const lists = writers.map(({ kind }) =>
        listAfterApply(redirect, kind, nft!).replaceAll(/[{}]/g, '').replaceAll(/, ?/g, ',').replaceAll(/ +/g, ' '),
      );
      expect(lists[0]).toContain('meta l4proto tcp redirect to :15001');
      expect(lists[0]).toContain('ip daddr != 10.96.0.0/20 return');
      expect(lists[0]).toMatch(/left:$/);
      for (const list of lists) expect(list).toBe(lists[0]);
    },
  );

  it.skipIf(!canUnshare)('a refused rule is named, by either writer [needs namespaces]', () => {
    const impossible: RuleTable = {
      name: 'bad',
      chains: [{ name: 'odd', type: 'nat', hook: 'forward', priority: 0, rules: [] }],
    };
    for (const { kind } of writers) {
      expect(() => listAfterApply(impossible, kind, 'nft')).toThrow(
        /refused the (packet )?rules:.*Operation not supported/s,
      );
    }
  });

  it.skipIf(!canUnshare)('the loopback interface gets an address once, by either program [needs namespaces]', () => {
    const programs = ['ip', 'python3'].filter((name) => spawnSync(name, ['--help']).status !== null);
    expect(programs).not.toEqual([]);
    for (const via of programs) {
      const program = `
        import { addLoopbackAddress } from ${JSON.stringify(loopbackModule)};
        import { networkInterfaces } from 'node:os';
        await addLoopbackAddress('::6', ${JSON.stringify(via)});
        await addLoopbackAddress('::6', ${JSON.stringify(via)});
        console.log(networkInterfaces().lo.filter(({ address }) => address === '::6').length);
      `;
      const node = [process.execPath, '--input-type=module', '-e', program];
      expect(runIsolated(['sh', '-c', 'ip link set lo up && exec "$@"', 'sh', ...node]), via).toBe('1\n');
    }
  });

  it('no address of IPv4 is put on the loopback interface', async () => {
    await expect(addLoopbackAddress('127.0.0.6')).rejects.toThrow('"127.0.0.6" is not an IPv6 address');
  });

  it('replaces its table rather than adding to it', () => {
    const script = renderNft(redirect);
    expect(script.indexOf('delete table inet isthmus_test')).toBeGreaterThan(script.indexOf('table inet isthmus_test'));
    expect(
      renderNetlink(redirect)
        .steps.slice(0, 3)
        .map((step) => step.description),
    ).toEqual(['create table isthmus_test', 'delete table isthmus_test', 'create table isthmus_test']);
  });

  it('reads prefixes', () => {
    expect(parseCidr('10.1.2.3/16')).toEqual({ family: 4, address: Uint8Array.of(10, 1, 0, 0), prefixLength: 16 });
    expect(parseCidr('fe80::1:2').address).toEqual(Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2));
    for (const wrong of ['', '10.0.0', '10.0.0.256', '10.0.0.0/33', '1::2::3', '10.0.0.0/', 'x', '10.0.0.0/8/8']) {
      expect(() => parseCidr(wrong), wrong).toThrow(/not an address or prefix/);
    }
  });

  it('merged ports cover the same ports, without overlaps', () => {
    const port = fc.integer({ min: 1, max: 60 });
    const range = fc.tuple(port, port).map(([a, b]): [number, number] => [Math.min(a, b), Math.max(a, b)]);
    fc.assert(
      fc.property(fc.array(fc.oneof(port, range)), (ports) => {
        const listed = (list: typeof ports) =>
          list.flatMap((entry) =>
            typeof entry === 'number'
              ? [entry]
              : Array.from({ length: entry[1] - entry[0] + 1 }, (_, i) => entry[0] + i),
          );
        const merged = listed(mergePorts(ports));
        expect(merged).toEqual([...new Set(listed(ports))].sort((a, b) => a - b));
      }),
      { seed: 1 },
    );
  });

  it('refuses values that would break out of a rule', () => {
    const withName = (name: string): RuleTable => ({
      name: 't',
      chains: [
        {
          name: 'c',
          type: 'nat',
          hook: 'output',
          priority: 0,
          rules: [{ match: [{ kind: 'oifname', name }], verdict: { kind: 'drop' } }],
        },
      ],
    });
    expect(() => listAfterApply(withName('x"; drop'), writers[0]!.kind, 'nft')).toThrow(/not an interface name/);
  });
});
