// SPDX-License-Identifier: Apache-2.0
// The ends of a tree, each once, and what is to be said of all of them in one line.
import { type Ending, isEnding, type Leg } from './path.ts';

/** The likeliest first; they add up to 1. */
export function gatherEndings(leg: Leg): Ending[] {
  const sums = new Map<string, Ending>();
  for (const ending of endingsOf(leg, 1)) {
    const key = keyOf(ending);
    const known = sums.get(key);
    const pods = [...new Set([...(known?.pods ?? []), ...(ending.pods ?? [])])].sort();
    const probability = (known?.probability ?? 0) + ending.probability;
    sums.set(key, { ...(known ?? ending), probability, ...(pods.length > 0 && { pods }) });
  }
  return [...sums.values()].sort((a, b) => b.probability - a.probability || (keyOf(a) < keyOf(b) ? -1 : 1));
}

function* endingsOf({ forks }: Leg, reached: number): Generator<Ending> {
  for (const { share, next } of forks) {
    const probability = reached * share;
    if (probability === 0) continue;
    if (isEnding(next)) yield { ...next, probability };
    else yield* endingsOf(next, probability);
  }
}

/** Equal for ends that are the same to whoever asks. */
function keyOf({ kind, at, status, text, destination, via, address }: Ending): string {
  const where = at === undefined ? [] : [at.cluster, at.namespace, at.workload, kind === 'served' ? '' : at.pod];
  return JSON.stringify([kind, where, status, kind === 'served' ? '' : text, destination?.subset, via, address]);
}

export function percent(share: number): string {
  const rounded = Math.round(share * 1000) / 10;
  return share > 0 && rounded === 0 ? '<0.1%' : share < 1 && rounded === 100 ? '>99.9%' : `${rounded}%`;
}

/** `50% reviews-v2 and 50% reviews-v3 in cluster2, by 172.31.0.120:15443` */
export function sayVerdict(endings: readonly Ending[], home: string): string {
  const groups = Map.groupBy(endings, (ending) => groupOf(ending, home));
  const parts = [...groups].map(([group, members]) => {
    const named = [...Map.groupBy(members, nameOf)].map(([name, same]) => [name, sumOf(same)] as const);
    const isAll = named.length === 1 && sumOf(members) > 0.9995;
    const shown = named.map(([name, sum]) => (isAll ? name : `${percent(sum)} ${name}`));
    return `${joined(shown)}${group}`;
  });
  const line = parts.join('; ');
  return line === '' ? 'nothing becomes of it' : line;
}

function sumOf(endings: readonly Ending[]): number {
  return endings.reduce((sum, { probability }) => sum + probability, 0);
}

function groupOf({ kind, at, via }: Ending, home: string): string {
  if (kind !== 'served' || at === undefined) return '';
  const where = at.cluster === home ? ` in ${home} itself` : ` in ${at.cluster}`;
  return via.length === 0 ? where : `${where}, by ${via.join(' and ')}`;
}

function nameOf(ending: Ending): string {
  switch (ending.kind) {
    case 'served':
      return ending.at!.workload;
    case 'outside':
      return `outside: ${ending.text}`;
    case 'answered':
      return ending.text;
    case 'refused':
      return `REFUSED: ${ending.text}`;
    case 'unknown':
      return `NOT KNOWN: ${ending.text}`;
  }
}

function joined(names: readonly string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}
