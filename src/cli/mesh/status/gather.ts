// SPDX-License-Identifier: Apache-2.0
// What `mesh status` is made of: each cluster's installation, and what each control plane says of itself. Nothing is changed.
import { compareRules, type RuleReport } from '../../../federation/rules/comparison.ts';
import { KubeError } from '../../../kube/client.ts';
import type { FederationView } from '../../../runtime/federation/federation-view.ts';
import type { RegistryStatus } from '../../../runtime/registries/registry-reports.ts';
import {
  askAnswering,
  askLeader,
  askPilots,
  listPlanePods,
  type PlanePod,
  runningPilots,
} from '../../proxies/planes.ts';
import { type ProxyRow, readRows } from '../../proxies/states.ts';
import { readRules } from '../../rules/collect.ts';
import { whyUnread } from '../unread.ts';
import type { AskedCluster } from '../verify/members.ts';
import { type Observed, observeCluster } from '../verify/observe-cluster.ts';
import { placeClusters, placedAs } from '../verify/topology.ts';

/** What a replica says of its CA and of the certificates that it has issued. */
export interface CertificateReport {
  /** undefined: it has issued none. */
  readonly soonestExpiryMs: number | undefined;
}

export interface ClusterState {
  /** The context. */
  readonly name: string;
  /** What the mesh calls it. */
  readonly meshName: string;
  readonly unreachable: string | undefined;
  /** The context of the cluster whose control plane rules it. */
  readonly plane: string | undefined;
  readonly observed: Observed | undefined;
  /** Of its own control plane; undefined: it has none, or none answers. */
  readonly answers: PlaneAnswers | undefined;
  /** The first that a certificate of a workload ends, among those that its CA has issued. */
  readonly workloadEndMs: number | undefined;
  /** What could not be asked, and why. */
  readonly notes: readonly string[];
}

export interface PlaneAnswers {
  readonly proxies: readonly ProxyRow[];
  readonly registries: readonly RegistryStatus[];
  /** Of the leader; undefined: no replica says that it is. */
  readonly federation: FederationView | undefined;
}

export interface MeshState {
  readonly clusters: readonly ClusterState[];
  readonly rules: readonly RuleReport[];
}

export async function gatherState(members: readonly AskedCluster[]): Promise<MeshState> {
  const seen = await Promise.all(members.map(seeMember));
  const { planes, meshNames } = placeClusters(members.map((member, i) => placedAs(member, seen[i]!.observed)));
  const clusters = members.map(({ context }, i): ClusterState => {
    const { rules: _, ...state } = seen[i]!;
    return { ...state, name: context, meshName: meshNames.get(context) ?? context, plane: planes.get(context) };
  });
  // Rules are written where a control plane is; of a cluster that is away it is not known.
  const writing = clusters.flatMap(({ meshName, observed }, i) =>
    observed !== undefined && observed.sight.role !== 'primary'
      ? []
      : [{ cluster: meshName, rules: undefined, namespaces: undefined, ...seen[i]!.rules }],
  );
  const rules = compareRules(writing);
  return { clusters, rules };
}

type Seen = Omit<ClusterState, 'name' | 'meshName' | 'plane'> & {
  readonly rules: Awaited<ReturnType<typeof readRules>> | undefined;
};

async function seeMember({ context, target, unreachable }: AskedCluster): Promise<Seen> {
  const nothing = { observed: undefined, answers: undefined, workloadEndMs: undefined, notes: [], rules: undefined };
  if (unreachable !== undefined) return { ...nothing, unreachable };
  const notes: string[] = [];
  try {
    const [observed, pods] = await Promise.all([observeCluster(context, target.client), listPlanePods(target.client)]);
    const isPrimary = observed.sight.role === 'primary';
    const [answers, workloadEndMs, rules] = await Promise.all([
      askReplicas(pods),
      askAuthorities(pods.filter(({ isRunning }) => isRunning)),
      isPrimary ? readRules(target.client).catch((error) => noted(error, notes)) : undefined,
    ]);
    return { unreachable: undefined, observed, answers, workloadEndMs, notes, rules };
  } catch (error) {
    const why = whyUnread(error);
    if (why === undefined) throw error;
    return { ...nothing, unreachable: why };
  }

  async function askReplicas(pods: readonly PlanePod[]): Promise<PlaneAnswers | undefined> {
    const pilots = runningPilots(pods);
    if (pilots.length === 0) return undefined;
    try {
      const [proxies, registries, federation] = await Promise.all([
        askPilots(target.client, pilots),
        askAnswering<{ registries: RegistryStatus[] }>(target.client, pilots, 'registries'),
        askLeader(target.client, pilots),
      ]);
      notes.push(...proxies.notes);
      return {
        proxies: readRows(proxies.reports),
        registries: registries[0]?.registries ?? [],
        federation,
      };
    } catch (error) {
      noted(error, notes);
      return undefined;
    }
  }

  async function askAuthorities(pods: readonly PlanePod[]): Promise<number | undefined> {
    const issuers = pods.filter(({ component }) => component !== 'istio-sidecar-injector');
    const reports = await askAnswering<CertificateReport>(target.client, issuers, 'certificates');
    const ends = reports.flatMap(({ soonestExpiryMs }) => soonestExpiryMs ?? []);
    return ends.length === 0 ? undefined : Math.min(...ends);
  }
}

/** What may not be seen is a note; whatever else happens is told by what it happens to. */
function noted(error: unknown, notes: string[]): undefined {
  if (!(error instanceof KubeError) && !(error instanceof Error)) throw error;
  notes.push(error.message);
}
