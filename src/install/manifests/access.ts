// SPDX-License-Identifier: Apache-2.0
// Who in the mesh may do what with the Kubernetes API. Each rule is there because some code calls it.
import { KINDS } from '../../api/kinds.ts';
import type { KubeObject } from '../../kube/types.ts';
import { ISTIO_NAMESPACE } from '../values.ts';
import { clusterScoped, namespaced } from './metadata.ts';

export const CONTROL_PLANE_ACCOUNT = 'istiod';
export const COREDNS_ACCOUNT = 'istiocoredns-service-account';

const RBAC = 'rbac.authorization.k8s.io';
/** All that a watch needs. */
const WATCH = ['list', 'watch'];
const MESH_STATUSES = KINDS.map(({ plural }) => `${plural}/status`);

export function buildAccess(): KubeObject[] {
  return [
    serviceAccount(CONTROL_PLANE_ACCOUNT),
    clusterRole('istiod', [
      { apiGroups: [''], resources: ['services', 'pods', 'namespaces'], verbs: WATCH },
      { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: WATCH },
      { apiGroups: ['networking.istio.io', 'security.istio.io'], resources: ['*'], verbs: WATCH },
      // The object behind what Envoy refuses is read once more, for the Event about it.
      { apiGroups: [''], resources: ['services'], verbs: ['get'] },
      { apiGroups: ['networking.istio.io', 'security.istio.io'], resources: ['*'], verbs: ['get'] },
      // What is wrong with an object stands in its status: nothing else of it can be written.
      { apiGroups: ['networking.istio.io'], resources: MESH_STATUSES, verbs: ['patch'] },
      // Proxies prove themselves by their tokens.
      { apiGroups: ['authentication.k8s.io'], resources: ['tokenreviews'], verbs: ['create'] },
      // The root certificate goes to every namespace whose pods are in the mesh.
      { apiGroups: [''], resources: ['configmaps'], verbs: ['create'] },
      { apiGroups: [''], resources: ['configmaps'], resourceNames: ['istio-ca-root-cert'], verbs: ['get', 'patch'] },
      // What Envoy refuses is told to the owner of the object behind it.
      { apiGroups: [''], resources: ['events'], verbs: ['create', 'patch'] },
      ...['mutatingwebhookconfigurations', 'validatingwebhookconfigurations'].flatMap((resource) => [
        { apiGroups: ['admissionregistration.k8s.io'], resources: [resource], verbs: WATCH },
        {
          apiGroups: ['admissionregistration.k8s.io'],
          resources: [resource],
          resourceNames: [resource.startsWith('mutating') ? 'istio-sidecar-injector' : 'istio-validator'],
          verbs: ['get', 'patch'],
        },
      ]),
    ]),
    clusterRoleBinding('istiod', CONTROL_PLANE_ACCOUNT),
    {
      apiVersion: `${RBAC}/v1`,
      kind: 'Role',
      metadata: namespaced('istiod'),
      rules: [
        { apiGroups: [''], resources: ['configmaps'], verbs: WATCH },
        { apiGroups: [''], resources: ['secrets'], resourceNames: ['cacerts', 'istio-ca-secret'], verbs: ['get'] },
        { apiGroups: [''], resources: ['secrets'], verbs: ['create'] },
        // One replica writes the statuses.
        { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['create'] },
        {
          apiGroups: ['coordination.k8s.io'],
          resources: ['leases'],
          resourceNames: ['isthmus-status-writer'],
          verbs: ['get', 'patch'],
        },
      ],
    },
    {
      apiVersion: `${RBAC}/v1`,
      kind: 'RoleBinding',
      metadata: namespaced('istiod'),
      roleRef: { apiGroup: RBAC, kind: 'Role', name: 'istiod' },
      subjects: [subject(CONTROL_PLANE_ACCOUNT)],
    },
  ];
}

export function buildCoreDnsAccess(): KubeObject[] {
  return [
    serviceAccount(COREDNS_ACCOUNT),
    clusterRole('istiocoredns', [{ apiGroups: ['networking.istio.io'], resources: ['serviceentries'], verbs: WATCH }]),
    clusterRoleBinding('istiocoredns', COREDNS_ACCOUNT),
  ];
}

export function serviceAccount(name: string): KubeObject {
  return { apiVersion: 'v1', kind: 'ServiceAccount', metadata: namespaced(name) };
}

function clusterRole(name: string, rules: readonly Record<string, unknown>[]): KubeObject {
  return {
    apiVersion: `${RBAC}/v1`,
    kind: 'ClusterRole',
    metadata: clusterScoped(`${name}-${ISTIO_NAMESPACE}`),
    rules,
  };
}

function clusterRoleBinding(name: string, account: string): KubeObject {
  return {
    apiVersion: `${RBAC}/v1`,
    kind: 'ClusterRoleBinding',
    metadata: clusterScoped(`${name}-${ISTIO_NAMESPACE}`),
    roleRef: { apiGroup: RBAC, kind: 'ClusterRole', name: `${name}-${ISTIO_NAMESPACE}` },
    subjects: [subject(account)],
  };
}

function subject(account: string): Record<string, unknown> {
  return { kind: 'ServiceAccount', name: account, namespace: ISTIO_NAMESPACE };
}
