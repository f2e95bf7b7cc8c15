// SPDX-License-Identifier: Apache-2.0
import type { KubeObject } from '../../../kube/types.ts';
import { MemoryObjects } from '../memory-objects.fixture.ts';
import type { AdmissionRequest } from '../seams.ts';
import type { GroupResource } from '../status.ts';

export const core = (resource: string): GroupResource => ({ group: '', resource });

export function object(kind: string, name: string, more: object = {}, metadata: object = {}): KubeObject {
  return { apiVersion: 'v1', kind, metadata: { name, namespace: 'shop', ...metadata }, ...more };
}

export function pod(name: string, containers: object[], spec: object = {}): KubeObject {
  return object('Pod', name, { spec: { containers, ...spec } });
}

/** A cluster's objects, and what who asked has been warned of. */
export class AdmissionScene {
  readonly objects = new MemoryObjects();
  readonly warnings: string[] = [];

  ask(
    resource: string,
    wanted: KubeObject,
    operation?: AdmissionRequest['operation'],
    oldObject?: KubeObject,
  ): AdmissionRequest {
    return requestFor(resource, wanted, (message) => this.warnings.push(message), operation, oldObject);
  }
}

/** Of jane, in namespace `shop` unless the object says otherwise. */
export function requestFor(
  resource: string,
  wanted: KubeObject,
  warn: AdmissionRequest['warn'],
  operation: AdmissionRequest['operation'] = 'CREATE',
  oldObject?: KubeObject,
): AdmissionRequest {
  const type = { group: '', version: 'v1', resource };
  const kind = { group: '', version: 'v1', kind: wanted.kind };
  return {
    operation,
    kind,
    resource: type,
    subresource: '',
    requestKind: kind,
    requestResource: type,
    equivalents: [],
    name: wanted.metadata.name ?? '',
    namespace: wanted.metadata.namespace ?? '',
    object: wanted,
    oldObject,
    options: {},
    dryRun: false,
    user: { username: 'jane', groups: ['devs'] },
    warn,
    convert: (one) => one,
    normalize: (one) => one,
    signal: new AbortController().signal,
  };
}
