// SPDX-License-Identifier: Apache-2.0
// PATCH in its four forms. https://kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-update
import type { KubeObject } from '../../../kube/types.ts';
import { applyFromBody, refuseForce } from '../apply/server-side-apply.ts';
import { sameJson } from '../crd/schema-validation.ts';
import { applyJsonPatch, PatchFailure } from '../patch/json-patch.ts';
import { applyMergePatch } from '../patch/merge-patch.ts';
import { applyStrategicMerge, goMap, StrategicMergeError } from '../patch/strategic-merge.ts';
import { DecodeError, isRecord, jsonTypeName } from '../schema/decode.ts';
import { ApiError, badRequest, invalid, methodNotAllowed, unsupportedMediaType } from '../status.ts';
import { invalidValue } from '../validation/causes.ts';
import { mediaType, parseYaml, readBody } from './body.ts';
import { type ResourceRequest, type WriteOptions, writeOptions } from './context.ts';
import { decodeRaw, strictProblems } from './decode-request.ts';
import { goSyntaxError, memberPaths } from './json-scan.ts';
import { changeObject, type Written } from './update.ts';

const JSON_PATCH = 'application/json-patch+json';
const MERGE_PATCH = 'application/merge-patch+json';
const STRATEGIC_PATCH = 'application/strategic-merge-patch+json';
const APPLY_PATCH = 'application/apply-patch+yaml';
const MAX_OPERATIONS = 10_000;

export interface RawPatch {
  readonly kind: 'json' | 'merge' | 'strategic';
  readonly body: unknown;
  readonly duplicates: readonly string[];
  readonly order: readonly string[];
}

export async function patchFromBody(request: ResourceRequest): Promise<Written> {
  if (request.path.name === '') throw methodNotAllowed();
  const type = mediaType(request.request);
  checkMediaType(type, request.definition.custom);
  const options = writeOptions(request, 'PatchOptions');
  const body = await readBody(request.request);
  if (type === APPLY_PATCH) return applyFromBody(request, parseYaml(body.toString()), options);
  refuseForce(request);
  const patch = readPatch(type, body.toString());
  const object = await changeObject(request, {
    options,
    build: (current) => patchObject(current, patch, request, options),
  });
  return { object, created: false };
}

function checkMediaType(type: string, custom: boolean): void {
  if (![JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH].includes(type)) {
    throw unsupportedMediaType('415: Unsupported Media Type');
  }
  if (!custom || type !== STRATEGIC_PATCH) return;
  const error = unsupportedMediaType(
    `the body of the request was in an unknown format - accepted media types include: ${JSON_PATCH}, ${MERGE_PATCH}, ${APPLY_PATCH}`,
  );
  delete error.status.details;
  throw error;
}

/** The patch of a body, checked for its shape. Throws 400. */
export function readPatch(type: string, text: string): RawPatch {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw badRequest(`error decoding patch: ${goSyntaxError(text)}`);
  }
  if (type === JSON_PATCH) {
    if (!Array.isArray(body)) {
      throw badRequest(
        `error decoding patch: json: cannot unmarshal ${jsonTypeName(body)} into Go value of type []handlers.jsonPatchOp`,
      );
    }
    if (body.length > MAX_OPERATIONS) {
      throw new ApiError(
        413,
        'RequestEntityTooLarge',
        `The allowed maximum operations in a JSON patch is ${MAX_OPERATIONS}, got ${body.length}`,
      );
    }
    return { kind: 'json', body, duplicates: [], order: [] };
  }
  if (!isRecord(body)) {
    throw badRequest(
      `error decoding patch: json: cannot unmarshal ${jsonTypeName(body)} into Go value of type map[string]interface {}`,
    );
  }
  return { kind: type === MERGE_PATCH ? 'merge' : 'strategic', body, ...memberPaths(text) };
}

/** The patch on the raw object, without decoding. Throws 422 and the like. */
export function applyRawPatch(current: KubeObject, patch: RawPatch, request: ResourceRequest): Record<string, unknown> {
  try {
    const patched =
      patch.kind === 'json'
        ? applyJsonPatch(current, patch.body as unknown[])
        : patch.kind === 'merge'
          ? applyMergePatch(current, patch.body)
          : applyStrategicMerge(structuredClone(current), patch.body as Record<string, unknown>, request.version.node);
    if (!isRecord(patched)) throw new PatchFailure('the patch leaves no object');
    return patched;
  } catch (error) {
    if (error instanceof PatchFailure) {
      throw new ApiError(422, 'Invalid', 'the server rejected our request due to an error in our request', {});
    }
    if (error instanceof StrategicMergeError) throw new ApiError(500, undefined, error.message);
    throw error;
  }
}

/** Members by name, as Go writes maps; what the patch did not touch stays as it was written. */
function sortedMembers(value: unknown, before: unknown): unknown {
  if (!isRecord(value)) return value;
  const old = isRecord(before) ? before : {};
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(
    entries.map(([name, inner]) => [name, sameJson(inner, old[name]) ? inner : sortedMembers(inner, old[name])]),
  );
}

function patchObject(
  current: KubeObject,
  patch: RawPatch,
  request: ResourceRequest,
  options: WriteOptions,
): KubeObject {
  const patched = applyRawPatch(current, patch, request);
  // The strategic patch is shown as Go prints maps, the others as the JSON that they led to.
  const shown = patch.kind === 'strategic' ? goMap(patch.body) : JSON.stringify(sortedMembers(patched, current));
  const refuse = (why: string) => invalid('', '', '', [invalidValue('patch', shown, why)]);
  try {
    const { value, unknownFields } = decodeRaw(patched, request.definition, request.version, request.core);
    const problems = strictProblems(patch, unknownFields);
    if (problems.length > 0 && options.fieldValidation === 'Strict') {
      throw refuse(`strict decoding error: ${problems.join(', ')}`);
    }
    if (options.fieldValidation === 'Warn') for (const problem of problems) request.warn(problem);
    return value as unknown as KubeObject;
  } catch (error) {
    if (error instanceof DecodeError) throw refuse(error.message);
    throw error;
  }
}
