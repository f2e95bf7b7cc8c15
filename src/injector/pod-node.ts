// SPDX-License-Identifier: Apache-2.0
// What the proxy of a Pod will say of itself, read off the Pod: the bootstrap is an argument of its container, in which the
// kubelet fills in what only it knows (https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/).
import type { KubeObject } from '../kube/types.ts';
import type { XdsNode } from '../xds/types.ts';
import { PROXY_CONTAINER } from './proxy-container.ts';

interface ContainerText {
  readonly name?: string;
  readonly args?: readonly string[];
  readonly env?: readonly EnvVariable[];
}

interface EnvVariable {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: { readonly fieldRef?: { readonly fieldPath?: string } };
}

interface PodText {
  readonly spec?: {
    readonly containers?: readonly ContainerText[];
    readonly initContainers?: readonly ContainerText[];
    readonly nodeName?: string;
    readonly serviceAccountName?: string;
  };
  readonly status?: { readonly podIP?: string; readonly hostIP?: string };
}

/** The node's id and metadata; undefined for a Pod without a proxy of ours, or whose bootstrap nobody can read. */
export function nodeOfPod(pod: KubeObject): XdsNode | undefined {
  const { spec } = pod as KubeObject & PodText;
  const containers = [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])];
  const proxy = containers.find(({ name, args }) => name === PROXY_CONTAINER && args !== undefined);
  const bootstrap = proxy?.args?.[proxy.args.indexOf('--config-yaml') + 1];
  if (proxy === undefined || bootstrap === undefined) return undefined;
  try {
    const { node } = JSON.parse(expand(bootstrap, environmentOf(pod, proxy))) as { node?: XdsNode };
    if (typeof node?.id !== 'string') return undefined;
    // Which Envoy it is, the Pod does not tell; ours is new enough for whatever its bootstrap asks for.
    return { id: node.id, cluster: node.cluster, metadata: node.metadata ?? {}, userAgentVersion: '' };
  } catch {
    return undefined;
  }
}

function environmentOf(pod: KubeObject, { env = [] }: ContainerText): Map<string, string> {
  const known = new Map<string, string>();
  for (const { name, value, valueFrom } of env) {
    const path = valueFrom?.fieldRef?.fieldPath;
    known.set(name, path === undefined ? expand(value ?? '', known) : fieldOf(pod, path));
  }
  return known;
}

/** `$(NAME)`; `$$` is a dollar, and what has no value stays as it is. */
function expand(text: string, known: ReadonlyMap<string, string>): string {
  return text.replace(/\$\$|\$\(([^)]*)\)/g, (whole, name: string | undefined) =>
    name === undefined ? '$' : (known.get(name) ?? whole),
  );
}

/** The fields of the downward API: https://kubernetes.io/docs/concepts/workloads/pods/downward-api/ */
function fieldOf(pod: KubeObject, path: string): string {
  const { metadata, spec, status } = pod as KubeObject & PodText;
  const [, list, key] = /^metadata\.(labels|annotations)\['([^']*)'\]$/.exec(path) ?? [];
  if (key !== undefined) return metadata[list as 'labels' | 'annotations']?.[key] ?? '';
  const plain: Readonly<Record<string, string | undefined>> = {
    'metadata.name': metadata.name,
    'metadata.namespace': metadata.namespace,
    'metadata.uid': metadata.uid,
    'spec.nodeName': spec?.nodeName,
    'spec.serviceAccountName': spec?.serviceAccountName ?? 'default',
    'status.podIP': status?.podIP,
    'status.hostIP': status?.hostIP,
  };
  return plain[path] ?? '';
}
