// SPDX-License-Identifier: Apache-2.0
// GET on kinds that are computed: the same forms of answer as for stored ones; nothing else may be done with them.
import type { KubeObject } from '../../../kube/types.ts';
import { groupVersion } from '../resources/definition.ts';
import { methodNotAllowed, noSuchResource, notFound } from '../status.ts';
import { partialMetadata } from '../tables/table.ts';
import { type ResourceRequest, requestedResource } from './context.ts';
import { matcherOf } from './list.ts';
import { negotiate } from './negotiation.ts';
import { isTrue } from './path.ts';
import { sendTransformed, tableOf } from './read.ts';
import { sendObject } from './respond.ts';

export async function readComputed(request: ResourceRequest): Promise<void> {
  const { core, definition, path, query, signal, response, version } = request;
  const source = core.computed.get(definition.storageKey);
  if (!source) throw noSuchResource();
  if (request.request.method !== 'GET' || path.watchPrefix || isTrue(query.get('watch'))) throw methodNotAllowed();
  const form = negotiate(request.request.headers.accept, ['table', path.name === '' ? 'partialList' : 'partial']);
  const objects = await source({ namespace: path.namespace, name: path.name, signal });
  if (path.name !== '') {
    const found = objects[0];
    if (!found) throw notFound(requestedResource(request), path.name);
    sendTransformed(request, 200, found, form);
    return;
  }
  const { matches } = matcherOf(request);
  const items = objects.filter(matches);
  const metadata = {};
  if (form.transform === 'table') {
    sendObject(response, 200, tableOf(request, form, items, metadata), form);
    return;
  }
  const partial = form.transform === 'partialList';
  const kind = partial ? 'PartialObjectMetadataList' : definition.listKind;
  const apiVersion = partial ? `meta.k8s.io/${form.version}` : groupVersion(version);
  const shown = (object: KubeObject): unknown => {
    if (partial) return partialMetadata(object, form.version);
    const { kind: _, apiVersion: __, ...rest } = object;
    return rest;
  };
  sendObject(response, 200, { kind, apiVersion, metadata, items: items.map(shown) }, form);
}
