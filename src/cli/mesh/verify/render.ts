// SPDX-License-Identifier: Apache-2.0
import { renderTable } from '../../table.ts';
import type { PairSight } from './evidence.ts';
import type { Finding } from './finding.ts';
import { readReply } from './probe/ask.ts';
import { callerOf, judgePair } from './verdict.ts';
import type { Verification } from './verify.ts';

/** `✓ cluster1 -> cluster2   own-plane   12 ms   spiffe://...`, as each pair ends. */
export function renderPair(pair: PairSight, width: number): string {
  const { ok, seen } = judgePair(pair);
  const name = `${pair.from} -> ${pair.to}`.padEnd(width);
  const { answer } = pair;
  const reply = answer && readReply(answer.outcome);
  const took = answer && 'tookMs' in answer.outcome ? `${Math.round(answer.outcome.tookMs)} ms` : '';
  const how = ok ? `${took.padStart(6)}   ${callerOf(reply?.clientCertificate ?? '') ?? ''}` : seen;
  return `  ${ok ? '✓' : '✗'} ${name}   ${pair.model.padEnd(9)}   ${how}\n`;
}

export function pairWidth(names: readonly string[]): number {
  const [a = 0, b = 0] = names.map((name) => name.length).sort((x, y) => y - x);
  return a + b + 4;
}

/** Rows call, columns answer. */
export function renderMatrix({ clusters, pairs }: Verification): string {
  const cell = (from: string, to: string): string => {
    const pair = pairs.find((each) => each.from === from && each.to === to);
    if (pair === undefined) return '-';
    return judgePair(pair).ok ? 'ok' : pair.answer === undefined ? 'not tried' : 'FAILED';
  };
  const rows = clusters.map((from) => [from, ...clusters.map((to) => cell(from, to))]);
  return renderTable(['FROM \\ TO', ...clusters], rows, 3);
}

export function renderFinding({ cause, severity, cluster, object, message, evidence, cure, pairs }: Finding): string {
  const lines = [
    `${severity === 'error' ? '✗' : '!'} ${cause}  (${cluster}${object === '' ? '' : `: ${object}`})`,
    `    ${message}`,
    ...evidence.map((line) => `    seen: ${line}`),
    `    cure: ${cure}`,
    ...(pairs.length === 0 ? [] : [`    so fails: ${pairs.map(({ from, to }) => `${from} -> ${to}`).join(', ')}`]),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

export function renderSummary({ pairs, findings }: Verification, tookMs: number): string {
  const passed = pairs.filter((pair) => judgePair(pair).ok).length;
  const warnings = findings.filter(({ severity }) => severity === 'warning').length;
  const tail = warnings === 0 ? '' : `, ${warnings} ${warnings === 1 ? 'warning' : 'warnings'}`;
  return `${passed} of ${pairs.length} pairs answer over mutual TLS${tail} (${(tookMs / 1000).toFixed(1)} s).\n`;
}

/** One object, with the pairs and their causes. */
export function toJson({ clusters, pairs, findings }: Verification): string {
  const told = pairs.map((pair) => {
    const { ok, proven, seen } = judgePair(pair);
    const { from, to, model, host, answer } = pair;
    const cause = findings.find((finding) => finding.pairs.some((each) => each.from === from && each.to === to));
    return {
      ...{ from, to, model, host, ok, proven },
      ...(answer && 'tookMs' in answer.outcome && { tookMs: Math.round(answer.outcome.tookMs) }),
      ...(!ok && { seen, cause: cause?.cause }),
    };
  });
  const ok = told.every((pair) => pair.ok) && !findings.some(({ severity }) => severity === 'error');
  return `${JSON.stringify({ ok, clusters, pairs: told, findings }, undefined, 2)}\n`;
}
