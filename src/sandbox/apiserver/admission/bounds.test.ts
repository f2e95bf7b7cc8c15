// SPDX-License-Identifier: Apache-2.0
// Limit ranges and resource quotas, each rule on its own.
import { beforeEach, describe, expect, test } from 'vitest';
import type { KubeObject } from '../../../kube/types.ts';
import type { AdmissionRequest } from '../seams.ts';
import { AdmissionScene, core, object, pod } from './admission-request.fixture.ts';
import { applyLimitDefaults, checkLimits } from './limit-range.ts';
import { checkQuota, QUOTAS } from './quota.ts';
import { objectUsage, type ResourceQuota, usedOf } from './quota-usage.ts';

let scene: AdmissionScene;

beforeEach(() => {
  scene = new AdmissionScene();
});

describe('limit ranges', () => {
  const limit = (item: object) =>
    scene.objects.create(core('limitranges'), object('LimitRange', 'l', { spec: { limits: [item] } }));
  const refusal = (resource: string, wanted: KubeObject): string => {
    try {
      checkLimits(scene.ask(resource, wanted), wanted, scene.objects);
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  };

  test('fill in what containers do not ask for, and say so', () => {
    limit({ type: 'Container', default: { cpu: '200m', memory: '1Gi' }, defaultRequest: { cpu: '100m' } });
    const made = pod('p', [{ name: 'a', resources: { limits: { cpu: '1' } } }], { initContainers: [{ name: 'i' }] });
    applyLimitDefaults(made, 'shop', scene.objects);
    const { containers, initContainers } = made['spec'] as { containers: object[]; initContainers: object[] };
    expect(containers).toEqual([
      { name: 'a', resources: { limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '100m' } } },
    ]);
    expect(initContainers).toEqual([
      { name: 'i', resources: { limits: { cpu: '200m', memory: '1Gi' }, requests: { cpu: '100m' } } },
    ]);
    expect(made.metadata.annotations?.['kubernetes.io/limit-ranger']).toBe(
      'LimitRanger plugin set: cpu request for container a; memory limit for container a; cpu request for init container i; cpu, memory limit for init container i',
    );
  });

  test('leave pods of other namespaces alone', () => {
    limit({ type: 'Container', default: { cpu: '200m' } });
    const made = pod('p', [{ name: 'a' }]);
    applyLimitDefaults(made, 'elsewhere', scene.objects);
    expect(made['spec']).toEqual({ containers: [{ name: 'a' }] });
  });

  test.each([
    [{ limits: { cpu: '2' } }, 'maximum cpu usage per Container is 500m, but limit is 2'],
    [
      {},
      '[minimum cpu usage per Container is 100m.  No request is specified, maximum cpu usage per Container is 500m.  No limit is specified]',
    ],
    [
      { limits: { cpu: '200m' }, requests: { cpu: '50m' } },
      'minimum cpu usage per Container is 100m, but request is 50m',
    ],
    [{ limits: { cpu: '500m' }, requests: { cpu: '100m' } }, ''],
  ])('bound what a container asks for: %j', (resources, wanted) => {
    limit({ type: 'Container', max: { cpu: '500m' }, min: { cpu: '100m' } });
    const asked =
      'limits' in resources && !('requests' in resources) ? { ...resources, requests: resources.limits } : resources;
    expect(refusal('pods', pod('p', [{ name: 'a', resources: asked }]))).toBe(
      wanted && `pods "p" is forbidden: ${wanted}`,
    );
  });

  test('bound the sum of a pod and the ratio of a container', () => {
    scene.objects.create(
      core('limitranges'),
      object('LimitRange', 'l', {
        spec: {
          limits: [
            { type: 'Pod', max: { memory: '1Gi' } },
            { type: 'Container', maxLimitRequestRatio: { memory: '2' } },
          ],
        },
      }),
    );
    const of = (request: string, limit: string) => ({
      resources: { requests: { memory: request }, limits: { memory: limit } },
    });
    expect(
      refusal(
        'pods',
        pod('p', [
          { name: 'a', ...of('512Mi', '768Mi') },
          { name: 'b', ...of('256Mi', '512Mi') },
        ]),
      ),
    ).toContain('maximum memory usage per Pod is 1Gi, but limit is 1280Mi');
    expect(refusal('pods', pod('p', [{ name: 'a', ...of('256Mi', '768Mi') }]))).toContain('provided ratio is 3.000000');
    expect(refusal('pods', pod('p', [{ name: 'a', ...of('256Mi', '512Mi') }]))).toBe('');
  });

  test('bound claims by what they request', () => {
    limit({ type: 'PersistentVolumeClaim', max: { storage: '1Gi' } });
    const claim = (storage: string) =>
      object('PersistentVolumeClaim', 'c', { spec: { resources: { requests: { storage } } } });
    expect(refusal('persistentvolumeclaims', claim('2Gi'))).toContain(
      'maximum storage usage per PersistentVolumeClaim is 1Gi, but request is 2Gi',
    );
    expect(refusal('persistentvolumeclaims', claim('1Gi'))).toBe('');
  });
});

describe('quotas', () => {
  const quota = (hard: Record<string, string>, spec: object = {}, name = 'q') =>
    scene.objects.create(QUOTAS, object('ResourceQuota', name, { spec: { hard, ...spec } }));
  const refusal = (
    resource: string,
    wanted: KubeObject,
    operation: AdmissionRequest['operation'] = 'CREATE',
    old?: KubeObject,
  ) => {
    try {
      checkQuota(scene.ask(resource, wanted, operation, old), wanted, scene.objects);
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  };

  test('a pod counts its containers, the largest start and its overhead, and nothing once it has ended', () => {
    const busy = pod(
      'p',
      [
        { name: 'a', resources: { requests: { cpu: '100m' } } },
        { name: 'b', resources: { requests: { cpu: '200m' } } },
      ],
      {
        initContainers: [
          { name: 'side', restartPolicy: 'Always', resources: { requests: { cpu: '50m' } } },
          { name: 'big', resources: { requests: { cpu: '1' } } },
        ],
        overhead: { cpu: '10m' },
      },
    );
    expect(objectUsage(core('pods'), busy)).toMatchObject({ pods: '1', 'requests.cpu': '1060m', cpu: '1060m' });
    expect(objectUsage(core('pods'), { ...busy, status: { phase: 'Succeeded' } })).toEqual({ 'count/pods': '1' });
  });

  test('count objects, storage, node ports and load balancers', () => {
    scene.objects.create(
      core('services'),
      object('Service', 'a', { spec: { type: 'LoadBalancer', ports: [{ nodePort: 30001 }, { nodePort: 30002 }] } }),
    );
    scene.objects.create(
      core('persistentvolumeclaims'),
      object('PersistentVolumeClaim', 'c', {
        spec: { storageClassName: 'fast', resources: { requests: { storage: '1Gi' } } },
      }),
    );
    const hard = {
      services: '9',
      'services.nodeports': '9',
      'services.loadbalancers': '9',
      'requests.storage': '9Gi',
      'fast.storageclass.storage.k8s.io/requests.storage': '9Gi',
      'count/deployments.apps': '9',
      'unheard.of/thing': '9',
    };
    expect(usedOf(quota(hard) as ResourceQuota, (type) => scene.objects.list(type, 'shop'))).toEqual({
      services: '1',
      'services.nodeports': '2',
      'services.loadbalancers': '1',
      'requests.storage': '1Gi',
      'fast.storageclass.storage.k8s.io/requests.storage': '1Gi',
      'count/deployments.apps': '0',
    });
  });

  test('refuse what is too much, and name all that is', () => {
    quota({ configmaps: '1', 'count/configmaps': '1', secrets: '1' });
    expect(refusal('configmaps', object('ConfigMap', 'a'))).toBe('');
    scene.objects.create(core('configmaps'), object('ConfigMap', 'a'));
    expect(refusal('configmaps', object('ConfigMap', 'b'))).toBe(
      'configmaps "b" is forbidden: exceeded quota: q, requested: configmaps=1,count/configmaps=1, used: configmaps=1,count/configmaps=1, limited: configmaps=1,count/configmaps=1',
    );
    expect(refusal('configmaps', object('ConfigMap', 'b', {}, { namespace: 'elsewhere' }))).toBe('');
    expect(refusal('secrets', object('Secret', 's'))).toBe('');
  });

  test('a pod must state what is limited', () => {
    quota({ 'requests.cpu': '1', 'limits.memory': '1Gi' });
    const wanted = pod('p', [{ name: 'b' }, { name: 'a', resources: { requests: { cpu: '1m' } } }]);
    expect(refusal('pods', wanted)).toBe(
      'pods "p" is forbidden: failed quota: q: must specify limits.memory for: a,b; requests.cpu for: b',
    );
  });

  test('scopes choose the pods', () => {
    quota({ pods: '0' }, { scopes: ['BestEffort'] });
    quota(
      { pods: '0' },
      { scopeSelector: { matchExpressions: [{ scopeName: 'PriorityClass', operator: 'In', values: ['low'] }] } },
      'low',
    );
    const stated = [{ name: 'a', resources: { requests: { cpu: '1m' } } }];
    expect(refusal('pods', pod('p', [{ name: 'a' }]))).toContain('exceeded quota: q');
    expect(refusal('pods', pod('p', stated))).toBe('');
    expect(refusal('pods', pod('p', stated, { priorityClassName: 'low' }))).toContain('exceeded quota: low');
  });

  test('a change counts what it adds; less is always welcome', () => {
    quota({ 'services.nodeports': '2' });
    const service = (ports: number) =>
      object('Service', 's', {
        spec: { type: 'NodePort', ports: Array.from({ length: ports }, (_, i) => ({ nodePort: 30000 + i })) },
      });
    scene.objects.create(core('services'), service(2));
    expect(refusal('services', service(3), 'UPDATE', service(2))).toContain(
      'requested: services.nodeports=1, used: services.nodeports=2',
    );
    expect(refusal('services', service(1), 'UPDATE', service(2))).toBe('');
  });
});
