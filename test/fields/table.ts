// SPDX-License-Identifier: Apache-2.0
// docs/fields.md: each field of Istio's API with the case that shows it, or what refuses it.
import { fileURLToPath } from 'node:url';
import { type Declarations, type OwnPlace, type Place, readDeclarations } from './declared.ts';
import { byKey, OWN_FIELDS } from './gaps.ts';
import { type Inventory, readInventory } from './inventory.ts';
import { findShown, type Shown } from './shown.ts';

export const FIELD_TABLE = fileURLToPath(new URL('../../docs/fields.md', import.meta.url));

interface Sources {
  readonly inventory: Inventory;
  readonly declarations: Declarations;
  readonly shown: Shown;
}

export function fieldTable(): string {
  const inventory = readInventory();
  const sources = { inventory, declarations: readDeclarations(inventory), shown: findShown(inventory) };
  const kindsOf = usersOf(sources);
  const shared = [...kindsOf].filter(([, kinds]) => kinds.size > 1).map(([message]) => message);
  const sections = [...inventory.roots.keys()].map((kind) => {
    const own = [...kindsOf].filter(([, kinds]) => kinds.size === 1 && kinds.has(kind)).map(([message]) => message);
    return own.length === 0 ? '' : section(kind, own, sources);
  });
  return [
    head(inventory),
    ...sections,
    shared.length === 0 ? '' : section('What several kinds have', shared, sources),
    ownSection(sources),
  ].join('');
}

function head(inventory: Inventory): string {
  return `# Fields of the mesh API

Every field of Istio's API, with a case below scenarios/ that shows what becomes of it, or with what is said to whoever
uses it: *refused* is an error (ISM0004) and the object is not used, *no effect* a warning (ISM0005). A field that is not
here does not exist, and is refused by name (ISM0003). A field of which neither is shown fails \`test/fields.test.ts\`.
Semantics are Istio's: <https://istio.io/latest/docs/reference/config/>. Written by \`make golden\`; the names are those of
${inventory.source}.
`;
}

/** Message -> kinds in which it stands, of those that anything is declared of. */
function usersOf({ inventory, declarations }: Sources): Map<string, Set<string>> {
  const users = new Map<string, Set<string>>();
  for (const { path, key } of declarations.places) {
    const message = messageOf(key, inventory);
    users.set(message, (users.get(message) ?? new Set()).add(path.split('.')[0]!));
  }
  return users;
}

function messageOf(key: string, inventory: Inventory): string {
  const message = key.slice(0, key.split('=')[0]!.lastIndexOf('.'));
  if (!inventory.messages.has(message)) throw new Error(`${key} is of no message`);
  return message;
}

function section(title: string, messages: readonly string[], sources: Sources): string {
  const rows = messages.flatMap((message) => rowsOf(message, sources));
  return `\n## ${title}\n\n| of | fields | shown by |\n|---|---|---|\n${rows.join('\n')}\n`;
}

function rowsOf(message: string, sources: Sources): string[] {
  const { inventory, declarations, shown } = sources;
  const places = declarations.places.filter((p) => messageOf(p.key, inventory) === message);
  const used = new Map<string, ReadonlySet<string>>();
  const said = new Map<string, string[]>();
  for (const [key, all] of byKey(places)) {
    const name = `\`${key.slice(message.length + 1).replace('=', ': ')}\``;
    const carried = all.filter((p) => p.status === 'carried');
    if (carried.length > 0) used.set(name, shown.used.get(key) ?? new Set());
    for (const place of all.filter((p) => p.status !== 'carried')) {
      const text = sayingOf(place);
      const entry = carried.length > 0 ? `${name} at \`${place.path.split('=')[0]}\`` : name;
      said.set(text, [...new Set([...(said.get(text) ?? []), entry])]);
    }
  }
  const title = message.slice(message.indexOf('.') + 1);
  const lines = [
    ...fewestCases(used).map(([names, name]) => `${names.join(', ')} | ${name}`),
    ...[...said].map(([text, names]) => `${names.join(', ')} | ${text}`),
  ];
  return lines.map((line, i) => `| ${i === 0 ? title : ''} | ${line} |`);
}

function sayingOf({ status, cure }: Place | OwnPlace): string {
  if (status === 'refused') return cure === undefined ? '*refused*' : `*refused*: ${cure}`;
  if (status === 'idle') return `*no effect*: ${cure}`;
  return '**nothing yet**';
}

/** Few cases that show all of them, the one that shows most first. */
function fewestCases(used: ReadonlyMap<string, ReadonlySet<string>>): [names: string[], name: string][] {
  const left = new Map(used);
  const rows: [string[], string][] = [];
  while (left.size > 0) {
    const counts = new Map<string, number>();
    for (const cases of left.values()) for (const name of cases) counts.set(name, (counts.get(name) ?? 0) + 1);
    const [best] = [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
    const names = [...left.keys()].filter((name) => best === undefined || left.get(name)!.has(best[0]));
    rows.push([names, best?.[0] ?? '**nothing yet**']);
    for (const name of names) left.delete(name);
  }
  return rows;
}

function ownSection({ declarations, shown }: Sources): string {
  const rows = declarations.own.map((place) => {
    const page = OWN_FIELDS.get(place.path);
    const [case_ = '**nothing yet**'] = [...(shown.used.get(place.key) ?? [])];
    const by = place.status === 'carried' ? case_ : sayingOf(place);
    return `| \`${place.path}\` | ${page === undefined ? 'of Istio 1.4' : `ours: [${page}](${page})`} | ${by} |`;
  });
  return `\n## What Istio does not have, or no longer\n\n| field | | shown by |\n|---|---|---|\n${rows.join('\n')}\n`;
}
