// SPDX-License-Identifier: Apache-2.0
import type { ConfigDelivery } from '../api/config-delivery.ts';
import { injectPod } from './inject.ts';
import type { Pod } from './pod.ts';
import type { ProxyDefaults } from './proxy-wishes.ts';
import type { InjectorSettings } from './settings.ts';
import type { AdmissionAnswer, AdmissionRequest } from './webhook.ts';

export interface InjectionContext {
  /** undefined until the ConfigMap has been read. */
  readonly settings: () => InjectorSettings | undefined;
  /** Of pods that do not say otherwise. */
  readonly delivery: () => ConfigDelivery;
  readonly defaults: () => ProxyDefaults;
  readonly namespaceLabels: (namespace: string) => Readonly<Record<string, string>> | undefined;
  /** Told of each pod that gets a sidecar, and of each that is refused one. */
  readonly observe: (outcome: { namespace: string; pod: string; injected: boolean; reason: string }) => void;
}

/** Answers the mutating webhook: a patch, no patch, or a refusal that says what to change. */
export function admitPod(request: AdmissionRequest, context: InjectionContext): AdmissionAnswer {
  const { object } = request;
  if (object?.kind !== 'Pod' || request.operation !== 'CREATE') return { allowed: true };
  const settings = context.settings();
  if (settings === undefined) throw new Error('the sidecar injector has not read its settings yet; try again');
  const namespace = request.namespace ?? object.metadata.namespace ?? 'default';
  const pod = object.metadata.name ?? `${object.metadata.generateName ?? ''}*`;
  const known = context.namespaceLabels(namespace);
  const outcome = injectPod(object as Pod, namespace, known, settings, context.delivery(), context.defaults());
  if (outcome.kind === 'skip') return { allowed: true };
  if (outcome.kind === 'refuse') {
    context.observe({ namespace, pod, injected: false, reason: outcome.reason });
    return { allowed: false, message: `no sidecar can be added to this pod: ${outcome.reason}` };
  }
  context.observe({ namespace, pod, injected: true, reason: '' });
  return { allowed: true, patch: outcome.patch, warnings: outcome.warnings };
}
