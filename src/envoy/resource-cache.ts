// SPDX-License-Identifier: Apache-2.0
import { hash } from 'node:crypto';
import { type DescMessage, type MessageShape, toBinary } from '@bufbuild/protobuf';
import type { XdsResource } from '../xds/types.ts';

/**
 * Resources by the intent that they were built from: first by the very object, then by its content. Equal resources
 * are one object, whoever gets them; what no proxy holds any more is forgotten.
 */
export class ResourceCache {
  readonly #byNode = new WeakMap<object, Map<string, XdsResource>>();
  readonly #byContent = new Map<string, WeakRef<XdsResource>>();
  readonly #byVersion = new Map<string, WeakRef<XdsResource>>();
  readonly #forget = new FinalizationRegistry<string>((key) => {
    for (const map of [this.#byContent, this.#byVersion]) {
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
    const resource = this.#byContent.get(content)?.deref() ?? this.#intern(kind, build);
    this.#remember(this.#byContent, content, resource);
    perNode.set(tag, resource);
    return resource;
  }

  #intern<D extends DescMessage>(
    kind: { readonly typeUrl: string; readonly schema: D; name(message: MessageShape<D>): string },
    build: () => MessageShape<D>,
  ): XdsResource {
    this.builds++;
    const message = build();
    const value = toBinary(kind.schema, message);
    const version = hash('sha256', value).slice(0, 16);
    const name = kind.name(message);
    const key = `${kind.typeUrl} ${name} ${version}`;
    const known = this.#byVersion.get(key)?.deref();
    if (known !== undefined) return known;
    const resource = Object.freeze({ typeUrl: kind.typeUrl, name, version, value });
    this.#remember(this.#byVersion, key, resource);
    return resource;
  }

  #remember(map: Map<string, WeakRef<XdsResource>>, key: string, resource: XdsResource): void {
    if (map.get(key)?.deref() === resource) return;
    map.set(key, new WeakRef(resource));
    this.#forget.register(resource, key);
  }
}
