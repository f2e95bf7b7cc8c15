// SPDX-License-Identifier: Apache-2.0
import { renderStructured, type StructuredFormat } from '../proxies/render.ts';
import type { End } from './fates.ts';
import type { ImpactReport, ReportedFlow, ReportedMove } from './report.ts';

export type ImpactFormat = 'text' | StructuredFormat;

export function renderImpact(report: ImpactReport, format: ImpactFormat): string {
  if (format !== 'text') return renderStructured(report, format);
  const { flows } = report;
  const [moving, calm] = [flows.filter(isTouched), flows.filter((flow) => !isTouched(flow))];
  const parts = [
    ...moving.map(renderFlow),
    calm.length === 0 ? '' : `As before:\n${calm.map((flow) => `  ${headOf(flow)}\n`).join('')}`,
    report.untold.length === 0 ? '' : renderUntold(report),
    renderTotal(report),
  ];
  return parts.filter((part) => part !== '').join('\n');
}

function isTouched({ changedShare, failsAfterShare, failsNowShare }: ReportedFlow): boolean {
  return changedShare > 0 || failsAfterShare > 0 || failsNowShare > 0;
}

function headOf({ workload, namespace, cluster, host, requests, untold }: ReportedFlow): string {
  const aside = untold > 0 ? `, of which ${untold} cannot be told` : '';
  return `${workload}.${namespace} (${cluster}) -> ${host}: ${requests} ${requests === 1 ? 'request' : 'requests'}${aside}`;
}

function renderFlow(flow: ReportedFlow): string {
  const rows = flow.destinations.map(({ end, nowShare, afterShare }) => [
    ...[describeEnd(end), percent(nowShare), percent(afterShare)],
    nowShare === afterShare ? '' : `${afterShare > nowShare ? '+' : '-'}${percent(Math.abs(afterShare - nowShare))}`,
  ]);
  const table = [['DESTINATION', 'NOW', 'AFTER', 'CHANGE'], ...rows];
  const widths = [0, 1, 2].map((column) => Math.max(...table.map((cells) => cells[column]!.length)));
  const lines = table.map((cells) => {
    return `  ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('   ')}`.trimEnd();
  });
  const moves = flow.moves.flatMap(renderMove);
  return `${[`${headOf(flow)}, ${percent(flow.changedShare)} elsewhere`, ...lines, ...moves].join('\n')}\n`;
}

function renderMove({ from, to, share, requests, example, why }: ReportedMove): string[] {
  const { method, authority, path } = example;
  const fails = to.kind === 'failed' ? 'WOULD FAIL: ' : '';
  return [
    `  ${fails}${shortly(from)} -> ${shortly(to)}: ${percent(share)} (${Math.round(requests)} requests), e.g. ${method} ${authority}${path}`,
    ...why.map((each) => `    by ${each}`),
  ];
}

function renderUntold({ untold }: ImpactReport): string {
  const lines = untold.map(({ caller, host, requests, headers, why, cure, example: { method, authority, path } }) => {
    const on = headers.length === 0 ? why : `it depends on ${headers.join(', ')}, which the log does not hold`;
    return `  ${caller} -> ${host}: ${requests} requests, e.g. ${method} ${authority}${path}: ${on}\n    ${cure}\n`;
  });
  return `Cannot be told:\n${lines.join('')}`;
}

function renderTotal({ requests, totals }: ImpactReport): string {
  if (requests.replayed === 0) return 'No request was found in the logs, so nothing can be said.\n';
  const { changedShare, newFailuresShare, untold } = totals;
  const told = requests.replayed - untold;
  const aside = untold === 0 ? '' : `; of ${untold} more it cannot be told`;
  const what = changedShare === 0 ? 'none would go elsewhere' : `${percent(changedShare)} would go elsewhere`;
  const fails = newFailuresShare === 0 ? 'none more would fail' : `${percent(newFailuresShare)} more WOULD FAIL`;
  return `Of ${told} ${told === 1 ? 'request' : 'requests'} ${what}, and ${fails}${aside}.\n`;
}

/** `reviews.default.svc.cluster.local v3, reviews-v3 in cluster1` */
export function describeEnd({ kind, service, subset, cluster, workload, status, text }: End): string {
  const named = [service, subset].filter((part) => part !== undefined).join(' ');
  switch (kind) {
    case 'served':
      return `${named}, ${workload} in ${cluster}`;
    case 'outside':
      return `outside the mesh: ${text}`;
    case 'unknown':
      return `not known: ${text}`;
    case 'same':
      return `as now: ${text}`;
    case 'answered':
    case 'failed': {
      const about = named === '' ? '' : ` (${named})`;
      return `${kind === 'failed' ? 'FAILS' : 'answered'}${status === undefined ? '' : ` ${status}`}: ${text}${about}`;
    }
  }
}

function shortly(end: End): string {
  if (end.kind !== 'served') return describeEnd(end);
  return `${end.workload}${end.subset === undefined ? '' : ` (${end.subset})`} in ${end.cluster}`;
}

export function percent(share: number): string {
  const rounded = Math.round(share * 1000) / 10;
  return share > 0 && rounded === 0 ? '<0.1%' : share < 1 && rounded === 100 ? '>99.9%' : `${rounded}%`;
}
