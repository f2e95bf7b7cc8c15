// SPDX-License-Identifier: Apache-2.0
import type { KubeObject, ObjectMeta } from '../../kube/types.ts';
import { ISTIO_NAMESPACE } from '../values/values.ts';

/** On everything that `install` makes, and on nothing else: `uninstall` goes by it. */
export const MANAGED_LABELS: Readonly<Record<string, string>> = {
  'app.kubernetes.io/managed-by': 'isthmus',
  'app.kubernetes.io/part-of': 'isthmus',
};

export function namespaced(name: string, labels: Readonly<Record<string, string>> = {}): ObjectMeta {
  return { name, namespace: ISTIO_NAMESPACE, labels: { ...MANAGED_LABELS, ...labels } };
}

export function clusterScoped(name: string, labels: Readonly<Record<string, string>> = {}): ObjectMeta {
  return { name, labels: { ...MANAGED_LABELS, ...labels } };
}

/** What a pod of ours may do on its node: nothing. */
export const RESTRICTED = {
  runAsUser: 1337,
  runAsGroup: 1337,
  runAsNonRoot: true,
  allowPrivilegeEscalation: false,
  privileged: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ['ALL'] },
} as const;

export const POD_SECURITY = { seccompProfile: { type: 'RuntimeDefault' } } as const;

/** Leads to the pods with the label `app`. */
export function service(
  name: string,
  role: string,
  app: string,
  ports: readonly Record<string, unknown>[],
): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: namespaced(name, { istio: role }),
    spec: { selector: { app }, ports: ports.map((port) => ({ ...port, protocol: 'TCP' })) },
  };
}
