// SPDX-License-Identifier: Apache-2.0
// How CEL rules write members whose names are no identifiers.
// https://kubernetes.io/docs/reference/using-api/cel/#escaping

const RESERVED: ReadonlySet<string> = new Set([
  ...['true', 'false', 'null', 'in', 'as', 'break', 'const', 'continue', 'else', 'for', 'function', 'if', 'import'],
  ...['let', 'loop', 'package', 'namespace', 'return', 'var', 'void', 'while'],
]);
const SIGNS: Readonly<Record<string, string>> = { '.': '__dot__', '-': '__dash__', '/': '__slash__' };

/** "x-y" -> "x__dash__y", "namespace" -> "__namespace__". */
export function escapeMember(name: string): string {
  if (RESERVED.has(name)) return `__${name}__`;
  return name.replace(/__|[.\-/]/g, (found) => SIGNS[found] ?? '__underscores__');
}
