// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import type { KubeObject } from '../../../kube/types.ts';
import { shortDuration } from './duration.ts';
import { summarizePod } from './pod-columns.ts';

const NOW = new Date('2026-01-01T12:00:00Z');
const ago = (minutes: number) => new Date(NOW.getTime() - minutes * 60_000).toISOString();

function pod(
  status: object,
  spec: object = { containers: [{ name: 'a' }, { name: 'b' }] },
  metadata: object = {},
): KubeObject {
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', ...metadata }, spec, status };
}
const running = (name: string, ready = true) => ({ name, ready, restartCount: 0, state: { running: {} } });
const shown = (object: KubeObject) => {
  const { ready, status, restarts } = summarizePod(object, NOW);
  return `${ready} ${status} ${restarts}`;
};

test.each<[string, KubeObject, string]>([
  ['not scheduled', pod({ phase: 'Pending' }), '0/2 Pending 0'],
  [
    'waiting',
    pod({
      phase: 'Pending',
      containerStatuses: [{ name: 'a', state: { waiting: { reason: 'ImagePullBackOff' } } }, running('b')],
    }),
    '1/2 ImagePullBackOff 0',
  ],
  ['running', pod({ phase: 'Running', containerStatuses: [running('a'), running('b')] }), '2/2 Running 0'],
  ['not ready', pod({ phase: 'Running', containerStatuses: [running('a'), running('b', false)] }), '1/2 Running 0'],
  [
    'restarted',
    pod({
      phase: 'Running',
      containerStatuses: [
        { ...running('a'), restartCount: 3, lastState: { terminated: { finishedAt: ago(5) } } },
        running('b'),
      ],
    }),
    '2/2 Running 3 (5m ago)',
  ],
  [
    'crashing',
    pod({
      phase: 'Running',
      containerStatuses: [
        { name: 'a', restartCount: 1, state: { waiting: { reason: 'CrashLoopBackOff' } } },
        running('b'),
      ],
    }),
    '1/2 CrashLoopBackOff 1',
  ],
  [
    'failed',
    pod({ phase: 'Failed', containerStatuses: [{ name: 'a', state: { terminated: { exitCode: 2 } } }] }),
    '0/2 ExitCode:2 0',
  ],
  [
    'killed',
    pod({ phase: 'Failed', containerStatuses: [{ name: 'a', state: { terminated: { exitCode: 137, signal: 9 } } }] }),
    '0/2 Signal:9 0',
  ],
  [
    'initializing',
    pod(
      { phase: 'Pending', initContainerStatuses: [{ name: 'i', state: { running: {} } }] },
      { initContainers: [{ name: 'i' }, { name: 'j' }], containers: [{ name: 'a' }] },
    ),
    '0/1 Init:0/2 0',
  ],
  [
    'init failed',
    pod(
      {
        phase: 'Pending',
        initContainerStatuses: [
          { name: 'i', restartCount: 2, state: { terminated: { exitCode: 1, reason: 'Error' } } },
        ],
      },
      { initContainers: [{ name: 'i' }], containers: [{ name: 'a' }] },
    ),
    '0/1 Init:Error 2',
  ],
  [
    'a native sidecar counts',
    pod(
      {
        phase: 'Running',
        initContainerStatuses: [{ ...running('s'), started: true }],
        containerStatuses: [running('a')],
      },
      { initContainers: [{ name: 's', restartPolicy: 'Always' }], containers: [{ name: 'a' }] },
    ),
    '2/2 Running 0',
  ],
  [
    'done, its native sidecar ended after it',
    pod(
      {
        phase: 'Succeeded',
        conditions: [{ type: 'Initialized', status: 'True' }],
        initContainerStatuses: [{ name: 's', state: { terminated: { exitCode: 143, reason: 'Error' } } }],
        containerStatuses: [{ name: 'a', state: { terminated: { exitCode: 0, reason: 'Completed' } } }],
      },
      { initContainers: [{ name: 's', restartPolicy: 'Always' }], containers: [{ name: 'a' }] },
    ),
    '0/2 Completed 0',
  ],
  [
    'terminating',
    pod({ phase: 'Running', containerStatuses: [running('a'), running('b')] }, undefined, {
      deletionTimestamp: ago(0),
    }),
    '2/2 Terminating 0',
  ],
  ['evicted', pod({ phase: 'Failed', reason: 'Evicted' }), '0/2 Evicted 0'],
])('a pod that is %s', (_name, object, expected) => {
  expect(shown(object)).toBe(expected);
});

test.each([
  [-5_000, '<invalid>'],
  [0, '0s'],
  [119_000, '119s'],
  [121_000, '2m1s'],
  [600_000, '10m'],
  [3 * 3600_000, '3h'],
  [3 * 3600_000 + 300_000, '3h5m'],
  [26 * 3600_000, '26h'],
  [50 * 3600_000, '2d2h'],
  [400 * 86_400_000, '400d'],
  [3 * 365 * 86_400_000 + 86_400_000, '3y1d'],
])('%i ms is %s', (ms, text) => {
  expect(shortDuration(ms)).toBe(text);
});
