// SPDX-License-Identifier: Apache-2.0
// Whose logs there are, and in which format each proxy writes.
import type { Caller } from '../../explain/callers.ts';
import type { Mesh, MeshCluster } from '../../explain/mesh.ts';
import { addressesOfPod, isPod, placeOf } from '../../explain/pods.ts';
import type { LogIntent } from '../../intent/telemetry-types.ts';
import type { KubeObject } from '../../kube/types.ts';
import type { ReplayCaller } from './judge.ts';
import { type LogReader, readerOf } from './log-format.ts';

/** A proxy of whose log something can be learned. */
export interface Logger {
  readonly caller: ReplayCaller;
  readonly namespace: string;
  readonly pod: string;
  /** What comes to one of them is no request of the pod’s own. */
  readonly addresses: ReadonlySet<string>;
  readonly reader: LogReader;
  /** Only of such requests a line is written. */
  readonly filter: string | undefined;
}

/** Whether a proxy’s log is wanted. */
export type Wanted = (cluster: string, pod: KubeObject) => boolean;

export interface Loggers {
  readonly loggers: readonly Logger[];
  /** Proxies whose log tells nothing, and why. */
  readonly notes: readonly string[];
}

const STANDARD_OUTPUTS = ['/dev/stdout', '/dev/stderr'];

/** The proxies of the clusters, sidecars and gateways. */
export function findLoggers(before: Mesh, after: Mesh, isWanted: Wanted): Loggers {
  const loggers: Logger[] = [];
  const mute = new Map<string, string[]>();
  for (const cluster of before.clusters.values()) {
    for (const { object: pod } of cluster.objects) {
      if (!isPod(pod) || !isWanted(cluster.id, pod)) continue;
      const made = loggerOf(before, after, { cluster, pod });
      if (typeof made === 'string') mute.set(made, [...(mute.get(made) ?? []), pod.metadata.name ?? '']);
      else if (made !== undefined) loggers.push(made);
    }
  }
  const notes = [...mute].map(([why, pods]) => `${pods.length} of the proxies (${pods[0]}, ...) ${why}`);
  return { loggers, notes };
}

/** undefined: it has no proxy, or none that is told anything yet. A text: why its log is of no use. */
function loggerOf(before: Mesh, after: Mesh, caller: Caller): Logger | string | undefined {
  const { cluster, pod } = caller;
  const resources = before.proxyOf(cluster, pod);
  if (resources === undefined) return undefined;
  const place = placeOf(cluster, pod);
  const { name: podName = '', namespace = '' } = pod.metadata;
  const { intent } = resources.compiled;
  const written = intent.telemetry.client.logs.filter(isOnOutput);
  if (written.length === 0)
    return 'write no access log to where `kubectl logs` reads it: set accessLogFile: /dev/stdout in the mesh’s settings';
  const readers = written.map((log) => ({ reader: readerOf(log.format), filter: log.filter }));
  const complete = readers.find(({ reader }) => reader.missing.length === 0);
  if (complete === undefined)
    return `log no ${readers[0]!.reader.missing.join(', no ')}: add it to accessLogFormat; from then on they can be replayed`;
  const there = clusterOf(after, cluster);
  const afterPod = there?.objects.find(({ object }) => isSame(object, pod))?.object;
  return {
    caller: {
      key: `${cluster.id} ${namespace}/${podName}`,
      cluster: cluster.id,
      namespace,
      workload: place.workload,
      isGateway: place.proxy === 'gateway',
      before: caller,
      after: there && afterPod && { cluster: there, pod: afterPod },
    },
    namespace,
    pod: podName,
    addresses: new Set(addressesOfPod(pod)),
    ...complete,
  };
}

function isOnOutput({ sink }: LogIntent): boolean {
  return sink.kind === 'file' && STANDARD_OUTPUTS.includes(sink.path);
}

function clusterOf(mesh: Mesh, { id }: MeshCluster): MeshCluster | undefined {
  return mesh.clusters.get(id);
}

function isSame(object: KubeObject, pod: KubeObject): boolean {
  return (
    object === pod ||
    (isPod(object) &&
      object.metadata.name === pod.metadata.name &&
      object.metadata.namespace === pod.metadata.namespace)
  );
}
