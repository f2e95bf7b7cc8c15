// SPDX-License-Identifier: Apache-2.0
// From what was gathered to what a person wants to know: what is wrong first, then the numbers. Pure.
import { refName } from '../../../api/diagnostics.ts';
import { isDrift, type RuleReport } from '../../../federation/rules/comparison.ts';
import type { Remark } from '../../analyze/judge.ts';
import { inSync, type ProxyRow } from '../../proxies/states.ts';
import { type CertificateSight, cureIn } from '../verify/evidence.ts';
import { GATEWAY, TLS_PORT } from '../verify/observe-cluster.ts';
import type { ClusterState, MeshState } from './gather.ts';

export interface StatusReport {
  readonly ok: boolean;
  readonly problems: readonly Problem[];
  readonly clusters: readonly ClusterRow[];
  readonly links: readonly LinkRow[];
  readonly rules: RuleCount;
}

export interface Problem {
  /** `error`: something does not work. `warning`: it does, and may not for long. */
  readonly severity: 'error' | 'warning';
  readonly cluster: string;
  /** `Secret istio-system/cacerts`; '' where no object is to blame. */
  readonly object: string;
  readonly message: string;
  readonly cure: string;
}

export interface ClusterRow {
  readonly name: string;
  readonly meshName: string;
  readonly reachable: boolean;
  /** `own`, `served by cluster1`, `none`; `?` where it cannot be told. */
  readonly controlPlane: string;
  /** Of its control plane or CA; several where its parts differ. */
  readonly versions: readonly string[];
  /** Of its proxies; undefined where no control plane could be asked. */
  readonly proxies: { readonly all: number; readonly inSync: number; readonly refusing: number } | undefined;
  /** Days left, rounded down; undefined where it is not known. */
  readonly rootDays: number | undefined;
  readonly intermediateDays: number | undefined;
  /** Of the workload's certificate that ends first. */
  readonly workloadHours: number | undefined;
}

/** One cluster that another reads. */
export interface LinkRow {
  readonly reader: string;
  readonly cluster: string;
  /** `endpoints`: the reader's control plane rules it. `exports`: they are peers. */
  readonly reads: 'endpoints' | 'exports';
  readonly state: string;
  /** For how long what is known has not been known to be true; undefined: nothing is known. */
  readonly ageSeconds: number | undefined;
}

export interface RuleCount {
  readonly written: number;
  readonly copies: number;
  readonly inStep: number;
}

const DAY_MS = 24 * 3_600_000;
const SOON_DAYS = 30;
/** They are renewed at half of their life: what has less than this left has not been. */
const WORKLOAD_SOON_HOURS = 1;
const SHOWN_PROXIES = 3;

export function reportStatus(state: MeshState, nowMs: number): StatusReport {
  const clusters = state.clusters.map((cluster) => rowOf(cluster, state, nowMs));
  const links = state.clusters.flatMap(linksOf);
  const found = [
    ...state.clusters.flatMap((cluster, i) => problemsOf(cluster, clusters[i]!, state)),
    ...state.clusters.flatMap(linkProblems),
    ...state.rules.flatMap(ruleProblems),
  ];
  const problems = [...found].sort((a, b) => Number(a.severity === 'warning') - Number(b.severity === 'warning'));
  const ok = !problems.some(({ severity }) => severity === 'error');
  return { ok, problems, clusters, links, rules: countRules(state.rules) };
}

function rowOf(cluster: ClusterState, state: MeshState, nowMs: number): ClusterRow {
  const { name, meshName, unreachable, observed, plane, workloadEndMs } = cluster;
  const ownMs = nowMs + (observed?.sight.aheadMs ?? 0);
  const days = (certificates: readonly (CertificateSight | undefined)[]) => {
    const ends = certificates.flatMap((each) => each?.notAfterMs ?? []);
    return ends.length === 0 ? undefined : Math.floor((Math.min(...ends) - ownMs) / DAY_MS);
  };
  const { authority, parts = [], role } = observed?.sight ?? {};
  return {
    ...{ name, meshName, reachable: unreachable === undefined },
    controlPlane: describePlane(role, name, plane),
    versions: [...new Set(parts.map(({ version }) => version))],
    proxies: countProxies(proxiesOf(cluster, state)),
    rootDays: days(authority?.roots ?? []),
    intermediateDays: days([authority?.intermediate]),
    workloadHours: workloadEndMs === undefined ? undefined : Math.floor((workloadEndMs - ownMs) / 3_600_000),
  };
}

function describePlane(role: string | undefined, name: string, plane: string | undefined): string {
  if (role === undefined) return '?';
  if (role === 'none') return 'none';
  if (plane === name) return 'own';
  return plane === undefined ? 'served by nobody' : `served by ${plane}`;
}

/** Its proxies speak to its own control plane, or to that of the cluster that rules it. */
function proxiesOf({ meshName, plane }: ClusterState, { clusters }: MeshState): readonly ProxyRow[] | undefined {
  const ruling = clusters.find(({ name }) => name === plane);
  return ruling?.answers?.proxies.filter(({ cluster }) => cluster === meshName);
}

function countProxies(rows: readonly ProxyRow[] | undefined): ClusterRow['proxies'] {
  if (rows === undefined) return undefined;
  return {
    all: rows.length,
    inSync: rows.filter(inSync).length,
    refusing: rows.filter(isRefusing).length,
  };
}

function isRefusing({ refusals }: ProxyRow): boolean {
  return refusals.some(({ inForce }) => inForce);
}

function problemsOf(cluster: ClusterState, row: ClusterRow, state: MeshState): Problem[] {
  const { name, unreachable, observed, notes } = cluster;
  const tell = (severity: Problem['severity'], object: string, message: string, cure: string): Problem => {
    return { severity, cluster: name, object, message, cure };
  };
  if (unreachable !== undefined || observed === undefined) {
    const cure = `kubectl --context ${name} version; what others know of it stays in force meanwhile`;
    return [tell('error', '', `it cannot be asked: ${unreachable ?? 'unknown'}`, cure)];
  }
  if (row.controlPlane === 'none')
    return [
      tell('error', '', 'the mesh is not installed there', `isthmus mesh up, or isthmus install --context ${name}`),
    ];
  // What is told of a certificate is told once, with the days that the table has.
  const isOver = [row.rootDays, row.intermediateDays].some((days) => days !== undefined && days < 0);
  const isTold = ({ code }: Remark) => code === 'ISM0303' || (code === 'ISM0304' && isOver);
  const told = observed.sight.remarks
    .filter((remark) => !isTold(remark))
    .map((remark) => {
      const { severity, object, message } = remark;
      const ref = `${object.kind} ${object.namespace === '' ? '' : `${object.namespace}/`}${object.name}`;
      return tell(severity === 'error' ? 'error' : 'warning', ref, message, cureIn(name, remark));
    });
  return [
    ...told,
    ...(row.controlPlane === 'served by nobody'
      ? [
          tell(
            'error',
            '',
            'no control plane watches it: its proxies are refused',
            'isthmus mesh up makes the Secret for it',
          ),
        ]
      : []),
    ...partProblems(cluster, tell),
    ...doorProblems(cluster, tell),
    ...proxyProblems(proxiesOf(cluster, state) ?? [], tell),
    ...certificateProblems(row, tell),
    ...notes.map((note) => tell('warning', '', note, 'what it would tell is missing here; ask again')),
  ];
}

type Tell = (severity: Problem['severity'], object: string, message: string, cure: string) => Problem;

function partProblems({ name, observed }: ClusterState, tell: Tell): Problem[] {
  // Those of the control plane are among the remarks.
  const others = (observed?.sight.parts ?? []).filter((part) =>
    ['istio-ingressgateway', 'istiocoredns'].includes(part.name),
  );
  return others
    .filter(({ ready }) => ready === 0)
    .map((part) => {
      const cure =
        part.wanted === 0
          ? `kubectl --context ${name} -n istio-system scale deployment ${part.name} --replicas=1`
          : `kubectl --context ${name} -n istio-system describe pods -l app=${part.name}`;
      const state = part.wanted === 0 ? 'it is scaled to 0' : part.state;
      return tell('error', `Deployment istio-system/${part.name}`, `it has no ready pod: ${state}`, cure);
    });
}

/** What is written, without asking anybody on the way: what others come in by, what names and new pods depend on. */
function doorProblems({ name, observed }: ClusterState, tell: Tell): Problem[] {
  const { gateway, injector, names } = observed!.sight;
  const remake = `isthmus mesh up, or isthmus install --context ${name}, puts it back`;
  const problems: Problem[] = [];
  if (gateway !== undefined && !gateway.ports.some(({ number }) => number === TLS_PORT)) {
    const message = `it has no port ${TLS_PORT}, by which other clusters come in`;
    problems.push(tell('error', `Service istio-system/${GATEWAY}`, message, remake));
  }
  const hasPods = observed!.sight.parts.some((part) => part.name === GATEWAY && part.ready > 0);
  if (problems.length === 0 && gateway !== undefined && gateway.endpoints === 0 && hasPods) {
    const message =
      'nobody is behind it, though pods of the gateway are ready: its selector does not match their labels';
    problems.push(tell('error', `Service istio-system/${GATEWAY}`, message, remake));
  }
  if (injector === 'missing' || injector === 'no-ca') {
    const message = injector === 'missing' ? 'it is not there' : 'it has no caBundle, so that nobody can call it';
    const object = 'MutatingWebhookConfiguration istio-sidecar-injector';
    problems.push(tell('error', object, `${message}: new pods get no sidecar`, remake));
  }
  const isDown = observed!.sight.parts.some((part) => part.name === 'istiocoredns' && part.ready === 0);
  if (names?.fault !== undefined && !isDown) {
    const { object, cure } = names.fault;
    const ref = refName(object);
    // Whoever has another DNS than the cluster's does without.
    problems.push(tell('warning', ref, 'by what is written there, names below .global do not resolve', cure));
  }
  return problems;
}

function proxyProblems(rows: readonly ProxyRow[], tell: Tell): Problem[] {
  const refusing = rows.filter(isRefusing);
  if (refusing.length === 0) return [];
  const named = refusing.slice(0, SHOWN_PROXIES).map(({ name }) => name);
  const more = refusing.length > named.length ? `, and ${refusing.length - named.length} more` : '';
  const objects = new Set(
    refusing.flatMap(({ refusals }) => refusals.filter((each) => each.inForce).flatMap((each) => each.objects)),
  );
  const who = refusing.length === 1 ? 'a proxy refuses' : `${refusing.length} proxies refuse`;
  const message = `${who} what the control plane sends (${named.join(', ')}${more}): what was before stays in force`;
  return [tell('error', [...objects][0] ?? '', message, `isthmus proxy-status ${named[0]} says what and why`)];
}

function certificateProblems({ rootDays, intermediateDays, workloadHours }: ClusterRow, tell: Tell): Problem[] {
  const renew = 'make a new one (isthmus certs --force, or mesh up), and replace Secret cacerts';
  const secret = 'Secret istio-system/cacerts';
  const soon = (what: string, days: number | undefined): Problem[] => {
    if (days === undefined || days >= SOON_DAYS) return [];
    if (days < 0) return [tell('error', secret, `the ${what} has expired`, renew)];
    return [tell('warning', secret, `the ${what} ends in ${days} ${days === 1 ? 'day' : 'days'}`, renew)];
  };
  const late = workloadHours !== undefined && workloadHours < WORKLOAD_SOON_HOURS;
  const cure = 'the log of istiod (or istio-citadel) says why it is not renewed';
  return [
    ...soon('root', rootDays),
    ...soon('intermediate', intermediateDays),
    ...(late ? [tell('warning', '', 'a workload’s certificate ends within the hour', cure)] : []),
  ];
}

function linksOf({ name, answers }: ClusterState): LinkRow[] {
  const registries = answers?.registries ?? [];
  const peers = answers?.federation?.peers ?? [];
  return [
    ...registries.map(({ cluster, state, ageSeconds }): LinkRow => {
      return { reader: name, cluster, reads: 'endpoints', state, ageSeconds };
    }),
    ...peers.map(({ cluster, state, lastSyncMs }): LinkRow => {
      const ageSeconds = lastSyncMs === null ? undefined : Math.round(lastSyncMs / 1000);
      return { reader: name, cluster, reads: 'exports', state, ageSeconds };
    }),
  ];
}

function linkProblems({ name, answers, observed }: ClusterState): Problem[] {
  const told = new Set((observed?.sight.remarks ?? []).map(({ object }) => object.name));
  const standing = [
    ...(answers?.registries ?? []).map(({ cluster, secret, problem, cure }) => ({ cluster, secret, problem, cure })),
    ...(answers?.federation?.peers ?? []).map(({ cluster, secret, error, cure }) => ({
      cluster,
      secret,
      problem: error,
      cure,
    })),
  ];
  return standing.flatMap(({ cluster, secret, problem, cure = 'isthmus mesh verify finds the cause' }): Problem[] => {
    // What stands on the Secret as an Event is among the remarks.
    if (problem === undefined || told.has(secret)) return [];
    return [
      {
        severity: 'error',
        cluster: name,
        object: `Secret istio-system/${secret}`,
        message: `${cluster} cannot be read: ${problem}; what was known of it stays in force`,
        cure,
      },
    ];
  });
}

function ruleProblems({ kind, namespace, name, source, problem, copies }: RuleReport): Problem[] {
  const tell = (cluster: string, message: string): Problem => ({
    severity: 'warning',
    cluster,
    object: `${kind} ${namespace}/${name}`,
    message,
    cure: `isthmus rules -n ${namespace} shows where each copy stands`,
  });
  const drifting = copies
    .filter(isDrift)
    .map(({ cluster, message }) => tell(cluster, `the copy of ${source}’s rule: ${message}`));
  return problem === undefined ? drifting : [tell(source, problem), ...drifting];
}

function countRules(rules: readonly RuleReport[]): RuleCount {
  const copies = rules.flatMap((rule) => rule.copies);
  return { written: rules.length, copies: copies.length, inStep: copies.filter((copy) => !isDrift(copy)).length };
}
