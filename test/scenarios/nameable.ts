// SPDX-License-Identifier: Apache-2.0
// What a proxy may be given besides what it is pushed: the clusters that none of its routes names at the moment.
import { destinationName, TYPE_URL } from '../../src/envoy/names.ts';
import { destinationNamesIn } from '../../src/envoy/on-demand.ts';
import type { CompiledProxy } from '../../src/pipeline.ts';
import type { DesiredState } from '../../src/xds/types.ts';

/** All of it, as if everything were named. */
export function withNameable({ desired, intent, kept }: CompiledProxy): DesiredState {
  const names = [...(intent.nameable ?? []).values()].map(({ ref, use }) => destinationName(ref, use));
  return new Map(
    [...desired].map(([typeUrl, resources]) => {
      const find = kept?.get(typeUrl);
      const more = find === undefined ? [] : names.flatMap((name) => find(name) ?? []);
      return [typeUrl, new Map([...resources, ...more.map((resource) => [resource.name, resource] as const)])];
    }),
  );
}

/** Clusters that its routes and listeners name, that there are, and that it is not pushed: a request there would be lost. */
export function missingClusters({ desired, kept }: CompiledProxy): string[] {
  const find = kept?.get(TYPE_URL.cluster) ?? (() => undefined);
  const pushed = desired.get(TYPE_URL.cluster);
  const naming = [TYPE_URL.listener, TYPE_URL.routes].flatMap((type) => [...(desired.get(type)?.values() ?? [])]);
  const named = new Set(naming.flatMap(({ value }) => destinationNamesIn(value)));
  return [...named].filter((name) => !pushed?.has(name) && find(name) !== undefined);
}
