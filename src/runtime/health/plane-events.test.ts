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
