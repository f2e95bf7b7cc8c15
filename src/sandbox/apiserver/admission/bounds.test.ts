// SPDX-License-Identifier: Apache-2.0
// Limit ranges, resource quotas and admission policies, each rule on its own.
import { beforeEach, describe, expect, test } from 'vitest';
import type { KubeObject } from '../../../kube/types.ts';
import { MemoryObjects } from '../memory-objects.fixture.ts';
import type { AdmissionRequest } from '../seams.ts';
import type { ApiError, GroupResource } from '../status.ts';
import { applyLimitDefaults, checkLimits } from './limit-range.ts';
import { checkPodSecurity } from './pod-security.ts';
import { checkPolicies } from './policies.ts';
import { checkQuota, QUOTAS } from './quota.ts';
import { objectUsage, type ResourceQuota, usedOf } from './quota-usage.ts';

let objects: MemoryObjects;
let warnings: string[];

beforeEach(() => {
  objects = new MemoryObjects();
  warnings = [];
});

const core = (resource: string): GroupResource => ({ group: '', resource });
const registration = (resource: string): GroupResource => ({ group: 'admissionregistration.k8s.io', resource });

function object(kind: string, name: string, more: object = {}, metadata: object = {}): KubeObject {
  return { apiVersion: 'v1', kind, metadata: { name, namespace: 'shop', ...metadata }, ...more };
}

function pod(name: string, containers: object[], spec: object = {}): KubeObject {
  return object('Pod', name, { spec: { containers, ...spec } });
}

function ask(
  resource: string,
  wanted: KubeObject,
  operation: AdmissionRequest['operation'] = 'CREATE',
  oldObject?: KubeObject,
): AdmissionRequest {
  const type = { group: '', version: 'v1', resource };
  const kind = { group: '', version: 'v1', kind: wanted.kind };
  return {
    operation,
    kind,
    resource: type,
    subresource: '',
    requestKind: kind,
    requestResource: type,
    equivalents: [],
    name: wanted.metadata.name ?? '',
    namespace: wanted.metadata.namespace ?? '',
    object: wanted,
    oldObject,
    options: {},
    dryRun: false,
    user: { username: 'jane', groups: ['devs'] },
    warn: (message) => warnings.push(message),
    convert: (one) => one,
    normalize: (one) => one,
    signal: new AbortController().signal,
  };
}

describe('limit ranges', () => {
  const limit = (item: object) =>
    objects.create(core('limitranges'), object('LimitRange', 'l', { spec: { limits: [item] } }));
  const refusal = (resource: string, wanted: KubeObject): string => {
    try {
      checkLimits(ask(resource, wanted), wanted, objects);
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  };

  test('fill in what containers do not ask for, and say so', () => {
    limit({ type: 'Container', default: { cpu: '200m', memory: '1Gi' }, defaultRequest: { cpu: '100m' } });
    const made = pod('p', [{ name: 'a', resources: { limits: { cpu: '1' } } }], { initContainers: [{ name: 'i' }] });
    applyLimitDefaults(made, 'shop', objects);
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
    applyLimitDefaults(made, 'elsewhere', objects);
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
    objects.create(
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
    objects.create(QUOTAS, object('ResourceQuota', name, { spec: { hard, ...spec } }));
  const refusal = (
    resource: string,
    wanted: KubeObject,
    operation: AdmissionRequest['operation'] = 'CREATE',
    old?: KubeObject,
  ) => {
    try {
      checkQuota(ask(resource, wanted, operation, old), wanted, objects);
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
    objects.create(
      core('services'),
      object('Service', 'a', { spec: { type: 'LoadBalancer', ports: [{ nodePort: 30001 }, { nodePort: 30002 }] } }),
    );
    objects.create(
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
    expect(usedOf(quota(hard) as ResourceQuota, (type) => objects.list(type, 'shop'))).toEqual({
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
    objects.create(core('configmaps'), object('ConfigMap', 'a'));
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
    objects.create(core('services'), service(2));
    expect(refusal('services', service(3), 'UPDATE', service(2))).toContain(
      'requested: services.nodeports=1, used: services.nodeports=2',
    );
    expect(refusal('services', service(1), 'UPDATE', service(2))).toBe('');
  });
});

describe('pod security', () => {
  const namespace = (labels: Record<string, string>) =>
    objects.create(core('namespaces'), { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels } });
  const refusal = (spec: object, resource = 'pods', group = ''): string => {
    const wanted =
      resource === 'pods' ? object('Pod', 'p', { spec }) : object('Deployment', 'd', { spec: { template: { spec } } });
    const request = ask(resource, wanted);
    try {
      checkPodSecurity({ ...request, resource: { ...request.resource, group } }, wanted, objects);
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
    checkPodSecurity(ask('pods', labelled, 'UPDATE', there), labelled, objects);
    const changed = pod('p', [{ name: 'a', image: 'other' }], { hostPID: true });
    expect(() => checkPodSecurity(ask('pods', changed, 'UPDATE', there), changed, objects)).toThrow('host namespaces');
  });

  test('warnings: of pods that come all the same, of workloads, of a namespace’s pods', () => {
    namespace({ 'pod-security.kubernetes.io/warn': 'baseline' });
    const spec = { hostPID: true, containers: [{ name: 'a' }] };
    expect(refusal(spec)).toBe('');
    expect(refusal(spec, 'deployments', 'apps')).toBe('');
    expect(warnings).toEqual(
      Array(2).fill('would violate PodSecurity "baseline:latest": host namespaces (hostPID=true)'),
    );
    objects.create(core('pods'), object('Pod', 'p', { spec }));
    const labelled = {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'shop', labels: { 'pod-security.kubernetes.io/enforce': 'baseline' } },
    };
    checkPodSecurity(ask('namespaces', labelled, 'UPDATE', object('Namespace', 'shop')), labelled, objects);
    expect(warnings.slice(2)).toEqual([
      'existing pods in namespace "shop" violate the new PodSecurity enforce level "baseline:latest"',
      'p: host namespaces',
    ]);
    const wrong = {
      ...labelled,
      metadata: { ...labelled.metadata, labels: { 'pod-security.kubernetes.io/enforce': 'strict' } },
    };
    expect(() => checkPodSecurity(ask('namespaces', wrong, 'CREATE'), wrong, objects)).toThrow(
      'must be one of privileged, baseline, restricted',
    );
  });
});

describe('admission policies', () => {
  const RULES = {
    resourceRules: [
      { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE', 'UPDATE'], resources: ['configmaps'] },
    ],
  };
  const install = (policy: object, binding: object = {}) => {
    objects.create(core('namespaces'), {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'shop', labels: { team: 'a' } },
    });
    const cluster = { namespace: '' };
    objects.create(
      registration('validatingadmissionpolicies'),
      object(
        'ValidatingAdmissionPolicy',
        'p',
        { spec: { matchConstraints: RULES, failurePolicy: 'Fail', ...policy } },
        cluster,
      ),
    );
    objects.create(
      registration('validatingadmissionpolicybindings'),
      object(
        'ValidatingAdmissionPolicyBinding',
        'b',
        { spec: { policyName: 'p', validationActions: ['Deny'], ...binding } },
        cluster,
      ),
    );
  };
  const check = (
    data: Record<string, string> | undefined,
    more: Partial<AdmissionRequest> = {},
  ): ApiError | undefined => {
    const wanted = object('ConfigMap', 'c', data ? { data } : {});
    try {
      checkPolicies({ ...ask('configmaps', wanted), ...more }, wanted, objects, () => undefined);
      return undefined;
    } catch (error) {
      return error as ApiError;
    }
  };

  test('deny with their own words, reason and code', () => {
    install({
      validations: [
        { expression: "!('bad' in object.data)", message: 'no bad', reason: 'Forbidden' },
        { expression: 'object.data.size() < 3', messageExpression: "'has ' + string(object.data.size())" },
      ],
    });
    expect(check({ a: '1' })).toBeUndefined();
    expect(check({ bad: '1' })).toMatchObject({
      code: 403,
      message: `configmaps "c" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no bad`,
    });
    expect(check({ a: '1', b: '2', d: '3' })).toMatchObject({
      code: 422,
      message: expect.stringContaining('denied request: has 3'),
    });
    expect(check(undefined)?.message).toContain(
      `expression '!('bad' in object.data)' resulted in error: no such key: data`,
    );
  });

  test('variables are worked out when they are read, and may read each other', () => {
    install({
      variables: [
        { name: 'keys', expression: 'object.data.map(k, k)' },
        { name: 'first', expression: 'variables.keys[0]' },
        { name: 'broken', expression: 'object.nothing' },
      ],
      validations: [{ expression: "variables.first == 'a'", message: 'first must be a' }],
    });
    expect(check({ a: '1' })).toBeUndefined();
    expect(check({ b: '1' })?.message).toContain('first must be a');
  });

  test('match conditions and selectors narrow them down', () => {
    install(
      {
        matchConditions: [{ name: 'jane', expression: "request.userInfo.username == 'jane'" }],
        validations: [{ expression: 'false' }],
      },
      { matchResources: { namespaceSelector: { matchLabels: { team: 'a' } } } },
    );
    expect(check({})?.message).toContain('failed expression: false');
    expect(check({}, { user: { username: 'joe', groups: [] } })).toBeUndefined();
    objects.update(core('namespaces'), {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'shop', labels: { team: 'b' } },
    });
    expect(check({})).toBeUndefined();
  });

  test('parameters: each one found is asked; none found is what the binding says', () => {
    const resolve = objects.resolve.bind(objects);
    objects.resolve = (wanted) =>
      wanted.kind === 'ConfigMap'
        ? { ...core('configmaps'), kind: 'ConfigMap', namespaced: true, versions: ['v1'] }
        : resolve(wanted);
    install(
      {
        paramKind: { apiVersion: 'v1', kind: 'ConfigMap' },
        validations: [
          {
            expression: 'object.data.size() <= int(params.data.max)',
            messageExpression: "'at most ' + params.data.max",
          },
        ],
      },
      { paramRef: { name: 'limits', parameterNotFoundAction: 'Deny' } },
    );
    expect(check({ a: '1' })?.message).toContain('no params found');
    objects.create(core('configmaps'), object('ConfigMap', 'limits', { data: { max: '1' } }));
    expect(check({ a: '1' })).toBeUndefined();
    expect(check({ a: '1', b: '2' })?.message).toContain('at most 1');
  });

  test('only warn, or fail open, when told so', () => {
    install(
      {
        failurePolicy: 'Ignore',
        validations: [{ expression: 'object.nothing == 1' }, { expression: 'false', message: 'hm' }],
      },
      { validationActions: ['Warn', 'Audit'] },
    );
    expect(check({})).toBeUndefined();
    expect(warnings).toEqual([`Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': hm`]);
  });
});
