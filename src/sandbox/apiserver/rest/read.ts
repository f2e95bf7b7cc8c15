// SPDX-License-Identifier: Apache-2.0
import type { KubeObject } from '../../../kube/types.ts';
import { groupVersion, type ServedVersion, toVersion } from '../resources/definition.ts';
import { badRequest, notFound } from '../status.ts';
import { columnDefinitions, partialMetadata, type RowObject, type TableColumn, tableRow } from '../tables/table.ts';
import { keyOf, type ResourceRequest, requestedResource } from './context.ts';
import { checkRevision, listMetadata, listObjects, listText } from './list.ts';
import { negotiate, type Representation } from './negotiation.ts';
import { sendObject, sendText } from './respond.ts';

/** GET on one object (or its status). */
export function getObject(request: ResourceRequest): void {
  const form = negotiate(request.request.headers.accept, ['table', 'partial']);
  checkRevision(request);
  const stored = request.core.store.get(keyOf(request));
  if (!stored) throw notFound(requestedResource(request), request.path.name);
  sendTransformed(request, 200, toVersion(request.version, stored.object), form);
}

/** An object of the request's resource, in the form that the client asked for. */
export function sendTransformed(
  request: ResourceRequest,
  code: number,
  object: KubeObject,
  form: Representation,
): void {
  const { response } = request;
  if (object.kind === 'Status' || form.transform === 'none') {
    sendObject(response, code, object, form);
    return;
  }
  if (form.transform === 'table') {
    const metadata = { resourceVersion: object.metadata.resourceVersion ?? '' };
    sendObject(response, code, tableOf(request, form, [object], metadata), form);
    return;
  }
  sendObject(response, code, partialMetadata(object, form.version), form);
}

/** GET on a collection. */
export function getList(request: ResourceRequest): void {
  const { response, definition, version } = request;
  const form = negotiate(request.request.headers.accept, ['table', 'partialList']);
  // Checked before the list is made: a bad value refuses even an empty list.
  if (form.transform === 'table') includedObject(request);
  const result = listObjects(request);
  if (form.transform === 'none' && form.encoding === 'json') {
    sendText(response, 200, 'application/json', listText(request, result));
    return;
  }
  const objects = result.stored.map(({ object }) => object);
  if (form.transform === 'table') {
    sendObject(response, 200, tableOf(request, form, objects, listMetadata(result)), form);
    return;
  }
  const shown = objects.map((object) => toVersion(version, object));
  if (form.transform === 'partialList') {
    const items = shown.map((object) => partialMetadata(object, form.version));
    const body = {
      kind: 'PartialObjectMetadataList',
      apiVersion: `meta.k8s.io/${form.version}`,
      metadata: listMetadata(result),
      items,
    };
    sendObject(response, 200, body, form);
    return;
  }
  sendObject(
    response,
    200,
    { kind: definition.listKind, apiVersion: groupVersion(version), metadata: listMetadata(result), items: shown },
    form,
  );
}

function columnsOf(request: ResourceRequest): readonly TableColumn[] {
  return request.version.columns ?? request.definition.columns;
}

/** `objects` in whatever version; rows show them in the request's. Built-in columns read the storage version. */
export function tableOf(
  request: ResourceRequest,
  form: Representation,
  objects: readonly KubeObject[],
  metadata: Record<string, unknown>,
  withColumns = true,
): Record<string, unknown> {
  const columns = columnsOf(request);
  const include = includedObject(request);
  const now = request.core.now();
  return {
    kind: 'Table',
    apiVersion: `meta.k8s.io/${form.version}`,
    metadata,
    columnDefinitions: withColumns ? columnDefinitions(columns) : null,
    rows: objects.map((object) => {
      const { cells } = tableRow(columns, storageView(request.version, object), 'None', now);
      if (include === 'None') return { cells, object: null };
      const shown = toVersion(request.version, object);
      return { cells, object: include === 'Object' ? shown : partialMetadata(shown, form.version) };
    }),
  };
}

/** Columns of built-in kinds read storage-version members, which may be named otherwise in this version (events). */
function storageView(version: ServedVersion, object: KubeObject): KubeObject {
  return version.toStorage && object.apiVersion === groupVersion(version) ? version.toStorage(object) : object;
}

function includedObject(request: ResourceRequest): RowObject {
  const value = request.query.get('includeObject') ?? '';
  if (value === '') return 'Metadata';
  if (value === 'None' || value === 'Metadata' || value === 'Object') return value;
  const why = "must be 'Metadata', 'Object', 'None', or empty";
  throw badRequest(
    `Unable to convert to Table as requested: includeObject: Invalid value: ${JSON.stringify(value)}: ${why}`,
  );
}
