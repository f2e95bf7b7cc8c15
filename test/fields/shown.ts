// SPDX-License-Identifier: Apache-2.0
// Which cases show which fields of Istio's API: found by walking the objects of scenarios/ and of the system tests.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, parseAllDocuments } from 'yaml';
import { groupOf, MESH_GROUPS } from '../../src/api/kinds.ts';
import { isRecord, member } from '../../src/api/shape.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import { SCENARIOS } from '../scenarios/goldens.ts';
import type { Inventory, IstioField } from './inventory.ts';

const TEST = fileURLToPath(new URL('..', import.meta.url));

/** By key (`networking.HTTPRetry.attempts`), the cases in which an object has it. */
export interface Shown {
  /** The object was taken; cases of diagnostics/ do not count, for they show no effect. */
  readonly used: ReadonlyMap<string, ReadonlySet<string>>;
  /** A diagnostic names the very field. Key: `CODE KEY`. */
  readonly diagnosed: ReadonlyMap<string, ReadonlySet<string>>;
}

interface Finding {
  code: string;
  severity: string;
  object: string;
  field: string;
}

interface RawObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata?: {
    readonly name?: string;
    readonly namespace?: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: unknown;
  readonly data?: Readonly<Record<string, string>>;
}

export function findShown(inventory: Inventory): Shown {
  const used = new Map<string, Set<string>>();
  const diagnosed = new Map<string, Set<string>>();
  for (const { name, text, findings } of inputs()) {
    for (const document of parseAllDocuments(text)) {
      const object = document.errors.length === 0 ? (document.toJS() as RawObject | null) : null;
      if (object === null || typeof object !== 'object') continue;
      const own = findingsOf(object, findings);
      const broken = own.some((f) => f.severity === 'error');
      for (const { root, value, path } of partsOf(object)) {
        walkMessage(inventory, inventory.roots.get(root) ?? root, value, path, (key, at) => {
          const said = own.filter((f) => f.field === at);
          for (const finding of said) note(diagnosed, `${finding.code} ${key}`, name);
          if (
            !broken &&
            !name.startsWith('diagnostics/') &&
            said.every((f) => f.code !== 'ISM0005' && f.code !== 'ISM0003')
          )
            note(used, key, name);
        });
      }
    }
  }
  return { used, diagnosed };
}

/** Fields and values that an object has, by key. */
export function keysIn(inventory: Inventory, object: KubeObject): Set<string> {
  const keys = new Set<string>();
  for (const { root, value, path } of partsOf(object as RawObject)) {
    walkMessage(inventory, inventory.roots.get(root) ?? root, value, path, (key) => keys.add(key));
  }
  return keys;
}

/** Every input of a case with what is said of it, and the files of system tests, of which nothing is said. */
function* inputs(): Generator<{ name: string; text: string; findings: readonly Finding[] }> {
  for (const file of readdirSync(SCENARIOS, { recursive: true, encoding: 'utf8' }).sort()) {
    if (!file.endsWith('/input.yaml') || file.startsWith('seeds/')) continue;
    const name = file.slice(0, -'/input.yaml'.length);
    yield { name, text: read(join(SCENARIOS, file)), findings: parseFindings(join(SCENARIOS, name)) };
  }
  for (const file of readdirSync(TEST, { recursive: true, encoding: 'utf8' }).sort()) {
    if (!file.endsWith('.yaml') || file.startsWith('apiserver/') || file.startsWith('fields/')) continue;
    yield { name: `test/${file}`, text: read(join(TEST, file)), findings: [] };
  }
}

function parseFindings(folder: string): readonly Finding[] {
  if (!readdirSync(folder).includes('diagnostics.yaml')) return [];
  return parse(read(join(folder, 'diagnostics.yaml'))) as Finding[];
}

const read = (path: string) => readFileSync(path, 'utf8');

function findingsOf(object: RawObject, findings: readonly Finding[]): readonly Finding[] {
  const { kind, metadata } = object;
  const name = `${kind} ${metadata?.namespace ?? 'default'}/${metadata?.name}`;
  return findings.filter((f) => f.object === name || f.object.endsWith(` ${name}`));
}

/** What of an object is Istio's: a spec, the two texts of ConfigMap istio, or an annotation. */
function* partsOf(object: RawObject): Generator<{ root: string; value: unknown; path: string }> {
  const { apiVersion = '', kind = '', metadata, data, spec } = object;
  if (MESH_GROUPS.has(groupOf(apiVersion))) yield { root: kind, value: spec, path: 'spec' };
  if (kind === 'ConfigMap' && metadata?.name === 'istio') {
    for (const [key, root] of [
      ['mesh', 'MeshConfig'],
      ['meshNetworks', 'MeshNetworks'],
    ] as const) {
      if (data?.[key] !== undefined) yield { root, value: parse(data[key]), path: `data.${key}` };
    }
  }
  const text = metadata?.annotations?.['proxy.istio.io/config'];
  if (text !== undefined) {
    yield { root: 'mesh.ProxyConfig', value: parse(text), path: 'metadata.annotations["proxy.istio.io/config"]' };
  }
}

type Visit = (key: string, path: string) => void;

function walkMessage(inventory: Inventory, message: string, raw: unknown, path: string, visit: Visit): void {
  const fields = inventory.messages.get(message);
  if (fields === undefined || !isRecord(raw)) return;
  for (const [name, value] of Object.entries(raw)) {
    const field = fields.get(name) ?? (message.startsWith('mesh.') ? fields.get(camelCase(name)) : undefined);
    const at = member(path, name);
    if (value === null) continue;
    if (field === undefined) {
      visit(`${message}.${name}`, at); // ours, or none at all
      continue;
    }
    visit(`${message}.${field.name}`, at);
    for (const [entry, where] of entriesOf(field, value, at)) {
      if (inventory.enums.has(field.type)) visit(`${message}.${field.name}=${String(entry)}`, where);
      else walkMessage(inventory, field.type, entry, where, visit);
    }
  }
}

function entriesOf(field: IstioField, value: unknown, path: string): [entry: unknown, path: string][] {
  if (field.form === 'list' && Array.isArray(value)) return value.map((entry, i) => [entry, `${path}[${i}]`]);
  if (field.form === 'map' && isRecord(value))
    return Object.entries(value).map(([name, entry]) => [entry, member(path, name)]);
  return [[value, path]];
}

/** Protobuf's own spelling, which ConfigMaps of old have. */
function camelCase(name: string): string {
  return name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}

function note(map: Map<string, Set<string>>, key: string, name: string): void {
  const names = map.get(key) ?? new Set();
  map.set(key, names.add(name));
}
