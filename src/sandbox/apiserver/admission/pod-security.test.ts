// SPDX-License-Identifier: Apache-2.0
import { beforeEach, describe, expect, test } from 'vitest';
import { AdmissionScene, core, object, pod } from './admission-request.fixture.ts';
import { checkPodSecurity } from './pod-security.ts';

let scene: AdmissionScene;

beforeEach(() => {
  scene = new AdmissionScene();
});

describe('pod security', () => {
  const namespace = (labels: Record<string, string>) =>
    scene.objects.create(core('namespaces'), {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'shop', labels },
    });
  const refusal = (spec: object, resource = 'pods', group = ''): string => {
    const wanted =
      resource === 'pods' ? object('Pod', 'p', { spec }) : object('Deployment', 'd', { spec: { template: { spec } } });
    const request = scene.ask(resource, wanted);
    try {
      checkPodSecurity({ ...request, resource: { ...request.resource, group } }, wanted, scene.objects);
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  };
  const GOOD = {
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      runAsNonRoot: true,
      seccompProfile: { type: 'RuntimeDefault' },
    },
  };

  test('restricted asks for all four, of each container that lacks them', () => {
    namespace({ 'pod-security.kubernetes.io/enforce': 'restricted' });
    expect(refusal({ containers: [{ name: 'a', ...GOOD }] })).toBe('');
    expect(refusal({ containers: [{ name: 'a', ...GOOD }, { name: 'b' }] })).toBe(
      'pods "p" is forbidden: violates PodSecurity "restricted:latest": ' +
        'allowPrivilegeEscalation != false (container "b" must set securityContext.allowPrivilegeEscalation=false), ' +
        'unrestricted capabilities (container "b" must set securityContext.capabilities.drop=["ALL"]), ' +
        'runAsNonRoot != true (pod or container "b" must set securityContext.runAsNonRoot=true), ' +
        'seccompProfile (pod or container "b" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")',
    );
    expect(
      refusal({
        securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
        containers: [
          { name: 'a', securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } } },
        ],
      }),
    ).toBe('');
  });

  test.each([
    [
      { containers: [{ name: 'a', securityContext: { capabilities: { add: ['NET_ADMIN'] } } }] },
      'non-default capabilities (container "a" must not include "NET_ADMIN" in securityContext.capabilities.add)',
    ],
    [{ hostNetwork: true, containers: [{ name: 'a' }] }, 'host namespaces (hostNetwork=true)'],
    [
      { volumes: [{ name: 'v', hostPath: { path: '/' } }], containers: [{ name: 'a' }] },
      'hostPath volumes (volume "v")',
    ],
    [
      { initContainers: [{ name: 'i', securityContext: { privileged: true } }], containers: [{ name: 'a' }] },
      'privileged (container "i" must not set',
    ],
    [{ containers: [{ name: 'a', ports: [{ hostPort: 80 }] }] }, 'hostPort (container "a" uses hostPort 80)'],
    [{ containers: [{ name: 'a' }] }, ''],
  ])('baseline and %j', (spec, why) => {
    namespace({ 'pod-security.kubernetes.io/enforce': 'baseline' });
    if (why === '') expect(refusal(spec)).toBe('');
    else expect(refusal(spec)).toContain(why);
  });

  test('a pod that is there already may be labelled and let go', () => {
    namespace({ 'pod-security.kubernetes.io/enforce': 'baseline' });
    const there = pod('p', [{ name: 'a' }], { hostPID: true });
    const labelled = { ...there, metadata: { ...there.metadata, labels: { a: 'b' } } };
    checkPodSecurity(scene.ask('pods', labelled, 'UPDATE', there), labelled, scene.objects);
    const changed = pod('p', [{ name: 'a', image: 'other' }], { hostPID: true });
    expect(() => checkPodSecurity(scene.ask('pods', changed, 'UPDATE', there), changed, scene.objects)).toThrow(
      'host namespaces',
    );
  });

  test('warnings: of pods that come all the same, of workloads, of a namespace’s pods', () => {
    namespace({ 'pod-security.kubernetes.io/warn': 'baseline' });
    const spec = { hostPID: true, containers: [{ name: 'a' }] };
    expect(refusal(spec)).toBe('');
    expect(refusal(spec, 'deployments', 'apps')).toBe('');
    expect(scene.warnings).toEqual(
      Array(2).fill('would violate PodSecurity "baseline:latest": host namespaces (hostPID=true)'),
    );
    scene.objects.create(core('pods'), object('Pod', 'p', { spec }));
    const labelled = {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'shop', labels: { 'pod-security.kubernetes.io/enforce': 'baseline' } },
    };
    checkPodSecurity(scene.ask('namespaces', labelled, 'UPDATE', object('Namespace', 'shop')), labelled, scene.objects);
    expect(scene.warnings.slice(2)).toEqual([
      'existing pods in namespace "shop" violate the new PodSecurity enforce level "baseline:latest"',
      'p: host namespaces',
    ]);
    const wrong = {
      ...labelled,
      metadata: { ...labelled.metadata, labels: { 'pod-security.kubernetes.io/enforce': 'strict' } },
    };
    expect(() => checkPodSecurity(scene.ask('namespaces', wrong, 'CREATE'), wrong, scene.objects)).toThrow(
      'must be one of privileged, baseline, restricted',
    );
  });
});
