// SPDX-License-Identifier: Apache-2.0
import type { RbacAuthorizer } from '../auth/rbac-authorizer.ts';
import type { Admission, SecurityInputs } from '../seams.ts';
import { addDefaultTolerations, assignPriority } from './pod-defaults.ts';
import { createsPod, type Pod } from './pod-types.ts';
import { checkEscalation } from './rbac-escalation.ts';
import { assignServiceAccount } from './service-account.ts';
import { WebhookAdmission } from './webhooks.ts';

/**
 * The admission chain, in the real server's order: what pods get by default, mutating webhooks; and after the core has
 * validated the object: escalation of rights, validating webhooks. That namespaces exist is checked by the core.
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
        await assignServiceAccount(request, pod, objects, random);
        addDefaultTolerations(pod);
        assignPriority(pod, request.name, objects);
      }
      return webhooks.mutate(request, object);
    },
    async validate(request) {
      checkEscalation(request, request.object, authorizer);
      await webhooks.validate(request, request.object);
    },
  };
}
