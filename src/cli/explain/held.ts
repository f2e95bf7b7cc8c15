// SPDX-License-Identifier: Apache-2.0
// Do the proxies have what the answer rests on? Their control planes know what each has acknowledged, and what it refuses.
import packageJson from '../../../package.json' with { type: 'json' };
import type { UsedResource } from '../../explain/path.ts';
import { askPlane, listPlanePods, runningPilots } from '../proxies/planes.ts';
import type { SeenCluster } from './see-mesh.ts';

/** What /debug/resources?proxy=NODE has of one stream, as far as it is looked at. */
interface HeldStream {
  readonly service: string;
  readonly connectedAtMs: number;
  readonly types: readonly {
    readonly typeUrl: string;
    readonly versions: Readonly<Record<string, string>>;
    readonly rejected: Readonly<Record<string, { readonly version: string; readonly message: string }>>;
  }[];
}

export type Deviation = Pick<UsedResource, 'cluster' | 'node' | 'typeUrl' | 'name'> &
  (
    | { readonly kind: 'other'; readonly has: string | undefined }
    /** It goes on with what it had. */
    | { readonly kind: 'refused'; readonly message: string }
  );

export interface HeldReport {
  /** How many resources the proxies have as they are told. */
  readonly same: number;
  readonly deviations: readonly Deviation[];
  /** What could not be asked, and why. */
  readonly notes: readonly string[];
}

/** What proxies fetch with the first request that needs it, they may not have yet. */
const FETCHED = /\.(Cluster|ClusterLoadAssignment|VirtualHost)$/;

export async function compareWithHeld(
  used: readonly UsedResource[],
  clusters: readonly SeenCluster[],
): Promise<HeldReport> {
  const byPlane = [...Map.groupBy(used, ({ plane }) => plane)];
  const reports = await Promise.all(
    byPlane.map(([plane, resources]) => {
      const cluster = clusters.find(({ id }) => id === plane);
      return cluster === undefined ? notAsked(`${plane} is not looked at`) : compareOne(cluster, resources);
    }),
  );
  return joined(reports);
}

function joined(reports: readonly HeldReport[]): HeldReport {
  return {
    same: reports.reduce((sum, { same }) => sum + same, 0),
    deviations: reports.flatMap(({ deviations }) => deviations),
    notes: reports.flatMap(({ notes }) => notes),
  };
}

function notAsked(why: string): HeldReport {
  return { same: 0, deviations: [], notes: [`what the proxies have was not compared: ${why}`] };
}

async function compareOne({ id, target }: SeenCluster, used: readonly UsedResource[]): Promise<HeldReport> {
  try {
    const { client } = target;
    const pilots = runningPilots(await listPlanePods(client));
    if (pilots.length === 0) return notAsked(`no pod of istiod runs in ${id}`);
    const nodes = [...Map.groupBy(used, ({ node }) => node)];
    const reports = await Promise.all(
      nodes.map(async ([node, resources]) => {
        const view = `resources?proxy=${encodeURIComponent(node)}`;
        const answers = await Promise.all(pilots.map((pod) => askPlane(client, pod, view) as Promise<HeldStream[]>));
        const streams = answers.flat().filter(({ service }) => service === 'ads');
        const [latest] = streams.sort((a, b) => b.connectedAtMs - a.connectedAtMs);
        if (latest === undefined) return notAsked(`${podOf(node)} is not connected to the control plane of ${id}`);
        return compareStream(latest, resources);
      }),
    );
    const report = joined(reports);
    const other = report.deviations.length > 0 && pilots.find(({ version }) => version !== packageJson.version);
    if (!other) return report;
    // Another version may make other resources of the same objects.
    const note = `the control plane of ${id} is ${other.version}, this is ${packageJson.version}: that alone may be the difference`;
    return { ...report, notes: [...report.notes, note] };
  } catch (error) {
    return notAsked(`the control plane of ${id} did not answer (${(error as Error).message})`);
  }
}

function compareStream({ types }: HeldStream, used: readonly UsedResource[]): HeldReport {
  const deviations = used.flatMap(({ cluster, node, typeUrl, name, version }): Deviation[] => {
    const type = types.find((each) => each.typeUrl === typeUrl);
    const at = { cluster, node, typeUrl, name };
    const refused = type?.rejected[name];
    if (refused?.version === version) return [{ ...at, kind: 'refused', message: refused.message }];
    const has = type?.versions[name];
    if (has === version || (has === undefined && FETCHED.test(typeUrl))) return [];
    return [{ ...at, kind: 'other', has }];
  });
  return { same: used.length - deviations.length, deviations, notes: [] };
}

/** `productpage-v1-abc.default` of a node's id. */
function podOf(node: string): string {
  return node.split('~')[2] ?? node;
}

const KINDS: Readonly<Record<string, string>> = {
  Listener: 'listener',
  RouteConfiguration: 'route table',
  VirtualHost: 'virtual host',
  Cluster: 'cluster',
  ClusterLoadAssignment: 'endpoints of',
};

/** One sentence. */
export function describeDeviation(deviation: Deviation): string {
  const { cluster, node, typeUrl, name } = deviation;
  const kind = KINDS[typeUrl.slice(typeUrl.lastIndexOf('.') + 1)] ?? typeUrl;
  const who = `${podOf(node)} of ${cluster}`;
  if (deviation.kind === 'refused')
    return `${who} refuses ${kind} ${name} and goes on with what it had: ${deviation.message}`;
  return `${who} has ${deviation.has === undefined ? 'no' : 'another'} ${kind} ${name}${deviation.has === undefined ? ' yet' : ' still'}`;
}
