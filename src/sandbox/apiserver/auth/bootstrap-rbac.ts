// SPDX-License-Identifier: Apache-2.0
// The roles and bindings that a cluster starts with. Names and meaning as in
// https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings; the rules are for the
// resources that this server has.
import type { KubeObject } from '../../../kube/types.ts';
import { RBAC_GROUP } from './rbac-authorizer.ts';
import type { PolicyRule } from './rbac-rules.ts';

const READ = ['get', 'list', 'watch'];
const WRITE = ['create', 'delete', 'deletecollection', 'patch', 'update'];
const ALL_VERBS = [...WRITE, ...READ];
const BOOTSTRAP_LABEL = 'kubernetes.io/bootstrapping';
const AGGREGATE = `${RBAC_GROUP}/aggregate-to-`;

export function bootstrapRbac(): KubeObject[] {
  return [...userRoles(), ...discoveryRoles(), ...componentRoles()];
}

function rule(apiGroup: string, resources: string[], verbs: string[]): PolicyRule {
  return { apiGroups: [apiGroup], resources, verbs };
}

function paths(...nonResourceURLs: string[]): PolicyRule {
  return { verbs: ['get'], nonResourceURLs: nonResourceURLs.sort() };
}

const VIEW_RULES: PolicyRule[] = [
  rule('', ['bindings', 'configmaps', 'endpoints', 'events', 'limitranges', 'namespaces', 'namespaces/status'], READ),
  rule('', ['persistentvolumeclaims', 'persistentvolumeclaims/status', 'pods', 'pods/log', 'pods/status'], READ),
  rule('', ['replicationcontrollers', 'replicationcontrollers/scale', 'replicationcontrollers/status'], READ),
  rule('', ['resourcequotas', 'resourcequotas/status', 'serviceaccounts', 'services', 'services/status'], READ),
  rule('apps', ['controllerrevisions', 'daemonsets', 'daemonsets/status'], READ),
  rule('apps', ['deployments', 'deployments/scale', 'deployments/status'], READ),
  rule('apps', ['replicasets', 'replicasets/scale', 'replicasets/status'], READ),
  rule('apps', ['statefulsets', 'statefulsets/scale', 'statefulsets/status'], READ),
  rule('autoscaling', ['horizontalpodautoscalers', 'horizontalpodautoscalers/status'], READ),
  rule('batch', ['cronjobs', 'cronjobs/status', 'jobs', 'jobs/status'], READ),
  rule('discovery.k8s.io', ['endpointslices'], READ),
  rule('extensions', ['daemonsets', 'deployments', 'deployments/scale', 'ingresses', 'replicasets'], READ),
  rule('networking.k8s.io', ['ingresses', 'ingresses/status', 'networkpolicies'], READ),
  rule('policy', ['poddisruptionbudgets', 'poddisruptionbudgets/status'], READ),
];

const EDIT_RULES: PolicyRule[] = [
  rule('', ['configmaps', 'events', 'persistentvolumeclaims', 'replicationcontrollers', 'secrets'], WRITE),
  rule('', ['replicationcontrollers/scale', 'serviceaccounts', 'services', 'services/proxy'], WRITE),
  rule('', ['pods', 'pods/attach', 'pods/exec', 'pods/portforward', 'pods/proxy'], WRITE),
  rule('', ['pods/attach', 'pods/exec', 'pods/portforward', 'pods/proxy', 'secrets', 'services/proxy'], READ),
  rule('', ['pods/eviction', 'serviceaccounts/token'], ['create']),
  rule('', ['serviceaccounts'], ['impersonate']),
  rule('apps', ['daemonsets', 'deployments', 'deployments/rollback', 'deployments/scale'], WRITE),
  rule('apps', ['replicasets', 'replicasets/scale', 'statefulsets', 'statefulsets/scale'], WRITE),
  rule('autoscaling', ['horizontalpodautoscalers'], WRITE),
  rule('batch', ['cronjobs', 'jobs'], WRITE),
  rule('coordination.k8s.io', ['leases'], ALL_VERBS),
  rule('extensions', ['daemonsets', 'deployments', 'deployments/scale', 'ingresses', 'replicasets'], WRITE),
  rule('networking.k8s.io', ['ingresses', 'networkpolicies'], WRITE),
  rule('policy', ['poddisruptionbudgets'], WRITE),
];

const ADMIN_RULES: PolicyRule[] = [
  rule('authorization.k8s.io', ['localsubjectaccessreviews'], ['create']),
  rule(RBAC_GROUP, ['rolebindings', 'roles'], ALL_VERBS),
];

function userRoles(): KubeObject[] {
  const everything = [
    { apiGroups: ['*'], resources: ['*'], verbs: ['*'] },
    { nonResourceURLs: ['*'], verbs: ['*'] },
  ];
  return [
    clusterRole('cluster-admin', everything),
    clusterRoleBinding('cluster-admin', 'Group', ['system:masters']),
    clusterRole('admin', [...VIEW_RULES, ...EDIT_RULES, ...ADMIN_RULES], { aggregates: 'admin' }),
    clusterRole('edit', [...VIEW_RULES, ...EDIT_RULES], { aggregates: 'edit', into: ['admin'] }),
    clusterRole('view', VIEW_RULES, { aggregates: 'view', into: ['edit'] }),
    metricsReader(),
  ];
}

/** Whoever may see pods may see what they use. */
function metricsReader(): KubeObject {
  const role = clusterRole('system:aggregated-metrics-reader', [rule('metrics.k8s.io', ['nodes', 'pods'], READ)]);
  const into = ['admin', 'edit', 'view'].map((name) => [`${AGGREGATE}${name}`, 'true']);
  return { ...role, metadata: { ...role.metadata, labels: { ...role.metadata.labels, ...Object.fromEntries(into) } } };
}

function discoveryRoles(): KubeObject[] {
  const health = ['/healthz', '/livez', '/readyz', '/version', '/version/'];
  const discovery = ['/api', '/api/*', '/apis', '/apis/*', '/openapi', '/openapi/*', ...health];
  const issuer = [
    '/.well-known/openid-configuration',
    '/.well-known/openid-configuration/',
    '/openid/v1/jwks',
    '/openid/v1/jwks/',
  ];
  const self = ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'];
  return [
    clusterRole('system:discovery', [paths(...discovery)]),
    clusterRoleBinding('system:discovery', 'Group', ['system:authenticated']),
    clusterRole('system:basic-user', [
      rule('authorization.k8s.io', self, ['create']),
      rule('authentication.k8s.io', ['selfsubjectreviews'], ['create']),
    ]),
    clusterRoleBinding('system:basic-user', 'Group', ['system:authenticated']),
    clusterRole('system:public-info-viewer', [paths(...health)]),
    clusterRoleBinding('system:public-info-viewer', 'Group', ['system:authenticated', 'system:unauthenticated']),
    clusterRole('system:service-account-issuer-discovery', [paths(...issuer)]),
    clusterRoleBinding('system:service-account-issuer-discovery', 'Group', ['system:serviceaccounts']),
    // For whoever checks tokens by asking: bound by the component that needs it.
    clusterRole('system:auth-delegator', [
      rule('authentication.k8s.io', ['tokenreviews'], ['create']),
      rule('authorization.k8s.io', ['subjectaccessreviews'], ['create']),
    ]),
  ];
}

function componentRoles(): KubeObject[] {
  const events = [
    rule('', ['events'], ['create', 'patch', 'update']),
    rule('events.k8s.io', ['events'], ['create', 'patch', 'update']),
  ];
  const leases = rule('coordination.k8s.io', ['leases'], ['create', 'delete', 'get', 'patch', 'update']);
  return [
    // One identity runs all controllers, garbage collection included, which deletes whatever has lost its owner. It may
    // not escalate, bind or impersonate.
    clusterRole('system:kube-controller-manager', [{ apiGroups: ['*'], resources: ['*'], verbs: ALL_VERBS }]),
    clusterRoleBinding('system:kube-controller-manager', 'User', ['system:kube-controller-manager']),
    clusterRole('system:node', [
      rule('', ['configmaps', 'endpoints', 'namespaces', 'secrets', 'serviceaccounts', 'services'], READ),
      rule('', ['nodes'], ['create', 'get', 'list', 'patch', 'update', 'watch']),
      rule('', ['nodes/status'], ['patch', 'update']),
      rule('', ['persistentvolumeclaims', 'persistentvolumes'], ['get']),
      rule('', ['pods'], ['create', 'delete', ...READ]),
      rule('', ['pods/status'], ['patch', 'update']),
      rule('', ['serviceaccounts/token'], ['create']),
      rule('discovery.k8s.io', ['endpointslices'], READ),
      rule('authentication.k8s.io', ['tokenreviews'], ['create']),
      rule('authorization.k8s.io', ['localsubjectaccessreviews', 'subjectaccessreviews'], ['create']),
      leases,
      ...events,
    ]),
    clusterRoleBinding('system:node', 'Group', ['system:nodes']),
    clusterRole('system:isthmus-net', [
      rule('', ['endpoints', 'namespaces', 'nodes', 'pods', 'services'], READ),
      rule('discovery.k8s.io', ['endpointslices'], READ),
      ...events,
    ]),
    clusterRoleBinding('system:isthmus-net', 'User', ['system:isthmus-net']),
    // The stub domains of the cluster's DNS are told in ConfigMaps of kube-system.
    role('kube-system', 'system:isthmus-net', [rule('', ['configmaps'], READ)]),
    roleBinding('kube-system', 'system:isthmus-net', 'system:isthmus-net'),
  ];
}

const LABELS = { [BOOTSTRAP_LABEL]: 'rbac-defaults' };

function clusterRole(
  name: string,
  rules: readonly PolicyRule[],
  aggregation?: { aggregates: string; into?: readonly string[] },
): KubeObject {
  const into = (aggregation?.into ?? []).map((target) => [`${AGGREGATE}${target}`, 'true']);
  return {
    apiVersion: `${RBAC_GROUP}/v1`,
    kind: 'ClusterRole',
    metadata: { name, labels: { ...LABELS, ...Object.fromEntries(into) } },
    ...(aggregation && {
      aggregationRule: {
        clusterRoleSelectors: [{ matchLabels: { [`${AGGREGATE}${aggregation.aggregates}`]: 'true' } }],
      },
    }),
    rules,
  };
}

function clusterRoleBinding(name: string, kind: 'User' | 'Group', subjects: readonly string[]): KubeObject {
  return {
    apiVersion: `${RBAC_GROUP}/v1`,
    kind: 'ClusterRoleBinding',
    metadata: { name, labels: LABELS },
    subjects: subjects.map((subject) => ({ kind, apiGroup: RBAC_GROUP, name: subject })),
    roleRef: { apiGroup: RBAC_GROUP, kind: 'ClusterRole', name },
  };
}

function role(namespace: string, name: string, rules: readonly PolicyRule[]): KubeObject {
  return { apiVersion: `${RBAC_GROUP}/v1`, kind: 'Role', metadata: { name, namespace, labels: LABELS }, rules };
}

function roleBinding(namespace: string, name: string, user: string): KubeObject {
  return {
    apiVersion: `${RBAC_GROUP}/v1`,
    kind: 'RoleBinding',
    metadata: { name, namespace, labels: LABELS },
    subjects: [{ kind: 'User', apiGroup: RBAC_GROUP, name: user }],
    roleRef: { apiGroup: RBAC_GROUP, kind: 'Role', name },
  };
}
