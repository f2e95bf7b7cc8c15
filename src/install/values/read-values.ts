// SPDX-License-Identifier: Apache-2.0
// Layers of values, checked one by one (so that an error names the file and line, or the flag) and laid over one another
// as Helm does it: a chart's values, files in their order, --set in their order.

import { checkTogether } from './check-together.ts';
import { checkValues, type Locate } from './check-values.ts';
import { assign, isTree, parseSet, type RawTree, type RawValue } from './helm-set.ts';
import { checkMeshSettings, placeMeshSettings, placeSteps } from './mesh-settings.ts';
import { isOperatorMember, translateOperator } from './operator-file.ts';
import { readProfile } from './profiles.ts';
import { DEFAULTS, EMPTY_IS_DEFAULT, OPEN_GROUPS, STRUCTURED_GROUPS, type Values } from './values.ts';
import { ValuesError } from './values-error.ts';
import { type NamedProfile, readValuesFile, type ValuesFile } from './values-file.ts';

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
  const layers = new Layers();
  const base = chart === undefined ? {} : layers.readChart(chart);
  for (const file of files) layers.addFile(file);
  for (const flag of sets) layers.addSet(flag);
  layers.addSpec();
  const profile = layers.readProfile();
  layers.assertRight();
  const values = structuredClone(DEFAULTS) as unknown as RawTree;
  for (const layer of [base, profile, layers.given]) settle(values, layer, '');
  const typed = values as unknown as Values;
  // A remote cluster's name is the registry's key, which only the control plane knows: its proxies need not say one.
  if (typed.global.multiCluster.clusterName === '' && !typed.global.istioRemote) {
    typed.global.multiCluster.clusterName = clusterName;
  }
  checkTogether(typed);
  return { values: typed, notices: [...layers.notices, ...checkMeshSettings(typed)] };
}

/** What the user gave, checked piece by piece; all that is wrong is told at once. */
class Layers {
  readonly given: RawTree = {};
  readonly #spec: RawTree = {};
  readonly #problems: string[] = [];
  readonly #remarks: string[] = [];
  /** Reason -> values without effect. */
  readonly #ignored = new Map<string, Set<string>>();
  #profile: NamedProfile | undefined;

  get notices(): string[] {
    const ignored = [...this.#ignored].map(
      ([reason, paths]) => `${[...paths].join(', ')}: without effect, for ${reason}`,
    );
    return [...this.#remarks, ...ignored];
  }

  /** Ours: it says nothing that is without effect. */
  readChart(file: ValuesFile): RawTree {
    const { tree, locate } = readValuesFile(file);
    this.#problems.push(...checkValues(tree, locate).errors);
    return tree;
  }

  addFile(file: ValuesFile): void {
    const { notices, profile, ...read } = readValuesFile(file);
    const { tree, locate } = placeMeshSettings(read.tree, read.locate);
    this.#ignore(notices);
    this.#profile = profile ?? this.#profile;
    this.#check(tree, locate);
    lay(this.given, tree);
  }

  addSet({ text, asText = false }: SetFlag): void {
    const where = `--set${asText ? '-string' : ''} ${text}`;
    for (const assignment of parseSet(text, asText)) {
      const steps = placeSteps(withoutPrefix(assignment.steps));
      if (steps.length === 1 && steps[0] === 'profile') {
        this.#profile = { name: assignment.value, where };
        continue;
      }
      if (isOperatorMember(steps[0])) {
        assign(this.#spec, { ...assignment, steps });
        continue;
      }
      const alone: RawTree = {};
      assign(alone, { ...assignment, steps });
      this.#check(alone, () => where);
      assign(this.given, { ...assignment, steps });
    }
  }

  /** What --set said in the words of istioctl's file form: a list's members come one by one, and are read together. */
  addSpec(): void {
    const whereOf = (path: readonly string[]): string => `--set ${path.slice(1).join('.')}`;
    const { values, notices, origin } = translateOperator({ spec: this.#spec }, whereOf);
    this.#ignore(notices);
    this.#check(values, (path) => whereOf(origin(path.split('.'))));
    lay(this.given, values);
  }

  /** The values of the profile that was named last. */
  readProfile(): RawTree {
    if (this.#profile === undefined) return {};
    const read = readProfile(this.#profile.name);
    if ('error' in read) {
      this.#problems.push(`${this.#profile.where}: ${read.error}`);
      return {};
    }
    if (read.notice !== undefined) this.#remarks.push(read.notice);
    return read.values;
  }

  /** @throws ValuesError */
  assertRight(): void {
    if (this.#problems.length > 0) throw new ValuesError(this.#problems.join('\n'));
  }

  #check(tree: RawTree, locate: Locate): void {
    const { errors, foreign } = checkValues(tree, locate);
    this.#problems.push(...errors);
    this.#ignore(foreign);
  }

  #ignore(values: readonly { path: string; reason: string }[]): void {
    for (const { path, reason } of values) {
      this.#ignored.set(reason, (this.#ignored.get(reason) ?? new Set()).add(path));
    }
  }
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
    else if (!STRUCTURED_GROUPS.has(path)) merged[name] = String(value);
  }
  return merged;
}

function like(current: RawValue | undefined, value: RawValue): RawValue {
  if (typeof current === 'string') return String(value);
  if (typeof current === 'number') return Number(value);
  if (typeof current === 'boolean') return value === true || value === 'true';
  return (value as RawValue[]).map(String);
}
