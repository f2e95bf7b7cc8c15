// SPDX-License-Identifier: Apache-2.0
// The scale subresource: replicas of a workload under one shape, autoscaling/v1 Scale.
import type { KubeObject } from '../../../kube/types.ts';
import { trackUpdate } from '../apply/managed-fields.ts';
import { type ScaleAccess, toVersion } from '../resources/definition.ts';
import { builtinType } from '../schema/builtin.ts';
import { DecodeError, decodeObject } from '../schema/decode.ts';
import { badRequest, invalid, methodNotAllowed, modified, notFound } from '../status.ts';
import { AGE, column, NAME, type TableColumn } from '../tables/table.ts';
import { invalidValue } from '../validation/causes.ts';
import { mediaType, parseObject, readBody } from './body.ts';
import { keyOf, type ResourceRequest, requestedResource, writeOptions } from './context.ts';
import { negotiate, type Representation } from './negotiation.ts';
import { applyRawPatch, readPatch } from './patch.ts';
import { sendTransformed } from './read.ts';
import { changeObject } from './update.ts';

export function scaleOf(request: ResourceRequest): ScaleAccess | undefined {
  return request.version.scale ?? request.definition.scale;
}

export async function handleScale(request: ResourceRequest, access: ScaleAccess): Promise<void> {
  const form = negotiate(request.request.headers.accept, ['table', 'partial']);
  const { method } = request.request;
  if (method === 'GET') {
    const stored = request.core.store.get(keyOf(request));
    if (!stored) throw notFound(requestedResource(request), request.path.name);
    return sendScale(request, scaleView(toVersion(request.version, stored.object), access), form);
  }
  if (method !== 'PUT' && method !== 'PATCH') throw methodNotAllowed();
  const options = writeOptions(request, method === 'PUT' ? 'UpdateOptions' : 'PatchOptions');
  const body = await readBody(request.request);
  const type = mediaType(request.request);
  const node = builtinType(request.core.types, 'autoscaling.v1.Scale');
  const wanted = (current: KubeObject): Record<string, unknown> =>
    method === 'PUT'
      ? parseObject(body, type, 'Scale', () => node).raw
      : applyRawPatch(scaleView(current, access), readPatch(type, body.toString()), {
          ...request,
          version: { ...request.version, node },
        });
  const changed = await changeObject(
    // The change itself is one of the whole object.
    { ...request, path: { ...request.path, subresource: '' } },
    {
      options,
      build: (current) => withReplicas(current, wanted(current), access, request, node),
      track: (object, current) => withoutScaleTime(trackUpdate(object, current, request, options.fieldManager)),
    },
  );
  sendScale(request, scaleView(changed, access), form);
}

const COLUMNS: readonly TableColumn[] = [
  NAME,
  column('Desired', (scale) => (scale['spec'] as { replicas: number }).replicas, { type: 'integer' }),
  column('Available', (scale) => (scale['status'] as { replicas: number }).replicas, { type: 'integer' }),
  AGE,
];

function sendScale(request: ResourceRequest, scale: KubeObject, form: Representation): void {
  const node = builtinType(request.core.types, 'autoscaling.v1.Scale');
  const version = { group: 'autoscaling', version: 'v1', node, columns: COLUMNS };
  sendTransformed({ ...request, version }, 200, scale, form);
}

/** The real server notes who scaled, but not when. */
function withoutScaleTime(object: KubeObject): KubeObject {
  const { managedFields, ...metadata } = object.metadata;
  if (!Array.isArray(managedFields)) return object;
  const entries = (managedFields as Record<string, unknown>[]).map(({ time, ...entry }) =>
    entry['subresource'] === 'scale' || time === undefined ? entry : { ...entry, time },
  );
  return { ...object, metadata: { ...metadata, managedFields: entries } };
}

function withReplicas(
  current: KubeObject,
  raw: Record<string, unknown>,
  access: ScaleAccess,
  request: ResourceRequest,
  node: Parameters<typeof decodeObject>[1],
): KubeObject {
  const scale = decodeScale(raw, node);
  const { resourceVersion, name } = scale.metadata;
  if (name && name !== request.path.name) {
    throw badRequest(`the name of the object (${name}) does not match the name on the URL (${request.path.name})`);
  }
  if (resourceVersion && resourceVersion !== current.metadata.resourceVersion) {
    throw modified(requestedResource(request), request.path.name);
  }
  const replicas = scale.spec?.replicas ?? 0;
  if (replicas < 0) {
    const cause = invalidValue('spec.replicas', replicas, 'must be greater than or equal to 0');
    throw invalid('autoscaling', 'Scale', request.path.name, [cause]);
  }
  const next = structuredClone(current);
  access.setReplicas(next, replicas);
  return next;
}

function decodeScale(
  raw: Record<string, unknown>,
  node: Parameters<typeof decodeObject>[1],
): KubeObject & { spec?: { replicas?: number } } {
  try {
    return decodeObject(raw, node).value as unknown as KubeObject;
  } catch (error) {
    if (error instanceof DecodeError)
      throw badRequest(`Scale in version "v1" cannot be handled as a Scale: ${error.message}`);
    throw error;
  }
}

function scaleView(object: KubeObject, access: ScaleAccess): KubeObject {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  const selector = access.selector(object);
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: {
      ...(name ? { name } : {}),
      ...(namespace ? { namespace } : {}),
      ...(uid ? { uid } : {}),
      ...(resourceVersion ? { resourceVersion } : {}),
      ...(creationTimestamp ? { creationTimestamp } : {}),
    },
    spec: { replicas: access.replicas(object) },
    status: { replicas: access.statusReplicas(object), ...(selector ? { selector } : {}) },
  };
}
