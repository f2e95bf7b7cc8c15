// SPDX-License-Identifier: Apache-2.0
import pino from 'pino';
import { expect, test } from 'vitest';
import { HandshakeFailures, type PeerName } from './handshake-failures.ts';

const DAY_MS = 24 * 3_600_000;

function explained(peer: PeerName | undefined, code: string): string[] {
  const told: string[] = [];
  const failures = new HandshakeFailures({
    log: pino({ level: 'silent' }),
    nowMs: () => 0,
    validity: () => ({ notBeforeMs: -DAY_MS, notAfterMs: DAY_MS }),
    observe: () => {},
    trouble: (message) => told.push(message),
    nameOf: () => peer,
  });
  for (let i = 0; i < 5; i++) failures.take(Object.assign(new Error('x'), { code }), '10.1.0.9');
  return told;
}

test('a proxy that refuses the certificate is named by its pod', () => {
  const told = explained({ name: 'pod default/shop', isGateway: false }, 'CLOSED');
  expect(told).toEqual([expect.stringMatching(/^the proxy of pod default\/shop .*root of before/)]);
});

test('what comes by a gateway is a proxy of another cluster, most likely with another root', () => {
  const told = explained({ name: 'pod istio-system/gw', isGateway: true }, 'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA');
  expect(told).toEqual([
    expect.stringMatching(/^a proxy of another cluster that comes by pod istio-system\/gw.*another root/),
  ]);
  expect(explained({ name: 'pod istio-system/gw', isGateway: true }, 'ERR_SSL_ALERT_CERTIFICATE_EXPIRED')[0]).toContain(
    'for expired',
  );
});

test('one that nobody knows and that only closes is no proxy', () => {
  expect(explained(undefined, 'CLOSED')).toEqual([]);
});
