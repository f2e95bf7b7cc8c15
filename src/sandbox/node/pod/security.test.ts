// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import type { Pod } from '../pod-types.ts';
import { findNotices } from './security.ts';

function pod(ofPod: Record<string, unknown>, ofContainer: Record<string, unknown> = {}): Pod {
  return {
    metadata: { name: 'a' },
    spec: { securityContext: ofPod, containers: [{ name: 'c', image: 'busybox', securityContext: ofContainer }] },
  } as unknown as Pod;
}

describe('what is left out of a pod', () => {
  test('whose user it is does not count in a rootless sandbox, wherever it is written', () => {
    expect(findNotices(pod({ fsGroup: 2 }, { runAsUser: 0, runAsNonRoot: true }), true)).toEqual([
      'securityContext: runAsUser, runAsNonRoot, fsGroup is ignored: in a rootless sandbox all processes are those of the user who started it, and take themselves for root',
    ]);
  });

  test('it counts as root', () => {
    expect(findNotices(pod({ fsGroup: 2 }, { runAsUser: 0, runAsNonRoot: true }), false)).toEqual([]);
  });

  test('nothing is told of what asks for nothing', () => {
    const empty = { runAsNonRoot: false, supplementalGroups: [], seccompProfile: { type: 'RuntimeDefault' } };
    expect(findNotices(pod(empty, empty), true)).toEqual([]);
  });

  test('profiles and sysctls are ignored everywhere', () => {
    const profiles = {
      seccompProfile: { type: 'Localhost', localhostProfile: 'a.json' },
      sysctls: [{ name: 'a', value: '1' }],
    };
    expect(findNotices(pod(profiles), false)).toEqual([
      'securityContext: seccompProfile, sysctls is ignored: the sandbox has no such thing',
    ]);
  });
});
