// SPDX-License-Identifier: Apache-2.0
import type { KubeClient } from '../kube/client.ts';
import { KubeError } from '../kube/client.ts';
import { REMOTE_SECRET_LABEL } from '../kube/remote-kubeconfig.ts';
import { CRDS, ENDPOINT_SLICES, NAMESPACES, SECRETS } from '../kube/resources.ts';
import type { KubeObject, ResourceType } from '../kube/types.ts';
import { describeObject, INSTALLED_TYPES } from './resource-types.ts';
import { ISTIO_NAMESPACE } from './values/values.ts';

export type UninstallEvent =
  | { readonly kind: 'deleted'; readonly object: string }
  | { readonly kind: 'note'; readonly message: string };

export interface UninstallOptions {
  readonly client: KubeClient;
  /** Keep the definitions, and with them the VirtualServices and the like that users wrote. */
  readonly keepDefinitions: boolean;
  readonly report: (event: UninstallEvent) => void;
}

const OURS = 'app.kubernetes.io/managed-by=isthmus';
/** Those that Kubernetes makes carry their Service's labels, and go with it. */
const OUR_SLICES = `${OURS},!endpointslice.kubernetes.io/managed-by`;

/**
 * Removes all that `install` and the control plane made, in every namespace. What users made stays: their namespaces
 * (istio-system too, if it was there before), their Secret cacerts; their mesh objects go with the definitions.
 */
export async function uninstall(options: UninstallOptions): Promise<void> {
  const { client, report } = options;
  let removed = 0;
  for (const type of INSTALLED_TYPES) {
    if (type === CRDS && options.keepDefinitions) continue;
    const items = await listOurs(client, type);
    if (type === NAMESPACES) await removeCaSecret(options);
    for (const object of items) {
      // A CA's key that somebody put there must not go with the namespace, whoever made that.
      if (type === NAMESPACES && (await hasCacerts(client))) continue;
      if (type === CRDS) await noteLosses(options, object);
      await client.delete(type, object.metadata.name ?? '', object.metadata.namespace, { propagation: 'Background' });
      report({ kind: 'deleted', object: describeObject(object) });
      removed++;
    }
  }
  if (removed === 0) report({ kind: 'note', message: 'nothing of Isthmus was found in this cluster' });
  await noteWhatStays(options);
}

async function hasCacerts(client: KubeClient): Promise<boolean> {
  return (await client.get(SECRETS, 'cacerts', ISTIO_NAMESPACE)) !== undefined;
}

/** They go with the namespace, if that goes. */
async function listRemoteSecrets(client: KubeClient): Promise<readonly KubeObject[]> {
  const namespace = await client.get(NAMESPACES, ISTIO_NAMESPACE);
  if (namespace === undefined || namespace.metadata.deletionTimestamp !== undefined) return [];
  return (await client.list(SECRETS, { namespace: ISTIO_NAMESPACE, labelSelector: REMOTE_SECRET_LABEL })).items;
}

async function listOurs(client: KubeClient, type: ResourceType): Promise<KubeObject[]> {
  try {
    return (await client.list(type, { labelSelector: type === ENDPOINT_SLICES ? OUR_SLICES : OURS })).items;
  } catch (error) {
    // A kind of ours whose definition has gone already.
    if (error instanceof KubeError && error.code === 404) return [];
    throw error;
  }
}

/** The self-signed CA's key. It has no label: the control plane made it before labels could be of use. */
async function removeCaSecret({ client, report }: UninstallOptions): Promise<void> {
  const secret = await client.get(SECRETS, 'istio-ca-secret', ISTIO_NAMESPACE);
  if (secret === undefined) return;
  await client.delete(SECRETS, 'istio-ca-secret', ISTIO_NAMESPACE);
  report({ kind: 'deleted', object: describeObject({ ...secret, kind: 'Secret' }) });
}

async function noteLosses({ client, report }: UninstallOptions, crd: KubeObject): Promise<void> {
  const { group, names, versions, scope } = crd['spec'] as {
    group: string;
    scope: string;
    names: { plural: string; kind: string };
    versions: { name: string; storage: boolean }[];
  };
  const version = versions.find(({ storage }) => storage)?.name ?? versions[0]?.name ?? 'v1';
  const type = { group, version, resource: names.plural, kind: names.kind, namespaced: scope === 'Namespaced' };
  try {
    const { items } = await client.list(type);
    if (items.length > 0) report({ kind: 'note', message: `${items.length} ${names.plural} go with their definition` });
  } catch (error) {
    if (!(error instanceof KubeError && error.code === 404)) throw error;
  }
}

async function noteWhatStays({ client, report }: UninstallOptions): Promise<void> {
  if (await hasCacerts(client)) {
    report({
      kind: 'note',
      message: `Secret ${ISTIO_NAMESPACE}/cacerts is yours and stays, and its namespace with it`,
    });
  }
  for (const { metadata } of await listRemoteSecrets(client)) {
    const secret = `Secret ${ISTIO_NAMESPACE}/${metadata.name}`;
    const cure = `kubectl -n ${ISTIO_NAMESPACE} delete secret ${metadata.name}`;
    report({ kind: 'note', message: `${secret} is yours and stays, with a token of another cluster in it: ${cure}` });
  }
  const { items } = await client.list(NAMESPACES, { labelSelector: 'istio-injection=enabled' });
  if (items.length === 0) return;
  const names = items.map(({ metadata }) => metadata.name).join(', ');
  const message = `pods in ${names} keep their sidecars until they are made anew: kubectl -n NAMESPACE rollout restart deployment`;
  report({ kind: 'note', message });
}
