// SPDX-License-Identifier: Apache-2.0
// What the demo does to one cluster, through the Kubernetes API alone.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseAllDocuments } from 'yaml';
import { KubeClient } from '../../kube/client.ts';
import { loadKubeconfig } from '../../kube/config.ts';
import { CONFIG_MAPS, NAMESPACES, PODS, SECRETS, SERVICES } from '../../kube/resources.ts';
import type { KubeObject, ResourceType } from '../../kube/types.ts';
import { projectRoot } from '../../runtime/toolchain.ts';

interface ServiceObject extends KubeObject {
  spec: { clusterIP?: string };
  status?: { loadBalancer?: { ingress?: { ip?: string }[] } };
}

interface PodObject extends KubeObject {
  status?: {
    phase?: string;
    conditions?: { type: string; status: string }[];
    containerStatuses?: { name: string; state?: { waiting?: { reason?: string; message?: string } } }[];
  };
}

export class DemoCluster {
  readonly context: string;
  readonly #client: KubeClient;
  #types: Map<string, ResourceType> | undefined;

  constructor(kubeconfig: string, context: string) {
    this.context = context;
    this.#client = new KubeClient(loadKubeconfig(kubeconfig, context));
  }

  close(): void {
    this.#client.close();
  }

  /** Creates istio-system with the CA's four files as the Secret `cacerts`, before the mesh is installed. */
  async putCertificates(dir: string): Promise<void> {
    const files = ['ca-cert.pem', 'ca-key.pem', 'root-cert.pem', 'cert-chain.pem'];
    await this.#client.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'istio-system' } }, NAMESPACES);
    await this.#client.apply(
      {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'cacerts', namespace: 'istio-system' },
        type: 'Opaque',
        data: Object.fromEntries(files.map((file) => [file, readFileSync(join(dir, file)).toString('base64')])),
      },
      SECRETS,
    );
  }

  /** Sends `.global` names to istiocoredns, as the documents' DNS step does. */
  async sendGlobalNamesToMesh(): Promise<void> {
    const dns = await this.#client.get<ServiceObject>(SERVICES, 'istiocoredns', 'istio-system');
    const stubDomains = JSON.stringify({ global: [dns?.spec.clusterIP] });
    await this.#client.apply(
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'kube-dns', namespace: 'kube-system' },
        data: { stubDomains },
      },
      CONFIG_MAPS,
    );
  }

  async injectDefaultNamespace(): Promise<void> {
    await this.#client.patch(NAMESPACES, 'default', undefined, {
      metadata: { labels: { 'istio-injection': 'enabled' } },
    });
  }

  /** Applies a file of samples/, `${NAME}` replaced as envsubst would. */
  async applySample(path: string, variables: Readonly<Record<string, string>> = {}): Promise<void> {
    const text = readFileSync(join(projectRoot(), 'samples', path), 'utf8').replace(
      /\$\{(\w+)\}/g,
      (all, name: string) => variables[name] ?? all,
    );
    for (const document of parseAllDocuments(text)) {
      const object = document.toJS() as KubeObject;
      object.metadata.namespace ??= 'default';
      await this.#client.apply(object, await this.#typeOf(object));
    }
  }

  /** The ingress gateway's address on the external network. */
  async gatewayAddress(): Promise<string> {
    const gateway = await this.#client.get<ServiceObject>(SERVICES, 'istio-ingressgateway', 'istio-system');
    const ip = gateway?.status?.loadBalancer?.ingress?.[0]?.ip;
    if (!ip) throw new Error(`istio-ingressgateway in ${this.context} has no load balancer address yet`);
    return ip;
  }

  /** Waits until every pod of the namespace is ready; tells which are not. */
  async waitForPods(
    namespace: string,
    report: (text: string) => void,
    signal: AbortSignal,
    timeoutMs = 120_000,
  ): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      signal.throwIfAborted();
      const { items } = await this.#client.list<PodObject>(PODS, { namespace, signal });
      const waiting = items.filter((pod) => !isReady(pod));
      report(`${items.length - waiting.length} of ${items.length} pods ready in ${this.context}`);
      if (items.length > 0 && waiting.length === 0) return;
      if (performance.now() > deadline) {
        throw new Error(
          `after ${timeoutMs / 1000} s these pods of ${this.context} are not ready: ${waiting.map(describePod).join('; ')}`,
        );
      }
      await sleep(150, undefined, { signal });
    }
  }

  /** Lines that the sidecar of the pods `app=APP` has logged since `since`. */
  async sidecarLog(app: string, since: Date): Promise<string[]> {
    const { items } = await this.#client.list<PodObject>(PODS, { namespace: 'default', labelSelector: `app=${app}` });
    const logs = await Promise.all(
      items.map((pod) =>
        this.#client.request(
          'GET',
          `/api/v1/namespaces/default/pods/${pod.metadata.name}/log?container=istio-proxy&sinceTime=${encodeURIComponent(since.toISOString())}`,
        ),
      ),
    );
    return logs.flatMap((log) => String(log).split('\n'));
  }

  async #typeOf(object: KubeObject): Promise<ResourceType> {
    this.#types ??= new Map(
      (await this.#client.discover()).map((t) => [`${t.group ? `${t.group}/` : ''}${t.version}/${t.kind}`, t]),
    );
    const type = this.#types.get(`${object.apiVersion}/${object.kind}`);
    if (!type) throw new Error(`${this.context} does not serve ${object.apiVersion} ${object.kind}`);
    return type;
  }
}

function isReady(pod: PodObject): boolean {
  return (
    pod.metadata.deletionTimestamp !== undefined ||
    (pod.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') ?? false)
  );
}

function describePod(pod: PodObject): string {
  const reasons = (pod.status?.containerStatuses ?? []).flatMap((c) =>
    c.state?.waiting ? [`${c.name}: ${c.state.waiting.reason} ${c.state.waiting.message ?? ''}`.trim()] : [],
  );
  return `${pod.metadata.name} (${[pod.status?.phase ?? 'no status', ...reasons].join(', ')})`;
}
