// SPDX-License-Identifier: Apache-2.0
import type { RbacAuthorizer } from '../auth/rbac-authorizer.ts';
import type { Admission, SecurityInputs } from '../seams.ts';
import { applyLimitDefaults, checkLimits } from './limit-range.ts';
import { addDefaultTolerations, assignPriority } from './pod-defaults.ts';
import { checkPodSecurity } from './pod-security.ts';
import { createsPod, type Pod } from './pod-types.ts';
import { checkPolicies } from './policies.ts';
import { checkQuota } from './quota.ts';
import { checkEscalation } from './rbac-escalation.ts';
import { assignServiceAccount } from './service-account.ts';
import { WebhookAdmission } from './webhooks.ts';

/**
 * The admission chain, in the real server's order: what pods get by default, mutating webhooks; after the core has
 * validated the object: escalation of rights, limit ranges, pod security, admission policies, validating webhooks; and with the write
 * itself: quotas. That namespaces exist is checked by the core.
 * @param random numbers in [0, 1)
 */
export function createAdmission(
  { objects, log }: Pick<SecurityInputs, 'objects' | 'log'>,
  authorizer: RbacAuthorizer,
  random: () => number = Math.random,
): Admission {
  const webhooks = new WebhookAdmission(objects, log, random);
  return {
    async mutate(request) {
      const { object } = request;
      if (object && createsPod(request)) {
        const pod = object as Pod;
        applyLimitDefaults(pod, request.namespace, objects);
        await assignServiceAccount(request, pod, objects, random);
        addDefaultTolerations(pod);
        assignPriority(pod, request.name, objects);
      }
      return webhooks.mutate(request, object);
    },
    async validate(request) {
      checkEscalation(request, request.object, authorizer);
      checkLimits(request, request.object, objects);
      checkPodSecurity(request, request.object, objects);
      checkPolicies(request, request.object, objects, log);
      await webhooks.validate(request, request.object);
    },
    confirm: (request) => checkQuota(request, request.object, objects),
  };
}
