// SPDX-License-Identifier: Apache-2.0
// A proxy that comes back tells what it has, and is sent what differs: by the same replica, by another one, and by one that
// knows another mesh meanwhile; with everything pushed and on demand.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Held, SimulatedSidecar } from '../../bench/on-demand/simulated-sidecar.ts';
import { CONFIG_DELIVERIES, type ConfigDelivery } from '../../src/api/config-delivery.ts';
import { until } from '../fixture/waiting.ts';
import { ServeProcess } from '../xds/serve-process.ts';

const NAMES = ['one', 'two', 'three', 'four'];
const used = NAMES.map((name) => ({ host: `${name}.ns-0.svc.cluster.local`, port: 80 }));

function service(name: string, number: number, weight = 50, address = `10.9.0.${number}`): string {
  const host = `${name}.ns-0.svc.cluster.local`;
  return `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ns-0 }
spec: { clusterIP: 10.8.0.${number}, selector: { app: ${name} }, ports: [{ name: http, port: 80 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ${name}-1, namespace: ns-0, labels: { kubernetes.io/service-name: ${name} } }
addressType: IPv4
endpoints: [{ addresses: [${address}], conditions: { ready: true } }]
ports: [{ name: http, port: 80, protocol: TCP }]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ${name}, namespace: ns-0 }
spec: { host: ${host}, subsets: [{ name: v1 }, { name: v2 }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name}, namespace: ns-0 }
spec:
  hosts: [${host}]
  http:
    - route:
        - { destination: { host: ${host}, subset: v1 }, weight: ${weight} }
        - { destination: { host: ${host}, subset: v2 }, weight: ${100 - weight} }
`;
}

const files = Object.fromEntries(NAMES.map((name, i) => [`${name}.yaml`, service(name, i)]));
/** `one` is routed and reached otherwise, and `two` is gone. */
const changedFiles = { ...files, 'one.yaml': service('one', 0, 70, '10.9.1.1'), 'two.yaml': '' };

let replicas: Record<'first' | 'other' | 'changed', ServeProcess>;
const sidecars: SimulatedSidecar[] = [];

function connect(replica: ServeProcess, delivery: ConfigDelivery, held?: Held): SimulatedSidecar {
  const options = { delivery, used, ...(held === undefined ? {} : { held }) };
  const sidecar = new SimulatedSidecar(`127.0.0.1:${replica.ports.xds}`, 1, options);
  sidecars.push(sidecar);
  return sidecar;
}

/** Nothing has come for a while. */
async function rest(sidecar: SimulatedSidecar): Promise<void> {
  for (let before = -1; before !== sidecar.bytes; ) {
    before = sidecar.bytes;
    await sleep(400);
  }
}

beforeAll(async () => {
  const [first, other, changed] = await Promise.all([files, files, changedFiles].map((all) => ServeProcess.start(all)));
  replicas = { first: first!, other: other!, changed: changed! };
});

afterAll(async () => {
  for (const each of sidecars) each.close();
  await Promise.all(Object.values(replicas ?? {}).map((each) => each.stop()));
});

describe.each(CONFIG_DELIVERIES)('%s: a proxy that comes back', (delivery) => {
  let held: Held;
  let changed: SimulatedSidecar;

  beforeAll(async () => {
    const sidecar = connect(replicas.first, delivery);
    await sidecar.synced;
    await rest(sidecar);
    held = structuredClone(sidecar.held);
    changed = connect(replicas.changed, delivery, held);
  });

  test('is sent nothing, by the same replica or another', async () => {
    const again = [replicas.first, replicas.other].map((replica) => connect(replica, delivery, held));
    // By then these have been answered too, if there was anything to say.
    await until('what has changed', () => changed.received.some((each) => each.includes('one.ns-0')));
    await Promise.all(again.map(rest));
    // Of virtual hosts, the sign that there is nothing more to wait for.
    for (const { received } of again) expect(received.filter((each) => !each.endsWith('/none'))).toEqual([]);
  });

  test('is sent what has changed, and told what is gone, and of other services nothing', async () => {
    await until('the end of what is gone', () =>
      changed.received.some((each) => each.startsWith('-') && each.includes('two.ns-0')),
    );
    await rest(changed);
    const { received } = changed;
    expect(received.filter((each) => /(three|four)\.ns-0/.test(each))).toEqual([]);
    expect(received.filter((each) => /Assignment.*one\.ns-0/.test(each)).length).toBeGreaterThan(0);
    expect(received.some((each) => /(RouteConfiguration 80|VirtualHost 80\/one\.)/.test(each))).toBe(true);
  });
});
