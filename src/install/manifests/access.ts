// SPDX-License-Identifier: Apache-2.0
// Who in the mesh may do what with the Kubernetes API. Each rule is there because some code calls it.
import { DESTINATION_RULE } from '../../api/destination-rule.ts';
import { FEDERATION_LEASE, PEER_ACCOUNT } from '../../api/export-names.ts';
import { EXPORTED_SERVICE } from '../../api/exported-service.ts';
import { KINDS } from '../../api/kinds.ts';
import { SERVICE_ENTRY } from '../../api/service-entry.ts';
import { SERVICE_EXPORT, SERVICE_IMPORT } from '../../api/service-export.ts';
import { VIRTUAL_SERVICE } from '../../api/virtual-service.ts';
import type { KubeObject } from '../../kube/types.ts';
import { ISTIO_NAMESPACE, type Values } from '../values/values.ts';
import { clusterScoped, namespaced } from './metadata.ts';

export const CONTROL_PLANE_ACCOUNT = 'istiod';
/** Of a cluster whose pilot is another cluster's. */
export const CITADEL_ACCOUNT = 'istio-citadel-service-account';
export const INJECTOR_ACCOUNT = 'istio-sidecar-injector-service-account';
export const COREDNS_ACCOUNT = 'istiocoredns-service-account';

const RBAC = 'rbac.authorization.k8s.io';
/** All that a watch needs. */
export const WATCH = ['list', 'watch'];
const KIND_GROUPS = [...new Set(KINDS.map(({ group }) => group))];
/** Those of kinds that are still to come too: what is of no use is told of. */
export const MESH_GROUPS = [...new Set([...KIND_GROUPS, 'security.istio.io'])];
const MESH_STATUSES = KINDS.map(({ plural }) => `${plural}/status`);

/** Proxies prove themselves by their tokens. */
const REVIEW_TOKENS = { apiGroups: ['authentication.k8s.io'], resources: ['tokenreviews'], verbs: ['create'] };
/** What Envoy refuses, and what goes wrong in the plane, is told to the owner of the object behind it. */
const TELL = { apiGroups: [''], resources: ['events'], verbs: ['create', 'patch'] };
/** The root certificate goes to every namespace whose pods are in the mesh. */
const DISTRIBUTE_ROOT = [
  { apiGroups: [''], resources: ['configmaps'], verbs: ['create'] },
  { apiGroups: [''], resources: ['configmaps'], resourceNames: ['istio-ca-root-cert'], verbs: ['get', 'patch'] },
];
/** Where all users of a node are one, redirect rules are others; and what addresses pods have shows in their nodes. */
const SEE_NODES = { apiGroups: [''], resources: ['nodes'], verbs: ['list'] };

/** What is exported is read and told; what other clusters export becomes objects here. */
const FEDERATE = [
  { apiGroups: [SERVICE_EXPORT.group], resources: [SERVICE_EXPORT.plural, SERVICE_IMPORT.plural], verbs: WATCH },
  ...[EXPORTED_SERVICE, SERVICE_IMPORT, SERVICE_ENTRY, DESTINATION_RULE, VIRTUAL_SERVICE].map(({ group, plural }) => ({
    apiGroups: [group],
    resources: [plural],
    verbs: ['create', 'update', 'delete'],
  })),
  ...[SERVICE_EXPORT, SERVICE_IMPORT].map(({ group, plural }) => ({
    apiGroups: [group],
    resources: [`${plural}/status`],
    verbs: ['patch'],
  })),
];

/** Of the whole control plane. */
export function buildAccess({ security }: Values): KubeObject[] {
  return account(CONTROL_PLANE_ACCOUNT, 'istiod', {
    everywhere: [
      { apiGroups: [''], resources: ['services', 'pods', 'namespaces', 'nodes'], verbs: WATCH },
      { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: WATCH },
      { apiGroups: MESH_GROUPS, resources: ['*'], verbs: WATCH },
      // The object behind what Envoy refuses is read once more, for the Event about it.
      { apiGroups: [''], resources: ['services'], verbs: ['get'] },
      { apiGroups: MESH_GROUPS, resources: ['*'], verbs: ['get'] },
      ...FEDERATE,
      // What is wrong with an object stands in its status: nothing else of it can be written.
      { apiGroups: KIND_GROUPS, resources: MESH_STATUSES, verbs: ['patch'] },
      REVIEW_TOKENS,
      ...DISTRIBUTE_ROOT,
      TELL,
      ...writeWebhooks('mutatingwebhookconfigurations', 'istio-sidecar-injector'),
      ...writeWebhooks('validatingwebhookconfigurations', 'istio-validator'),
    ],
    here: [
      { apiGroups: [''], resources: ['configmaps'], verbs: WATCH },
      // Other clusters come as secrets with a label, by which RBAC cannot select (docs/decisions/0017).
      { apiGroups: [''], resources: ['secrets'], verbs: WATCH },
      ...readCa(security),
      // One replica writes the statuses, and one what is exported and imported.
      { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['create'] },
      {
        apiGroups: ['coordination.k8s.io'],
        resources: ['leases'],
        resourceNames: ['isthmus-status-writer', FEDERATION_LEASE],
        verbs: ['get', 'patch'],
      },
    ],
  });
}

/** By which the other clusters of the mesh read what this one exports, and the rules that are for them too. */
export function buildPeerAccess(): KubeObject[] {
  const rules = [EXPORTED_SERVICE, VIRTUAL_SERVICE, DESTINATION_RULE].map(({ group, plural }) => ({
    apiGroups: [group],
    resources: [plural],
    verbs: WATCH,
  }));
  return [
    serviceAccount(PEER_ACCOUNT),
    clusterRole(PEER_ACCOUNT, rules),
    clusterRoleBinding(PEER_ACCOUNT, PEER_ACCOUNT),
  ];
}

/** Of the CA and the injector where the pilot is another cluster's: neither reads a mesh object. */
export function buildRemoteAccess({ security }: Values): KubeObject[] {
  const namespaces = { apiGroups: [''], resources: ['namespaces'], verbs: WATCH };
  return [
    ...account(CITADEL_ACCOUNT, 'istio-citadel', {
      everywhere: [namespaces, REVIEW_TOKENS, ...DISTRIBUTE_ROOT, TELL],
      here: readCa(security),
    }),
    ...account(INJECTOR_ACCOUNT, 'istio-sidecar-injector', {
      everywhere: [
        namespaces,
        ...DISTRIBUTE_ROOT,
        SEE_NODES,
        TELL,
        ...writeWebhooks('mutatingwebhookconfigurations', 'istio-sidecar-injector'),
      ],
      // It proves itself with a certificate of the CA.
      here: [{ apiGroups: [''], resources: ['configmaps'], verbs: WATCH }, ...readCa(security)],
    }),
  ];
}

type Rule = Readonly<Record<string, unknown>>;

/** A ServiceAccount with a ClusterRole and, for istio-system alone, a Role. */
function account(
  name: string,
  role: string,
  rules: { everywhere: readonly Rule[]; here: readonly Rule[] },
): KubeObject[] {
  return [
    serviceAccount(name),
    clusterRole(role, rules.everywhere),
    clusterRoleBinding(role, name),
    { apiVersion: `${RBAC}/v1`, kind: 'Role', metadata: namespaced(role), rules: rules.here },
    {
      apiVersion: `${RBAC}/v1`,
      kind: 'RoleBinding',
      metadata: namespaced(role),
      roleRef: { apiGroup: RBAC, kind: 'Role', name: role },
      subjects: [subject(name)],
    },
  ];
}

/** A root of its own is made, and kept, only where none has to be given. */
function readCa({ selfSigned }: Values['security']): Rule[] {
  const secrets = { apiGroups: [''], resources: ['secrets'] };
  return selfSigned
    ? [
        { ...secrets, resourceNames: ['cacerts', 'istio-ca-secret'], verbs: ['get'] },
        { ...secrets, verbs: ['create'] },
      ]
    : [{ ...secrets, resourceNames: ['cacerts'], verbs: ['get'] }];
}

/** The CA's root goes into them. */
function writeWebhooks(resource: string, name: string): Rule[] {
  const apiGroups = ['admissionregistration.k8s.io'];
  return [
    { apiGroups, resources: [resource], verbs: WATCH },
    { apiGroups, resources: [resource], resourceNames: [name], verbs: ['get', 'patch'] },
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

export function clusterRole(name: string, rules: readonly Rule[]): KubeObject {
  return {
    apiVersion: `${RBAC}/v1`,
    kind: 'ClusterRole',
    metadata: clusterScoped(`${name}-${ISTIO_NAMESPACE}`),
    rules,
  };
}

export function clusterRoleBinding(name: string, account: string): KubeObject {
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
