// SPDX-License-Identifier: Apache-2.0
// A request's object: parsed, of the right kind, decoded by its schema, with defaults, in the storage version.
import type { KubeObject } from '../../../kube/types.ts';
import { pruneCustom } from '../crd/prune.ts';
import { groupVersion, type ResourceDefinition, type ServedVersion, toStorage } from '../resources/definition.ts';
import { builtinType } from '../schema/builtin.ts';
import { type Decoded, DecodeError, decodeObject } from '../schema/decode.ts';
import { badRequest } from '../status.ts';
import { mediaType, parseObject, type RawObject, readBody } from './body.ts';
import type { Core, ResourceRequest, WriteOptions } from './context.ts';

/** Body of a create or update, in the request's version, without defaults. Throws 400, 413, 415. */
export async function decodeBody(request: ResourceRequest, options: WriteOptions): Promise<KubeObject> {
  const { definition, version, core } = request;
  const body = await readBody(request.request);
  const parsed = parseObject(body, mediaType(request.request), definition.kind, (envelope) => {
    if (definition.custom) throw badRequest(`custom resources have no protobuf form`);
    checkKind(envelope.apiVersion, envelope.kind, definition, version, core);
    return version.node;
  });
  const { raw } = parsed;
  checkKind(typeText(raw['apiVersion']), typeText(raw['kind']), definition, version, core);
  return decodeStrictly(parsed, request, options);
}

/** apiVersion or kind as the message will name it. */
function typeText(value: unknown): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function decodeStrictly(parsed: RawObject, request: ResourceRequest, options: WriteOptions): KubeObject {
  const { definition, version, core } = request;
  const named = `${definition.kind} in version ${JSON.stringify(version.version)} cannot be handled as a ${definition.kind}`;
  try {
    const { value, unknownFields } = decodeRaw(parsed.raw, definition, version, core);
    const problems = strictProblems(parsed, unknownFields);
    if (problems.length > 0 && options.fieldValidation === 'Strict') {
      throw badRequest(`${named}: strict decoding error: ${problems.join(', ')}`);
    }
    if (options.fieldValidation === 'Warn') for (const problem of problems) request.warn(problem);
    return value as unknown as KubeObject;
  } catch (error) {
    if (error instanceof DecodeError) throw badRequest(`${named}: ${error.message}`);
    throw error;
  }
}

/** In the order of the text, as far as it is known. */
export function strictProblems(
  { duplicates, order }: Pick<RawObject, 'duplicates' | 'order'>,
  unknownFields: readonly string[],
): string[] {
  const place = (path: string, last: boolean) => {
    const found = last ? order.lastIndexOf(path) : order.indexOf(path);
    return found < 0 ? order.length : found;
  };
  const problems = [
    ...unknownFields.map((path) => ({ at: place(path, false), text: `unknown field ${JSON.stringify(path)}` })),
    ...duplicates.map((path) => ({ at: place(path, true), text: `duplicate field ${JSON.stringify(path)}` })),
  ];
  return [...new Set(problems.sort((a, b) => a.at - b.at).map(({ text }) => text))];
}

export function decodeRaw(
  raw: Record<string, unknown>,
  definition: ResourceDefinition,
  version: ServedVersion,
  core: Core,
): Decoded {
  const typed = { ...raw, apiVersion: groupVersion(version), kind: definition.kind };
  if (!definition.custom) return decodeObject(typed, version.node);
  return pruneCustom(typed, version.node, builtinType(core.types, 'meta.v1.ObjectMeta'));
}

/** apiVersion and kind must be those of the URL (both may be left out of built-in kinds). */
function checkKind(
  apiVersion: string,
  kind: string,
  definition: ResourceDefinition,
  version: ServedVersion,
  core: Core,
): void {
  const expected = groupVersion(version);
  if (apiVersion === expected && kind === definition.kind) return;
  if (apiVersion === '' && kind === '' && !definition.custom) return;
  if (apiVersion === '') throw badRequest("Object 'apiVersion' is missing");
  if (kind === '') throw badRequest("Object 'Kind' is missing");
  const shortVersion = apiVersion.slice(apiVersion.lastIndexOf('/') + 1);
  const [group, bare] = apiVersion.includes('/') ? (apiVersion.split('/') as [string, string]) : ['', apiVersion];
  const handled = `${kind} in version ${JSON.stringify(shortVersion)} cannot be handled as a ${definition.kind}`;
  const other = core.registry.byKind(group, bare, kind);
  if (definition.custom || (kind === definition.kind && other)) {
    throw badRequest(
      `the API version in the data (${apiVersion}) does not match the expected API version (${expected})`,
    );
  }
  if (other)
    throw badRequest(
      `${handled}: converting (${bare}.${kind}) to (${version.group || 'core'}.${definition.kind}): unknown conversion`,
    );
  throw badRequest(
    `${handled}: no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)} in scheme "pkg/runtime/scheme.go:111"`,
  );
}

/** Defaults in the request's version, then the storage version. Changes `object`. */
export function completeObject(object: KubeObject, definition: ResourceDefinition, version: ServedVersion): KubeObject {
  version.defaults?.(object);
  return toStorage(definition, version, object);
}
