// SPDX-License-Identifier: Apache-2.0
// One case of scenarios/: its input as meshes (a control plane for each cluster, as in the seeds) and proxies.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { compareDiagnostics, type Diagnostic } from '../../src/api/diagnostics.ts';
import { selects } from '../../src/api/kubernetes.ts';
import { clusterName } from '../../src/api/names.ts';
import { parseYamlObjects } from '../../src/api/yaml-documents.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import { familiesOf } from '../../src/model/ip-families.ts';
import type { MeshProxy } from '../../src/model/proxy.ts';
import { type MeshSnapshot, workloadKey } from '../../src/model/snapshot.ts';
import { MeshStore, type StoreEvent } from '../../src/model/store.ts';
import { CompileCache, type CompiledProxy, compileProxy } from '../../src/pipeline.ts';

export interface ScenarioProxy {
  readonly proxy: MeshProxy;
  readonly compiled: CompiledProxy;
  /** The same proxy in a mesh without anything: what goldens need not repeat. */
  readonly bare: CompiledProxy;
  readonly snapshot: MeshSnapshot;
}

export interface Scenario {
  readonly proxies: ReadonlyMap<string, ScenarioProxy>;
  readonly diagnostics: readonly Diagnostic[];
}

/** input.yaml's own documents, beside Kubernetes objects. */
type Directive =
  | { kind: 'Scenario'; proxies: Record<string, ProxySpec> }
  /** What follows is of this cluster; `of`: the cluster whose control plane watches it, if that is not its own. */
  | { kind: 'Cluster'; name: string; of?: string }
  /** What the DNS says of gateways' names. */
  | { kind: 'Names'; addresses: Record<string, string[]> }
  /** A ready pod, and its part in the EndpointSlices of every Service that selects it. */
  | ({ kind: 'Workload' } & WorkloadSpec);

interface ProxySpec {
  /** Name of a Workload. */
  workload: string;
  cluster?: string;
  kind?: 'sidecar' | 'gateway';
  upstreamMark?: number;
  /** NETWORK of the node's metadata. */
  network?: string;
  requestedNetworks?: string[];
  /** What EnvoyFilters may ask for: ISTIO_VERSION, and the rest of the node's metadata. */
  version?: string;
  metadata?: Record<string, string>;
}

interface WorkloadSpec {
  name: string;
  namespace?: string;
  ip: string;
  /** Those beside that one. */
  otherIps?: string[];
  labels?: Record<string, string>;
  serviceAccount?: string;
  /** Without a sidecar. */
  plain?: boolean;
  zone?: string;
  /** Name of its node. */
  node?: string;
  ports?: Record<string, number>;
}

interface ClusterInput {
  /** The cluster whose control plane it has. */
  plane: string;
  readonly events: StoreEvent[];
  readonly workloads: WorkloadSpec[];
}

interface Input {
  readonly clusters: ReadonlyMap<string, ClusterInput>;
  readonly specs: Record<string, ProxySpec>;
  readonly names: ReadonlyMap<string, readonly string[]>;
}

const OPTIONS = { trustDomain: 'cluster.local', dnsDomain: 'cluster.local', rootNamespace: 'istio-system' };

export function loadScenario(folder: string): Scenario {
  const { clusters, specs, names } = readInput(readFileSync(join(folder, 'input.yaml'), 'utf8'));
  const cache = new CompileCache();
  const diagnostics: Diagnostic[] = [];
  const snapshots = new Map<string, MeshSnapshot>();
  const planes = Map.groupBy(clusters, ([, { plane }]) => plane);
  for (const [plane, members] of planes) {
    const store = new MeshStore({ ...OPTIONS, configCluster: plane });
    for (const [name, { events, workloads }] of members) {
      const kube = [...workloads.map(podOf), ...slicesOf(events, workloads)];
      store.apply([...events, ...kube.map((object) => ({ kind: 'upsert' as const, cluster: name, object }))]);
    }
    const update = store.answer(names);
    for (const [name] of members) snapshots.set(name, update.snapshot);
    diagnostics.push(...update.diagnostics);
  }
  const proxies = new Map<string, ScenarioProxy>();
  for (const [name, spec] of Object.entries(specs)) {
    const cluster = spec.cluster ?? 'cluster1';
    const snapshot = snapshots.get(cluster)!;
    const proxy = placed(proxyOf(spec, cluster, clusters.get(cluster)?.workloads ?? []), snapshot);
    const empty = new MeshStore({ ...OPTIONS, configCluster: cluster }).snapshot;
    proxies.set(name, {
      proxy,
      snapshot,
      compiled: compileProxy(snapshot, proxy, cache),
      bare: compileProxy(empty, proxy, cache),
    });
  }
  return { proxies, diagnostics: diagnostics.sort(compareDiagnostics) };
}

function readInput(source: string): Input {
  const clusters = new Map<string, ClusterInput>();
  let specs: Record<string, ProxySpec> = {};
  let current = 'cluster1';
  const names = new Map<string, readonly string[]>();
  const inputOf = (name: string) => {
    const input = clusters.get(name) ?? { plane: name, events: [], workloads: [] };
    clusters.set(name, input);
    return input;
  };
  // Lines count from the top of the file, so each document is parsed in a text that is blank up to it.
  for (const { text, directive } of splitDocuments(source)) {
    switch (directive?.kind) {
      case 'Scenario':
        specs = directive.proxies;
        break;
      case 'Cluster':
        current = directive.name;
        inputOf(current).plane = directive.of ?? current;
        break;
      case 'Names':
        for (const [name, addresses] of Object.entries(directive.addresses)) names.set(name, addresses);
        break;
      case 'Workload':
        inputOf(current).workloads.push(directive);
        break;
      default: {
        const { objects, faults } = parseYamlObjects(text);
        if (faults.length > 0) throw new Error(`input.yaml:${faults[0]!.line}: ${faults[0]!.message}`);
        for (const { object, locate } of objects) {
          inputOf(current).events.push({ kind: 'upsert', cluster: current, object, locate });
        }
      }
    }
  }
  inputOf(current);
  return { clusters, specs, names };
}

function splitDocuments(source: string): { text: string; directive: Directive | undefined }[] {
  const found: { text: string; directive: Directive | undefined }[] = [];
  let start = 0;
  for (const part of source.split(/^(?=---\s*$)/m)) {
    const text = '\n'.repeat(source.slice(0, start).split('\n').length - 1) + part.replace(/^---.*$/m, '');
    start += part.length;
    const parsed = parseAllDocuments(part.replace(/^---.*$/m, ''));
    const raw = 'empty' in parsed ? undefined : (parsed[0]?.toJS() as { apiVersion?: string; kind?: string } | null);
    if (raw === undefined || raw === null) continue;
    found.push({ text, directive: raw.apiVersion === undefined ? (raw as Directive) : undefined });
  }
  return found;
}

function podOf(spec: WorkloadSpec): KubeObject {
  const tls: Record<string, string> = spec.plain === true ? {} : { 'security.istio.io/tlsMode': 'istio' };
  const ports = Object.entries(spec.ports ?? {}).map(([name, containerPort]) => ({ name, containerPort }));
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: spec.name, namespace: spec.namespace ?? 'default', labels: { ...spec.labels, ...tls } },
    spec: {
      serviceAccountName: spec.serviceAccount ?? 'default',
      containers: [{ ports }],
      ...(spec.node !== undefined && { nodeName: spec.node }),
    },
    status: {
      podIP: spec.ip,
      podIPs: [spec.ip, ...(spec.otherIps ?? [])].map((ip) => ({ ip })),
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  };
}

/** As the EndpointSlice controller would write them. */
function slicesOf(events: readonly StoreEvent[], workloads: readonly WorkloadSpec[]): KubeObject[] {
  return events.flatMap((event) => {
    if (event.kind !== 'upsert' || event.object.kind !== 'Service') return [];
    const { metadata } = event.object;
    const spec = event.object['spec'] as {
      selector?: Record<string, string>;
      ports?: { name?: string; port: number; targetPort?: number | string }[];
    };
    if (spec.selector === undefined) return [];
    const members = workloads.filter(
      (w) => (w.namespace ?? 'default') === metadata.namespace && selects(spec.selector!, w.labels ?? {}),
    );
    const target = (port: number | string | undefined, fallback: number) =>
      typeof port === 'string' ? members[0]?.ports?.[port] : (port ?? fallback);
    return [
      {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: {
          name: `${metadata.name}-1`,
          namespace: metadata.namespace!,
          labels: { 'kubernetes.io/service-name': metadata.name! },
        },
        addressType: 'IPv4',
        ports: (spec.ports ?? []).map((p) => ({ name: p.name ?? '', port: target(p.targetPort, p.port) })),
        endpoints: members.map((w) => ({
          addresses: [w.ip],
          conditions: { ready: true },
          ...(w.zone !== undefined && { zone: w.zone }),
          targetRef: { kind: 'Pod', name: w.name },
        })),
      },
    ];
  });
}

/** As the control plane places it: by its pod. */
function placed(proxy: MeshProxy, { workloads }: MeshSnapshot): MeshProxy {
  const workload = workloads.get(workloadKey(proxy.cluster, proxy.namespace, proxy.podName));
  return { ...proxy, locality: workload?.locality ?? '', node: workload?.nodeName ?? '' };
}

function proxyOf(spec: ProxySpec, cluster: string, workloads: readonly WorkloadSpec[]): MeshProxy {
  const workload = workloads.find((w) => w.name === spec.workload);
  if (workload === undefined) throw new Error(`no Workload ${spec.workload} in ${cluster}`);
  const namespace = workload.namespace ?? 'default';
  const kind = spec.kind ?? 'sidecar';
  const families = familiesOf([workload.ip, ...(workload.otherIps ?? [])]);
  return {
    id: `${kind === 'sidecar' ? 'sidecar' : 'router'}~${workload.ip}~${workload.name}.${namespace}~${namespace}.svc.cluster.local`,
    kind,
    cluster: clusterName(cluster),
    namespace,
    podName: workload.name,
    ip: workload.ip,
    ...(families !== 'IPv4' && { families }),
    labels: workload.labels ?? {},
    serviceAccount: workload.serviceAccount ?? 'default',
    network: spec.network ?? '',
    requestedNetworks: spec.requestedNetworks ?? [],
    trustDomain: 'cluster.local',
    dnsDomain: 'cluster.local',
    ...(spec.version !== undefined && { version: spec.version }),
    ...(spec.metadata !== undefined && { metadata: spec.metadata }),
    ...(spec.upstreamMark !== undefined && { upstreamMark: spec.upstreamMark }),
  };
}
