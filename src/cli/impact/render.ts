// SPDX-License-Identifier: Apache-2.0
import { percent } from '../../explain/endings.ts';
import { renderStructured, type StructuredFormat } from '../proxies/render.ts';
import { renderTable } from '../table.ts';
import type { End } from './fates.ts';
import type { ImpactReport, ReportedFlow, ReportedMove } from './report.ts';

export type ImpactFormat = 'text' | StructuredFormat;

export function renderImpact(report: ImpactReport, format: ImpactFormat): string {
  // A copy without anything in common: YAML would refer to it.
  if (format !== 'text') return renderStructured(JSON.parse(JSON.stringify(report)), format);
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
  return `${workload}.${namespace} (${cluster}) -> ${host}: ${countOf(requests)}${aside}`;
}

function renderFlow(flow: ReportedFlow): string {
  const rows = flow.destinations.map(({ end, nowShare, afterShare }) => [
    ...[`  ${nameEnd(end)}`, percent(nowShare), percent(afterShare)],
    nowShare === afterShare ? '' : `${afterShare > nowShare ? '+' : '-'}${percent(Math.abs(afterShare - nowShare))}`,
  ]);
  const table = renderTable(['  DESTINATION', 'NOW', 'AFTER', 'CHANGE'], rows, 3);
  const moves = flow.moves.flatMap(renderMove);
  const head = `${headOf(flow)}, ${percent(flow.changedShare)} elsewhere\n`;
  return head + table + moves.map((line) => `${line}\n`).join('');
}

function renderMove({ from, to, share, requests, example, why }: ReportedMove): string[] {
  const { method, authority, path } = example;
  return [
    `  ${shortly(from)} -> ${shortly(to)}: ${percent(share)} (${countOf(requests)}), e.g. ${method} ${authority}${path}`,
    ...(to.kind === 'served' || to.text === undefined ? [] : [`    ${to.text}`]),
    ...why.map((each) => `    by ${each}`),
  ];
}

function renderUntold({ untold }: ImpactReport): string {
  const lines = untold.map(({ caller, host, requests, headers, why, cure, may, example }) => {
    const { method, authority, path } = example;
    const on = headers.length === 0 ? why : `it depends on ${headers.join(', ')}, which the log does not hold`;
    const ways = may.length === 0 ? '' : `: ${may.map(shortly).join(', or ')}`;
    return `  ${caller} -> ${host}: ${countOf(requests)}, e.g. ${method} ${authority}${path}\n    ${on}${ways}\n    cure: ${cure}\n`;
  });
  return `Cannot be told:\n${lines.join('')}`;
}

function renderTotal({ requests, totals }: ImpactReport): string {
  if (requests.replayed === 0)
    return 'No request was found in the logs, so nothing can be said: see --since, -n and -l, and whether proxies log (accessLogFile).\n';
  const { changedShare, newFailuresShare, untold } = totals;
  const told = requests.replayed - untold;
  const aside = untold === 0 ? '' : `; of ${untold} more it cannot be told`;
  const what = changedShare === 0 ? 'none would go elsewhere' : `${percent(changedShare)} would go elsewhere`;
  const fails = newFailuresShare === 0 ? 'none more would fail' : `${percent(newFailuresShare)} more WOULD FAIL`;
  return `Of ${countOf(told)} ${what}, and ${fails}${aside}.\n`;
}

/** `reviews.default.svc.cluster.local v3, reviews-v3 in cluster1` */
function nameEnd(end: End): string {
  const named = [end.service, end.subset].filter((part) => part !== undefined).join(' ');
  if (end.kind === 'served') return `${named}, ${end.workload} in ${end.cluster}`;
  return named === '' ? shortly(end) : `${shortly(end)}, asked for ${named}`;
}

function shortly({ kind, subset, cluster, workload, status, text }: End): string {
  const code = status === undefined ? '' : ` ${status}`;
  switch (kind) {
    case 'served':
      return `${workload}${subset === undefined ? '' : ` (${subset})`} in ${cluster}`;
    case 'outside':
      return `outside the mesh: ${text}`;
    case 'unknown':
      return 'not known';
    case 'same':
      return `as now: ${text}`;
    case 'answered':
      return `answered by a proxy${code}`;
    case 'failed':
      return `FAILS${code}`;
  }
}

function countOf(requests: number): string {
  const rounded = Math.round(requests);
  return `${rounded} ${rounded === 1 ? 'request' : 'requests'}`;
}
