// SPDX-License-Identifier: Apache-2.0
// Discovery responses as bytes. Protobuf takes fields in any order, so a response is a body of resources, which streams
// share, and a short tail of its own with type, removals and nonce.
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { encodeFields, type Field } from './delimited.ts';
import { messagePrefix, wholeMessage } from './grpc/framing.ts';
import type { SessionResponse, Variant } from './session/session.ts';
import { MISSING_VERSION, type NamedAnswer } from './session/virtual-host-asks.ts';
import type { XdsResource } from './types.ts';

const RESOURCES_FIELD = 2;
const TYPE_URL_FIELD = 4;
const NONCE_FIELD = 5;
const SOTW_VERSION_FIELD = 1;
const DELTA_REMOVED_FIELD = 6;

/** Bodies below this are put together anew each time. */
const REMEMBER_FROM_BYTES = 16 * 1024;

/** Up to so many resources are parts of a message by themselves. */
const FEW = 8;
/** Below this, copying a message into one buffer is cheaper than writing its parts apart. */
const JOIN_BELOW_BYTES = 16 * 1024;
/** Of one resource, answers that differ in what is with it or in their tails. */
const MAX_ANSWERS = 64;
/** About what is around the bytes of each. */
const ANSWER_BYTES = 512;
const SAMPLES = 64;

interface Answer {
  readonly resources: readonly XdsResource[];
  readonly parts: readonly Uint8Array[];
}

interface Body {
  readonly resources: readonly XdsResource[];
  readonly bytes: Uint8Array;
}

/**
 * Encodes each resource once, and keeps the latest large bodies: when many proxies get the same clusters, their streams
 * write one and the same buffer.
 */
export class ResponseEncoder {
  readonly #wrappers: Readonly<Record<Variant, WeakMap<XdsResource, Uint8Array>>> = {
    delta: new WeakMap(),
    sotw: new WeakMap(),
  };
  /** By the very list: many streams send one and the same. */
  readonly #byList: Readonly<Record<Variant, WeakMap<readonly XdsResource[], Uint8Array>>> = {
    delta: new WeakMap(),
    sotw: new WeakMap(),
  };
  /** In order of use, the oldest first. */
  readonly #bodies = new Map<string, Body>();
  /** By the first resource, and then by the tail: the answer to a small change is the same for most streams. */
  #answers = new WeakMap<XdsResource, Map<string, Answer>>();
  readonly #maxBodyBytes: number;
  readonly #maxAnswerBytes: number;
  #bodyBytes = 0;
  #answerBytes = 0;

  constructor(maxBodyBytes = 32 * 1024 * 1024, maxAnswerBytes = 16 * 1024 * 1024) {
    this.#maxBodyBytes = maxBodyBytes;
    this.#maxAnswerBytes = maxAnswerBytes;
  }

  /** The message with its gRPC prefix, in parts which are shared and must not be changed. */
  encode(variant: Variant, response: SessionResponse): readonly Uint8Array[] {
    const { resources, named = [], removed } = response;
    const [first] = resources;
    if (first === undefined || resources.length > FEW || named.length + removed.length > 0) {
      return this.#encode(variant, response);
    }
    // Streams count their responses alike, so that many tails are the same.
    const key = `${variant} ${response.typeUrl} ${response.nonce}`;
    const known = this.#answers.get(first)?.get(key);
    if (known?.resources.length === resources.length && known.resources.every((each, i) => each === resources[i])) {
      return known.parts;
    }
    const parts = this.#encode(variant, response);
    this.#rememberAnswer(first, key, { resources, parts });
    return parts;
  }

  /** For the streams that are sent the same change now: a resource may live for long, and is not sent again. */
  #rememberAnswer(first: XdsResource, key: string, answer: Answer): void {
    this.#answerBytes += answer.parts.reduce((sum, part) => sum + part.length, ANSWER_BYTES);
    if (this.#answerBytes > this.#maxAnswerBytes) {
      this.#answers = new WeakMap();
      this.#answerBytes = 0;
    }
    const answers = this.#answers.get(first) ?? new Map<string, Answer>();
    this.#answers.set(first, answers);
    if (answers.size >= MAX_ANSWERS) answers.clear();
    answers.set(key, answer);
  }

  #encode(variant: Variant, response: SessionResponse): readonly Uint8Array[] {
    const { resources, named = [] } = response;
    // A small change is a list of its own for each stream: nothing to be known again by, and not worth joining.
    const parts =
      resources.length <= FEW
        ? resources.map((resource) => this.#wrapper(variant, resource))
        : [this.#body(variant, resources)];
    for (const answer of named) parts.push(encodeNamed(answer));
    parts.push(encodeTail(variant, response));
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    return length < JOIN_BELOW_BYTES ? [wholeMessage(parts, length)] : [messagePrefix(length), ...parts];
  }

  #body(variant: Variant, resources: readonly XdsResource[]): Uint8Array {
    const byList = this.#byList[variant].get(resources);
    if (byList !== undefined) return byList;
    const key = bodyKey(variant, resources);
    const known = this.#bodies.get(key);
    if (known?.resources.every((resource, index) => resource === resources[index]) === true) {
      this.#bodies.delete(key);
      this.#bodies.set(key, known);
      this.#byList[variant].set(resources, known.bytes);
      return known.bytes;
    }
    const bytes = Buffer.concat(resources.map((resource) => this.#wrapper(variant, resource)));
    if (bytes.length >= REMEMBER_FROM_BYTES && bytes.length <= this.#maxBodyBytes)
      this.#remember(key, { resources, bytes });
    this.#byList[variant].set(resources, bytes);
    return bytes;
  }

  #remember(key: string, body: Body): void {
    this.#bodyBytes += body.bytes.length - (this.#bodies.get(key)?.bytes.length ?? 0);
    this.#bodies.delete(key);
    this.#bodies.set(key, body);
    for (const [oldest, { bytes }] of this.#bodies) {
      if (this.#bodyBytes <= this.#maxBodyBytes) return;
      this.#bodies.delete(oldest);
      this.#bodyBytes -= bytes.length;
    }
  }

  #wrapper(variant: Variant, resource: XdsResource): Uint8Array {
    const known = this.#wrappers[variant].get(resource);
    if (known !== undefined) return known;
    const any = fieldsOfAny(resource);
    const { name, version } = resource;
    const content: readonly Field[] =
      variant === 'sotw'
        ? any
        : [
            [3, Buffer.from(name)],
            [1, Buffer.from(version)],
            [2, any],
          ];
    const wrapper = encodeFields([[RESOURCES_FIELD, content]]);
    this.#wrappers[variant].set(resource, wrapper);
    return wrapper;
  }
}

/** For one proxy alone, since others ask by other names. */
function encodeNamed({ resource, asked }: NamedAnswer): Uint8Array {
  const writer = new BinaryWriter().tag(3, WireType.LengthDelimited).string(resource?.name ?? asked[0] ?? '');
  for (const name of asked) writer.tag(4, WireType.LengthDelimited).string(name);
  writer.tag(1, WireType.LengthDelimited).string(resource?.version ?? MISSING_VERSION);
  if (resource !== undefined) writer.tag(2, WireType.LengthDelimited).bytes(encodeFields(fieldsOfAny(resource)));
  return new BinaryWriter().tag(RESOURCES_FIELD, WireType.LengthDelimited).bytes(writer.finish()).finish();
}

function fieldsOfAny({ typeUrl, value }: XdsResource): readonly Field[] {
  return [
    [1, Buffer.from(typeUrl)],
    [2, value],
  ];
}

function encodeTail(variant: Variant, response: SessionResponse): Uint8Array {
  const writer = new BinaryWriter();
  // The nonce serves as the version of a state-of-the-world response: it changes whenever the content does.
  if (variant === 'sotw') writer.tag(SOTW_VERSION_FIELD, WireType.LengthDelimited).string(response.nonce);
  writer.tag(TYPE_URL_FIELD, WireType.LengthDelimited).string(response.typeUrl);
  if (variant === 'delta') {
    for (const name of response.removed) writer.tag(DELTA_REMOVED_FIELD, WireType.LengthDelimited).string(name);
  }
  return writer.tag(NONCE_FIELD, WireType.LengthDelimited).string(response.nonce).finish();
}

/** Cheap: a sample of the versions. What it takes for equal is compared in full before it is used. */
function bodyKey(variant: Variant, resources: readonly XdsResource[]): string {
  const step = Math.max(1, Math.floor(resources.length / SAMPLES));
  let key = `${variant}/${resources.length}/${resources[0]?.typeUrl ?? ''}`;
  for (let index = 0; index < resources.length; index += step) key += resources[index]?.version.slice(0, 4) ?? '';
  return key;
}
