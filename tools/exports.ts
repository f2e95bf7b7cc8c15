// SPDX-License-Identifier: Apache-2.0
// Values that are exported and that no other file names: either dead, or private to their file. By name, not by type: what
// another file mentions only by chance is missed, nothing is reported wrongly. Exported types may be there for readers.

const EXPORTED = /^export (?:async )?(?:abstract )?(?:function\*?|const|let|class) ([A-Za-z_$][\w$]*)/gm;
const WORD = /[A-Za-z_$][\w$]*/g;

/** @param texts path -> content, tests and tools too */
export function findUnusedExports(texts: ReadonlyMap<string, string>): string[] {
  /** Word -> the one file that has it, or 'several'. */
  const places = new Map<string, string>();
  for (const [file, text] of texts) {
    for (const word of new Set(text.match(WORD))) places.set(word, places.has(word) ? 'several' : file);
  }
  return [...texts].flatMap(([file, text]) =>
    [...text.matchAll(EXPORTED)]
      .filter(([, name = '']) => places.get(name) === file)
      .map(([, name]) => `${file}: nothing else names ${name}; drop it, or its export`),
  );
}
