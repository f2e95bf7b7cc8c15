// SPDX-License-Identifier: Apache-2.0
// Waiting for what has been applied, and saying why it takes long.
import { setTimeout as sleep } from 'node:timers/promises';
import { type KubeClient, KubeError } from '../kube/client.ts';
import {
  CRDS,
  DEPLOYMENTS,
  MUTATING_WEBHOOKS,
  PODS,
  resourcePath,
  SERVICES,
  VALIDATING_WEBHOOKS,
} from '../kube/resources.ts';
import type { KubeObject, ResourceType } from '../kube/types.ts';
import { type ContainerStatus, describeUnready } from '../kube/unready-pod.ts';
import { DESTINATION_RULES, describeObject } from './resource-types.ts';
import { ISTIO_NAMESPACE } from './values/values.ts';

export interface WaitOptions {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly pollMs?: number;
}

/** From here on we take it that the next start will end as the ones before. */
const HOPELESS_RESTARTS = 3;

/** Something did not become ready in time; the message says what is known about it. */
export class NotReadyError extends Error {}

interface Condition {
  type: string;
  status: string;
  message?: string;
}
interface DeploymentStatus {
  observedGeneration?: number;
  replicas?: number;
  updatedReplicas?: number;
  availableReplicas?: number;
}
/** @throws NotReadyError naming the definition that the server does not serve */
export async function waitForDefinitions(
  client: KubeClient,
  crds: readonly KubeObject[],
  options: WaitOptions,
): Promise<void> {
  for (const crd of crds) {
    const name = crd.metadata.name ?? '';
    await poll(options, async () => {
      const { conditions = [] } = ((await client.get(CRDS, name))?.['status'] ?? {}) as { conditions?: Condition[] };
      if (conditions.some(({ type, status }) => type === 'Established' && status === 'True')) return undefined;
      const reasons = conditions.filter(({ status }) => status === 'False').map(({ message }) => message);
      return `${describeObject(crd)} is not served yet${reasons.length > 0 ? `: ${reasons.join('; ')}` : ''}`;
    });
  }
}

/** @throws NotReadyError with the state of the Deployment's pods */
export async function waitForDeployment(
  client: KubeClient,
  namespace: string,
  name: string,
  options: WaitOptions,
): Promise<void> {
  await poll(
    options,
    async () => {
      const deployment = await client.get(DEPLOYMENTS, name, namespace);
      if (deployment === undefined) return `Deployment ${namespace}/${name} is gone`;
      const wanted = (deployment['spec'] as { replicas?: number }).replicas ?? 1;
      const status = (deployment['status'] ?? {}) as DeploymentStatus;
      const observed = (status.observedGeneration ?? 0) >= (deployment.metadata.generation ?? 0);
      const settled = status.updatedReplicas === wanted && (status.replicas ?? 0) === wanted;
      if (observed && settled && (status.availableReplicas ?? 0) >= wanted) return undefined;
      return `Deployment ${namespace}/${name}: ${status.availableReplicas ?? 0} of ${wanted} pods are ready`;
    },
    () => describePods(client, namespace, name),
    () => lastWords(client, namespace, name),
  );
}

/**
 * The control plane writes its CA into the webhooks; until then the API server cannot call them. That it can is tried,
 * or the user's first pods would be refused while the Service's endpoints are still on their way.
 */
export async function waitForWebhooks(
  client: KubeClient,
  options: WaitOptions,
  calls: 'validator' | 'injector',
): Promise<void> {
  const types: ResourceType[] = [MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS];
  await poll(options, async () => {
    for (const type of types) {
      const { items } = await client.list(type, { labelSelector: 'app.kubernetes.io/managed-by=isthmus' });
      const webhooks = items.flatMap(
        (item) => item['webhooks'] as { name: string; clientConfig: { caBundle?: string } }[],
      );
      const without = webhooks.find(({ clientConfig }) => !clientConfig.caBundle);
      if (without !== undefined) return `the control plane has not put its CA into webhook ${without.name}`;
    }
    return undefined;
  });
  const { type, body } = PROBES[calls];
  await poll(options, async () => {
    try {
      await client.request('POST', `${resourcePath(type, ISTIO_NAMESPACE)}?dryRun=All`, { body });
      return undefined;
    } catch (error) {
      if (error instanceof KubeError && error.code >= 500) return error.message;
      // A Pod may be refused by a policy of the cluster's: that is after our webhook has answered, or not for it to say.
      if (error instanceof KubeError && calls === 'injector') return undefined;
      throw error;
    }
  });
}

const PROBE_METADATA = { name: 'isthmus-install-probe', namespace: ISTIO_NAMESPACE };

/** Never stored: they are only there for the webhook to be called. */
const PROBES: Readonly<Record<'validator' | 'injector', { type: ResourceType; body: KubeObject }>> = {
  validator: {
    type: DESTINATION_RULES,
    body: {
      apiVersion: 'networking.istio.io/v1',
      kind: 'DestinationRule',
      metadata: PROBE_METADATA,
      spec: { host: 'probe.example.com' },
    },
  },
  injector: {
    type: PODS,
    body: {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { ...PROBE_METADATA, labels: { 'sidecar.istio.io/inject': 'true' } },
      spec: { containers: [{ name: 'probe', image: 'probe' }] },
    },
  },
};

/** The address that a load balancer gave, or undefined: not every cluster has load balancers. */
export async function waitForAddress(
  client: KubeClient,
  namespace: string,
  name: string,
  options: WaitOptions,
): Promise<string | undefined> {
  let address: string | undefined;
  try {
    await poll(options, async () => {
      const service = await client.get(SERVICES, name, namespace);
      const { loadBalancer } = (service?.['status'] ?? {}) as {
        loadBalancer?: { ingress?: { ip?: string; hostname?: string }[] };
      };
      const first = loadBalancer?.ingress?.[0];
      address = first?.ip ?? first?.hostname;
      return address === undefined ? 'no address yet' : undefined;
    });
  } catch (error) {
    if (!(error instanceof NotReadyError)) throw error;
  }
  return address;
}

/**
 * Asks again until `check` returns undefined; what it returns otherwise says what is missing. `hopeless` says why waiting
 * on would be in vain.
 */
async function poll(
  options: WaitOptions,
  check: () => Promise<string | undefined>,
  explain?: () => Promise<string>,
  hopeless?: () => Promise<string | undefined>,
): Promise<void> {
  const { timeoutMs, signal, pollMs = 200 } = options;
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const missing = await check();
    if (missing === undefined) return;
    const verdict = await hopeless?.();
    if (verdict !== undefined) throw new NotReadyError(`${missing}: ${verdict}`);
    if (performance.now() >= deadline) {
      const why = explain === undefined ? '' : await explain();
      throw new NotReadyError(`after ${Math.round(timeoutMs / 1000)} s: ${missing}${why === '' ? '' : `; ${why}`}`);
    }
    await sleep(pollMs, undefined, { signal });
  }
}

async function describePods(client: KubeClient, namespace: string, app: string): Promise<string> {
  const { items } = await client.list(PODS, { namespace, labelSelector: `app=${app}` });
  if (items.length === 0) {
    return 'it has no pods: is a controller manager running, and does a quota or an admission policy refuse them?';
  }
  return items.map(describePod).join('; ');
}

/** What a container that ends again and again wrote last: a CA that cannot be used, say, gets no better by waiting. */
async function lastWords(client: KubeClient, namespace: string, app: string): Promise<string | undefined> {
  const { items } = await client.list(PODS, { namespace, labelSelector: `app=${app}` });
  for (const { metadata, status } of items) {
    if (metadata.deletionTimestamp !== undefined) continue;
    const { containerStatuses = [] } = (status ?? {}) as { containerStatuses?: ContainerStatus[] };
    const ended = containerStatuses.find(
      ({ restartCount = 0, state }) =>
        restartCount >= HOPELESS_RESTARTS && state?.waiting?.reason === 'CrashLoopBackOff',
    );
    if (ended === undefined) continue;
    const query = `container=${ended.name}&previous=true&tailLines=5`;
    const path = `/api/v1/namespaces/${namespace}/pods/${metadata.name}/log?${query}`;
    const log = await client.request('GET', path).catch(() => undefined);
    const words = typeof log === 'string' && log.trim() !== '' ? `, and said last:\n${log.trim()}` : '';
    return `${ended.name} of pod ${metadata.name} has ended ${ended.restartCount} times${words}`;
  }
  return undefined;
}

function describePod(pod: KubeObject): string {
  const { namespace, name } = pod.metadata;
  return `pod ${name} is ${describeUnready(pod)}; kubectl -n ${namespace} logs ${name} tells more`;
}
