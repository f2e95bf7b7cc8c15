// SPDX-License-Identifier: Apache-2.0
// An answer for people: the verdict, then the way, proxy by proxy, each step with the object behind it.
import { percent } from '../../explain/endings.ts';
import { type Ending, type Fork, isEnding, type Leg, type Path, type Step, type Why } from '../../explain/path.ts';
import { describeDeviation, type HeldReport } from './held.ts';
import { PLAIN, type Style, wrap } from './wrap.ts';

const WIDTH = 100;
const LABEL = 10;

/** One line of text, and how it is shown. */
export interface Line {
  readonly text: string;
  readonly style?: keyof Style;
}

export function renderPath(path: Path, headers: readonly string[], style: Style = PLAIN): string {
  const lines = [...headLines(path, headers), { text: '' }, ...verdictLines(path), { text: '' }, ...pathLines(path)];
  return paint(lines, style);
}

export function paint(lines: readonly Line[], style: Style): string {
  return lines.map(({ text, style: how }) => `${how === undefined ? text : style[how](text)}\n`).join('');
}

export function headLines({ request, from }: Path, headers: readonly string[]): Line[] {
  const { workload, namespace, cluster, pod, proxy } = from;
  const who = proxy === 'gateway' ? `to ${pod}` : `from ${pod}`;
  const what = pod.startsWith(workload) ? '' : ` of ${workload}`;
  const more = headers.length === 0 ? '' : `, with ${headers.join(', ')}`;
  return wrap(`${request} ${who}${what} (${cluster}, namespace ${namespace})${more}`, WIDTH, '  ').map((text) => ({
    text,
  }));
}

function verdictLines({ verdict, endings }: Path): Line[] {
  const isBad = endings.some(({ kind }) => kind === 'refused');
  return wrap(`→ ${verdict}`, WIDTH, '  ').map((text) => ({ text, style: isBad ? 'bad' : 'bold' }));
}

/** The way, without the verdict. */
export function pathLines({ leg, from }: Path): Line[] {
  return legLines(leg, '', from.proxy === 'gateway');
}

function legLines({ at, steps, forks }: Leg, indent: string, isEntry = false): Line[] {
  const role = at.proxy === 'none' ? 'no sidecar' : isEntry ? 'gateway, from outside' : at.proxy;
  const title = `${at.cluster}: ${at.pod} (${role})`;
  const common = commonSteps(forks);
  const rest = forks.map((fork) => ({ ...fork, steps: fork.steps.slice(common.length) }));
  return [
    { text: `${indent}${title}`, style: 'bold' },
    ...[...steps, ...common].flatMap((step) => stepLines(step, `${indent}  `)),
    ...forkLines(rest, indent),
  ];
}

/** What all forks begin with is said once. */
function commonSteps(forks: readonly Fork[]): readonly Step[] {
  const [first, ...others] = forks;
  if (first === undefined || others.length === 0) return [];
  const same = (step: Step, i: number) =>
    others.every((fork) => JSON.stringify(fork.steps[i]) === JSON.stringify(step));
  const end = first.steps.findIndex((step, i) => !same(step, i));
  return end < 0 ? first.steps : first.steps.slice(0, end);
}

function forkLines(forks: readonly Fork[], indent: string): Line[] {
  const [only] = forks;
  if (forks.length === 1 && only !== undefined)
    return [
      ...only.steps.flatMap((step) => stepLines(step, `${indent}  `)),
      ...nextLines(only.next, indent, `${indent}  `),
    ];
  return forks.flatMap((fork) => [
    { text: `${indent}  ${percent(fork.share)}${forkName(fork)}`, style: 'bold' as const },
    ...fork.steps.flatMap((step) => stepLines(step, `${indent}    `)),
    ...nextLines(fork.next, `${indent}    `, `${indent}    `),
  ]);
}

function forkName({ destination }: Fork): string {
  if (destination === undefined) return '';
  return destination.subset === ''
    ? ` to ${destination.host}`
    : ` to subset ${destination.subset} of ${destination.host}`;
}

function nextLines(next: Leg | Ending, indent: string, ended: string): Line[] {
  return isEnding(next) ? endingLines(next, ended) : legLines(next, indent);
}

function stepLines({ kind, text, why }: Step, indent: string): Line[] {
  const from = `${indent}${kind.padEnd(LABEL)}`;
  const [first = '', ...more] = wrap(text, WIDTH - from.length);
  const hang = ' '.repeat(from.length);
  return [
    { text: `${from}${first}` },
    ...more.map((line) => ({ text: `${hang}${line}` })),
    ...why.flatMap((each) => whyLines(each, hang)),
  ];
}

function whyLines(why: Why, indent: string): Line[] {
  return wrap(`by ${describeWhy(why)}`, WIDTH - indent.length, '   ').map((line) => ({
    text: `${indent}${line}`,
    style: 'dim',
  }));
}

/** `VirtualService default/reviews spec.http[0].match[0] (rules.yaml:12)` */
function describeWhy({ kind, namespace, name, field, madeOf, file, line }: Why): string {
  const read = file === undefined ? '' : ` (${file}${line === undefined ? '' : `:${line}`})`;
  const place = madeOf === undefined ? read : ` (made of ${madeOf})`;
  return `${kind} ${namespace === '' ? name : `${namespace}/${name}`}${field === undefined ? '' : ` ${field}`}${place}`;
}

const MARKS: Readonly<Record<Ending['kind'], readonly [mark: string, style: keyof Style]>> = {
  served: ['✔', 'good'],
  outside: ['✔', 'good'],
  answered: ['•', 'bold'],
  refused: ['✘', 'bad'],
  unknown: ['?', 'bold'],
};

function endingLines({ kind, text, cure, why }: Ending, indent: string): Line[] {
  const [mark, style] = MARKS[kind];
  const said = kind === 'outside' ? `it leaves for ${text}` : text;
  const more = `${indent}  `;
  return [
    ...wrap(`${mark} ${said}`, WIDTH - indent.length, '  ').map((line) => ({ text: `${indent}${line}`, style })),
    ...(kind === 'refused' || kind === 'answered' ? why.flatMap((each) => whyLines(each, more)) : []),
    ...(cure === undefined
      ? []
      : wrap(`cure: ${cure}`, WIDTH - more.length, '  ').map((line) => ({ text: `${more}${line}` }))),
  ];
}

/** Whether the proxies have what the answer rests on. */
export function renderHeld({ same, deviations, notes }: HeldReport, style: Style = PLAIN): string {
  const lines: Line[] = [{ text: '' }];
  if (deviations.length === 0 && same > 0)
    lines.push({
      text: `The proxies on the way have acknowledged all of the ${same} resources that this rests on.`,
      style: 'dim',
    });
  if (deviations.length > 0) {
    lines.push({ text: 'NOT IN FORCE YET: what the proxies have is not what this rests on.', style: 'bad' });
    for (const each of deviations)
      lines.push(...wrap(`- ${describeDeviation(each)}`, WIDTH, '  ').map((text) => ({ text })));
  }
  if (lines.length === 1 && notes.length === 0) return '';
  for (const note of notes) lines.push(...wrap(note, WIDTH).map((text) => ({ text })));
  return paint(lines, style);
}

/** Every member of an answer by its name. */
export function plainPath(path: Path, headers: readonly string[]): Record<string, unknown> {
  const { request, from, verdict, endings, leg } = path;
  return { request, headers, from, verdict, endings, path: leg };
}
