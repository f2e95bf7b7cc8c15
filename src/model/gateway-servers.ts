// SPDX-License-Identifier: Apache-2.0
// The servers of several Gateways on one pod: which of them share a port, and which have to give way.
import { type Gateway, type GatewayServer, layerOf } from '../api/gateway.ts';

export interface PlacedServer {
  readonly gateway: Gateway;
  readonly server: GatewayServer;
  /** Its place in `spec.servers`. */
  readonly index: number;
  /** Where the gateway's process listens; '' for every address. */
  readonly address: string;
  readonly port: number;
}

/** A server that is not there, because an older one has what it needs. */
export interface ServerConflict {
  readonly gateway: Gateway;
  readonly field: string;
  readonly message: string;
  readonly cure: string;
}

/**
 * As Istio merges them, in the order given (the oldest Gateway first): a port in plain text has all HTTP servers, or one TCP
 * server; a port with TLS has servers of different hosts.
 */
export function mergeServers(
  gateways: readonly Gateway[],
  portOf: (port: number) => number,
): { readonly servers: readonly PlacedServer[]; readonly conflicts: readonly ServerConflict[] } {
  const byListener = new Map<string, PlacedServer[]>();
  const servers: PlacedServer[] = [];
  const conflicts: ServerConflict[] = [];
  for (const gateway of gateways) {
    gateway.spec.servers.forEach((server, index) => {
      const { bind: address = '', port } = server;
      const placed = { gateway, server, index, address, port: port.number === 0 ? 0 : portOf(port.number) };
      const key = `${placed.address}|${placed.port}`;
      const before = byListener.get(key) ?? [];
      const conflict = conflictOf(placed, before);
      if (conflict !== undefined) conflicts.push(conflict);
      else {
        byListener.set(key, [...before, placed]);
        servers.push(placed);
      }
    });
  }
  return { servers, conflicts };
}

function conflictOf(placed: PlacedServer, before: readonly PlacedServer[]): ServerConflict | undefined {
  const { gateway, server, index } = placed;
  const [first] = before;
  if (first === undefined) return undefined;
  const field = `spec.servers[${index}]`;
  const at = `port ${server.port.number}${placed.address === '' ? '' : ` of ${placed.address}`}`;
  const [layer, taken] = [layerOf(server.port.protocol), layerOf(first.server.port.protocol)];
  if (layer !== taken || layer === 'tcp') {
    const has = `${nameOf(first)} has ${at} of the same pods for ${first.server.port.protocol}`;
    const cure = `give ${server.port.protocol} another port`;
    return { gateway, field: `${field}.port`, message: `${has}, so this server is not there`, cure };
  }
  if (layer !== 'tls') return undefined;
  for (const [i, { host }] of server.hosts.entries()) {
    const rival = before.find((other) => other.server.hosts.some((h) => h.host === host));
    if (rival === undefined) continue;
    const message = `${nameOf(rival)} has TLS for ${host} on ${at} of the same pods already, so this server is not there`;
    return { gateway, field: `${field}.hosts[${i}]`, message, cure: 'remove the host from one of the two' };
  }
  return undefined;
}

function nameOf({ gateway, index }: PlacedServer): string {
  return `Gateway ${gateway.ref.namespace}/${gateway.ref.name} (spec.servers[${index}])`;
}
