// SPDX-License-Identifier: Apache-2.0
// Pods of both IP families, and of one, with real Envoys behind real redirect rules. The sandbox's pods have IPv4 alone.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { findEnvoy } from '../src/runtime/toolchain.ts';
import type { SceneResult } from './ipv6/scene.ts';

const scene = fileURLToPath(new URL('./ipv6/scene.ts', import.meta.url));
const user = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
const NAMESPACES = [...user, '--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];
const isPossible = spawnSync('unshare', [...NAMESPACES, 'ip', '-6', 'address', 'add', '::6/128', 'dev', 'lo']).status;
const envoyPath = findEnvoy();

describe.skipIf(envoyPath === undefined || isPossible !== 0)('IPv6 [needs namespaces with IPv6]', () => {
  let result: SceneResult;

  beforeAll(() => {
    const dir = mkdtempSync(join(tmpdir(), 'isthmus-ipv6-'));
    try {
      const command = [...NAMESPACES, process.execPath, scene, dir, envoyPath!];
      const { stdout, stderr, status } = spawnSync('unshare', command, { encoding: 'utf8', timeout: 120_000 });
      if (status !== 0) throw new Error(stderr);
      result = JSON.parse(stdout) as SceneResult;
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });

  const spiffe = (name: string) => `spiffe://cluster.local/ns/default/sa/${name}`;
  /** Who the server is, from where it sees its caller, and who its sidecar says that that is. */
  const told = (call: string) => {
    const { pod, remote, xfcc = '', error } = result.calls[call] ?? {};
    return { pod, remote, caller: /URI=([^;,]+)/.exec(xfcc)?.[1], ...(error !== undefined && { error }) };
  };
  const [BY_IPV4, BY_IPV6] = ['::ffff:127.0.0.6', '::6'];

  test.each(['both, HTTP by IPv6', 'both, HTTP by IPv4', 'both, HTTP to the IPv6 address itself'])(
    '%s: the service by either of its addresses, its pod at the one that the cluster prefers',
    (call) => {
      expect(told(call)).toEqual({ pod: 'server', remote: BY_IPV4, caller: spiffe('client') });
    },
  );

  test.each([
    ['both, HTTP to a server with IPv6 alone', 'six', 'client'],
    ['both, HTTP to a headless service’s pod by IPv6', 'server', 'client'],
    ['six, HTTP to a server of both', 'server', 'six'],
    ['six, HTTP to itself by its service', 'six', 'six'],
  ])('%s: by the mesh’s TLS over IPv6', (call, server, client) => {
    expect(told(call)).toEqual({ pod: server, remote: BY_IPV6, caller: spiffe(client) });
  });

  test.each([
    ['both, TCP by IPv6', BY_IPV4],
    ['both, TCP by IPv4', BY_IPV4],
    ['both, TCP to a headless service’s pod by IPv6', BY_IPV6],
    ['both, TCP without a way by IPv4', BY_IPV6],
    ['six, TCP to a server of both', BY_IPV6],
  ])('%s arrives', (call, remote) => {
    expect(told(call)).toEqual({ pod: 'server', remote });
  });

  test('a client without IPv6 is given no address that it cannot dial', () => {
    expect(told('four, HTTP to a server of both').pod).toBe('server');
    expect(result.calls['four, HTTP to a server with IPv6 alone']).toEqual({
      status: 503,
      error: 'no healthy upstream',
    });
  });

  test.each([
    ['both, to a name that nobody answers for by IPv4', 'fd88::10'],
    ['both, below a wildcard, nobody by IPv4', 'fd88::10'],
    ['both, below a wildcard, nobody by IPv6', '::ffff:10.88.0.10'],
    ['six, below a wildcard', 'fd88::12'],
    ['four, below a wildcard', '::ffff:10.88.0.13'],
  ])('%s: of a name’s addresses that is dialled which the proxy can reach', (call, remote) => {
    expect(told(call)).toEqual({ pod: 'stranger', remote });
  });

  test.each([
    ['both, TCP to an address that was found, by IPv6', 'fd88::10'],
    ['both, TCP to an address that was found, by IPv4', 'fd88::10'],
    ['six, TCP to an address that was found', 'fd88::12'],
  ])('%s leads to the host’s endpoint', (call, remote) => {
    expect(told(call)).toEqual({ pod: 'stranger', remote });
  });

  test.each(['gateway by IPv6', 'gateway by IPv4'])('%s', (call) => {
    expect(told(call)).toEqual({ pod: 'six', remote: BY_IPV6, caller: spiffe('edge') });
  });

  test('the kubelet finds the proxy, and behind it the application, at the first address of the pod', () => {
    expect(result.calls['kubelet to six: is Envoy ready?']).toMatchObject({ status: 200 });
    expect(told('kubelet to six: is the application?')).toEqual({ pod: 'six', remote: BY_IPV6 });
    expect(told('kubelet to server: is the application?')).toEqual({ pod: 'server', remote: BY_IPV4 });
    expect(result.calls['health port of six, something else']).toMatchObject({ status: 404 });
  });

  test('what stays in the pod is left alone', () => {
    expect(told('both, to the loopback by IPv6')).toEqual({ pod: 'client', remote: '::1' });
    expect(told('six, to its own address')).toEqual({ pod: 'six', remote: 'fd88::12' });
  });

  test.each([
    'stranger, HTTP to a pod by IPv6',
    'stranger, TCP to a pod by IPv6',
    'stranger, HTTP to a pod with IPv6 alone',
    'stranger, HTTP to a pod by IPv4',
  ])('%s: plaintext is refused', (call) => {
    expect(result.calls[call]).toEqual({ error: 'ECONNRESET' });
  });

  test('all that came to an application came by TLS of the mesh', () => {
    const inbound = Object.values(result.logs)
      .flat()
      .filter((line) => line.includes(' inbound|'));
    expect(inbound.length).toBeGreaterThan(10);
    expect(inbound.filter((line) => !/ TLSv1\.3 spiffe:/.test(line))).toEqual([]);
  });
});
