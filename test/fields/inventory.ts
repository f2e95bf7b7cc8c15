// SPDX-License-Identifier: Apache-2.0
// The bare names of Istio's API (istio-api.yaml, written by tools/istio-fields.ts).
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

export const ISTIO_API = fileURLToPath(new URL('istio-api.yaml', import.meta.url));

export interface IstioField {
  readonly name: string;
  readonly form: 'one' | 'list' | 'map';
  /** A message or an enum of the inventory, or a scalar: string, uint32, bool, duration, struct ... */
  readonly type: string;
  readonly oneof: string | undefined;
  readonly required: boolean;
  readonly deprecated: boolean;
}

export interface Inventory {
  readonly source: string;
  /** Kind -> message. */
  readonly roots: ReadonlyMap<string, string>;
  readonly messages: ReadonlyMap<string, ReadonlyMap<string, IstioField>>;
  readonly enums: ReadonlyMap<string, readonly string[]>;
}

interface Raw {
  source: string;
  roots: Record<string, string>;
  enums: Record<string, string[]>;
  messages: Record<string, Record<string, string> | null>;
}

export function readInventory(): Inventory {
  const raw = parse(readFileSync(ISTIO_API, 'utf8')) as Raw;
  const messages = Object.entries(raw.messages).map(([message, fields]) => {
    const entries = Object.entries(fields ?? {}).map(([name, text]) => [name, readField(name, text)] as const);
    return [message, new Map(entries)] as const;
  });
  return {
    source: raw.source,
    roots: new Map(Object.entries(raw.roots)),
    messages: new Map(messages),
    enums: new Map(Object.entries(raw.enums)),
  };
}

function readField(name: string, text: string): IstioField {
  const [type, ...notes] = text.split(' ');
  const [, open, bare] = /^([[{]?)(.*?)[\]}]?$/.exec(type!)!;
  return {
    name,
    form: open === '[' ? 'list' : open === '{' ? 'map' : 'one',
    type: bare!,
    oneof: notes.find((n) => n.startsWith('oneof:'))?.slice('oneof:'.length),
    required: notes.includes('required'),
    deprecated: notes.includes('deprecated'),
  };
}
