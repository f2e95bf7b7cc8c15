// SPDX-License-Identifier: Apache-2.0
// docs/fields.md: every field that the API's shapes declare, and whether it is carried out.
import { fileURLToPath } from 'node:url';
import { KINDS } from '../../src/api/kinds.ts';
import type { JsonSchema } from '../../src/api/shape.ts';

export const FIELD_TABLE = fileURLToPath(new URL('../../docs/fields.md', import.meta.url));

const HEAD = `# Fields of the mesh API

Made by \`make golden\` from the shapes in \`src/api\`. A field that is not in these tables does not exist, and is refused
by name (ISM0003). Semantics are Istio's: <https://istio.io/latest/docs/reference/config/networking/>.
`;

export function fieldTable(): string {
  const sections = KINDS.map((kind) => {
    const rows = [...fieldsOf(kind.spec.schema, '')].map(([field, what]) => `| \`${field}\` | ${what} |`);
    return `\n## ${kind.kind}\n\n${kind.group} ${kind.versions.join(', ')}. ${kind.description}\n\n| field | |\n|---|---|\n${rows.join('\n')}\n`;
  });
  return HEAD + sections.join('');
}

function* fieldsOf(schema: JsonSchema, path: string): Generator<[field: string, what: string]> {
  const properties = schema['properties'] as Record<string, JsonSchema> | undefined;
  for (const [name, child] of Object.entries(properties ?? {})) {
    const field = path === '' ? name : `${path}.${name}`;
    const refusal = /^Not supported: (.*)\.$/.exec(String(child['description'] ?? ''))?.[1];
    if (refusal !== undefined) yield [field, `**not supported**: ${refusal}`];
    else {
      yield [field, typeOf(child)];
      yield* fieldsOf(inner(child), field + suffix(child));
    }
  }
}

function inner(schema: JsonSchema): JsonSchema {
  return (schema['items'] ?? schema['additionalProperties'] ?? schema) as JsonSchema;
}

function suffix(schema: JsonSchema): string {
  return schema['items'] !== undefined ? '[]' : schema['additionalProperties'] !== undefined ? '{}' : '';
}

function typeOf(schema: JsonSchema): string {
  if (schema['items'] !== undefined) return `list of ${typeOf(schema['items'] as JsonSchema)}`;
  if (schema['additionalProperties'] !== undefined)
    return `map to ${typeOf(schema['additionalProperties'] as JsonSchema)}`;
  const values = schema['enum'] as string[] | undefined;
  if (values === undefined) return String(schema['type']);
  const refused = /^Values not supported: (.*)\.$/.exec(String(schema['description'] ?? ''))?.[1]?.split(', ') ?? [];
  const good = values.filter((v) => !refused.includes(v)).map((v) => `\`${v}\``);
  return good.join(', ') + (refused.length === 0 ? '' : ` (**not supported**: ${refused.join(', ')})`);
}
