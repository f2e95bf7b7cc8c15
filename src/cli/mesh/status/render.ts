// SPDX-License-Identifier: Apache-2.0
import { renderTable } from '../../table.ts';
import type { ClusterRow, LinkRow, Problem, RuleCount, StatusReport } from './report.ts';

/** What is wrong, each with its cure, then the tables. */
export function renderStatus({ problems, clusters, links, rules }: StatusReport): string {
  return [
    ...problems.map(renderProblem),
    ...(problems.length > 0 ? [''] : []),
    renderTable(CLUSTER_COLUMNS, clusters.map(clusterCells)).trimEnd(),
    ...(links.length > 0 ? ['', renderTable(LINK_COLUMNS, links.map(linkCells)).trimEnd()] : []),
    ...(rules.written > 0 ? ['', renderRules(rules)] : []),
    '',
    summarize(problems, clusters),
  ]
    .map((line) => `${line}\n`)
    .join('');
}

function renderProblem({ severity, cluster, object, message, cure }: Problem): string {
  const where = object === '' ? cluster : `${cluster}: ${object}`;
  return `${severity === 'error' ? '✗' : '!'} ${where}: ${message}\n    cure: ${cure}`;
}

const CLUSTER_COLUMNS = [
  'CLUSTER',
  'CONTROL PLANE',
  'VERSION',
  'REACHED',
  'IN SYNC',
  'REFUSING',
  'ROOT',
  'CA',
  'WORKLOADS',
];

function clusterCells(row: ClusterRow): string[] {
  const { proxies } = row;
  const called = row.meshName === row.name ? row.name : `${row.name} (${row.meshName})`;
  return [
    called,
    row.controlPlane,
    row.versions.join(', ') || '?',
    row.reachable ? 'yes' : 'NO',
    proxies === undefined ? '?' : `${proxies.inSync} of ${proxies.all}`,
    proxies === undefined ? '?' : String(proxies.refusing),
    days(row.rootDays),
    days(row.intermediateDays),
    row.workloadHours === undefined ? '-' : `${row.workloadHours} h`,
  ];
}

function days(left: number | undefined): string {
  if (left === undefined) return '?';
  return left < 0 ? 'EXPIRED' : `${left} d`;
}

const LINK_COLUMNS = ['READER', 'READS', 'OF', 'STATE', 'LAST IN STEP'];

function linkCells({ reader, reads, cluster, state, ageSeconds }: LinkRow): string[] {
  return [
    reader,
    reads,
    cluster,
    state,
    ageSeconds === undefined ? 'never' : ageSeconds === 0 ? 'now' : `${age(ageSeconds)} ago`,
  ];
}

/** `90 s`, `12 min`, `5 h`, `3 d`. */
export function age(seconds: number): string {
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

function renderRules({ written, copies, inStep }: RuleCount): string {
  const drifting = copies - inStep;
  return `rules: ${written} written once, ${inStep} of ${copies} copies in step${drifting > 0 ? `, ${drifting} not` : ''}`;
}

function summarize(problems: readonly Problem[], clusters: readonly ClusterRow[]): string {
  const count = (severity: Problem['severity'], name: string): string[] => {
    const found = problems.filter((problem) => problem.severity === severity).length;
    return found === 0 ? [] : [`${found} ${name}${found === 1 ? '' : 's'}`];
  };
  const found = [...count('error', 'error'), ...count('warning', 'warning')];
  return found.length === 0
    ? `✓ ${clusters.length} cluster${clusters.length === 1 ? '' : 's'}, nothing to remark on.`
    : `${found.join(', ')}.`;
}
