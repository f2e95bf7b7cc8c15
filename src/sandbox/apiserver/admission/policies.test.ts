// SPDX-License-Identifier: Apache-2.0
import { beforeEach, describe, expect, test } from 'vitest';
import type { AdmissionRequest } from '../seams.ts';
import type { ApiError, GroupResource } from '../status.ts';
import { AdmissionScene, core, object } from './admission-request.fixture.ts';
import { checkPolicies } from './policies.ts';

let scene: AdmissionScene;

beforeEach(() => {
  scene = new AdmissionScene();
});

const registration = (resource: string): GroupResource => ({ group: 'admissionregistration.k8s.io', resource });

describe('admission policies', () => {
  const RULES = {
    resourceRules: [
      { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE', 'UPDATE'], resources: ['configmaps'] },
    ],
  };
  const install = (policy: object, binding: object = {}) => {
    scene.objects.create(core('namespaces'), {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'shop', labels: { team: 'a' } },
    });
    const cluster = { namespace: '' };
    scene.objects.create(
      registration('validatingadmissionpolicies'),
      object(
        'ValidatingAdmissionPolicy',
        'p',
        { spec: { matchConstraints: RULES, failurePolicy: 'Fail', ...policy } },
        cluster,
      ),
    );
    scene.objects.create(
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
      checkPolicies({ ...scene.ask('configmaps', wanted), ...more }, wanted, scene.objects, () => undefined);
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
    scene.objects.update(core('namespaces'), {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'shop', labels: { team: 'b' } },
    });
    expect(check({})).toBeUndefined();
  });

  test('parameters: each one found is asked; none found is what the binding says', () => {
    const resolve = scene.objects.resolve.bind(scene.objects);
    scene.objects.resolve = (wanted) =>
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
    scene.objects.create(core('configmaps'), object('ConfigMap', 'limits', { data: { max: '1' } }));
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
    expect(scene.warnings).toEqual([`Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': hm`]);
  });
});
