// SPDX-License-Identifier: Apache-2.0
// Where the other clusters reach this one: its gateway's load balancer, or a node where there is none.
import type { ExportedGateway } from '../api/exported-service.ts';
import { decodeService } from '../api/kubernetes.ts';
import { isRecord } from '../api/shape.ts';
import type { KubeObject } from '../kube/types.ts';
import { compare } from './digest.ts';

/** Of the Service that all clusters' gateways have: https://istio.io/latest/docs/setup/install/multicluster/ */
export const GATEWAY_SERVICE = { namespace: 'istio-system', name: 'istio-ingressgateway' } as const;
/** TLS of the mesh comes in here, and is passed on by its SNI. */
export const GATEWAY_PORT = 15443;

export interface GatewayPod {
  readonly nodeName: string;
  readonly locality: string;
  readonly network: string;
}

/**
 * None where nobody would answer: without a Service, an address, the port, or a pod that is ready. `nodes`: their addresses,
 * by name.
 */
export function gatewaysOf(
  service: KubeObject | undefined,
  pods: readonly GatewayPod[],
  nodes: ReadonlyMap<string, string>,
  cluster: string,
): ExportedGateway[] {
  if (service === undefined || pods.length === 0) return [];
  const port = portsOf(service).find((each) => each['port'] === GATEWAY_PORT);
  if (port === undefined) return [];
  const about = { network: common(pods.map(({ network }) => network)), locality: common(pods.map((p) => p.locality)) };
  const balanced = decodeService(service, cluster).externalAddresses;
  if (balanced.length > 0) return balanced.map((address) => ({ address, port: GATEWAY_PORT, ...about }));
  const nodePort = port['nodePort'];
  if (typeof nodePort !== 'number' || nodePort === 0) return [];
  const addresses = new Set(pods.flatMap(({ nodeName }) => nodes.get(nodeName) ?? []));
  return [...addresses].sort(compare).map((address) => ({ address, port: nodePort, ...about }));
}

/** How the node is reached from outside of its cluster; undefined where it does not say. */
export function addressOfNode(node: KubeObject): string | undefined {
  const { status } = node;
  const all = isRecord(status) && Array.isArray(status['addresses']) ? status['addresses'].filter(isRecord) : [];
  for (const wanted of ['ExternalIP', 'InternalIP']) {
    const found = all.find(({ type, address }) => type === wanted && typeof address === 'string');
    if (found !== undefined) return found['address'] as string;
  }
  return undefined;
}

function portsOf({ spec }: KubeObject): Readonly<Record<string, unknown>>[] {
  return isRecord(spec) && Array.isArray(spec['ports']) ? spec['ports'].filter(isRecord) : [];
}

function common(values: readonly string[]): string {
  const [first = '', ...rest] = values;
  return rest.every((value) => value === first) ? first : '';
}
