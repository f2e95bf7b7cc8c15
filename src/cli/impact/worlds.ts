// SPDX-License-Identifier: Apache-2.0
// Headers that no log holds: what could they have been? Every value that the conditions on them can tell apart is tried, so
// that an answer that is the same for all of them is an answer, and any other is none.
import type { HeaderMatcher } from '#gen/envoy/config/route/v3/route_components_pb.ts';
import { takesString } from '../../envoy/simulate/route-choice.ts';

/** Says of a condition whether it holds; undefined: the header is known, or known to be absent. */
export type Decide = (condition: HeaderMatcher) => boolean | undefined;

export interface Worlds<T> {
  /** What was found in each; one when nothing was asked of an unknown header. */
  readonly found: readonly T[];
  /** Lower-case names of unknown headers that were asked for, sorted. */
  readonly asked: readonly string[];
  /** Of known ones: what the answer rests on. */
  readonly known: readonly string[];
}

/** What a header may be: absent, or a text; of one that is like no other, regular expressions may hold or not. */
interface Guise {
  readonly value: string | undefined;
  readonly holding: ReadonlySet<string>;
}

const ABSENT: Guise = { value: undefined, holding: new Set() };
/** No condition has it. */
const UNLIKE = '\u0000';
/** On one header: each doubles the worlds. */
const MAX_REGEXES = 6;

/**
 * Runs `look` in every world. undefined: there are more than `limit`, or conditions that nothing here can tell apart.
 * @param isKnown of a header’s lower-case name
 */
export function explore<T>(
  isKnown: (header: string) => boolean,
  look: (decide: Decide) => T,
  limit = 200,
): Worlds<T> | undefined {
  const conditions = new Map<string, Map<string, HeaderMatcher>>();
  const known = new Set<string>();
  for (;;) {
    const all = [...conditions.values()].map((asked) => [...asked.values()]);
    if (all.flat().some(isStrange) || all.some((asked) => regexesOf(asked).length > MAX_REGEXES)) return undefined;
    const guises = [...conditions].map(([name, asked]) => [name, guisesOf([...asked.values()])] as const);
    if (guises.reduce((product, [, all]) => product * all.length, 1) > limit) return undefined;
    let isNew = false;
    const found = [...combinations(guises)].map((world) =>
      look((condition) => {
        const name = condition.name.toLowerCase();
        if (name.startsWith(':') || name === 'host') return undefined;
        if (isKnown(name)) {
          known.add(name);
          return undefined;
        }
        const asked = conditions.get(name) ?? new Map<string, HeaderMatcher>();
        conditions.set(name, asked);
        if (!asked.has(keyOf(condition))) isNew = true;
        asked.set(keyOf(condition), condition);
        return holds(condition, world.get(name) ?? ABSENT);
      }),
    );
    if (!isNew) return { found, asked: [...conditions.keys()].sort(), known: [...known].sort() };
  }
}

/** What a person would set to be told: a header of the request as a command of the log’s format. */
export function commandFor(header: string): string {
  return `%REQ(${header.toUpperCase()})%`;
}

function guisesOf(conditions: readonly HeaderMatcher[]): Guise[] {
  const texts = new Set<string>([UNLIKE]);
  const regexes = regexesOf(conditions);
  for (const { headerMatchSpecifier: specifier } of conditions) {
    if (specifier.case !== 'stringMatch') continue;
    const { matchPattern } = specifier.value;
    if (matchPattern.case === 'exact') texts.add(matchPattern.value);
    else if (matchPattern.case === 'prefix') texts.add(matchPattern.value).add(matchPattern.value + UNLIKE);
  }
  const made = [...texts].flatMap((value) => {
    const free = value.endsWith(UNLIKE) ? regexes : [];
    return subsetsOf(free).map((holding): Guise => ({ value, holding }));
  });
  return [ABSENT, ...made];
}

/** No rule of the mesh asks so; an EnvoyFilter may. */
function isStrange({ headerMatchSpecifier: specifier }: HeaderMatcher): boolean {
  if (specifier.case === 'presentMatch') return false;
  const pattern = specifier.case === 'stringMatch' ? specifier.value : undefined;
  return pattern?.ignoreCase !== false || !['exact', 'prefix', 'safeRegex'].includes(pattern.matchPattern.case ?? '');
}

function regexesOf(conditions: readonly HeaderMatcher[]): string[] {
  const found = conditions.flatMap(({ headerMatchSpecifier: specifier }) => {
    const pattern = specifier.case === 'stringMatch' ? specifier.value.matchPattern : undefined;
    return pattern?.case === 'safeRegex' ? pattern.value.regex : [];
  });
  return [...new Set(found)];
}

function holds(condition: HeaderMatcher, { value, holding }: Guise): boolean {
  const specifier = condition.headerMatchSpecifier;
  if (specifier.case === 'presentMatch') return ((value !== undefined) === specifier.value) !== condition.invertMatch;
  const text = value ?? (condition.treatMissingHeaderAsEmpty ? '' : undefined);
  if (specifier.case !== 'stringMatch' || text === undefined) return false;
  const { matchPattern } = specifier.value;
  const isFree = matchPattern.case === 'safeRegex' && text.endsWith(UNLIKE);
  const fits = isFree ? holding.has(matchPattern.value.regex) : takesString(specifier.value, text) === true;
  return fits !== condition.invertMatch;
}

/** Equal for conditions that no value can tell apart. */
function keyOf({ headerMatchSpecifier: specifier, invertMatch, treatMissingHeaderAsEmpty }: HeaderMatcher): string {
  const pattern = specifier.case === 'stringMatch' ? specifier.value.matchPattern : undefined;
  const value = pattern?.case === 'safeRegex' ? pattern.value.regex : pattern?.value;
  return JSON.stringify([specifier.case, pattern?.case, value, invertMatch, treatMissingHeaderAsEmpty]);
}

function* combinations(
  guises: readonly (readonly [string, readonly Guise[]])[],
): Generator<ReadonlyMap<string, Guise>, void, undefined> {
  const [first, ...rest] = guises;
  if (first === undefined) {
    yield new Map();
    return;
  }
  for (const others of combinations(rest)) for (const guise of first[1]) yield new Map([...others, [first[0], guise]]);
}

function subsetsOf(all: readonly string[]): Set<string>[] {
  return Array.from({ length: 2 ** all.length }, (_, bits) => new Set(all.filter((_one, i) => bits & (1 << i))));
}
