// SPDX-License-Identifier: Apache-2.0
// Request bodies: bytes -> a raw object, with the complaints of the real server.
import type { IncomingMessage } from 'node:http';
import { parseAllDocuments } from 'yaml';
import { jsonTypeName } from '../schema/decode.ts';
import type { ObjectNode } from '../schema/node.ts';
import { decodeProtobuf, type ProtobufEnvelope, readEnvelope } from '../schema/protobuf.ts';
import { ApiError, badRequest, unsupportedMediaType } from '../status.ts';
import { goSyntaxError, memberPaths } from './json-scan.ts';

const MAX_BODY_BYTES = 3 * 1024 * 1024;
const ACCEPTED =
  'accepted media types include: application/json, application/yaml, application/vnd.kubernetes.protobuf';

/** The whole body; 413 beyond 3 MiB, as the real server has it. */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    if (size > MAX_BODY_BYTES) {
      request.resume();
      throw new ApiError(413, 'RequestEntityTooLarge', `Request entity too large: limit is ${MAX_BODY_BYTES}`);
    }
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

export function mediaType(request: IncomingMessage): string {
  return (request.headers['content-type'] ?? '').split(';')[0]!.trim().toLowerCase();
}

export interface RawObject {
  readonly raw: Record<string, unknown>;
  /** Paths of members that stand twice in the text. */
  readonly duplicates: readonly string[];
  /** Paths of all members in the order of the text; empty when the form has no such order. */
  readonly order: readonly string[];
}

/** Finds the type of a protobuf body; throws an ApiError when there is none. */
export type ProtobufTypes = (envelope: ProtobufEnvelope) => ObjectNode;

/** `expected` is the kind that messages name. */
export function parseObject(body: Buffer, type: string, expected: string, protobuf: ProtobufTypes): RawObject {
  switch (type) {
    case '':
    case 'application/json':
    case 'text/plain':
      return parseJson(body, expected);
    case 'application/yaml':
      return { raw: asObject(parseYaml(body.toString()), body, expected), duplicates: [], order: [] };
    case 'application/vnd.kubernetes.protobuf':
      return { raw: parseProtobuf(body, protobuf), duplicates: [], order: [] };
    default:
      throw badMediaType();
  }
}

function badMediaType(): ApiError {
  const error = unsupportedMediaType(`the body of the request was in an unknown format - ${ACCEPTED}`);
  delete error.status.details;
  return error;
}

function parseJson(body: Buffer, expected: string): RawObject {
  const text = body.toString();
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw unrecognized(expected, `json parse error: ${goSyntaxError(text)}`, body);
  }
  return { raw: asObject(value, body, expected), ...memberPaths(text) };
}

function asObject(value: unknown, body: Buffer, expected: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  if (value === null || value === undefined) {
    throw unrecognized(expected, 'json parse error: unexpected end of JSON input', body);
  }
  const go = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }';
  throw unrecognized(
    expected,
    `json parse error: json: cannot unmarshal ${jsonTypeName(value)} into Go value of type ${go}`,
    body,
  );
}

function unrecognized(expected: string, why: string, body: Buffer): ApiError {
  const text = body.toString();
  const shown =
    text === '' ? '<empty>' : text.startsWith('{') ? text.slice(0, 1024) : body.subarray(0, 1024).toString('hex');
  return badRequest(
    `the object provided is unrecognized (must be of type ${expected}): couldn't get version/kind; ${why} (${shown})`,
  );
}

/** YAML 1.1 scalars as the Kubernetes tools read them: yes, on and the like are booleans there. */
export function parseYaml(text: string): unknown {
  const documents = parseAllDocuments(text, { version: '1.1', schema: 'yaml-1.1', merge: true, uniqueKeys: false });
  if (!Array.isArray(documents)) return null;
  const [first, second] = documents.filter((document) => document.contents !== null);
  if (!first) return null;
  if (second) throw badRequest('the body holds more than one YAML document');
  const problem = first.errors[0];
  if (problem) throw badRequest(`error converting YAML to JSON: yaml: ${problem.message.split('\n')[0]}`);
  return first.toJS({ maxAliasCount: 100 });
}

function parseProtobuf(body: Buffer, types: ProtobufTypes): Record<string, unknown> {
  try {
    const envelope = readEnvelope(body);
    const node = types(envelope);
    return { apiVersion: envelope.apiVersion, kind: envelope.kind, ...decodeProtobuf(envelope.raw, node) };
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw badRequest(`error decoding protobuf: ${error instanceof Error ? error.message : String(error)}`);
  }
}
