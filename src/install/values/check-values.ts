// SPDX-License-Identifier: Apache-2.0
// Is each value of a layer one that this mesh knows, and of the right type?
import { closestName } from '../../api/closest-name.ts';
import { parseDuration } from '../../api/values.ts';
import { foreignNames, foreignReason, isForeignGroup } from './foreign-values.ts';
import { isTree, type RawTree, type RawValue } from './helm-set.ts';
import { wrongVariable } from './proxy-variables.ts';
import { FORMS } from './value-forms.ts';
import { CHOICES, DEFAULTS, EMPTY_IS_DEFAULT, OPEN_GROUPS, STRUCTURED_GROUPS } from './values.ts';

/** Where a value stands, as a message begins: `values.yaml:7` or `--set a.b=1`. */
export type Locate = (path: string) => string;

export interface ValuesReport {
  readonly errors: readonly string[];
  /** Accepted, but without effect. */
  readonly foreign: readonly { path: string; reason: string }[];
}

const MIN_LIFETIME_MS = 10_000;
const MAX_LIFETIME_MS = 8_760 * 3_600_000;
/** They would reach the prototype of what they are laid over. */
const RESERVED = new Set(['__proto__', 'constructor', 'prototype']);

export function checkValues(tree: RawTree, locate: Locate): ValuesReport {
  const errors: string[] = [];
  const foreign: { path: string; reason: string }[] = [];
  const fail = (path: string, what: string): void => {
    errors.push(`${locate(path)}: ${what}`);
  };
  const visit = (given: RawTree, known: RawTree | undefined, group: string): void => {
    for (const [name, value] of Object.entries(given)) {
      const path = group === '' ? name : `${group}.${name}`;
      const own = known !== undefined && Object.hasOwn(known, name) ? known[name] : undefined;
      if (RESERVED.has(name)) fail(path, `"${name}" cannot be a name`);
      else if (OPEN_GROUPS.has(path)) checkOpen(value, path, fail);
      else if (isTree(own)) {
        if (isTree(value)) visit(value, own, path);
        else if (value !== null)
          fail(path, `${path} is a group; set one of its members (${Object.keys(own).join(', ')})`);
      } else if (own !== undefined) {
        const wrong = value === null ? undefined : wrongLeaf(path, own, value);
        if (wrong !== undefined) fail(path, `${path} ${wrong}`);
      } else {
        const reason = foreignReason(path, value);
        if (reason === undefined && isTree(value) && isForeignGroup(path)) visit(value, undefined, path);
        else if (reason === undefined) fail(path, unknownValue(path, group, known));
        else visitForeign(value, path, foreign);
      }
    }
  };
  visit(tree, DEFAULTS as unknown as RawTree, '');
  return { errors, foreign };
}

/** A group of which some members are as here: each is judged by itself, and named only when it has no effect. */
function visitForeign(value: RawValue, path: string, foreign: { path: string; reason: string }[]): void {
  if (isTree(value) && Object.keys(value).length > 0) {
    for (const [name, member] of Object.entries(value)) visitForeign(member, `${path}.${name}`, foreign);
    return;
  }
  const reason = foreignReason(path, value) ?? '';
  if (reason !== '') foreign.push({ path, reason });
}

function checkOpen(value: RawValue, path: string, fail: (path: string, what: string) => void): void {
  if (value === null) return;
  if (!isTree(value)) {
    fail(path, `${path} is a group; write it as NAME: VALUE`);
    return;
  }
  const visit = (tree: RawTree, at: string, isFlat: boolean): void => {
    for (const [name, member] of Object.entries(tree)) {
      if (RESERVED.has(name)) fail(`${at}.${name}`, `"${name}" cannot be a name`);
      else if (isFlat && typeof member === 'object' && member !== null) {
        fail(`${at}.${name}`, `${at}.${name} has no members`);
      } else if (isTree(member)) visit(member, `${at}.${name}`, isFlat);
      else if (path.endsWith('.env')) {
        const wrong = wrongVariable(name, member);
        if (wrong !== undefined) fail(`${at}.${name}`, `${at}.${name} ${wrong}`);
      }
    }
  };
  visit(value, path, !STRUCTURED_GROUPS.has(path));
}

function wrongLeaf(path: string, known: RawValue, value: RawValue): string | undefined {
  if (Array.isArray(known)) {
    const isList = Array.isArray(value) && value.every((item) => typeof item === 'string');
    return isList ? undefined : 'must be a list of texts';
  }
  if (typeof value === 'object') return 'has no members';
  const text = String(value);
  if (text === '' && EMPTY_IS_DEFAULT.has(path)) return undefined;
  if (typeof known === 'boolean') return text === 'true' || text === 'false' ? undefined : 'must be true or false';
  if (typeof known === 'number') return /^\d+$/.test(text) ? undefined : 'must be a whole number';
  if (path === 'security.workloadCertTtl') return wrongLifetime(text);
  const form = FORMS[path];
  if (form !== undefined && !(text === '' && form.mayBeEmpty) && !form.pattern.test(text))
    return `must be ${form.what}`;
  const choices = CHOICES[path];
  return choices === undefined || choices.includes(text) ? undefined : `must be one of ${choices.join(', ')}`;
}

/** Shorter ones would be renewed all the time; longer ones are of no use to whoever wants to be rid of a stolen key. */
function wrongLifetime(text: string): string | undefined {
  const ms = parseDuration(text);
  const isRight = ms !== undefined && ms >= MIN_LIFETIME_MS && ms <= MAX_LIFETIME_MS;
  return isRight ? undefined : 'must be a duration from 10s to 8760h, such as 24h or 90m';
}

function unknownValue(path: string, group: string, known: RawTree | undefined): string {
  const siblings = Object.keys(known ?? {});
  const name = path.slice(group === '' ? 0 : group.length + 1);
  const sibling = closestName(name, siblings);
  const nearest =
    sibling !== undefined
      ? `${group === '' ? '' : `${group}.`}${sibling}`
      : (closestName(path, knownPaths()) ?? knownPaths().find((other) => other.endsWith(`.${name}`)));
  if (nearest !== undefined) return `there is no value ${path}; did you mean ${nearest}?`;
  if (known !== undefined && siblings.length === 0) return `${group} has no members`;
  return `there is no value ${path}${siblings.length > 0 ? `; known here: ${siblings.join(', ')}` : ''}`;
}

function knownPaths(): string[] {
  const paths: string[] = [];
  const visit = (tree: RawTree, group: string): void => {
    for (const [name, value] of Object.entries(tree)) {
      const path = group === '' ? name : `${group}.${name}`;
      paths.push(path);
      if (isTree(value)) visit(value, path);
    }
  };
  visit(DEFAULTS as unknown as RawTree, '');
  return [...paths, ...foreignNames()];
}
