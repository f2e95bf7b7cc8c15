// SPDX-License-Identifier: Apache-2.0
// admissionregistration.k8s.io/v1 and admission.k8s.io/v1, as far as webhooks are called by them.
import type { KubeObject } from '../../../kube/types.ts';
import type { selectorFromSpec } from '../selectors/label-selector.ts';
import type { GroupResource } from '../status.ts';

export const ADMISSION_REGISTRATION = 'admissionregistration.k8s.io';
export const MUTATING_CONFIGURATIONS: GroupResource = {
  group: ADMISSION_REGISTRATION,
  resource: 'mutatingwebhookconfigurations',
};
export const VALIDATING_CONFIGURATIONS: GroupResource = {
  group: ADMISSION_REGISTRATION,
  resource: 'validatingwebhookconfigurations',
};

type SelectorSpec = Parameters<typeof selectorFromSpec>[0];

export interface WebhookRule {
  readonly operations?: readonly string[];
  readonly apiGroups?: readonly string[];
  readonly apiVersions?: readonly string[];
  readonly resources?: readonly string[];
  /** Of admission policies alone. */
  readonly resourceNames?: readonly string[];
  readonly scope?: 'Cluster' | 'Namespaced' | '*';
}

export interface WebhookClientConfig {
  readonly url?: string;
  readonly service?: {
    readonly namespace: string;
    readonly name: string;
    readonly path?: string;
    readonly port?: number;
  };
  /** PEM in base64; the system's roots when absent. */
  readonly caBundle?: string;
}

export interface Webhook {
  readonly name: string;
  readonly clientConfig: WebhookClientConfig;
  readonly rules?: readonly WebhookRule[];
  readonly failurePolicy?: 'Fail' | 'Ignore';
  readonly matchPolicy?: 'Exact' | 'Equivalent';
  readonly namespaceSelector?: SelectorSpec;
  readonly objectSelector?: SelectorSpec;
  readonly sideEffects?: string;
  readonly timeoutSeconds?: number;
  readonly admissionReviewVersions?: readonly string[];
  readonly reinvocationPolicy?: 'Never' | 'IfNeeded';
  readonly matchConditions?: readonly { readonly name: string; readonly expression: string }[];
}

export interface WebhookConfiguration extends KubeObject {
  readonly webhooks?: readonly Webhook[];
}

/** What a webhook answered. */
export interface AdmissionResponse {
  readonly allowed: boolean;
  readonly status?: {
    readonly code?: number;
    readonly reason?: string;
    readonly message?: string;
    readonly details?: Record<string, unknown>;
  };
  /** The JSON patch as text. */
  readonly patch?: string;
  readonly warnings: readonly string[];
}
