// SPDX-License-Identifier: Apache-2.0
// What goes from one proxy to the next, and what is remembered of the way so far.
import { isIP } from 'node:net';
import { blockHolds, parseCidr } from '../api/cidr.ts';
import type { ClientTls, HttpRequest } from '../envoy/simulate/outcome.ts';
import { readTrafficAnnotations, type TrafficExclusions } from '../injector/traffic-annotations.ts';
import type { KubeObject } from '../kube/types.ts';
import type { AskedRequest } from './asked.ts';
import type { OpenedTls } from './describe-destination.ts';
import type { MeshCluster, ProxyResources } from './mesh.ts';
import type { Destination, Place, Step, Why } from './path.ts';
import { addressesOfPod } from './pods.ts';

/** What is on a connection: a request, in the clear or within TLS; neither: bytes. */
export interface Carried {
  readonly request?: HttpRequest;
  readonly tls?: CarriedTls;
}

/** TLS, and what is known of who opened it. */
export interface CarriedTls extends OpenedTls {
  readonly by: Place;
  /** SPIFFE id of the mesh. */
  readonly identity?: string;
  /** Fingerprints of the roots that he trusts. */
  readonly roots?: readonly string[];
  /** What made him speak it so. */
  readonly why: readonly Why[];
}

export interface Trail {
  /** Addresses by which clusters were left, or gateways entered. */
  readonly via: readonly string[];
  /** The caller's own destination, and the latest one. */
  readonly chosen?: Destination;
  readonly destination?: Destination;
  /** The rule that the caller's proxy went by. */
  readonly rule?: Why;
  /** Behind the latest destination: its DestinationRule, Service, ... */
  readonly why: readonly Why[];
  readonly legs: number;
  /** A proxy on the way has opened the request as HTTP, so that it can answer it; bytes that fail are only cut off. */
  readonly isOpened?: true;
}

/** A proxy with a connection to it. */
export interface Hop {
  readonly cluster: MeshCluster;
  readonly pod: KubeObject;
  readonly at: Place;
  readonly resources: ProxyResources;
  readonly direction: 'outbound' | 'inbound' | 'gateway';
  readonly address: string;
  readonly port: number;
  readonly carried: Carried;
  readonly trail: Trail;
  /** Said before. */
  readonly steps: readonly Step[];
}

/** A connection that somebody opens. */
export interface Dial {
  readonly from: MeshCluster;
  readonly by: Place;
  readonly address: string;
  readonly port: number;
  /** Cluster of the pod that has the address, where it is known. */
  readonly hint?: MeshCluster;
  readonly carried: Carried;
  readonly trail: Trail;
}

/** Stands for an address of the world outside (RFC 5737): which one it is makes no difference. */
export const WORLD = '203.0.113.1';

/** As the application, or the client of a gateway, opens it. */
export function carriedFrom(asked: AskedRequest, by: Place): Carried {
  const opened = (serverName: string, alpn: readonly string[]): CarriedTls => {
    return { serverName, alpn, mesh: false, certificate: false, peers: [], by, why: [] };
  };
  if (asked.kind === 'tcp') return {};
  if (asked.kind === 'tls') return { tls: opened(asked.serverName, asked.alpn) };
  const { method, scheme, authority, path, headers, protocol, more } = asked;
  const request: HttpRequest = { ...more, method, scheme, authority, path, headers, protocol };
  if (scheme === 'http') return { request };
  const serverName = isIP(asked.host) === 0 ? asked.host : '';
  return { request, tls: opened(serverName, ['h2', 'http/1.1']) };
}

/** As the simulator is told. */
export function clientTls({ tls }: Carried): { tls?: ClientTls } {
  if (tls === undefined) return {};
  const { serverName, alpn, certificate, identity } = tls;
  return { tls: { serverName, alpn, certificate, ...(identity !== undefined && { identity }) } };
}

/** Why the redirect rules leave a connection of the pod's application alone; undefined: the sidecar gets it. */
export function bypassOf(pod: KubeObject, address: string, port: number): string | undefined {
  if (address === '127.0.0.1' || address === '::1') return 'what stays on 127.0.0.1 is not redirected';
  if (addressesOfPod(pod).includes(address)) return 'the pod calls its own address, which is not redirected';
  const exclusions = exclusionsOf(pod);
  const own = [15_021, 15_090];
  if (own.includes(port)) return `port ${port} is the proxies’ own, which is not redirected`;
  if (exclusions?.excludeOutboundPorts.includes(port))
    return `annotation traffic.sidecar.istio.io/excludeOutboundPorts leaves port ${port} alone`;
  const range = exclusions?.excludeOutboundIpRanges.find((block) => holds(block, address));
  return range && `annotation traffic.sidecar.istio.io/excludeOutboundIPRanges leaves ${range} alone`;
}

/** The same of connections that come to the pod. */
export function inboundBypassOf(pod: KubeObject, port: number): string | undefined {
  const exclusions = exclusionsOf(pod);
  if (exclusions === undefined) return undefined;
  if (exclusions.excludeInboundPorts.includes(port))
    return `annotation traffic.sidecar.istio.io/excludeInboundPorts leaves port ${port} to the application itself`;
  const { includeInboundPorts: included } = exclusions;
  if (included === undefined || included.includes(port)) return undefined;
  return `annotation traffic.sidecar.istio.io/includeInboundPorts does not name port ${port}: the application gets it itself`;
}

function exclusionsOf({ metadata }: KubeObject): TrafficExclusions | undefined {
  try {
    return readTrafficAnnotations(metadata.annotations ?? {});
  } catch {
    // The injector has refused such a pod.
    return undefined;
  }
}

function holds(block: string, address: string): boolean {
  const parsed = isIP(address) === 0 ? undefined : parseCidr(block);
  return parsed !== undefined && blockHolds(parsed, address);
}
