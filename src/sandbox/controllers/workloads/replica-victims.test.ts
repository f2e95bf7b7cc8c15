// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import type { Pod } from '../objects.ts';
import { sortVictims } from './replica-victims.ts';

interface Traits {
  node?: string;
  phase?: string;
  readySince?: string;
  cost?: string;
  restarts?: number;
  created?: string;
}

function pod(name: string, traits: Traits): Pod {
  const {
    node = 'n',
    phase = 'Running',
    readySince = '2020-01-01T00:00:00Z',
    cost,
    restarts = 0,
    created = '2020-01-01T00:00:00Z',
  } = traits;
  const annotations: Record<string, string> = cost ? { 'controller.kubernetes.io/pod-deletion-cost': cost } : {};
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, creationTimestamp: created, annotations },
    spec: { containers: [], ...(node ? { nodeName: node } : {}) },
    status: {
      phase,
      containerStatuses: [{ name: 'main', restartCount: restarts }],
      conditions: readySince ? [{ type: 'Ready', status: 'True', lastTransitionTime: readySince }] : [],
    },
  };
}

test('the pod least missed goes first', () => {
  const inOrder = [
    pod('unassigned', { node: '', phase: 'Pending', readySince: '' }),
    pod('pending', { phase: 'Pending', readySince: '' }),
    pod('not ready', { readySince: '' }),
    pod('cheap', { cost: '-1' }),
    pod('ready for a short time', { readySince: '2021-01-01T00:00:00Z' }),
    pod('restarted', { restarts: 3 }),
    pod('young', { created: '2020-06-01T00:00:00Z' }),
    pod('old', {}),
    pod('dear', { cost: '100' }),
  ];
  const names = (pods: readonly Pod[]) => pods.map(({ metadata }) => metadata.name);
  expect(names(sortVictims([...inOrder].reverse()))).toEqual(names(inOrder));
});
