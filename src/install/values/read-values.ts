// SPDX-License-Identifier: Apache-2.0
// Layers of values, checked one by one (so that an error names the file and line, or the flag) and laid over one another
// as Helm does it: a chart's values, files in their order, --set in their order.

import { checkTogether } from './check-together.ts';
import { checkValues, type Locate } from './check-values.ts';
import { assign, isTree, parseSet, type RawTree, type RawValue } from './helm-set.ts';
import { DEFAULTS, EMPTY_IS_DEFAULT, OPEN_GROUPS, type Values } from './values.ts';
import { ValuesError } from './values-error.ts';
import { readValuesFile, type ValuesFile } from './values-file.ts';

export interface ValuesInput {
  /** A chart's own values.yaml: lies over the defaults, and under all else. */
  readonly chart?: ValuesFile;
  readonly files?: readonly ValuesFile[];
  readonly sets?: readonly SetFlag[];
  /** The cluster's name in the mesh where no value says it. */
  readonly clusterName: string;
}

/** The argument of one --set, or (asText) of one --set-string. */
export interface SetFlag {
  readonly text: string;
  readonly asText?: boolean;
}

export interface ReadValues {
  readonly values: Values;
  /** What was accepted and has no effect, one sentence for each reason. */
  readonly notices: readonly string[];
}

/** @throws ValuesError naming where each wrong value stands, and what would be right */
export function readValues({ chart, files = [], sets = [], clusterName }: ValuesInput): ReadValues {
  const ignored = new Map<string, Set<string>>();
  const problems: string[] = [];
  const check = (tree: RawTree, locate: Locate, isOwn = false): void => {
    const { errors, foreign } = checkValues(tree, locate);
    problems.push(...errors);
    for (const { path, reason } of isOwn ? [] : foreign) {
      ignored.set(reason, (ignored.get(reason) ?? new Set()).add(path));
    }
  };
  const readChecked = (file: ValuesFile, isOwn = false): RawTree => {
    const { tree, locate, notices } = readValuesFile(file);
    for (const { path, reason } of notices) ignored.set(reason, (ignored.get(reason) ?? new Set()).add(path));
    check(tree, locate, isOwn);
    return tree;
  };
  const base = chart === undefined ? {} : readChecked(chart, true);
  const given: RawTree = {};
  for (const file of files) lay(given, readChecked(file));
  for (const { text, asText = false } of sets) {
    for (const assignment of parseSet(text, asText)) {
      const steps = withoutPrefix(assignment.steps);
      const alone: RawTree = {};
      assign(alone, { ...assignment, steps });
      check(alone, () => `--set${asText ? '-string' : ''} ${text}`);
      assign(given, { ...assignment, steps });
    }
  }
  if (problems.length > 0) throw new ValuesError(problems.join('\n'));
  const values = structuredClone(DEFAULTS) as unknown as RawTree;
  settle(values, base, '');
  settle(values, given, '');
  const typed = values as unknown as Values;
  // A remote cluster's name is the registry's key, which only the control plane knows: its proxies need not say one.
  if (typed.global.multiCluster.clusterName === '' && !typed.global.istioRemote) {
    typed.global.multiCluster.clusterName = clusterName;
  }
  checkTogether(typed);
  return { values: typed, notices: describeIgnored(ignored) };
}

/** As istioctl has it, `values.global.tag` is Helm's `global.tag`. */
function withoutPrefix(steps: readonly (string | number)[]): readonly (string | number)[] {
  return steps[0] === 'values' && steps.length > 1 ? steps.slice(1) : steps;
}

/** Groups are merged, anything else replaced; null stays, for it takes back what lies below. */
function lay(below: RawTree, above: RawTree): void {
  for (const [name, value] of Object.entries(above)) {
    const current = Object.hasOwn(below, name) ? below[name] : undefined;
    if (isTree(current) && isTree(value)) lay(current, value);
    else below[name] = structuredClone(value);
  }
}

/** Lays checked values over typed ones, in the type that these have; what this mesh has not is left out. */
function settle(typed: RawTree, given: RawTree, group: string): void {
  for (const [name, value] of Object.entries(given)) {
    const path = group === '' ? name : `${group}.${name}`;
    const current = Object.hasOwn(typed, name) ? typed[name] : undefined;
    if (current === undefined || value === null) continue;
    if (value === '' && EMPTY_IS_DEFAULT.has(path)) continue;
    if (OPEN_GROUPS.has(path)) typed[name] = mergeOpen(current as RawTree, value as RawTree, path);
    else if (isTree(current)) settle(current, value as RawTree, path);
    else typed[name] = like(current, value);
  }
}

function mergeOpen(below: RawTree, above: RawTree, path: string): RawTree {
  const merged = structuredClone(below);
  lay(merged, above);
  for (const [name, value] of Object.entries(merged)) {
    if (value === null) delete merged[name];
    // Environment variables and annotations are texts, whatever YAML takes `true` and `1` for.
    else if (path !== 'global.meshNetworks') merged[name] = String(value);
  }
  return merged;
}

function like(current: RawValue | undefined, value: RawValue): RawValue {
  if (typeof current === 'string') return String(value);
  if (typeof current === 'number') return Number(value);
  if (typeof current === 'boolean') return value === true || value === 'true';
  return (value as RawValue[]).map(String);
}

function describeIgnored(ignored: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  return [...ignored].map(([reason, paths]) => `${[...paths].join(', ')}: without effect, for ${reason}`);
}
