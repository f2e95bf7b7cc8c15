// SPDX-License-Identifier: Apache-2.0
import { hash } from 'node:crypto';
import { type DescMessage, type MessageShape, toBinary } from '@bufbuild/protobuf';
import type { XdsResource } from '../xds/types.ts';

/** A piece of the bytes of resources, and what tells it from every other. */
export interface ResourcePart {
  readonly bytes: Uint8Array;
  readonly digest: string;
}

/** 66 bits in the fewest characters that are text anywhere: each resource goes out with one. */
export function versionOf(content: Uint8Array | string): string {
  return hash('sha256', content, 'base64url').slice(0, 11);
}

/**
 * Resources by the intent that they were built from: first by the very object, then by its content. Equal resources
 * are one object, whoever gets them; what no proxy holds any more is forgotten.
 */
export class ResourceCache {
  readonly #byNode = new WeakMap<object, Map<string, XdsResource>>();
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
    kind: { readonly typeUrl: string; readonly schema: D; name(message: MessageShape<D>): string },
    build: () => MessageShape<D>,
  ): XdsResource {
    const tag = `${kind.typeUrl} ${context}`;
    const perNode = this.#byNode.get(node) ?? new Map<string, XdsResource>();
    this.#byNode.set(node, perNode);
    const known = perNode.get(tag);
    if (known !== undefined) return known;
    const content = hash('sha1', `${tag} ${JSON.stringify(node)}`);
    const resource = this.#byContent.get(content)?.deref() ?? this.#build(kind, build);
    this.#remember(this.#byContent, content, resource);
    perNode.set(tag, resource);
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
    const perNode = this.#byNode.get(node) ?? new Map<string, XdsResource>();
    this.#byNode.set(node, perNode);
    const known = perNode.get(`${typeUrl} ${context}`);
    if (known !== undefined) return known;
    const version = versionOf(`${context} ${parts.map(({ digest }) => digest).join(' ')}`);
    const resource = this.#intern(typeUrl, name, version, assemble);
    perNode.set(`${typeUrl} ${context}`, resource);
    return resource;
  }

  /** A part of resources, serialized once: by the object, then by its content. */
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
    return { bytes, digest: hash('sha256', bytes).slice(0, 32) };
  }

  #build<D extends DescMessage>(
    kind: { readonly typeUrl: string; readonly schema: D; name(message: MessageShape<D>): string },
    build: () => MessageShape<D>,
  ): XdsResource {
    this.builds++;
    const message = build();
    const value = toBinary(kind.schema, message);
    return this.#intern(kind.typeUrl, kind.name(message), versionOf(value), () => value);
  }

  #intern(typeUrl: string, name: string, version: string, bytes: () => Uint8Array): XdsResource {
    const key = `${typeUrl} ${name} ${version}`;
    const known = this.#byVersion.get(key)?.deref();
    if (known !== undefined) return known;
    const resource = Object.freeze({ typeUrl, name, version, value: bytes() });
    this.#remember(this.#byVersion, key, resource);
    return resource;
  }

  #remember<T extends object>(map: Map<string, WeakRef<T>>, key: string, value: T): void {
    if (map.get(key)?.deref() === value) return;
    map.set(key, new WeakRef(value));
    this.#forget.register(value, key);
  }
}
