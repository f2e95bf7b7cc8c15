// SPDX-License-Identifier: Apache-2.0
import { KubeError } from '../../../kube/client.ts';
import { CONFIG_MAPS, NAMESPACES } from '../../../kube/resources.ts';
import { type Controller, type ControllerContext, createQueue, isNamespaceTerminating } from '../controller.ts';
import type { ConfigMap, Namespace } from '../objects.ts';

const NAME = 'root-ca-certificate-publisher';
const CONFIG_MAP_NAME = 'kube-root-ca.crt';

/** Every namespace has the ConfigMap that pods verify the API server with. Keys are namespaces. */
export function createRootCaPublisher(context: ControllerContext, caPem: string): Controller {
  const namespaces = context.informers.of<Namespace>(NAMESPACES);
  const configMaps = context.informers.of<ConfigMap>(CONFIG_MAPS, {
    fieldSelector: `metadata.name=${CONFIG_MAP_NAME}`,
  });
  const queue = createQueue(context, NAME);
  namespaces.onChange((_before, after) => {
    if (after !== undefined) queue.add(after.metadata.name ?? '');
  });
  configMaps.onChange((before, after) => {
    const object = after ?? before;
    if (object?.metadata.name === CONFIG_MAP_NAME) queue.add(object.metadata.namespace ?? '');
  });

  return {
    name: NAME,
    queue,
    async reconcile(namespace) {
      const owner = namespaces.get(namespace);
      if (owner === undefined || owner.metadata.deletionTimestamp !== undefined) return;
      const existing = configMaps.get(CONFIG_MAP_NAME, namespace);
      if (existing !== undefined && existing.data?.['ca.crt'] === caPem && Object.keys(existing.data).length === 1)
        return;
      const configMap: ConfigMap = existing
        ? { ...existing, data: { 'ca.crt': caPem } }
        : {
            apiVersion: 'v1',
            kind: 'ConfigMap',
            metadata: {
              name: CONFIG_MAP_NAME,
              namespace,
              annotations: {
                'kubernetes.io/description':
                  'Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as ' +
                  'the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of ' +
                  'Kubernetes clusters.',
              },
            },
            data: { 'ca.crt': caPem },
          };
      try {
        const write = existing
          ? context.client.replace(CONFIG_MAPS, configMap)
          : context.client.create(CONFIG_MAPS, configMap);
        await configMaps.echo(await write);
      } catch (error) {
        if (isNamespaceTerminating(error)) return;
        if (!(error instanceof KubeError && error.reason === 'AlreadyExists')) throw error;
      }
    },
  };
}
