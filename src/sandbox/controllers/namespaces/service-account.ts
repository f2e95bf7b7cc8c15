// SPDX-License-Identifier: Apache-2.0
import { KubeError } from '../../../kube/client.ts';
import { NAMESPACES, SERVICE_ACCOUNTS } from '../../../kube/resources.ts';
import { type Controller, type ControllerContext, createQueue, isNamespaceTerminating } from '../controller.ts';
import type { Namespace } from '../objects.ts';

const NAME = 'service-account-controller';

/** Every namespace has a ServiceAccount named default; a deleted one is made again. Keys are namespaces. */
export function createServiceAccountController(context: ControllerContext): Controller {
  const namespaces = context.informers.of<Namespace>(NAMESPACES);
  const accounts = context.informers.of(SERVICE_ACCOUNTS);
  const queue = createQueue(context, NAME);
  namespaces.onChange((_before, after) => {
    if (after !== undefined) queue.add(after.metadata.name ?? '');
  });
  accounts.onChange((before, after) => {
    if (after === undefined && before?.metadata.name === 'default') queue.add(before.metadata.namespace ?? '');
  });

  return {
    name: NAME,
    queue,
    async reconcile(namespace) {
      const owner = namespaces.get(namespace);
      if (owner === undefined || owner.metadata.deletionTimestamp !== undefined) return;
      if (accounts.get('default', namespace) !== undefined) return;
      const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace } };
      try {
        await accounts.echo(await context.client.create(SERVICE_ACCOUNTS, account));
      } catch (error) {
        if (isNamespaceTerminating(error)) return;
        if (!(error instanceof KubeError && error.reason === 'AlreadyExists')) throw error;
      }
    },
  };
}
