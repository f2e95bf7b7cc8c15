// SPDX-License-Identifier: Apache-2.0
import type { MeshService } from '../snapshot.ts';
import { aliasTarget } from '../view.ts';

/** What stands in the place of another service of the mesh has that one's ports. `byHost`: those of one host by key. */
export function servedByTargets(
  services: readonly MeshService[],
  byHost: Pick<ReadonlyMap<string, readonly MeshService[]>, 'get'>,
): readonly MeshService[] {
  if (services.every(({ aliasOf }) => aliasOf === undefined)) return services;
  const serviceOf = { get: (host: string) => byHost.get(host)?.[0] };
  return services.map((service) => {
    const target = aliasTarget({ serviceOf }, service);
    return target === undefined ? service : { ...service, ports: target.ports, aliasOf: target.hostname };
  });
}
