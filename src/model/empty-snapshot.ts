// SPDX-License-Identifier: Apache-2.0
import type { DestinationRule } from '../api/destination-rule.ts';
import { DEFAULT_MESH_CONFIG } from '../api/mesh-config.ts';
import type { VirtualService } from '../api/virtual-service.ts';
import { NO_NETWORKS } from './networks.ts';
import { RuleTable } from './rule-table.ts';
import type { MeshIndex, MeshSettings, MeshSnapshot } from './snapshot.ts';

/** Of a mesh of which nothing is known yet. */
export function emptySnapshot(options: MeshSettings): MeshSnapshot {
  const { trustDomain, dnsDomain, rootNamespace } = options;
  const index: MeshIndex = Object.freeze({
    settings: { trustDomain, dnsDomain, rootNamespace },
    mesh: DEFAULT_MESH_CONFIG,
    networks: NO_NETWORKS,
    services: new Map(),
    servicesByHost: new Map(),
    servicesByNamespace: new Map(),
    virtualServices: [],
    writtenRules: [],
    destinationRules: [],
    gateways: [],
    telemetries: [],
    proxyConfigs: [],
    envoyFilters: [],
    sidecars: [],
    meshRules: new RuleTable<VirtualService>(() => []).index,
    hostRules: new RuleTable<DestinationRule>(() => []).index,
    gatewayRules: [],
    labelRules: [],
    selectiveRules: [],
    comparingRules: [],
    placing: 'nowhere',
    identities: new Map(),
    headless: new Map(),
  });
  return Object.freeze({ revision: 0, index, endpoints: new Map(), workloads: new Map() });
}
