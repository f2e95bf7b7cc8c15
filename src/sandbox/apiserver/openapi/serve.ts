// SPDX-License-Identifier: Apache-2.0
// /openapi/v2 and /openapi/v3. Made when asked for and kept until the registry changes.
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { CrdObject } from '../crd/definition.ts';
import type { GroupVersionEntry } from '../resources/registry.ts';
import type { Core } from '../rest/context.ts';
import { notAcceptable, parseAccept } from '../rest/negotiation.ts';
import { sendText } from '../rest/respond.ts';
import { builtinType, loadDescriptions } from '../schema/builtin.ts';
import { encodeGnostic } from './gnostic.ts';
import { resourcePaths } from './paths.ts';
import { type OpenApiVersion, SchemaCollector } from './schemas.ts';

const PROTOBUF_V2 = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf';
const PROTOBUF_V2_OLD = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';
const KIND_PACKAGES = ['meta.v1.Status', 'meta.v1.ListMeta', 'meta.v1.DeleteOptions'];

export class OpenApiServer {
  readonly #core: Core;
  readonly #title: { title: string; version: string };
  readonly #cache = new Map<string, Buffer>();
  #generation = -1;

  constructor(core: Core, version: string) {
    this.#core = core;
    this.#title = { title: 'Kubernetes', version };
  }

  /** false when the path is none of these. */
  serve(request: IncomingMessage, response: ServerResponse, path: string): boolean {
    if (path !== '/openapi/v2' && path !== '/openapi/v3' && !path.startsWith('/openapi/v3/')) return false;
    this.#forget();
    if (path === '/openapi/v2') this.#serveV2(request, response);
    else if (path === '/openapi/v3') this.#serveIndex(request, response);
    else this.#serveV3(request, response, path.slice('/openapi/v3/'.length));
    return true;
  }

  /** Drops what a change of the registry may have made untrue: built-in groups stay what they are. */
  #forget(): void {
    const { registry } = this.#core;
    if (this.#generation === registry.generation) return;
    this.#generation = registry.generation;
    const lasting = this.#entries().filter(({ resources }) => !resources.some(({ definition }) => definition.custom));
    const keep = new Set(lasting.map((entry) => `v3/${entryName(entry)}`));
    for (const key of this.#cache.keys()) if (!keep.has(key)) this.#cache.delete(key);
  }

  #serveV2(request: IncomingMessage, response: ServerResponse): void {
    for (const { type } of parseAccept(request.headers.accept)) {
      if (type === PROTOBUF_V2 || type === PROTOBUF_V2_OLD) {
        const bytes = this.#cached('v2.pb', () => encodeGnostic(this.#documentV2()));
        // Go's media type parser refuses the @ of the newer name in answers.
        sendTagged(request, response, PROTOBUF_V2_OLD, bytes);
        return;
      }
      if (type === 'application/json' || type === '*/*' || type === 'application/*') {
        const bytes = this.#cached('v2.json', () => Buffer.from(JSON.stringify(this.#documentV2())));
        sendTagged(request, response, 'application/json', bytes);
        return;
      }
    }
    throw notAcceptable();
  }

  #serveV3(request: IncomingMessage, response: ServerResponse, name: string): void {
    const entry = this.#entries().find((one) => entryName(one) === name);
    if (!entry) {
      sendText(response, 404, 'text/plain; charset=utf-8', '404 page not found\n');
      return;
    }
    sendTagged(request, response, 'application/json', this.#documentV3(entry));
  }

  #serveIndex(request: IncomingMessage, response: ServerResponse): void {
    sendTagged(request, response, 'application/json', Buffer.from(JSON.stringify(this.#index())));
  }

  #index(): unknown {
    const paths = this.#entries().map((entry) => {
      const name = entryName(entry);
      const hash = createHash('sha512').update(this.#documentV3(entry)).digest('hex').toUpperCase();
      return [name, { serverRelativeURL: `/openapi/v3/${name}?hash=${hash}` }];
    });
    return { paths: Object.fromEntries(paths) };
  }

  #entries(): GroupVersionEntry[] {
    return this.#core.registry.groupVersions();
  }

  #documentV3(entry: GroupVersionEntry): Buffer {
    return this.#cached(`v3/${entryName(entry)}`, () => {
      const collector = new SchemaCollector(3, loadDescriptions());
      const paths = this.#collect([entry], collector, 3);
      return Buffer.from(
        JSON.stringify({ openapi: '3.0.0', info: this.#title, paths, components: { schemas: collector.schemas } }),
      );
    });
  }

  #documentV2(): Record<string, unknown> {
    const collector = new SchemaCollector(2, loadDescriptions());
    const paths = this.#collect(this.#entries(), collector, 2);
    return { swagger: '2.0', info: this.#title, paths, definitions: collector.schemas };
  }

  #collect(
    entries: readonly GroupVersionEntry[],
    collector: SchemaCollector,
    openApi: OpenApiVersion,
  ): Record<string, unknown> {
    const { types } = this.#core;
    const paths: Record<string, unknown> = {};
    for (const name of KIND_PACKAGES) collector.add(builtinType(types, name));
    for (const { group, version, resources, virtual } of entries) {
      for (const { definition, version: served } of resources) {
        const { kind, listKind, resource, namespaced, custom } = definition;
        if (custom) this.#addCustom(collector, group, version, kind, definition.storageKey);
        else collector.addList(collector.addKind(served.node, group, version, kind), group, version, listKind);
        Object.assign(paths, resourcePaths({ group, version, kind, resource, namespaced, custom }, openApi));
      }
      for (const { kind } of virtual) {
        const node = types.get(`${group.split('.')[0]}.${version}.${kind}`);
        if (node) collector.addKind(node, group, version, kind);
      }
    }
    return paths;
  }

  #addCustom(collector: SchemaCollector, group: string, version: string, kind: string, crdName: string): void {
    const key = { resource: 'customresourcedefinitions.apiextensions.k8s.io', namespace: '', name: crdName };
    const crd = this.#core.store.get(key)?.object as CrdObject | undefined;
    const schema = crd?.spec.versions.find(({ name }) => name === version)?.schema?.openAPIV3Schema;
    const name = `${group.split('.').reverse().join('.')}.${version}.${kind}`;
    collector.addCustom(name, schema, builtinType(this.#core.types, 'meta.v1.ObjectMeta'), { group, version, kind });
  }

  #cached(key: string, make: () => Buffer): Buffer {
    const found = this.#cache.get(key) ?? make();
    this.#cache.set(key, found);
    return found;
  }
}

function entryName({ group, version }: GroupVersionEntry): string {
  return group ? `apis/${group}/${version}` : `api/${version}`;
}

function sendTagged(request: IncomingMessage, response: ServerResponse, type: string, bytes: Buffer): void {
  const etag = `"${createHash('sha512').update(bytes).digest('hex').toUpperCase()}"`;
  response.setHeader('ETag', etag);
  response.setHeader('Vary', 'Accept');
  if (request.headers['if-none-match'] === etag) {
    response.writeHead(304).end();
    return;
  }
  sendText(response, 200, type, bytes);
}
