// SPDX-License-Identifier: Apache-2.0
// From an authorized request to the code that answers it.
import type { Duplex } from 'node:stream';
import type { KubeObject } from '../../../kube/types.ts';
import { groupVersion, toVersion } from '../resources/definition.ts';
import { DecodeError, decodeObject, isRecord } from '../schema/decode.ts';
import type { ObjectNode } from '../schema/node.ts';
import type { SubresourceHandler, SubresourceRequest, VirtualResource } from '../seams.ts';
import { badRequest, methodNotAllowed, noSuchResource, notFound } from '../status.ts';
import { mediaType, parseObject, readBody } from './body.ts';
import { readComputed } from './computed.ts';
import { type Core, keyOf, type ResourceRequest, requestedResource, writeOptions } from './context.ts';
import { createFromBody } from './create.ts';
import { deleteCollection, deleteOne } from './delete.ts';
import { finalizeNamespace } from './namespace-finalize.ts';
import { negotiate } from './negotiation.ts';
import { patchFromBody } from './patch.ts';
import { isTrue } from './path.ts';
import { bindPod, evictPod } from './pod-actions.ts';
import { getList, getObject, sendTransformed } from './read.ts';
import { sendObject } from './respond.ts';
import { handleScale, scaleOf } from './scale.ts';
import { replaceFromBody } from './update.ts';
import { watchObjects } from './watch.ts';

/** https://pkg.go.dev/time#ParseDuration */
const GO_DURATION = /^[+-]?(\d+(\.\d*)?(ns|us|µs|ms|s|m|h))+$|^0$/;

/** Answers a request for a stored resource. Throws ApiErrors. */
export async function dispatch(request: ResourceRequest): Promise<void> {
  const { path, version } = request;
  if (version.deprecation) request.warn(version.deprecation);
  if (path.rest !== '' && !handlerOf(request)?.anyPath) throw noSuchResource();
  const timeout = request.query.get('timeout');
  if (timeout && !GO_DURATION.test(timeout)) throw badRequest('invalid timeout specified in the request URL');
  if (request.definition.computed && path.subresource === '') return readComputed(request);
  if (path.subresource !== '') return dispatchSubresource(request);
  switch (request.request.method) {
    case 'GET':
      return read(request);
    case 'POST': {
      const form = negotiate(request.request.headers.accept, ['table', 'partial']);
      return sendTransformed(request, 201, await createFromBody(request), form);
    }
    case 'PUT':
    case 'PATCH':
      return change(request);
    case 'DELETE': {
      const form = negotiate(request.request.headers.accept, ['table', 'partial']);
      const body = path.name === '' ? await deleteCollection(request) : await deleteOne(request);
      return path.name === ''
        ? sendObject(request.response, 200, body, form)
        : sendTransformed(request, 200, body as KubeObject, form);
    }
    default:
      throw methodNotAllowed();
  }
}

function read(request: ResourceRequest): void | Promise<void> {
  const { path, query } = request;
  if (path.watchPrefix || (path.name === '' && isTrue(query.get('watch')))) return watchObjects(request);
  return path.name === '' ? getList(request) : getObject(request);
}

async function change(request: ResourceRequest): Promise<void> {
  const form = negotiate(request.request.headers.accept, ['table', 'partial']);
  const { object, created } = await (request.request.method === 'PUT'
    ? replaceFromBody(request)
    : patchFromBody(request));
  sendTransformed(request, created ? 201 : 200, object, form);
}

async function dispatchSubresource(request: ResourceRequest): Promise<void> {
  const { path, definition, version, response } = request;
  const { method } = request.request;
  const scale = scaleOf(request);
  const where = version.group === '' ? `${definition.resource}/${path.subresource}` : '';
  const whole =
    path.subresource === 'status' ? (version.status ?? definition.status) : path.subresource in definition.parts;
  if (whole) {
    if (method === 'GET') return getObject(request);
    if (method === 'PUT' || method === 'PATCH') return change(request);
    throw methodNotAllowed();
  }
  if (path.subresource === 'scale' && scale) return handleScale(request, scale);
  if (where === 'pods/binding') return sendObject(response, 201, await bindPod(request), negotiate(undefined, []));
  if (where === 'pods/eviction') return sendObject(response, 201, await evictPod(request), negotiate(undefined, []));
  if (where === 'namespaces/finalize') {
    return sendObject(response, 200, await finalizeNamespace(request), negotiate(undefined, []));
  }
  const handler = handlerOf(request);
  if (!handler) throw noSuchResource();
  if (!((method === 'HEAD' ? 'GET' : method!) in handler.methods)) throw methodNotAllowed();
  const object = await handler.handle(subresourceRequest(request, handler), response);
  if (object) sendObject(response, method === 'POST' ? 201 : 200, object, negotiate(undefined, []));
}

function handlerOf({ core, path, definition, version }: ResourceRequest): SubresourceHandler | undefined {
  return version.group === ''
    ? core.security.subresources.get(`${definition.resource}/${path.subresource}`)
    : undefined;
}

/** An upgraded connection: exec, attach, portforward. */
export async function dispatchUpgrade(request: ResourceRequest, socket: Duplex, head: Buffer): Promise<void> {
  const handler = handlerOf(request);
  if (!handler?.upgrade) throw badRequest('Upgrade request required');
  if (!(request.request.method! in handler.methods)) throw methodNotAllowed();
  await handler.upgrade(subresourceRequest(request, handler), socket, head);
}

function subresourceRequest(request: ResourceRequest, handler: SubresourceHandler): SubresourceRequest {
  const name = handler.parentName?.(request.path.name) ?? request.path.name;
  const stored = request.core.store.get(keyOf(request, name));
  if (!stored) throw notFound(requestedResource(request), name);
  const { user, attributes, query, signal, core } = request;
  return {
    request: request.request,
    user,
    attributes,
    query,
    parent: toVersion(request.version, stored.object),
    body: () => readKind(core, request, handler.kind.kind, typeNode(core, handler.kind)),
    dryRun: !handler.anyPath && writeOptions(request, 'CreateOptions').dryRun,
    warn: (message) => request.warn(message),
    signal,
  };
}

function typeNode(core: Core, kind: { group: string; version: string; kind: string }): ObjectNode | undefined {
  const group = (kind.group || 'core').replace(/\.(authorization\.)?k8s\.io$/, '');
  return core.types.get(`${group}.${kind.version}.${kind.kind}`);
}

async function readKind(
  _core: Core,
  request: Pick<ResourceRequest, 'request'>,
  kind: string,
  node: ObjectNode | undefined,
): Promise<KubeObject | undefined> {
  const body = await readBody(request.request);
  if (body.length === 0) return undefined;
  const { raw } = parseObject(body, mediaType(request.request), kind, () => {
    if (node) return node;
    throw badRequest(`${kind} has no protobuf form`);
  });
  try {
    const object = (node ? decodeObject(raw, node).value : raw) as unknown as KubeObject;
    if (!isRecord(object.metadata)) object.metadata = {};
    return object;
  } catch (error) {
    if (error instanceof DecodeError)
      throw badRequest(`${kind} in the request cannot be handled as a ${kind}: ${error.message}`);
    throw error;
  }
}

/** POST on a computed resource: reviews. */
export async function dispatchVirtual(
  core: Core,
  request: Pick<ResourceRequest, 'request' | 'response' | 'user' | 'path' | 'signal'>,
  resource: VirtualResource,
): Promise<void> {
  const { path } = request;
  if (request.request.method !== 'POST' || path.name !== '') throw methodNotAllowed();
  const form = negotiate(request.request.headers.accept, []);
  const { group, kind } = resource;
  const node = typeNode(core, { group, version: path.version, kind });
  const object = await readKind(core, request, kind, node);
  if (!object) throw badRequest(`${kind}: the request has no body`);
  object.apiVersion = groupVersion(path);
  object.kind = kind;
  const context = { user: request.user, namespace: path.namespace, version: path.version, signal: request.signal };
  sendObject(request.response, 201, await resource.create(object, context), form);
}
