// SPDX-License-Identifier: Apache-2.0
// Every name that Envoy sees, as Istio's users know them from their logs and dashboards.
import type { DestinationRef } from '../intent/destination-types.ts';
import type { UnknownTraffic } from '../intent/route-types.ts';

export const TYPE_URL = {
  cluster: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
  endpoints: 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment',
  listener: 'type.googleapis.com/envoy.config.listener.v3.Listener',
  routes: 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration',
  virtualHost: 'type.googleapis.com/envoy.config.route.v3.VirtualHost',
} as const;

export const PASSTHROUGH = 'PassthroughCluster';
export const BLACK_HOLE = 'BlackHoleCluster';
/** Where requests to names that no service has are sent by these names. */
export const STRANGERS = 'AllowAnyDynamicDNSCluster';
export const INBOUND_PASSTHROUGH = 'InboundPassthroughCluster';
/** Where what nobody claims goes. */
export function unclaimedName(unknown: UnknownTraffic | 'not-found'): string {
  if (typeof unknown !== 'string') return destinationName(unknown);
  if (unknown === 'by-name') return STRANGERS;
  return unknown === 'pass-through' ? PASSTHROUGH : BLACK_HOLE;
}

export const VIRTUAL_OUTBOUND = 'virtualOutbound';
export const VIRTUAL_INBOUND = 'virtualInbound';
export const OUTBOUND_PORT = 15001;
export const INBOUND_PORT = 15006;

/** `outbound|9080|v2|reviews.default.global`; TLS passed on by its server name: `outbound_.9080_.v2_.HOST`. */
export function destinationName(ref: DestinationRef, use: 'proxy' | 'sni' = 'proxy'): string {
  return use === 'proxy'
    ? `outbound|${ref.port}|${ref.subset}|${ref.host}`
    : `outbound_.${ref.port}_.${ref.subset}_.${ref.host}`;
}

/** What a name of the first form stands for; undefined for any other name. */
export function destinationNamed(name: string): DestinationRef | undefined {
  const [direction, port, subset, host, more] = name.split('|');
  if (direction !== 'outbound' || subset === undefined || host === undefined || more !== undefined) return undefined;
  return { host, port: Number(port), subset };
}

/** `inbound|9080||` */
export function inboundName(port: number): string {
  return `inbound|${port}||`;
}

/** `0.0.0.0_9080`, `10.96.3.4_6379` */
export function listenerName(address: string, port: number): string {
  return `${address === '' ? '0.0.0.0' : address}_${port}`;
}
