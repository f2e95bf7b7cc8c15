// SPDX-License-Identifier: Apache-2.0
// What a proxy may be given besides what it is pushed: the clusters that none of its routes names at the moment.
import assert from 'node:assert/strict';
import { destinationName, TYPE_URL } from '../../src/envoy/names.ts';
import { destinationNamesIn } from '../../src/envoy/on-demand.ts';
import type { CompiledProxy } from '../../src/pipeline.ts';
import type { DesiredState, XdsResource } from '../../src/xds/types.ts';

/** All of it, as if everything were named. */
export function withNameable({ desired, intent, kept }: CompiledProxy): DesiredState {
  const names = [...(intent.nameable ?? []).values()].map(({ ref, use }) => destinationName(ref, use));
  return new Map(
    [...desired].map(([typeUrl, resources]) => {
      const found = kept?.get(typeUrl);
      const more = names.flatMap((name) => found?.find(name) ?? []);
      const all = [...(found?.all().values() ?? [])];
      // Asked name by name or as a whole, it is the same.
      assert.deepEqual(new Set(all.map(idOf)), new Set(more.map(idOf)));
      return [typeUrl, new Map([...resources, ...more.map((resource) => [resource.name, resource] as const)])];
    }),
  );
}

const idOf = ({ name, version }: XdsResource): string => `${name} ${version}`;

/** Clusters that its routes and listeners name, that there are, and that it is not pushed: a request there would be lost. */
export function missingClusters({ desired, kept }: CompiledProxy): string[] {
  const find = (name: string) => kept?.get(TYPE_URL.cluster)?.find(name);
  const pushed = desired.get(TYPE_URL.cluster);
  const naming = [TYPE_URL.listener, TYPE_URL.routes].flatMap((type) => [...(desired.get(type)?.values() ?? [])]);
  const named = new Set(naming.flatMap(({ value }) => destinationNamesIn(value)));
  return [...named].filter((name) => !pushed?.has(name) && find(name) !== undefined);
}
