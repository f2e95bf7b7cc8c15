// SPDX-License-Identifier: Apache-2.0
import { beforeEach, describe, expect, test } from 'vitest';
import type { KubeObject } from '../../../kube/types.ts';
import { bootstrapRbac } from '../auth/bootstrap-rbac.ts';
import { RBAC_GROUP, RbacAuthorizer } from '../auth/rbac-authorizer.ts';
import { SERVICE_ACCOUNTS } from '../auth/token-service.ts';
import { MemoryObjects } from '../memory-objects.fixture.ts';
import type { Admission, AdmissionRequest, UserInfo } from '../seams.ts';
import { createAdmission } from './chain.ts';
import type { Pod } from './pod-types.ts';

let objects: MemoryObjects;
let admission: Admission;

beforeEach(() => {
  objects = new MemoryObjects();
  for (const object of bootstrapRbac()) {
    objects.create({ group: RBAC_GROUP, resource: `${object.kind.toLowerCase()}s` }, object);
  }
  admission = createAdmission({ objects, log: () => undefined }, new RbacAuthorizer(objects), () => 0);
  addAccount('default');
});

function addAccount(name: string, more: object = {}): void {
  objects.create(SERVICE_ACCOUNTS, {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name, namespace: 'shop' },
    ...more,
  });
}

const ADMIN: UserInfo = { username: 'admin', groups: ['system:masters', 'system:authenticated'] };

function create(group: string, resource: string, object: KubeObject, user = ADMIN): AdmissionRequest {
  const kind = { group, version: 'v1', kind: object.kind };
  return {
    operation: 'CREATE',
    kind,
    resource: { group, version: 'v1', resource },
    subresource: '',
    requestKind: kind,
    requestResource: { group, version: 'v1', resource },
    equivalents: [],
    name: object.metadata.name ?? '',
    namespace: object.metadata.namespace ?? '',
    object,
    oldObject: undefined,
    options: {},
    dryRun: false,
    user,
    warn: () => undefined,
    convert: (one) => one,
    normalize: (one) => one,
    signal: new AbortController().signal,
  };
}

async function admitPod(spec: object = {}): Promise<Pod> {
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'shop' },
    spec: { containers: [{ name: 'c' }], initContainers: [{ name: 'i' }], ...spec },
  };
  return (await admission.mutate(create('', 'pods', pod))) as Pod;
}

describe('pods', () => {
  test('get the default service account and its token, in every container', async () => {
    const { spec } = await admitPod();
    expect(spec.serviceAccountName).toBe('default');
    const volume = spec.volumes?.[0];
    expect(volume?.name).toMatch(/^kube-api-access-[b-z2-9]{5}$/);
    expect(volume?.projected).toEqual({
      defaultMode: 420,
      sources: [
        { serviceAccountToken: { expirationSeconds: 3607, path: 'token' } },
        { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
        {
          downwardAPI: {
            items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }],
          },
        },
      ],
    });
    const mount = { name: volume?.name, readOnly: true, mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' };
    expect(spec.containers).toMatchObject([{ volumeMounts: [mount] }]);
    expect(spec.initContainers).toMatchObject([{ volumeMounts: [mount] }]);
  });

  test('may refuse the token, by themselves or by their account; the pod has the last word', async () => {
    addAccount('shy', { automountServiceAccountToken: false });
    expect((await admitPod({ automountServiceAccountToken: false })).spec.volumes).toBeUndefined();
    expect((await admitPod({ serviceAccountName: 'shy' })).spec.volumes).toBeUndefined();
    const insists = { serviceAccountName: 'shy', automountServiceAccountToken: true };
    expect((await admitPod(insists)).spec.volumes).toHaveLength(1);
  });

  test('that mount something of their own there keep it', async () => {
    const volumeMounts = [{ name: 'mine', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' }];
    const { spec } = await admitPod({ containers: [{ name: 'c', volumeMounts }], initContainers: [] });
    expect(spec.containers?.[0]?.volumeMounts).toEqual(volumeMounts);
    expect(spec.volumes).toBeUndefined();
  });

  test('without their account are refused as recorded', async () => {
    await expect(admitPod({ serviceAccountName: 'nosuch' })).rejects.toThrow(
      'pods "p" is forbidden: error looking up service account shop/nosuch: serviceaccount "nosuch" not found',
    );
  });

  test('wait a moment for the default account of a new namespace', async () => {
    objects.delete(SERVICE_ACCOUNTS, 'shop', 'default');
    setTimeout(() => addAccount('default'), 50);
    expect((await admitPod()).spec.serviceAccountName).toBe('default');
  });

  test('of an unknown priority class are refused as recorded', async () => {
    objects.resolve = () => undefined;
    await expect(admitPod({ priorityClassName: 'nosuch' })).rejects.toThrow(
      'pods "p" is forbidden: no PriorityClass with name nosuch was found',
    );
  });

  test('tolerate an absent node for five minutes', async () => {
    const own = [{ key: 'node.kubernetes.io/not-ready', effect: 'NoExecute', tolerationSeconds: 1 }];
    const { spec } = await admitPod({ tolerations: own });
    expect(spec.tolerations?.map(({ key, tolerationSeconds }) => [key, tolerationSeconds])).toEqual([
      ['node.kubernetes.io/not-ready', 1],
      ['node.kubernetes.io/unreachable', 300],
    ]);
  });
});

describe('nobody gives away what he does not have', () => {
  const jane: UserInfo = { username: 'jane', groups: ['system:authenticated'] };
  const metadata = { name: 'big', namespace: 'rec-rb' };
  const apiVersion = `${RBAC_GROUP}/v1`;
  const big: KubeObject = {
    apiVersion,
    kind: 'Role',
    metadata,
    rules: [{ verbs: ['*'], apiGroups: [''], resources: ['secrets'] }],
  };
  const binding = (role: object): KubeObject => ({
    apiVersion,
    kind: 'RoleBinding',
    metadata,
    roleRef: { apiGroup: RBAC_GROUP, ...role },
    subjects: [{ kind: 'User', name: 'jane' }],
  });
  const validate = (resource: string, object: KubeObject, user: UserInfo) =>
    admission.validate(create(RBAC_GROUP, resource, object, user));

  test('by a role, in the words of the recording', async () => {
    await expect(validate('roles', big, jane)).rejects.toThrow(
      'roles.rbac.authorization.k8s.io "big" is forbidden: user "jane" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["secrets"], Verbs:["*"]}',
    );
    await validate('roles', big, ADMIN);
  });

  test('by a binding, unless the role may be bound', async () => {
    await expect(validate('rolebindings', binding({ kind: 'ClusterRole', name: 'view' }), jane)).rejects.toThrow(
      '{APIGroups:[""], Resources:["bindings"], Verbs:["get" "list" "watch"]}',
    );
    await expect(validate('rolebindings', binding({ kind: 'ClusterRole', name: 'nosuch' }), jane)).rejects.toThrow(
      'not found',
    );
    objects.create(
      { group: RBAC_GROUP, resource: 'clusterroles' },
      {
        apiVersion,
        kind: 'ClusterRole',
        metadata: { name: 'binder' },
        rules: [{ verbs: ['bind'], apiGroups: [RBAC_GROUP], resources: ['clusterroles'], resourceNames: ['view'] }],
      },
    );
    objects.create(
      { group: RBAC_GROUP, resource: 'clusterrolebindings' },
      {
        apiVersion,
        kind: 'ClusterRoleBinding',
        metadata: { name: 'binder' },
        roleRef: { kind: 'ClusterRole', name: 'binder' },
        subjects: [{ kind: 'User', name: 'jane' }],
      },
    );
    await validate('rolebindings', binding({ kind: 'ClusterRole', name: 'view' }), jane);
    await expect(validate('rolebindings', binding({ kind: 'ClusterRole', name: 'edit' }), jane)).rejects.toThrow(
      'not currently held',
    );
  });

  test('what one holds may be given', async () => {
    objects.create(
      { group: RBAC_GROUP, resource: 'rolebindings' },
      {
        ...binding({ kind: 'ClusterRole', name: 'admin' }),
        metadata: { name: 'jane', namespace: 'rec-rb' },
      },
    );
    await validate('rolebindings', binding({ kind: 'ClusterRole', name: 'view' }), jane);
    await expect(
      validate('rolebindings', binding({ kind: 'ClusterRole', name: 'cluster-admin' }), jane),
    ).rejects.toThrow('not currently held');
  });
});
