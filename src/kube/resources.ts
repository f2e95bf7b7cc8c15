// SPDX-License-Identifier: Apache-2.0
// The resource types that are known by name. Everything else comes from discovery.
import type { ResourceType } from './types.ts';

function resource(group: string, version: string, plural: string, kind: string, namespaced = true): ResourceType {
  return Object.freeze({ group, version, resource: plural, kind, namespaced });
}

export const BINDINGS = resource('', 'v1', 'bindings', 'Binding');
export const CONFIG_MAPS = resource('', 'v1', 'configmaps', 'ConfigMap');
export const ENDPOINTS = resource('', 'v1', 'endpoints', 'Endpoints');
export const EVENTS = resource('', 'v1', 'events', 'Event');
export const NAMESPACES = resource('', 'v1', 'namespaces', 'Namespace', false);
export const NODES = resource('', 'v1', 'nodes', 'Node', false);
export const PODS = resource('', 'v1', 'pods', 'Pod');
export const SECRETS = resource('', 'v1', 'secrets', 'Secret');
export const SERVICE_ACCOUNTS = resource('', 'v1', 'serviceaccounts', 'ServiceAccount');
export const SERVICES = resource('', 'v1', 'services', 'Service');

export const DEPLOYMENTS = resource('apps', 'v1', 'deployments', 'Deployment');
export const REPLICA_SETS = resource('apps', 'v1', 'replicasets', 'ReplicaSet');
export const STATEFUL_SETS = resource('apps', 'v1', 'statefulsets', 'StatefulSet');
export const DAEMON_SETS = resource('apps', 'v1', 'daemonsets', 'DaemonSet');
export const CONTROLLER_REVISIONS = resource('apps', 'v1', 'controllerrevisions', 'ControllerRevision');
export const JOBS = resource('batch', 'v1', 'jobs', 'Job');
export const CRON_JOBS = resource('batch', 'v1', 'cronjobs', 'CronJob');
export const POD_DISRUPTION_BUDGETS = resource('policy', 'v1', 'poddisruptionbudgets', 'PodDisruptionBudget');
export const PERSISTENT_VOLUME_CLAIMS = resource('', 'v1', 'persistentvolumeclaims', 'PersistentVolumeClaim');
export const PERSISTENT_VOLUMES = resource('', 'v1', 'persistentvolumes', 'PersistentVolume', false);
export const STORAGE_CLASSES = resource('storage.k8s.io', 'v1', 'storageclasses', 'StorageClass', false);
export const ENDPOINT_SLICES = resource('discovery.k8s.io', 'v1', 'endpointslices', 'EndpointSlice');
export const LEASES = resource('coordination.k8s.io', 'v1', 'leases', 'Lease');

export const CRDS = resource(
  'apiextensions.k8s.io',
  'v1',
  'customresourcedefinitions',
  'CustomResourceDefinition',
  false,
);
const ADMISSION = 'admissionregistration.k8s.io';
export const MUTATING_WEBHOOKS = resource(
  ADMISSION,
  'v1',
  'mutatingwebhookconfigurations',
  'MutatingWebhookConfiguration',
  false,
);
export const VALIDATING_WEBHOOKS = resource(
  ADMISSION,
  'v1',
  'validatingwebhookconfigurations',
  'ValidatingWebhookConfiguration',
  false,
);

const RBAC = 'rbac.authorization.k8s.io';
export const CLUSTER_ROLES = resource(RBAC, 'v1', 'clusterroles', 'ClusterRole', false);
export const CLUSTER_ROLE_BINDINGS = resource(RBAC, 'v1', 'clusterrolebindings', 'ClusterRoleBinding', false);
export const ROLES = resource(RBAC, 'v1', 'roles', 'Role');
export const ROLE_BINDINGS = resource(RBAC, 'v1', 'rolebindings', 'RoleBinding');

export const TOKEN_REVIEWS = resource('authentication.k8s.io', 'v1', 'tokenreviews', 'TokenReview', false);

/** `apps/v1`, or `v1` for the core group. */
export function apiVersionOf(type: Pick<ResourceType, 'group' | 'version'>): string {
  return type.group === '' ? type.version : `${type.group}/${type.version}`;
}

/** The path below the server's address: `/apis/apps/v1/namespaces/NS/deployments/NAME/SUBRESOURCE`. */
export function resourcePath(type: ResourceType, namespace?: string, name?: string, subresource?: string): string {
  const root = type.group === '' ? `/api/${type.version}` : `/apis/${type.group}/${type.version}`;
  const scope = type.namespaced && namespace ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  const leaf = name === undefined ? '' : `/${encodeURIComponent(name)}`;
  return `${root}${scope}/${type.resource}${leaf}${subresource ? `/${subresource}` : ''}`;
}
