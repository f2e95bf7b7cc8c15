// SPDX-License-Identifier: Apache-2.0
// Patches ready for use: values as messages, those of one target and context together, and who has found what to change.
import { clone, type DescMessage, fromJson, type JsonValue, type MessageShape } from '@bufbuild/protobuf';
import { ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import { TypedExtensionConfigSchema } from '#gen/envoy/config/core/v3/extension_pb.ts';
import {
  FilterChainSchema,
  FilterSchema,
  ListenerFilterSchema,
} from '#gen/envoy/config/listener/v3/listener_components_pb.ts';
import { ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.ts';
import { RouteSchema, VirtualHostSchema } from '#gen/envoy/config/route/v3/route_components_pb.ts';
import { RouteConfigurationSchema } from '#gen/envoy/config/route/v3/route_pb.ts';
import { HttpFilterSchema } from '#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { envoyRegistry } from '#gen/registry.ts';
import type { PatchContext, PatchIntent } from '../../intent/patch-types.ts';

export const SCHEMAS = {
  LISTENER: ListenerSchema,
  LISTENER_FILTER: ListenerFilterSchema,
  FILTER_CHAIN: FilterChainSchema,
  NETWORK_FILTER: FilterSchema,
  HTTP_FILTER: HttpFilterSchema,
  ROUTE_CONFIGURATION: RouteConfigurationSchema,
  VIRTUAL_HOST: VirtualHostSchema,
  HTTP_ROUTE: RouteSchema,
  CLUSTER: ClusterSchema,
  EXTENSION_CONFIG: TypedExtensionConfigSchema,
} as const satisfies Record<PatchIntent['applyTo'], DescMessage>;

type Target = PatchIntent['applyTo'];
type Value<T extends Target> = MessageShape<(typeof SCHEMAS)[T]>;

/** A patch, and its place in the list of all. */
export interface Patch<T extends Target = Target> {
  readonly intent: PatchIntent;
  readonly index: number;
  /** A message of its own at each call, to be put into another. Never asked of REMOVE. */
  value(): Value<T>;
}

export class PatchSet {
  readonly #byTarget = new Map<Target, Patch[]>();

  constructor(intents: readonly PatchIntent[]) {
    intents.forEach((intent, index) => {
      const schema: DescMessage = SCHEMAS[intent.applyTo];
      let message: MessageShape<DescMessage> | undefined;
      const value = () => {
        message ??= fromJson(schema, intent.value as JsonValue, { registry: envoyRegistry() });
        return clone(schema, message) as never;
      };
      const known = this.#byTarget.get(intent.applyTo) ?? [];
      this.#byTarget.set(intent.applyTo, [...known, { intent, index, value }]);
    });
  }

  of<T extends Target>(target: T, context: PatchContext): readonly Patch<T>[] {
    const all = (this.#byTarget.get(target) ?? []) as readonly Patch<T>[];
    return all.filter(({ intent }) => intent.context === 'ANY' || intent.context === context);
  }

  touches(...targets: readonly Target[]): boolean {
    return targets.some((target) => this.#byTarget.has(target));
  }
}

/** Of one resource while it is patched: which patches found something there. */
export class Findings {
  readonly found = new Set<number>();

  note(patch: Patch): void {
    this.found.add(patch.index);
  }
}

export function isMerge({ intent }: Patch): boolean {
  return intent.operation === 'MERGE' || intent.operation === 'MERGE_AND_REPLACE_LIST';
}

export function replacesLists({ intent }: Patch): boolean {
  return intent.operation === 'MERGE_AND_REPLACE_LIST';
}

/**
 * Puts a patch's value into a list, or takes something out, as Istio does: `fits` says what the patch asks for, and
 * undefined that it asks for nothing in particular. `end` is where the list ends for what is added. True when it found its place.
 */
export function place<E>(
  list: E[],
  operation: PatchIntent['operation'],
  value: () => E,
  fits: ((element: E) => boolean) | undefined,
  end = list.length,
): boolean {
  const at = fits === undefined ? -1 : list.findIndex(fits);
  const nowhere = fits !== undefined && at < 0;
  switch (operation) {
    case 'ADD':
      list.splice(end, 0, value());
      return true;
    case 'INSERT_FIRST':
      list.unshift(value());
      return true;
    case 'INSERT_AFTER':
      if (nowhere) return false;
      list.splice(fits === undefined ? end : at + 1, 0, value());
      return true;
    case 'INSERT_BEFORE':
      if (nowhere) return false;
      list.splice(fits === undefined ? 0 : at, 0, value());
      return true;
    case 'REPLACE':
      if (fits === undefined || nowhere) return false;
      list.splice(at, 1, value());
      return true;
    case 'REMOVE': {
      if (fits === undefined || nowhere) return false;
      const left = list.filter((element) => !fits(element));
      list.splice(0, list.length, ...left);
      return true;
    }
    case 'MERGE':
    case 'MERGE_AND_REPLACE_LIST':
      return false;
  }
}
