// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import type { ContainerState, ContainerStatus, Pod, PodSpec } from '../pod-types.ts';
import { buildPodStatus, type PodFacts } from './pod-status.ts';

const RUNNING: ContainerState = { running: { startedAt: 't' } };
const WAITING: ContainerState = { waiting: { reason: 'ContainerCreating' } };
const ended = (exitCode: number): ContainerState => ({
  terminated: { exitCode, reason: 'x', startedAt: 't', finishedAt: 't' },
});

function container(
  name: string,
  state: ContainerState,
  ready: boolean,
  lastState: ContainerState = {},
): ContainerStatus {
  return { name, image: 'i', imageID: '', ready, started: ready, restartCount: 0, state, lastState };
}

function facts(containers: ContainerStatus[], spec: Partial<PodSpec> = {}, more: Partial<PodFacts> = {}): PodFacts {
  const pod: Pod = { apiVersion: 'v1', kind: 'Pod', metadata: {}, spec: { containers: [], ...spec } };
  return {
    pod,
    hostIp: '10.1.0.1',
    podIp: '10.1.0.5',
    startTime: 't',
    containers,
    initContainers: [],
    ephemeralContainers: [],
    failure: undefined,
    isInitialized: true,
    hasFailedInit: false,
    isStopping: false,
    now: new Date('2026-01-01T00:00:00Z'),
    ...more,
  };
}

describe('a pod’s phase', () => {
  it.each<[string, PodFacts, string]>([
    ['nothing has started', facts([container('a', WAITING, false)]), 'Pending'],
    ['init containers run', facts([container('a', WAITING, false)], {}, { isInitialized: false }), 'Pending'],
    ['one of two has started', facts([container('a', RUNNING, true), container('b', WAITING, false)]), 'Pending'],
    ['all run', facts([container('a', RUNNING, false)]), 'Running'],
    ['one waits for its next start', facts([container('a', WAITING, false, ended(1))]), 'Running'],
    ['one ended and will start again', facts([container('a', ended(1), false)]), 'Running'],
    ['all succeeded for good', facts([container('a', ended(0), false)], { restartPolicy: 'Never' }), 'Succeeded'],
    [
      'one failed for good',
      facts([container('a', ended(0), false), container('b', ended(2), false)], { restartPolicy: 'Never' }),
      'Failed',
    ],
    [
      'an init container failed for good',
      facts([container('a', WAITING, false)], {}, { hasFailedInit: true }),
      'Failed',
    ],
    [
      'it succeeded, on failure only',
      facts([container('a', ended(0), false)], { restartPolicy: 'OnFailure' }),
      'Succeeded',
    ],
    [
      'its sidecar has not ended yet',
      facts(
        [container('a', ended(0), false)],
        { restartPolicy: 'Never', initContainers: [{ name: 's', image: 'i', restartPolicy: 'Always' }] },
        { initContainers: [container('s', RUNNING, true)] },
      ),
      'Running',
    ],
    [
      'the node ended it',
      facts([container('a', ended(0), true)], {}, { failure: { reason: 'Evicted', message: 'm' } }),
      'Failed',
    ],
    [
      'the node is ending it',
      facts([container('a', RUNNING, true)], {}, { failure: { reason: 'Evicted', message: 'm' } }),
      'Running',
    ],
  ])('when %s', (_, given, phase) => {
    expect(buildPodStatus(given, undefined).phase).toBe(phase);
  });
});

describe('a pod’s conditions', () => {
  const find = (given: PodFacts, type: string, previous = {}) =>
    buildPodStatus(given, previous).conditions?.find((condition) => condition.type === type);

  it('are ready when every container is', () => {
    expect(find(facts([container('a', RUNNING, true)]), 'Ready')?.status).toBe('True');
    const unready = facts([container('a', RUNNING, true), container('b', RUNNING, false)]);
    expect(find(unready, 'Ready')).toMatchObject({
      status: 'False',
      reason: 'ContainersNotReady',
      message: 'containers with unready status: [b]',
    });
    // Who follows pods sees its deletion; readiness is what the containers say, to the last.
    expect(find(facts([container('a', RUNNING, true)], {}, { isStopping: true }), 'Ready')?.status).toBe('True');
  });

  it('keep the time of the last change and what others wrote', () => {
    const conditions = [
      { type: 'PodScheduled', status: 'True' as const },
      { type: 'Ready', status: 'True' as const, lastTransitionTime: '2020-01-01T00:00:00Z' },
    ];
    const given = facts([container('a', RUNNING, true)]);
    expect(find(given, 'Ready', { conditions })?.lastTransitionTime).toBe('2020-01-01T00:00:00Z');
    expect(find(given, 'ContainersReady', { conditions })?.lastTransitionTime).toBe('2026-01-01T00:00:00Z');
    expect(find(given, 'PodScheduled', { conditions })?.status).toBe('True');
  });

  it('wait for readiness gates', () => {
    const gated = { readinessGates: [{ conditionType: 'example.com/gate' }] } as Partial<PodSpec>;
    const given = facts([container('a', RUNNING, true)], gated);
    expect(find(given, 'Ready')).toMatchObject({ status: 'False', reason: 'ReadinessGatesNotReady' });
    const conditions = [{ type: 'example.com/gate', status: 'True' as const }];
    expect(find(given, 'Ready', { conditions })?.status).toBe('True');
  });
});
