// SPDX-License-Identifier: Apache-2.0
import { ANALYZERS } from '../../analyzers/analyzers.ts';

/** What the control plane's own rules and the installation are looked at for goes before what `analyze` alone looks at. */
const ALWAYS: readonly [name: string, looksAt: string][] = [
  ['schema', 'each object of the mesh by itself, as the webhook does'],
  ['mesh', 'objects together, as the control plane does: hosts, subsets, ports, gateways, addresses, networks'],
  ['status', 'what proxies refuse, from the status of objects'],
  ['installation', 'the control plane, its CA, its remote Secrets, its Events, the DNS of other clusters’ names'],
];

/** With several contexts. */
const SEVERAL: readonly [name: string, looksAt: string][] = [
  ['roots', 'whether the clusters trust one another’s workloads'],
  ['watching', 'whether each cluster without a control plane is watched by one'],
  ['services-across', 'whether a service of several clusters is the same in all of them'],
  ['rule-copies', 'whether rules that are written once are in each cluster as they are written'],
  ['global-hosts', 'whether there is, behind a .global name, what it promises, and whether it is exported'],
  ['gateways', 'whether anybody is behind the gateways of meshNetworks'],
];

/** A line for each. */
export function listedAnalyzers(): string {
  const own = ANALYZERS.map(({ name, looksAt }) => [name, looksAt] as const);
  const all = [...ALWAYS, ...own, ...SEVERAL.map(([name, looksAt]) => [name, `several contexts: ${looksAt}`] as const)];
  const width = Math.max(...all.map(([name]) => name.length));
  return all.map(([name, looksAt]) => `${name.padEnd(width)}  ${looksAt}\n`).join('');
}
