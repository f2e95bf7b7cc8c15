// SPDX-License-Identifier: Apache-2.0

import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { rounds } from '#test/fixture/counts.ts';
import { MemoryObjects } from '../memory-objects.fixture.ts';
import type { Attributes, UserInfo } from '../seams.ts';
import { accessDenied } from './access-denied.ts';
import { bootstrapRbac } from './bootstrap-rbac.ts';
import { RBAC_GROUP, RbacAuthorizer, type RbacObject } from './rbac-authorizer.ts';
import { formatRule, type PolicyRule, ruleAllows, uncoveredRules } from './rbac-rules.ts';

const apiVersion = `${RBAC_GROUP}/v1`;
let objects: MemoryObjects;
let authorizer: RbacAuthorizer;

function add(object: Partial<RbacObject> & Pick<RbacObject, 'kind' | 'metadata'>): void {
  objects.create({ group: RBAC_GROUP, resource: `${object.kind.toLowerCase()}s` }, {
    ...object,
    apiVersion,
  } as RbacObject);
}

beforeEach(() => {
  objects = new MemoryObjects();
  authorizer = new RbacAuthorizer(objects);
  for (const object of bootstrapRbac()) add(object as RbacObject);
});

function user(username: string, ...groups: string[]): UserInfo {
  return { username, groups: [...groups, 'system:authenticated'] };
}

/** "get pods/log web in shop" or "get /version". */
function request(text: string): Attributes {
  const [verb = '', what = '', ...rest] = text.split(' ');
  const isResource = !what.startsWith('/');
  const [typeText = '', subresource = ''] = isResource ? what.split('/') : ['', ''];
  const [resource = '', ...group] = typeText.split('.');
  const at = rest.indexOf('in');
  return {
    verb,
    isResource,
    group: group.join('.'),
    version: 'v1',
    resource,
    subresource,
    namespace: at >= 0 ? (rest[at + 1] ?? '') : '',
    name: at === 0 ? '' : (rest[0] ?? ''),
    path: isResource ? '' : what,
  };
}

describe('one rule', () => {
  const cases: [PolicyRule, string, boolean][] = [
    [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }, 'get pods web in shop', true],
    [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }, 'list pods in shop', false],
    [{ verbs: ['*'], apiGroups: [''], resources: ['pods'] }, 'delete pods web in shop', true],
    [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }, 'get pods/log web in shop', false],
    [{ verbs: ['get'], apiGroups: [''], resources: ['pods/log'] }, 'get pods/log web in shop', true],
    [{ verbs: ['get'], apiGroups: [''], resources: ['pods/log'] }, 'get pods web in shop', false],
    [{ verbs: ['get'], apiGroups: ['*'], resources: ['*/scale'] }, 'get deployments.apps/scale web in shop', true],
    [{ verbs: ['get'], apiGroups: ['*'], resources: ['*/scale'] }, 'get deployments.apps web in shop', false],
    [{ verbs: ['get'], apiGroups: [''], resources: ['*'] }, 'get pods/log web in shop', true],
    [{ verbs: ['get'], apiGroups: [''], resources: ['*'] }, 'get deployments.apps web in shop', false],
    [{ verbs: ['get'], apiGroups: [''], resources: ['secrets'], resourceNames: ['a'] }, 'get secrets a in shop', true],
    [{ verbs: ['get'], apiGroups: [''], resources: ['secrets'], resourceNames: ['a'] }, 'get secrets b in shop', false],
    [{ verbs: ['list'], apiGroups: [''], resources: ['secrets'], resourceNames: ['a'] }, 'list secrets in shop', false],
    [{ verbs: ['get'], nonResourceURLs: ['/version'] }, 'get /version', true],
    [{ verbs: ['get'], nonResourceURLs: ['/version'] }, 'get /version/x', false],
    [{ verbs: ['get'], nonResourceURLs: ['/apis/*'] }, 'get /apis/apps/v1', true],
    [{ verbs: ['get'], nonResourceURLs: ['*'] }, 'get /metrics', true],
    [{ verbs: ['get'], nonResourceURLs: ['*'] }, 'get pods web in shop', false],
    [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }, 'get /metrics', false],
  ];
  test.each(cases)('%j: %s', (rule, text, allowed) => {
    expect(ruleAllows(rule, request(text))).toBe(allowed);
  });
});

test('a role binding counts in its namespace only, a cluster role binding everywhere', () => {
  add({
    kind: 'Role',
    metadata: { name: 'reader', namespace: 'a' },
    rules: [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }],
  });
  add({
    kind: 'RoleBinding',
    metadata: { name: 'reader', namespace: 'a' },
    roleRef: { kind: 'Role', name: 'reader' },
    subjects: [{ kind: 'ServiceAccount', name: 'bot', namespace: 'b' }],
  });
  add({
    kind: 'ClusterRoleBinding',
    metadata: { name: 'jane' },
    roleRef: { kind: 'ClusterRole', name: 'view' },
    subjects: [{ kind: 'User', name: 'jane' }],
  });
  const bot = user('system:serviceaccount:b:bot');
  expect(authorizer.authorize(bot, request('get pods x in a'))).toEqual({
    allowed: true,
    reason: 'RBAC: allowed by RoleBinding "reader/a" of Role "reader" to ServiceAccount "bot/b"',
  });
  expect(authorizer.authorize(bot, request('get pods x in b')).allowed).toBe(false);
  expect(authorizer.authorize(bot, request('get pods x')).allowed).toBe(false);
  expect(authorizer.authorize(user('jane'), request('list pods'))).toEqual({
    allowed: true,
    reason: 'RBAC: allowed by ClusterRoleBinding "jane" of ClusterRole "view" to User "jane"',
  });
  expect(authorizer.authorize(user('jane'), request('get secrets x in a')).allowed).toBe(false);
});

test('a binding to a role that is not there is told', () => {
  add({
    kind: 'ClusterRoleBinding',
    metadata: { name: 'lost' },
    roleRef: { kind: 'ClusterRole', name: 'nosuch' },
    subjects: [{ kind: 'User', name: 'jane' }],
  });
  expect(authorizer.authorize(user('jane'), request('list pods'))).toEqual({
    allowed: false,
    reason: 'RBAC: clusterrole.rbac.authorization.k8s.io "nosuch" not found',
  });
});

test('roles aggregate by label', () => {
  add({
    kind: 'ClusterRole',
    metadata: { name: 'mesh-view', labels: { 'rbac.authorization.k8s.io/aggregate-to-view': 'true' } },
    rules: [{ verbs: ['get'], apiGroups: ['networking.istio.io'], resources: ['gateways'] }],
  });
  add({
    kind: 'RoleBinding',
    metadata: { name: 'v', namespace: 'a' },
    roleRef: { kind: 'ClusterRole', name: 'view' },
    subjects: [{ kind: 'Group', name: 'watchers' }],
  });
  expect(authorizer.authorize(user('x', 'watchers'), request('get gateways.networking.istio.io g in a')).allowed).toBe(
    true,
  );
});

test('what the components may do from the start, and what not', () => {
  const node = user('system:node:cluster1-node', 'system:nodes');
  const net = user('system:isthmus-net');
  const controllers = user('system:kube-controller-manager');
  const anonymous: UserInfo = { username: 'system:anonymous', groups: ['system:unauthenticated'] };
  const table: [UserInfo, string, boolean][] = [
    [user('admin', 'system:masters'), 'delete secrets x in kube-system', true],
    [node, 'patch pods/status x in a', true],
    [node, 'create serviceaccounts/token bot in a', true],
    [node, 'patch pods x in a', false],
    [node, 'create deployments.apps in a', false],
    [net, 'watch endpointslices.discovery.k8s.io', true],
    [net, 'get secrets x in a', false],
    [net, 'list configmaps in kube-system', true],
    [net, 'list configmaps in a', false],
    [controllers, 'delete widgets.example.com x in a', true],
    [controllers, 'impersonate users jane', false],
    [controllers, 'escalate clusterroles.rbac.authorization.k8s.io x', false],
    [anonymous, 'get /healthz', true],
    [anonymous, 'get /version', true],
    [anonymous, 'get /api', false],
    [anonymous, 'list pods in default', false],
    [user('jane'), 'get /apis/apps/v1', true],
    [user('jane'), 'create selfsubjectaccessreviews.authorization.k8s.io', true],
    [user('jane'), 'create tokenreviews.authentication.k8s.io', false],
  ];
  for (const [who, text, allowed] of table) {
    expect(authorizer.authorize(who, request(text)).allowed, `${who.username}: ${text}`).toBe(allowed);
  }
});

test('refusals are worded as recorded', () => {
  const bot = user('system:serviceaccount:rec-sa:bot');
  const message = (who: UserInfo, text: string) => accessDenied(who, request(text), '').message;
  expect(message(bot, 'list configmaps in rec-sa')).toBe(
    'configmaps is forbidden: User "system:serviceaccount:rec-sa:bot" cannot list resource "configmaps" in API group "" in the namespace "rec-sa"',
  );
  expect(message(bot, 'list namespaces')).toBe(
    'namespaces is forbidden: User "system:serviceaccount:rec-sa:bot" cannot list resource "namespaces" in API group "" at the cluster scope',
  );
  expect(message(user('jane'), 'delete pods x in rec-rb')).toBe(
    'pods "x" is forbidden: User "jane" cannot delete resource "pods" in API group "" in the namespace "rec-rb"',
  );
  expect(message({ username: 'system:anonymous', groups: [] }, 'get /')).toBe(
    'forbidden: User "system:anonymous" cannot get path "/"',
  );
});

const word = (...values: string[]) => fc.subarray(values, { minLength: 1 });
const anyRule = fc.record({
  verbs: word('get', 'list', 'create', '*'),
  apiGroups: word('', 'apps', '*'),
  resources: word('pods', 'pods/log', 'deployments', '*', '*/scale'),
  resourceNames: fc.oneof(fc.constant([]), word('a', 'b')),
});

test('law: rules cover themselves, and what nobody covers is told in full', () => {
  fc.assert(
    fc.property(fc.array(anyRule, { maxLength: 4 }), (rules) => {
      expect(uncoveredRules(rules, rules)).toEqual([]);
      expect(uncoveredRules([], rules).length > 0).toBe(rules.length > 0);
    }),
    { seed: 3, numRuns: rounds(300) },
  );
});

test('law: what is covered never allows more than what covers it', () => {
  const requests = ['get', 'list', 'create', 'delete'].flatMap((verb) =>
    ['pods a in x', 'pods/log a in x', 'deployments.apps b in x', 'deployments.apps/scale b in x', 'pods in x'].map(
      (what) => request(`${verb} ${what}`),
    ),
  );
  fc.assert(
    fc.property(fc.array(anyRule, { maxLength: 3 }), fc.array(anyRule, { maxLength: 2 }), (held, wanted) => {
      if (uncoveredRules(held, wanted).length > 0) return;
      for (const one of requests) {
        if (wanted.some((rule) => ruleAllows(rule, one))) {
          expect(held.some((rule) => ruleAllows(rule, one))).toBe(true);
        }
      }
    }),
    { seed: 3, numRuns: rounds(2000) },
  );
});

test('rules are written as recorded', () => {
  const [missing] = uncoveredRules([], [{ verbs: ['*'], apiGroups: [''], resources: ['secrets'] }]);
  expect(formatRule(missing!)).toBe('{APIGroups:[""], Resources:["secrets"], Verbs:["*"]}');
});
