// SPDX-License-Identifier: Apache-2.0
import { hash } from 'node:crypto';
import type { DescMessage, MessageInitShape } from '@bufbuild/protobuf';
import type { XdsResource } from '../xds/types.ts';
import { encode } from './encode.ts';

/** By their names. */
export type ResourceMap = ReadonlyMap<string, XdsResource>;

/** A piece of the bytes of resources, and what tells it from every other. */
export interface ResourcePart {
  readonly bytes: Uint8Array;
  readonly digest: string;
}

export const nameOf = (resource: XdsResource): string => resource.name;

export function byName(resources: Iterable<XdsResource>): ResourceMap {
  const map = new Map<string, XdsResource>();
  for (const resource of resources) map.set(resource.name, resource);
  return map;
}

/** 66 bits in the fewest characters that are text anywhere: each resource goes out with one. */
export function versionOf(content: Uint8Array | string): string {
  return hash('sha256', content, 'base64url').slice(0, 11);
}

export interface ResourceKind<D extends DescMessage> {
  readonly typeUrl: string;
  readonly schema: D;
  /** The local name of the field that has its name. */
  readonly name: keyof MessageInitShape<D> & string;
  /** Its nodes come again as other objects with the same content, and are dear to build: a pod's listener, by its copies. */
  readonly isRepeated?: true;
}

/** What became of a node: nearly always one thing. */
interface Made {
  readonly typeUrl: string;
  readonly context: string;
  readonly resource: XdsResource;
  /** By type and context. */
  others: Map<string, XdsResource> | undefined;
}

/**
 * Resources by the intent that they were built from. Equal resources are one object, whoever gets them; what no proxy holds
 * any more is forgotten.
 */
export class ResourceCache {
  readonly #byNode = new WeakMap<object, Made>();
  readonly #byContent = new Map<string, WeakRef<XdsResource>>();
  readonly #byVersion = new Map<string, WeakRef<XdsResource>>();
  readonly #parts = new WeakMap<object, ResourcePart>();
  readonly #partsByContent = new Map<string, WeakRef<ResourcePart>>();
  readonly #forget = new FinalizationRegistry<string>((key) => {
    for (const map of [this.#byContent, this.#byVersion, this.#partsByContent]) {
      if (map.get(key)?.deref() === undefined) map.delete(key);
    }
  });
  /** Messages built and serialized so far. */
  builds = 0;

  /** `context` tells apart what `node` does not say and `build` uses. `node` must be plain data. */
  get<D extends DescMessage>(
    node: object,
    context: string,
    kind: ResourceKind<D>,
    build: () => MessageInitShape<D>,
  ): XdsResource {
    const known = this.#madeOf(node, kind.typeUrl, context);
    if (known !== undefined) return known;
    const resource = kind.isRepeated ? this.#repeated(node, context, kind, build) : this.#build(kind, build);
    this.#noteMade(node, context, resource);
    return resource;
  }

  /**
   * For a resource whose bytes are put together from parts: by the object, then by the parts and what else is in it. Bytes
   * that are known are not put together. `context` tells its forms apart.
   */
  assembled(
    node: object,
    { typeUrl, name, context }: { readonly typeUrl: string; readonly name: string; readonly context: string },
    parts: readonly ResourcePart[],
    assemble: () => Uint8Array,
  ): XdsResource {
    const known = this.#madeOf(node, typeUrl, context);
    if (known !== undefined) return known;
    const version = versionOf(`${name} ${context} ${parts.map(({ digest }) => digest).join('')}`);
    const resource = this.#intern(typeUrl, name, version, assemble);
    this.#noteMade(node, context, resource);
    return resource;
  }

  /** A part of resources, serialized once: by the object, then by its content, for a gateway's are made anew all the time. */
  part<T extends object>(node: T, serialize: (node: T) => Uint8Array): ResourcePart {
    const known = this.#parts.get(node);
    if (known !== undefined) return known;
    const content = hash('sha1', JSON.stringify(node));
    const part = this.#partsByContent.get(content)?.deref() ?? this.#serialize(node, serialize);
    this.#remember(this.#partsByContent, content, part);
    this.#parts.set(node, part);
    return part;
  }

  #serialize<T>(node: T, serialize: (node: T) => Uint8Array): ResourcePart {
    this.builds++;
    const bytes = serialize(node);
    return { bytes, digest: hash('sha256', bytes, 'buffer').toString('base64url', 0, 16) };
  }

  #madeOf(node: object, typeUrl: string, context: string): XdsResource | undefined {
    const made = this.#byNode.get(node);
    if (made === undefined) return undefined;
    if (made.context === context && made.typeUrl === typeUrl) return made.resource;
    return made.others?.get(`${typeUrl} ${context}`);
  }

  #noteMade(node: object, context: string, resource: XdsResource): void {
    const { typeUrl } = resource;
    const made = this.#byNode.get(node);
    if (made === undefined) this.#byNode.set(node, { typeUrl, context, resource, others: undefined });
    else {
      made.others ??= new Map();
      made.others.set(`${typeUrl} ${context}`, resource);
    }
  }

  #repeated<D extends DescMessage>(
    node: object,
    context: string,
    kind: ResourceKind<D>,
    build: () => MessageInitShape<D>,
  ): XdsResource {
    const content = hash('sha1', `${kind.typeUrl} ${context} ${JSON.stringify(node)}`);
    const resource = this.#byContent.get(content)?.deref() ?? this.#build(kind, build);
    this.#remember(this.#byContent, content, resource);
    return resource;
  }

  #build<D extends DescMessage>(kind: ResourceKind<D>, build: () => MessageInitShape<D>): XdsResource {
    this.builds++;
    const message = build();
    const value = encode(kind.schema, message);
    const name = (message as Readonly<Record<string, unknown>>)[kind.name] as string;
    return this.#intern(kind.typeUrl, name, versionOf(value), () => value);
  }

  #intern(typeUrl: string, name: string, version: string, bytes: () => Uint8Array): XdsResource {
    const known = this.#byVersion.get(version)?.deref();
    // What is called otherwise is another resource, though its content be the same.
    if (known !== undefined && known.name === name && known.typeUrl === typeUrl) return known;
    const resource = Object.freeze({ typeUrl, name, version, value: bytes() });
    this.#remember(this.#byVersion, version, resource);
    return resource;
  }

  #remember<T extends object>(map: Map<string, WeakRef<T>>, key: string, value: T): void {
    if (map.get(key)?.deref() === value) return;
    map.set(key, new WeakRef(value));
    this.#forget.register(value, key);
  }
}
