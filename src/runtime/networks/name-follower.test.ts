// SPDX-License-Identifier: Apache-2.0
import type { Resolver } from 'node:dns/promises';
import { expect, test, vi } from 'vitest';
import { NameFollower, resolveName } from './name-follower.ts';

interface Scene {
  readonly dns: Map<string, readonly string[] | Error>;
  readonly asked: string[];
  readonly answers: () => Record<string, readonly string[]>;
  readonly failures: string[];
  readonly follower: NameFollower;
}

function scene(): Scene {
  const dns = new Map<string, readonly string[] | Error>();
  const asked: string[] = [];
  const failures: string[] = [];
  let answers: ReadonlyMap<string, readonly string[]> = new Map();
  const follower = new NameFollower({
    everyMs: 5,
    resolve: async (name) => {
      asked.push(name);
      const answer = dns.get(name) ?? new Error('no such name');
      if (answer instanceof Error) throw answer;
      return answer;
    },
    changed: (next) => {
      answers = next;
    },
    failed: (name, { message }, known) => failures.push(`${name}: ${message} [${known}]`),
    mended: (name) => failures.push(`${name} mended`),
  });
  return { dns, asked, answers: () => Object.fromEntries(answers), failures, follower };
}

test('a name is followed: it changes, is lost and keeps what it had, comes back, is forgotten', async () => {
  const { dns, asked, answers, failures, follower } = scene();
  const end = new AbortController();
  dns.set('gw.example', ['10.0.0.2', '10.0.0.1']);
  follower.follow('networks', ['gw.example']);
  const done = follower.run(end.signal);
  await vi.waitFor(() => expect(answers()).toEqual({ 'gw.example': ['10.0.0.1', '10.0.0.2'] }), 10_000);
  dns.set('gw.example', ['10.0.0.3']);
  await vi.waitFor(() => expect(answers()).toEqual({ 'gw.example': ['10.0.0.3'] }), 10_000);
  dns.set('gw.example', new Error('SERVFAIL'));
  await vi.waitFor(() => expect(failures).toContain('gw.example: SERVFAIL [10.0.0.3]'), 10_000);
  expect(answers()).toEqual({ 'gw.example': ['10.0.0.3'] });
  dns.set('gw.example', ['10.0.0.3']);
  await vi.waitFor(() => expect(failures.at(-1)).toBe('gw.example mended'), 10_000);
  follower.follow('networks', []);
  expect(answers()).toEqual({});
  end.abort();
  await done;
  const count = asked.length;
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(asked).toHaveLength(count);
});

test('a new name is looked up at once, and stays while anybody wants it', async () => {
  const { dns, answers, failures, follower } = scene();
  const end = new AbortController();
  const done = follower.run(end.signal);
  dns.set('a.example', ['10.0.0.1']);
  follower.follow('networks', ['a.example', 'b.example']);
  await follower.settled(10_000);
  expect(answers()).toEqual({ 'a.example': ['10.0.0.1'] });
  expect(failures[0]).toBe('b.example: no such name []');
  follower.follow('entries', ['a.example']);
  follower.follow('networks', []);
  expect(answers()).toEqual({ 'a.example': ['10.0.0.1'] });
  follower.follow('entries', []);
  expect(answers()).toEqual({});
  end.abort();
  await done;
});

test('a DNS server that does not answer holds nobody up for longer than he waits', async () => {
  const follower = new NameFollower({ resolve: () => new Promise(() => {}), failed: () => {} });
  follower.follow('networks', ['slow.example']);
  await follower.settled(10);
});

test('what the DNS does not answer of one family says nothing of it: its addresses stay, and the other’s follow', async () => {
  const fails = (code: string) => () => Promise.reject(Object.assign(new Error(code), { code }));
  const gives = (...addresses: string[]) => vi.fn().mockResolvedValue(addresses);
  const known = ['10.0.0.1', 'fd00::1'];
  const ask = (resolve4: () => Promise<string[]>, resolve6: () => Promise<string[]>) =>
    resolveName('gw.example', known, { resolve4, resolve6 } as unknown as Resolver);
  expect(await ask(fails('ESERVFAIL'), gives('fd00::2'))).toEqual(['10.0.0.1', 'fd00::2']);
  expect(await ask(gives('10.0.0.2'), fails('ETIMEOUT'))).toEqual(['10.0.0.2', 'fd00::1']);
  expect(await ask(gives('10.0.0.2'), fails('ENODATA'))).toEqual(['10.0.0.2']);
  expect(await ask(fails('ENOTFOUND'), gives('fd00::2'))).toEqual(['fd00::2']);
  await expect(ask(fails('ENOTFOUND'), fails('ETIMEOUT'))).rejects.toThrow('ETIMEOUT');
});
