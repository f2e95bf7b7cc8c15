// SPDX-License-Identifier: Apache-2.0
// caBundle is missing on purpose: the control plane puts its CA's root there, and keeps it there.
import type { KubeObject } from '../../kube/types.ts';
import { ISTIO_NAMESPACE, type Values } from '../values/values.ts';
import { MESH_GROUPS } from './access.ts';
import { clusterScoped } from './metadata.ts';

const MUTATING_NAME = 'istio-sidecar-injector';
const VALIDATING_NAME = 'istio-validator';

const NAMESPACE_LABEL = 'istio-injection';
const POD_LABEL = 'sidecar.istio.io/inject';

/** Where mesh objects are read (not in a cluster whose pilot is another's), they are also validated. */
export function buildWebhooks({ global }: Values): KubeObject[] {
  return global.istioRemote ? [buildInjection()] : [buildInjection(), buildValidation()];
}

function buildInjection(): KubeObject {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: clusterScoped(MUTATING_NAME),
    webhooks: [
      injection('namespace', [{ key: NAMESPACE_LABEL, operator: 'In', values: ['enabled'] }], {
        key: POD_LABEL,
        operator: 'NotIn',
        values: ['false'],
      }),
      injection('object', [{ key: NAMESPACE_LABEL, operator: 'DoesNotExist' }], {
        key: POD_LABEL,
        operator: 'In',
        values: ['true'],
      }),
    ],
  };
}

function buildValidation(): KubeObject {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: clusterScoped(VALIDATING_NAME),
    webhooks: [
      {
        name: 'validation.istio.io',
        clientConfig: clientConfig('/validate'),
        rules: [
          {
            operations: ['CREATE', 'UPDATE'],
            apiGroups: MESH_GROUPS,
            apiVersions: ['*'],
            resources: ['*'],
            scope: '*',
          },
        ],
        // A mesh object that nobody has checked must not come in while the control plane is away.
        failurePolicy: 'Fail',
        sideEffects: 'None',
        admissionReviewVersions: ['v1'],
        timeoutSeconds: 10,
      },
      {
        name: 'settings.validation.istio.io',
        clientConfig: clientConfig('/validate'),
        rules: [
          {
            operations: ['CREATE', 'UPDATE'],
            apiGroups: [''],
            apiVersions: ['v1'],
            resources: ['configmaps'],
            scope: '*',
          },
        ],
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': ISTIO_NAMESPACE } },
        // Everybody's ConfigMaps pass here, and settings that are wrong leave those before them in force anyway.
        failurePolicy: 'Ignore',
        sideEffects: 'None',
        admissionReviewVersions: ['v1'],
        timeoutSeconds: 3,
      },
    ],
  };
}

function injection(kind: 'namespace' | 'object', namespaces: readonly object[], pods: object): Record<string, unknown> {
  return {
    name: `${kind}.sidecar-injector.istio.io`,
    clientConfig: clientConfig('/inject'),
    rules: [{ operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'], scope: '*' }],
    namespaceSelector: { matchExpressions: namespaces },
    objectSelector: { matchExpressions: [pods] },
    // A pod that was to have a sidecar and came up without one would speak plaintext: rather no pod, tried again.
    failurePolicy: 'Fail',
    sideEffects: 'None',
    reinvocationPolicy: 'Never',
    admissionReviewVersions: ['v1'],
    timeoutSeconds: 10,
  };
}

function clientConfig(path: string): Record<string, unknown> {
  return { service: { name: 'istio-sidecar-injector', namespace: ISTIO_NAMESPACE, path, port: 443 } };
}
