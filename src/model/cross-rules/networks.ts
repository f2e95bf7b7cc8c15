// SPDX-License-Identifier: Apache-2.0
// Networks that nothing leads into: what is there is dialled directly, which works only where the network is flat.
import type { ObjectRef } from '../../api/diagnostics.ts';
import { EXTERNAL_NETWORK, NETWORKS_FIELD } from '../../api/mesh-networks.ts';
import { member } from '../../api/shape.ts';
import type { MeshIndex, MeshService } from '../snapshot.ts';
import type { Say } from './known.ts';

export function checkOccupied(index: MeshIndex, say: Say): void {
  const { occupied, gateways } = index.networks;
  const byNetwork = Map.groupBy(occupied, ({ network }) => network);
  for (const [network, places] of byNetwork) {
    if (byNetwork.size === 1 || gateways.has(network)) continue;
    const where = [...new Set(places.map(({ cluster }) => cluster))].sort().join(', ');
    const name = network === '' ? 'on no network of meshNetworks' : `on network ${network}, which has no gateway`;
    const field = network === '' ? NETWORKS_FIELD : member(`${NETWORKS_FIELD}.networks`, network);
    say(
      configMap(index),
      'ISM0111',
      field,
      `endpoints of cluster ${where} are ${name}: ${effectOf(index)}`,
      cureFor(network),
    );
  }
}

export function checkNetworks({ networks, origin }: MeshService, index: MeshIndex, say: Say): void {
  if (networks.length === 0) return;
  const { occupied, gateways } = index.networks;
  const all = new Set(occupied.map(({ network }) => network));
  for (const network of networks) {
    const isAlone = all.size === 1 && all.has(network);
    if (network === EXTERNAL_NETWORK || gateways.has(network) || isAlone) continue;
    const message = `endpoints are on network ${network}, which has no gateway: ${effectOf(index)}`;
    say(origin, 'ISM0111', 'spec.endpoints', message, cureFor(network));
  }
}

function effectOf({ mesh }: MeshIndex): string {
  return mesh.networksWithoutGateway === 'DIRECT'
    ? 'proxies on other networks dial them directly'
    : 'proxies on other networks leave them out';
}

function cureFor(network: string): string {
  return network === ''
    ? 'put these clusters into a network of `meshNetworks` with a gateway, or nothing if all networks are one'
    : `add a gateway to network ${network} in \`meshNetworks\`, or leave the networks out if they are one`;
}

function configMap({ settings }: MeshIndex): ObjectRef {
  return { apiVersion: 'v1', kind: 'ConfigMap', namespace: settings.rootNamespace, name: 'istio' };
}
