// SPDX-License-Identifier: Apache-2.0
import type { TypeTable } from '../schema/parse.ts';
import type { ResourceDefinition } from './definition.ts';
import { accessKinds } from './kinds/access.ts';
import { admissionPolicyKinds } from './kinds/admission-policy.ts';
import { autoscalerKinds } from './kinds/autoscaler.ts';
import { computedKinds } from './kinds/computed.ts';
import { configKinds } from './kinds/config.ts';
import { cronJobKinds } from './kinds/cron-job.ts';
import { customResourceDefinitionKinds } from './kinds/custom-resource-definition.ts';
import { endpointKinds } from './kinds/endpoint.ts';
import { eventKinds } from './kinds/event.ts';
import { jobKinds } from './kinds/job.ts';
import { namespaceKinds } from './kinds/namespace.ts';
import { networkingKinds } from './kinds/networking.ts';
import { nodeKinds } from './kinds/node.ts';
import { podKinds } from './kinds/pod.ts';
import { policyKinds } from './kinds/policy.ts';
import { quotaKinds } from './kinds/quota.ts';
import { replicationControllerKinds } from './kinds/replication-controller.ts';
import { runtimeClassKinds } from './kinds/runtime-class.ts';
import { serviceKinds } from './kinds/service.ts';
import { volumeKinds } from './kinds/volume.ts';
import { webhookKinds } from './kinds/webhook.ts';
import { workloadKinds } from './kinds/workload.ts';

/** Every resource that is part of the server itself. Kinds that nothing here acts upon say so with a warning. */
export function builtinKinds(types: TypeTable): ResourceDefinition[] {
  return [
    ...configKinds(types),
    ...endpointKinds(types),
    ...eventKinds(types),
    ...namespaceKinds(types),
    ...nodeKinds(types),
    ...podKinds(types),
    ...accessKinds(types),
    ...serviceKinds(types),
    ...workloadKinds(types),
    ...jobKinds(types),
    ...policyKinds(types),
    ...webhookKinds(types),
    ...admissionPolicyKinds(types),
    ...autoscalerKinds(types),
    ...cronJobKinds(types),
    ...networkingKinds(types),
    ...quotaKinds(types),
    ...replicationControllerKinds(types),
    ...runtimeClassKinds(types),
    ...volumeKinds(types),
    ...customResourceDefinitionKinds(types),
    ...computedKinds(types),
  ];
}
