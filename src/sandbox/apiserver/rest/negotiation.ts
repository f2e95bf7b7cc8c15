// SPDX-License-Identifier: Apache-2.0
// Accept -> the form of the answer. JSON, YAML, and JSON as Table or PartialObjectMetadata.
import { ApiError } from '../status.ts';

export type Transform = 'none' | 'table' | 'partial' | 'partialList';

export interface Representation {
  readonly encoding: 'json' | 'yaml';
  readonly transform: Transform;
  /** Of meta.k8s.io, for the transforms: v1 or v1beta1. */
  readonly version: string;
}

export interface MediaType {
  readonly type: string;
  readonly parameters: ReadonlyMap<string, string>;
}

const PLAIN: Representation = { encoding: 'json', transform: 'none', version: 'v1' };
const TRANSFORMS: Readonly<Record<string, Transform>> = {
  Table: 'table',
  PartialObjectMetadata: 'partial',
  PartialObjectMetadataList: 'partialList',
};

export function parseAccept(header: string | undefined): MediaType[] {
  const types = (header ?? '*/*').split(',').map((part) => {
    const [type = '', ...parameters] = part.split(';').map((piece) => piece.trim());
    const pairs = parameters.map((one) => one.split('=') as [string, string]);
    return { type: type.toLowerCase(), parameters: new Map(pairs) };
  });
  const weight = (one: MediaType) => Number(one.parameters.get('q') ?? 1);
  return types.sort((a, b) => weight(b) - weight(a));
}

/** `allowed`: which transforms the request may have. Throws 406. */
export function negotiate(header: string | undefined, allowed: readonly Transform[]): Representation {
  let known = false;
  for (const { type, parameters } of parseAccept(header)) {
    const encoding = encodingOf(type);
    if (!encoding) continue;
    known = true;
    const as = parameters.get('as');
    if (as === undefined) return { ...PLAIN, encoding };
    const transform = Object.hasOwn(TRANSFORMS, as) ? TRANSFORMS[as] : undefined;
    const version = parameters.get('v') ?? '';
    const ours = parameters.get('g') === 'meta.k8s.io' && (version === 'v1' || version === 'v1beta1');
    if (transform && ours && allowed.includes(transform)) return { encoding, transform, version };
  }
  throw known ? noSuchForm() : notAcceptable();
}

/** A type that is written, but not as what was asked for. */
export function noSuchForm(): ApiError {
  const types = 'application/json, application/yaml';
  return new ApiError(406, 'NotAcceptable', `only the following media types are accepted: ${types}`);
}

function encodingOf(type: string): 'json' | 'yaml' | undefined {
  if (type === 'application/json' || type === '*/*' || type === 'application/*') return 'json';
  return type === 'application/yaml' ? 'yaml' : undefined;
}

export function notAcceptable(): ApiError {
  return new ApiError(
    406,
    'NotAcceptable',
    '406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, application/json;stream=watch',
    {},
  );
}
