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
import { watchResource } from '../../kube/watch.ts';
import { projectRoot } from '../../runtime/toolchain.ts';
import { type LoggedCall, parseAccessLogLine } from './evidence.ts';

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

/** Where an object is in its cluster. */
export interface ObjectPlace {
  readonly type: ResourceType;
  readonly namespace: string;
  readonly name: string;
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
  async ingressAddress(): Promise<string | undefined> {
    return (await this.#service('istio-ingressgateway'))?.status?.loadBalancer?.ingress?.[0]?.ip;
  }

  /** The egress gateway's, in its own cluster. */
  async egressAddress(): Promise<string | undefined> {
    return (await this.#service('istio-egressgateway'))?.spec.clusterIP;
  }

  #service(name: string): Promise<ServiceObject | undefined> {
    return this.#client.get<ServiceObject>(SERVICES, name, 'istio-system');
  }

  /**
   * Watches an object; resolves once it does. `at` then gives the time (milliseconds since 1970) at which the API server
   * had the next change of it.
   */
  async watchChange(place: ObjectPlace, signal: AbortSignal): Promise<{ readonly at: Promise<number>; stop(): void }> {
    const end = new AbortController();
    const synced = Promise.withResolvers<void>();
    const changed = Promise.withResolvers<number>();
    let isSynced = false;
    const watching = watchResource(
      this.#client,
      place.type,
      {
        namespace: place.namespace,
        fieldSelector: `metadata.name=${place.name}`,
        signal: AbortSignal.any([end.signal, signal]),
      },
      {
        synced() {
          isSynced = true;
          synced.resolve();
        },
        upsert() {
          if (isSynced) changed.resolve(Date.now());
        },
        delete() {},
      },
    );
    watching.catch(() => {});
    await Promise.race([synced.promise, watching]);
    signal.throwIfAborted();
    return { at: changed.promise, stop: () => end.abort() };
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

  /** The calls that the proxies of the pods `app=APP` have logged since `since`. */
  async loggedCalls(namespace: string, app: string, since: Date): Promise<LoggedCall[]> {
    const { items } = await this.#client.list<PodObject>(PODS, { namespace, labelSelector: `app=${app}` });
    const logs = await Promise.all(
      items.map((pod) =>
        this.#client.request(
          'GET',
          `/api/v1/namespaces/${namespace}/pods/${pod.metadata.name}/log?container=istio-proxy&sinceTime=${encodeURIComponent(since.toISOString())}`,
        ),
      ),
    );
    return logs
      .flatMap((log) => String(log).split('\n'))
      .map(parseAccessLogLine)
      .filter((call) => call !== undefined);
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
