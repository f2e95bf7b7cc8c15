// SPDX-License-Identifier: Apache-2.0
// Builds the admission requests of the core.
import type { KubeObject } from '../../../kube/types.ts';
import { groupVersion, type ServedVersion, toStorage, toVersion } from '../resources/definition.ts';
import type { AdmissionRequest, GroupVersionResource } from '../seams.ts';
import type { ResourceRequest } from './context.ts';
import { completeObject, decodeRaw } from './decode-request.ts';

export interface AdmissionInput {
  readonly operation: AdmissionRequest['operation'];
  readonly name: string;
  readonly object: KubeObject | undefined;
  readonly oldObject: KubeObject | undefined;
  readonly options: Record<string, unknown>;
  readonly dryRun: boolean;
  readonly subresource?: string;
}

/** Objects go in and come out in the storage version; admission sees them in the version of the request. */
export interface AdmissionSteps {
  mutate(): Promise<KubeObject | undefined>;
  validate(object: KubeObject | undefined): Promise<void>;
  /** Right before the write, in the same turn. */
  confirm(object: KubeObject): void;
}

export function prepareAdmission(request: ResourceRequest, input: AdmissionInput): AdmissionSteps {
  const { core, definition } = request;
  const seen = admissionVersion(request);
  const ask = (object: KubeObject | undefined): AdmissionRequest => ({
    operation: input.operation,
    kind: { group: seen.group, version: seen.version, kind: definition.kind },
    resource: resourceOf(request, seen),
    subresource: input.subresource ?? request.path.subresource,
    requestKind: { group: request.version.group, version: request.version.version, kind: definition.kind },
    requestResource: resourceOf(request, request.version),
    equivalents: definition.served.map((version) => resourceOf(request, version)),
    name: input.name,
    namespace: request.path.namespace,
    object,
    oldObject: input.oldObject && toVersion(seen, input.oldObject),
    options: input.options,
    dryRun: input.dryRun,
    user: request.user,
    warn: (message) => request.warn(message),
    convert: (one, to) => convert(one, to, request),
    normalize: (one) => normalize(one, request, seen),
    signal: request.signal,
  });
  return {
    async mutate() {
      const result = await core.security.admission.mutate(
        ask(input.object && structuredClone(toVersion(seen, input.object))),
      );
      return result && toStorage(definition, seen, result);
    },
    validate: (object) => core.security.admission.validate(ask(object && toVersion(seen, object))),
    confirm: (object) => core.security.admission.confirm(ask(toVersion(seen, object))),
  };
}

/** Old groups are shown to admission as what they became: webhooks register for apps/v1. */
function admissionVersion(request: ResourceRequest): ServedVersion {
  const { definition, version } = request;
  if (definition.custom || !version.fromStorage) {
    const stored = definition.served.find((one) => groupVersion(one) === definition.storageVersion);
    if (!definition.custom && stored && stored.group !== version.group) return stored;
  }
  return version;
}

function resourceOf(request: ResourceRequest, version: ServedVersion): GroupVersionResource {
  return { group: version.group, version: version.version, resource: request.definition.resource };
}

function convert(object: KubeObject, to: GroupVersionResource, request: ResourceRequest): KubeObject {
  const { definition } = request;
  const from = definition.served.find((version) => groupVersion(version) === object.apiVersion);
  const target = definition.served.find(({ group, version }) => group === to.group && version === to.version);
  if (!from || !target || from === target) return object;
  return toVersion(target, toStorage(definition, from, object));
}

function normalize(object: KubeObject, request: ResourceRequest, seen: ServedVersion): KubeObject {
  const { value } = decodeRaw(object, request.definition, seen, request.core);
  const decoded = value as unknown as KubeObject;
  const stored = completeObject(decoded, request.definition, seen);
  return toVersion(seen, stored);
}
