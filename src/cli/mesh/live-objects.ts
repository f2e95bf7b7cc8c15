// SPDX-License-Identifier: Apache-2.0
// What a cluster has now, as far as the mesh is concerned: read once, for a plan.
import { EXPORT_POLICY } from '../../api/export-policy.ts';
import { resourceOf } from '../../api/kind.ts';
import { INSTALLED_TYPES, resourceTypeOf } from '../../install/resource-types.ts';
import { ISTIO_NAMESPACE } from '../../install/values/values.ts';
import { type KubeClient, KubeError } from '../../kube/client.ts';
import { objectName } from '../../kube/object-name.ts';
import type { KubeObject, ResourceType } from '../../kube/types.ts';
import { MESH_LABEL } from './record.ts';

const EXPORT_POLICIES = resourceOf(EXPORT_POLICY);
const PART_OF = 'app.kubernetes.io/part-of=isthmus';

/** Every kind that `mesh up` writes. */
export function meshTypeOf(object: KubeObject): ResourceType {
  return object.kind === EXPORT_POLICY.kind ? EXPORT_POLICIES : resourceTypeOf(object);
}

export class LiveObjects {
  readonly #byKey = new Map<string, KubeObject>();

  constructor(objects: readonly KubeObject[]) {
    for (const object of objects) this.#byKey.set(objectName(object), object);
  }

  get(object: KubeObject): KubeObject | undefined {
    return this.#byKey.get(objectName(object));
  }

  find(kind: string, name: string, namespace: string | undefined = ISTIO_NAMESPACE): KubeObject | undefined {
    return this.#byKey.get(`${kind} ${namespace ?? ''}/${name}`);
  }

  /** Those that an installation, or this command, has made. */
  ours(): KubeObject[] {
    return [...this.#byKey.values()].filter(
      ({ metadata }) =>
        metadata.labels?.['app.kubernetes.io/part-of'] === 'isthmus' || metadata.labels?.[MESH_LABEL] !== undefined,
    );
  }
}

/** All of istio-system, and of what has no namespace what is ours or is asked for by name. */
export async function readLiveObjects(
  client: KubeClient,
  wanted: readonly KubeObject[],
  signal: AbortSignal,
): Promise<LiveObjects> {
  const types = [...INSTALLED_TYPES, EXPORT_POLICIES];
  const lists = await Promise.all(types.map((type) => list(client, type, signal)));
  const found = new LiveObjects(lists.flat());
  const unseen = wanted.filter((object) => found.get(object) === undefined && !meshTypeOf(object).namespaced);
  const others = await Promise.all(unseen.map((object) => client.get(meshTypeOf(object), object.metadata.name ?? '')));
  return new LiveObjects([...lists.flat(), ...others.filter((object) => object !== undefined)]);
}

async function list(client: KubeClient, type: ResourceType, signal: AbortSignal): Promise<KubeObject[]> {
  try {
    const scope = type.namespaced
      ? { namespace: ISTIO_NAMESPACE }
      : type === EXPORT_POLICIES
        ? {}
        : { labelSelector: PART_OF };
    return (await client.list(type, { ...scope, signal })).items;
  } catch (error) {
    // A kind of ours, before its definition.
    if (error instanceof KubeError && error.code === 404) return [];
    throw error;
  }
}
