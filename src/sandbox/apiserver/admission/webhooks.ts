// SPDX-License-Identifier: Apache-2.0
// Runs the mutating webhooks one after the other and the validating ones side by side.
import type { KubeObject, Status } from '../../../kube/types.ts';
import { userInfoJson } from '../auth/access-review.ts';
import { evaluateWithin } from '../crd/evaluation-limit.ts';
import { applyJsonPatch, PatchFailure, parseJsonPatch } from '../patch/json-patch.ts';
import type { AdmissionRequest, ClusterObjects, GroupVersionResource, SecurityInputs } from '../seams.ts';
import { ApiError, badRequest, internalError } from '../status.ts';
import { callWebhook, WebhookCallError } from './webhook-call.ts';
import { resolveWebhook } from './webhook-endpoint.ts';
import { conditionsHold, matchWebhook } from './webhook-matching.ts';
import {
  type AdmissionResponse,
  MUTATING_CONFIGURATIONS,
  VALIDATING_CONFIGURATIONS,
  type Webhook,
  type WebhookConfiguration,
} from './webhook-types.ts';

export class WebhookAdmission {
  private readonly objects: ClusterObjects;
  private readonly log: SecurityInputs['log'];
  private readonly random: () => number;

  /** @param random numbers in [0, 1): which of a service's endpoints is asked first */
  constructor(objects: ClusterObjects, log: SecurityInputs['log'], random: () => number) {
    this.objects = objects;
    this.log = log;
    this.random = random;
  }

  /** The object after all patches. Throws the ApiError of the first refusal. */
  async mutate(request: AdmissionRequest, object: KubeObject | undefined): Promise<KubeObject | undefined> {
    const webhooks = this.webhooks(MUTATING_CONFIGURATIONS);
    let current = object;
    let lastChange = -1;
    for (const [index, webhook] of webhooks.entries()) {
      const changed = await this.mutateBy(webhook, request, current);
      if (changed) [current, lastChange] = [changed, index];
    }
    // A second, last round for those that want to see what later webhooks changed.
    for (const [index, webhook] of webhooks.entries()) {
      if (index >= lastChange || webhook.reinvocationPolicy !== 'IfNeeded') continue;
      current = (await this.mutateBy(webhook, request, current)) ?? current;
    }
    return current;
  }

  /** Throws the ApiError of the first refusal, in the order of configuration. */
  async validate(request: AdmissionRequest, object: KubeObject | undefined): Promise<void> {
    const webhooks = this.webhooks(VALIDATING_CONFIGURATIONS);
    const outcomes = await Promise.allSettled(webhooks.map((webhook) => this.ask(webhook, request, object)));
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  }

  private webhooks(type: typeof MUTATING_CONFIGURATIONS): Webhook[] {
    return ([...this.objects.list(type)] as WebhookConfiguration[])
      .sort((a, b) => ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1))
      .flatMap((configuration) => configuration.webhooks ?? []);
  }

  /** The patched object, or undefined when the webhook changed nothing. */
  private async mutateBy(
    webhook: Webhook,
    request: AdmissionRequest,
    object: KubeObject | undefined,
  ): Promise<KubeObject | undefined> {
    const answer = await this.ask(webhook, request, object);
    if (!answer?.response.patch || !object) return undefined;
    try {
      const seen = convert(request, object, answer.resource);
      const patched = applyJsonPatch(seen, parseJsonPatch(answer.response.patch)) as KubeObject;
      return request.normalize(convert(request, patched, request.resource));
    } catch (error) {
      if (error instanceof PatchFailure) throw internalError(error.message);
      throw error;
    }
  }

  /** Calls a webhook that wants the request. undefined when it does not, or failed and may be ignored. */
  private async ask(
    webhook: Webhook,
    request: AdmissionRequest,
    object: KubeObject | undefined,
  ): Promise<{ response: AdmissionResponse; resource: GroupVersionResource } | undefined> {
    const resource = matchWebhook(webhook, request, object, this.objects);
    if (!resource) return undefined;
    let response: AdmissionResponse;
    try {
      const review = reviewRequest(request, object, resource, this.objects);
      if (
        webhook.matchConditions?.length &&
        !evaluateWithin(() =>
          conditionsHold(webhook.matchConditions, {
            object: review.object,
            oldObject: review.oldObject,
            request: review,
          }),
        )
      ) {
        return undefined;
      }
      if (request.dryRun && !['None', 'NoneOnDryRun'].includes(webhook.sideEffects ?? '')) {
        throw badRequest(`admission webhook ${JSON.stringify(webhook.name)} does not support dry run`);
      }
      const endpoint = this.resolve(webhook);
      response = await callWebhook(webhook, endpoint, review, request.signal);
    } catch (error) {
      if (error instanceof ApiError) throw error;
      this.failed(webhook, error as Error);
      return undefined;
    }
    for (const warning of response.warnings) request.warn(warning);
    if (!response.allowed) throw refusal(webhook, response);
    return { response, resource };
  }

  private resolve(webhook: Webhook) {
    try {
      return resolveWebhook(webhook.clientConfig, this.objects, this.random);
    } catch (error) {
      const { service } = webhook.clientConfig;
      if (!service) throw error;
      const timeout = webhook.timeoutSeconds ?? 10;
      const path = `/${(service.path ?? '').replace(/^\/+/, '')}`;
      const url = `https://${service.name}.${service.namespace}.svc:${service.port ?? 443}${path}?timeout=${timeout}s`;
      throw new WebhookCallError(`failed to call webhook: Post ${JSON.stringify(url)}: ${(error as Error).message}`);
    }
  }

  private failed(webhook: Webhook, error: Error): void {
    const message = `failed calling webhook ${JSON.stringify(webhook.name)}: ${error.message}`;
    if (webhook.failurePolicy !== 'Ignore') throw internalError(message);
    this.log('warn', message, { failurePolicy: 'Ignore' });
  }
}

function convert(request: AdmissionRequest, object: KubeObject, to: GroupVersionResource): KubeObject {
  const apiVersion = to.group ? `${to.group}/${to.version}` : to.version;
  return object.apiVersion === apiVersion ? object : request.convert(object, to);
}

/** admission.k8s.io/v1 AdmissionRequest, without its uid. */
export function reviewRequest(
  request: AdmissionRequest,
  object: KubeObject | undefined,
  resource: GroupVersionResource,
  objects: ClusterObjects,
): Record<string, unknown> {
  const served = objects.resolve(resource);
  const same = resource.group === request.resource.group && resource.version === request.resource.version;
  const kind = same ? request.kind : { ...resource, kind: served?.kind ?? request.kind.kind };
  const see = (one: KubeObject | undefined) => (one ? convert(request, one, resource) : null);
  return {
    kind: { group: kind.group, version: kind.version, kind: kind.kind },
    resource: { group: resource.group, version: resource.version, resource: resource.resource },
    ...(request.subresource ? { subResource: request.subresource } : {}),
    requestKind: request.requestKind,
    requestResource: request.requestResource,
    ...(request.subresource ? { requestSubResource: request.subresource } : {}),
    ...(request.name ? { name: request.name } : {}),
    ...(request.namespace ? { namespace: request.namespace } : {}),
    operation: request.operation,
    userInfo: userInfoJson(request.user),
    object: see(object),
    oldObject: see(request.oldObject),
    dryRun: request.dryRun,
    options: request.options,
  };
}

/** A webhook chooses code and reason of its refusal, but cannot make it look like a success. */
function refusal(webhook: Webhook, { status }: AdmissionResponse): ApiError {
  const denied = `admission webhook ${JSON.stringify(webhook.name)} denied the request`;
  const why = status?.message || status?.reason;
  const code = status?.code !== undefined && status.code >= 400 && status.code < 600 ? status.code : 400;
  const details = status?.details as Status['details'];
  return new ApiError(code, status?.reason, why ? `${denied}: ${why}` : `${denied} without explanation`, details);
}
