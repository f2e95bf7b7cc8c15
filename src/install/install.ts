// SPDX-License-Identifier: Apache-2.0
import { MANAGED_BY, MANAGED_BY_LABEL } from '../api/export-names.ts';
import { MCS_KINDS } from '../api/kinds.ts';
import type { KubeClient } from '../kube/client.ts';
import { KubeError } from '../kube/client.ts';
import { SECRETS } from '../kube/resources.ts';
import { covers } from '../kube/subset.ts';
import type { KubeObject } from '../kube/types.ts';
import { findPublicCa } from '../pki/public-cas.ts';
import { buildStages, type Stage } from './manifest.ts';
import { waitForAddress, waitForDefinitions, waitForDeployment, waitForWebhooks } from './readiness.ts';
import { describeObject, resourceTypeOf } from './resource-types.ts';
import { ISTIO_NAMESPACE, type Values } from './values/values.ts';

/** What happens, as it happens. */
export type InstallEvent =
  | { readonly kind: 'stage'; readonly name: string }
  | { readonly kind: 'applied'; readonly object: string; readonly change: 'created' | 'configured' | 'unchanged' }
  | { readonly kind: 'waiting'; readonly what: string }
  | { readonly kind: 'warning'; readonly message: string }
  | { readonly kind: 'note'; readonly message: string };

export interface InstallOptions {
  readonly client: KubeClient;
  readonly values: Values;
  readonly crds: readonly KubeObject[];
  /** Only say what would change. */
  readonly dryRun: boolean;
  readonly wait: boolean;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly report: (event: InstallEvent) => void;
}

const AWAITS_PILOT =
  'gateways and workloads here become ready once the control plane watches this cluster: make the kubeconfig of ' +
  'ServiceAccount istio-multi a Secret with the label istio/multiCluster=true in the cluster of the control plane ' +
  '(docs/install.md)';

/** How long a load balancer may take before we say how to look for its address. */
const ADDRESS_MS = 15_000;

/**
 * Makes the cluster have the mesh: applies stage by stage, each on the ground of the one before. Run again, it goes on
 * where it ended, and changes only what differs.
 * @throws KubeError when the API server refuses; NotReadyError when something does not become ready in time
 */
export async function install(options: InstallOptions): Promise<void> {
  const { values, crds, report } = options;
  for (const stage of buildStages(values, crds)) {
    report({ kind: 'stage', name: stage.name });
    for (const object of stage.objects) await applyOne(object, options);
    if (!options.dryRun) await afterStage(stage, options);
    if (stage.name === 'namespace') await warnOfCa(options);
  }
}

async function applyOne(built: KubeObject, { client, values, report, dryRun }: InstallOptions): Promise<void> {
  const type = resourceTypeOf(built);
  const { name = '', namespace } = built.metadata;
  const before = await client.get(type, name, namespace);
  if (before !== undefined && staysAsItIs(built, before)) {
    report({ kind: 'applied', object: describeObject(built), change: 'unchanged' });
    return;
  }
  const object = before === undefined ? built : withoutNetworks(built, values);
  const same = dryRun
    ? before !== undefined && covers(before, object)
    : before?.metadata.resourceVersion ===
      (await client.apply(object, type, { fieldManager: 'isthmus' })).metadata.resourceVersion;
  const change = before === undefined ? 'created' : same ? 'unchanged' : 'configured';
  report({ kind: 'applied', object: describeObject(object), change });
}

/** What is somebody else's, once it is there. */
export function staysAsItIs(built: KubeObject, live: KubeObject): boolean {
  // A namespace (to hold cacerts, say): its labels, by which `uninstall` would remove it, are not ours to set.
  return built.kind === 'Namespace' || isOfOthers(live);
}

/** The definition of a kind that others have too (ServiceExport, ServiceImport), and have brought already. */
function isOfOthers({ kind, metadata }: KubeObject): boolean {
  if (kind !== 'CustomResourceDefinition' || metadata.labels?.[MANAGED_BY_LABEL] === MANAGED_BY) return false;
  return MCS_KINDS.some(({ plural, group }) => metadata.name === `${plural}.${group}`);
}

/** Networks are edited in the cluster: an installation that says nothing of them must not take them away. */
function withoutNetworks(object: KubeObject, { global }: Values): KubeObject {
  if (object.kind !== 'ConfigMap' || object.metadata.name !== 'istio') return object;
  if (Object.keys(global.meshNetworks).length > 0) return object;
  const { meshNetworks: _none, ...data } = object['data'] as Record<string, string>;
  return { ...object, data };
}

async function warnOfCa({ client, report, values }: InstallOptions): Promise<void> {
  try {
    const secret = await client.get(SECRETS, 'cacerts', ISTIO_NAMESPACE);
    if (secret !== undefined) {
      warnOfPublicCa(secret, report);
      return;
    }
  } catch (error) {
    if (!(error instanceof KubeError && error.code === 403)) throw error;
    report({ kind: 'warning', message: 'it is not known whether there is a Secret cacerts: you may not read Secrets' });
    return;
  }
  if (!values.security.selfSigned) {
    const message =
      `there is no Secret cacerts in ${ISTIO_NAMESPACE}, and security.selfSigned is false: the control plane waits for it ` +
      '(isthmus certs makes its files)';
    report({ kind: 'warning', message });
    return;
  }
  report({
    kind: 'warning',
    message:
      `there is no Secret cacerts in ${ISTIO_NAMESPACE}: this cluster gets a self-signed CA of its own, and no other ` +
      'cluster will trust its workloads. For a mesh of several clusters make the certificates first (isthmus certs), ' +
      'create the Secret in each cluster, and restart the control plane, the gateways, and every pod with a proxy: they ' +
      'trust the root that they were started with',
  });
}

function warnOfPublicCa(secret: KubeObject, report: InstallOptions['report']): void {
  const files = Object.values((secret['data'] ?? {}) as Record<string, string>);
  const publicCa = findPublicCa(files.map((file) => Buffer.from(file, 'base64').toString('utf8')));
  if (publicCa === undefined) return;
  const message =
    `the CA in Secret cacerts is publicly known (${publicCa}): everybody can have its key and be any workload of this mesh; ` +
    'for anything but a trial make one of your own (isthmus certs)';
  report({ kind: 'warning', message });
}

async function afterStage(stage: Stage, options: InstallOptions): Promise<void> {
  const { client, report, timeoutMs, signal } = options;
  const wait = { timeoutMs, signal };
  // Even without --wait: what follows would be refused by a server that does not know the kinds yet.
  if (stage.name === 'definitions') await waitForDefinitions(client, stage.objects, wait);
  if (!options.wait) return;
  const { istioRemote } = options.values.global;
  if (istioRemote && stage.name === 'gateways') {
    report({ kind: 'note', message: AWAITS_PILOT });
    return;
  }
  for (const { kind, metadata } of stage.objects) {
    if (kind !== 'Deployment') continue;
    report({ kind: 'waiting', what: `Deployment ${metadata.name}` });
    await waitForDeployment(client, ISTIO_NAMESPACE, metadata.name ?? '', wait);
  }
  if (stage.name === 'webhooks') await waitForWebhooks(client, wait, istioRemote ? 'injector' : 'validator');
  if (stage.name !== 'gateways') return;
  for (const { kind, metadata, spec } of stage.objects) {
    if (kind !== 'Service' || (spec as { type?: string }).type !== 'LoadBalancer') continue;
    await reportAddress(metadata.name ?? '', options);
  }
}

async function reportAddress(name: string, { client, signal, report }: InstallOptions): Promise<void> {
  const address = await waitForAddress(client, ISTIO_NAMESPACE, name, { timeoutMs: ADDRESS_MS, signal });
  if (address !== undefined) {
    report({ kind: 'note', message: `${name} has the address ${address}` });
    return;
  }
  report({
    kind: 'warning',
    message:
      `Service ${name} has no load balancer address yet: see kubectl -n ${ISTIO_NAMESPACE} get service ${name}; ` +
      `without load balancers in this cluster, use its node ports (--set gateways.${name}.type=NodePort)`,
  });
}
