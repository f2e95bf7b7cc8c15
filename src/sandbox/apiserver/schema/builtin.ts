// SPDX-License-Identifier: Apache-2.0
import { Descriptions } from './describe.ts';
import { CORE_DESCRIPTIONS } from './descriptions/core.ts';
import { META_DESCRIPTIONS } from './descriptions/meta.ts';
import { POD_DESCRIPTIONS } from './descriptions/pod.ts';
import { VOLUME_DESCRIPTIONS } from './descriptions/volume.ts';
import { WORKLOAD_DESCRIPTIONS } from './descriptions/workload.ts';
import type { ObjectNode } from './node.ts';
import { parseTypes, type TypeTable } from './parse.ts';
import { ACCESS_TYPES } from './types/access.ts';
import { APPS_TYPES } from './types/apps.ts';
import { CLUSTER_TYPES } from './types/cluster.ts';
import { CORE_TYPES } from './types/core.ts';
import { CORE_CLAIM_TYPES } from './types/core-claim.ts';
import { CORE_CONTAINER_TYPES } from './types/core-container.ts';
import { CORE_NODE_TYPES } from './types/core-node.ts';
import { CORE_POD_TYPES } from './types/core-pod.ts';
import { CORE_SCHEDULING_TYPES } from './types/core-scheduling.ts';
import { CORE_VOLUME_TYPES } from './types/core-volume.ts';
import { CORE_VOLUME_DRIVER_TYPES } from './types/core-volume-driver.ts';
import { EXTENSION_TYPES } from './types/extension.ts';
import { META_TYPES } from './types/meta.ts';
import { NETWORK_TYPES } from './types/network.ts';
import { SCALING_TYPES } from './types/scaling.ts';

/** Every built-in type by "package.Name", e.g. core.v1.Pod. Takes about 5 ms; made once per server. */
export function loadBuiltinTypes(): TypeTable {
  return parseTypes([
    META_TYPES,
    CORE_TYPES,
    CORE_POD_TYPES,
    CORE_CONTAINER_TYPES,
    CORE_SCHEDULING_TYPES,
    CORE_VOLUME_TYPES,
    CORE_VOLUME_DRIVER_TYPES,
    CORE_CLAIM_TYPES,
    CORE_NODE_TYPES,
    APPS_TYPES,
    SCALING_TYPES,
    ACCESS_TYPES,
    NETWORK_TYPES,
    EXTENSION_TYPES,
    CLUSTER_TYPES,
  ]);
}

/** What `kubectl explain` says of them, in our own words. */
export function loadDescriptions(): Descriptions {
  return new Descriptions([
    META_DESCRIPTIONS,
    POD_DESCRIPTIONS,
    VOLUME_DESCRIPTIONS,
    WORKLOAD_DESCRIPTIONS,
    CORE_DESCRIPTIONS,
  ]);
}

export function builtinType(types: TypeTable, name: string): ObjectNode {
  const node = types.get(name);
  if (!node) throw new Error(`no built-in type ${name}`);
  return node;
}
