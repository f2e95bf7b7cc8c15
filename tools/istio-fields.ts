// SPDX-License-Identifier: Apache-2.0
// Writes test/fields/istio-api.yaml, the bare names of Istio's API, from a checkout of github.com/istio/api:
//   node tools/istio-fields.ts CHECKOUT VERSION
// Names and types are facts; not a word of the descriptions is taken (docs/decisions/0027).
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ISTIO_API } from '../test/fields/inventory.ts';

const ROOTS: Readonly<Record<string, string>> = {
  DestinationRule: 'networking.v1alpha3.DestinationRule',
  EnvoyFilter: 'networking.v1alpha3.EnvoyFilter',
  Gateway: 'networking.v1alpha3.Gateway',
  MeshConfig: 'mesh.v1alpha1.MeshConfig',
  MeshNetworks: 'mesh.v1alpha1.MeshNetworks',
  ProxyConfig: 'networking.v1beta1.ProxyConfig',
  ServiceEntry: 'networking.v1alpha3.ServiceEntry',
  Sidecar: 'networking.v1alpha3.Sidecar',
  Telemetry: 'telemetry.v1alpha1.Telemetry',
  VirtualService: 'networking.v1alpha3.VirtualService',
  WorkloadEntry: 'networking.v1alpha3.WorkloadEntry',
  WorkloadGroup: 'networking.v1alpha3.WorkloadGroup',
};
const FOLDERS = ['networking', 'telemetry', 'mesh', 'type', 'analysis', 'meta'];

interface FieldProto {
  jsonName: string;
  label: string;
  type: string;
  typeName?: string;
  oneofIndex?: number;
  proto3Optional?: boolean;
  options?: Record<string, unknown>;
}
interface MessageProto {
  name: string;
  field?: FieldProto[];
  nestedType?: MessageProto[];
  enumType?: EnumProto[];
  oneofDecl?: { name: string }[];
  options?: { mapEntry?: boolean };
}
interface EnumProto {
  name: string;
  value: { name: string }[];
}
interface FileProto {
  package: string;
  messageType?: MessageProto[];
  enumType?: EnumProto[];
}

const messages = new Map<string, MessageProto>();
const enums = new Map<string, EnumProto>();

function main(checkout: string, version: string): void {
  for (const file of readProtos(checkout)) {
    for (const message of file.messageType ?? []) index(`.${file.package}`, message);
    for (const one of file.enumType ?? []) enums.set(`.${file.package}.${one.name}`, one);
  }
  const out = { messages: new Map<string, string[]>(), enums: new Map<string, string[]>() };
  for (const root of Object.values(ROOTS)) list(`.istio.${root}`, out);
  const section = ([name, lines]: [string, string[]]) => `  ${name}:\n${lines.map((l) => `    ${l}\n`).join('')}`;
  const sorted = (map: Map<string, string[]>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
  const text = [
    "# The bare names of Istio's API. Written by tools/istio-fields.ts, not to be edited.\n",
    '# A type in brackets is a list, in braces a map; `oneof:` names the group of which one may be set.\n',
    `source: istio.io/api ${version}\n`,
    `roots:\n${Object.entries(ROOTS)
      .map(([kind, name]) => `  ${kind}: ${short(`.istio.${name}`)}\n`)
      .join('')}`,
    `enums:\n${sorted(out.enums)
      .map(([name, values]) => `  ${name}: [${values.join(', ')}]\n`)
      .join('')}`,
    `messages:\n${sorted(out.messages).map(section).join('')}`,
  ];
  writeFileSync(ISTIO_API, text.join(''));
}

/** A descriptor set as JSON, made by buf of a copy: the checkout's own layout has the imports elsewhere. */
function readProtos(checkout: string): FileProto[] {
  const work = mkdtempSync(join(tmpdir(), 'isthmus-istio-api-'));
  try {
    for (const folder of FOLDERS) cpSync(join(checkout, folder), join(work, folder), { recursive: true });
    cpSync(join(checkout, 'common-protos/istio.io'), join(work, 'istio.io'), { recursive: true });
    mkdirSync(join(work, 'google/api'), { recursive: true });
    const behaviour = 'google/api/field_behavior.proto';
    cpSync(join(checkout, 'common-protos', behaviour), join(work, behaviour));
    const buf = fileURLToPath(new URL('../node_modules/.bin/buf', import.meta.url));
    const args = ['build', work, '--exclude-source-info', '-o', '-#format=json'];
    const image = execFileSync(buf, args, { encoding: 'utf8', maxBuffer: 64 << 20 });
    return (JSON.parse(image) as { file: FileProto[] }).file;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function index(scope: string, message: MessageProto): void {
  const name = `${scope}.${message.name}`;
  messages.set(name, message);
  for (const inner of message.nestedType ?? []) index(name, inner);
  for (const inner of message.enumType ?? []) enums.set(`${name}.${inner.name}`, inner);
}

function list(name: string, out: { messages: Map<string, string[]>; enums: Map<string, string[]> }): void {
  if (out.messages.has(short(name))) return;
  const message = messages.get(name)!;
  const lines: string[] = [];
  out.messages.set(short(name), lines);
  const visit = (typeName: string): string => {
    const one = enums.get(typeName);
    if (one !== undefined) out.enums.set(short(typeName), [...new Set(one.value.map((v) => v.name))]);
    else list(typeName, out);
    return short(typeName);
  };
  for (const field of message.field ?? []) {
    const group =
      field.oneofIndex === undefined || field.proto3Optional ? undefined : message.oneofDecl![field.oneofIndex];
    const notes = [
      ...(group === undefined ? [] : [`oneof:${group.name}`]),
      ...(JSON.stringify(field.options ?? {}).includes('"REQUIRED"') ? ['required'] : []),
      ...(field.options?.['deprecated'] === true ? ['deprecated'] : []),
    ];
    lines.push(`${field.jsonName}: ${quoted([typeOf(field, visit), ...notes].join(' '))}`);
  }
}

const quoted = (text: string) => (/^[[{]/.test(text) ? `'${text}'` : text);

function typeOf(field: FieldProto, visit: (typeName: string) => string): string {
  const entry = field.typeName === undefined ? undefined : messages.get(field.typeName);
  if (entry?.options?.mapEntry === true) return `{${typeOf(entry.field![1]!, visit)}}`;
  const single = scalarOf(field) ?? visit(field.typeName!);
  return field.label === 'LABEL_REPEATED' ? `[${single}]` : single;
}

/** Undefined for messages and enums of Istio's own. */
function scalarOf(field: FieldProto): string | undefined {
  if (field.typeName === undefined) return field.type.slice('TYPE_'.length).toLowerCase();
  if (!field.typeName.startsWith('.google.protobuf.')) return undefined;
  const name = field.typeName.slice('.google.protobuf.'.length);
  return name.replace(/Value$/, '').toLowerCase() || 'value';
}

/** `.istio.networking.v1alpha3.Gateway` -> `networking.Gateway`. */
function short(name: string): string {
  return name.replace(/^\.istio\.(\w+)\.v\w+\./, '$1.');
}

const [checkout, version] = process.argv.slice(2);
if (checkout === undefined || version === undefined) {
  process.stderr.write('usage: node tools/istio-fields.ts CHECKOUT VERSION\n');
  process.exitCode = 2;
} else main(checkout, version);
