// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import type { KubeClient } from '../../kube/client.ts';
import type { KubeObject } from '../../kube/types.ts';
import { createEventRecorder, type EventForm } from './event-recorder.ts';

const POD: KubeObject = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'n', uid: 'u' } };

async function writtenTwice(form: EventForm): Promise<Record<string, unknown>[]> {
  const writes: Record<string, unknown>[] = [];
  const second = Promise.withResolvers<void>();
  const client = {
    create: async (_type: unknown, object: KubeObject) => {
      writes.push(object);
      return object;
    },
    patch: async (_type: unknown, _name: string, _namespace: string, patch: Record<string, unknown>) => {
      writes.push(patch);
      second.resolve();
      return { ...POD, ...patch };
    },
  } as unknown as KubeClient;
  const recorder = createEventRecorder(client, 'part', () => 1_700_000_000_123, form);
  recorder.record(POD, 'Warning', 'Again', 'and again');
  recorder.record(POD, 'Warning', 'Again', 'and again');
  await second.promise;
  return writes;
}

test('a repeated event is counted', async () => {
  const [first, repeated] = await writtenTwice('core');
  expect(first).toMatchObject({ count: 1, lastTimestamp: '2023-11-14T22:13:20Z', source: { component: 'part' } });
  expect(repeated).toEqual({ count: 2, lastTimestamp: '2023-11-14T22:13:20Z' });
});

test('in the form of events.k8s.io it has a time, no last one, and becomes a series', async () => {
  const [first, repeated] = await writtenTwice('events');
  expect(first).toMatchObject({ eventTime: '2023-11-14T22:13:20.123000Z', reportingComponent: 'part' });
  // kubectl describe sorts by it: without one an event comes first, as the scheduler's does.
  expect(first).not.toHaveProperty('lastTimestamp');
  expect(repeated).toEqual({ series: { count: 2, lastObservedTime: '2023-11-14T22:13:20.123000Z' } });
});
