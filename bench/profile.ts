// SPDX-License-Identifier: Apache-2.0

interface Profile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** The functions with the most time of their own in a CPU profile of Node's, as lines of text. */
export function topEntries(text: string, count: number): string[] {
  const { nodes, samples, timeDeltas } = JSON.parse(text) as Profile;
  const names = new Map(
    nodes.map(({ id, callFrame: { functionName, url } }) => [
      id,
      `${functionName || '(anonymous)'} ${url.split('/').at(-1) ?? ''}`.trim(),
    ]),
  );
  const spent = new Map<string, number>();
  let total = 0;
  samples.forEach((id, i) => {
    const name = names.get(id) ?? '';
    if (name.startsWith('(idle)')) return;
    total += timeDeltas[i] ?? 0;
    spent.set(name, (spent.get(name) ?? 0) + (timeDeltas[i] ?? 0));
  });
  const sorted = [...spent].sort(([, a], [, b]) => b - a).slice(0, count);
  return sorted.map(([name, us]) => `${((100 * us) / total).toFixed(1).padStart(5)} %  ${name}`);
}
