// SPDX-License-Identifier: Apache-2.0
// A sandbox's report for people and for programs.
import { stringify } from 'yaml';
import type { ClusterReport, SandboxReport } from '../../sandbox/life/status.ts';
import { renderTable } from '../table.ts';

export function printReport(report: unknown, format: 'json' | 'yaml'): void {
  process.stdout.write(format === 'json' ? `${JSON.stringify(report, undefined, 2)}\n` : stringify(report));
}

export function renderReport(report: SandboxReport): string {
  if (report.clusters.length === 0) return '';
  const header = ['CONTEXT', 'KUBERNETES', 'READY', 'NETWORK', 'PODS', 'SERVER', 'GATEWAY'];
  const rows = [
    ...report.clusters.map((cluster) => [
      cluster.context,
      cluster.kubernetesVersion ?? '-',
      describeReadiness(cluster),
      cluster.network,
      cluster.podCidr,
      cluster.server,
      cluster.gateway.url + (cluster.gateway.address === undefined ? ' (none yet)' : ''),
    ]),
  ];
  const troubled = [...report.components, ...report.clusters.flatMap(({ components }) => components)]
    .filter(({ restarts, state }) => restarts > 0 || state !== 'running')
    .map(
      ({ name, state, restarts, lastExit }) =>
        `${name}: ${state}, restarted ${restarts === 1 ? 'once' : `${restarts} times`}, last ${lastExit ?? '-'}`,
    );
  return [
    `kubeconfig  ${report.kubeconfig}`,
    `mode        ${report.mode}, version ${report.version}, since ${report.startedAt}`,
    '',
    renderTable(header, rows, 3).trimEnd(),
    ...(troubled.length > 0 ? ['', ...troubled] : []),
    '',
  ].join('\n');
}

function describeReadiness({ ready, connected }: ClusterReport): string {
  const cut = connected ? '' : ', cut off';
  const missing = [...(ready.api ? [] : ['api']), ...(ready.node ? [] : ['node']), ...(ready.dns ? [] : ['dns'])];
  return missing.length === 0 ? `yes${cut}` : `no (${missing.join(', ')})${cut}`;
}
