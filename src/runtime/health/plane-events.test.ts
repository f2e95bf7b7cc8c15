// SPDX-License-Identifier: Apache-2.0
import pino from 'pino';
import { expect, test } from 'vitest';
import { KubeFixture } from '../../../test/mesh/kube-fixture.ts';
import { PlaneEvents } from './plane-events.ts';

test('what is told no more is over, and may come again', async () => {
  const kube = await KubeFixture.start();
  const client = kube.client();
  let monotonicMs = 0;
  const events = new PlaneEvents({
    client,
    pod: 'istiod-0',
    uid: () => undefined,
    log: pino({ level: 'silent' }),
    nowMs: () => 0,
    monotonicMs: () => monotonicMs,
  });
  const written = () =>
    kube.list('/api/v1/namespaces/istio-system/events').map((e) => `${e['type']} ${e['reason']}: ${e['message']}`);
  const lost = () => events.tell('GatewayName', 'gw.example does not resolve', 'gw.example');
  try {
    await lost();
    await events.tell('ClockSkew', 'the clock is off');
    monotonicMs = 40_000;
    await lost();
    monotonicMs = 80_000;
    await events.sweep();
    const skew = 'Warning ClockSkew: the clock is off';
    expect(written()).toEqual(['Warning GatewayName: gw.example does not resolve', skew]);
    monotonicMs = 90_000;
    await events.sweep();
    expect(written()).toEqual(['Normal GatewayName: over: gw.example does not resolve', skew]);
    await lost();
    expect(written()).toEqual(['Warning GatewayName: gw.example does not resolve', skew]);
  } finally {
    client.close();
    kube.close();
  }
});

test('another cause of the same trouble is told soon, and a number that changes is no other cause of a clock', async () => {
  const kube = await KubeFixture.start();
  const client = kube.client();
  let monotonicMs = 0;
  const log = pino({ level: 'silent' });
  const times = { nowMs: () => 0, monotonicMs: () => monotonicMs };
  const events = new PlaneEvents({ client, pod: 'istiod-0', uid: () => undefined, log, ...times });
  const messages = () => kube.list('/api/v1/namespaces/istio-system/events').map((event) => event['message']);
  try {
    await events.tell('RemoteCluster', 'it cannot be reached', 'n2');
    await events.tell('ClockSkew', '3 s off');
    monotonicMs = 9_000;
    await events.tell('RemoteCluster', 'it does not know the token', 'n2');
    expect(messages()).toEqual(['it cannot be reached', '3 s off']);
    monotonicMs = 11_000;
    await events.tell('RemoteCluster', 'it does not know the token', 'n2');
    await events.tell('ClockSkew', '4 s off');
    expect(messages()).toEqual(['it does not know the token', '3 s off']);
  } finally {
    client.close();
    kube.close();
  }
});
