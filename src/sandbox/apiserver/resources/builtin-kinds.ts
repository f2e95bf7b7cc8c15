// SPDX-License-Identifier: Apache-2.0
import type { TypeTable } from '../schema/parse.ts';
import type { ResourceDefinition } from './definition.ts';
import { accessKinds } from './kinds/access.ts';
import { configKinds } from './kinds/config.ts';
import { customResourceDefinitionKinds } from './kinds/custom-resource-definition.ts';
import { endpointKinds } from './kinds/endpoint.ts';
import { eventKinds } from './kinds/event.ts';
import { jobKinds } from './kinds/job.ts';
import { namespaceKinds } from './kinds/namespace.ts';
import { nodeKinds } from './kinds/node.ts';
import { podKinds } from './kinds/pod.ts';
import { policyKinds } from './kinds/policy.ts';
import { serviceKinds } from './kinds/service.ts';
import { webhookKinds } from './kinds/webhook.ts';
import { workloadKinds } from './kinds/workload.ts';

/** Every resource that is part of the server itself. Kinds that nothing here would act upon are left out on purpose. */
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
    ...customResourceDefinitionKinds(types),
  ];
}
