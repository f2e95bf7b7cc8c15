// SPDX-License-Identifier: Apache-2.0
// The few facts that the mesh reads from Kubernetes' own objects. They come from an API server that has validated them,
// or from a user's files; so what is missing or of the wrong type counts as absent, and nothing throws.
import { isIP } from 'node:net';
import type { KubeObject } from '../kube/types.ts';
import { type WorkloadFacts, workloadFacts } from '../kube/workload-facts.ts';
import type { ObjectRef } from './diagnostics.ts';
import { refOf } from './kind.ts';
import { labelledLocality } from './localities.ts';
import { type Protocol, servicePortProtocol } from './protocol.ts';
import { isRecord } from './shape.ts';
import { FALLBACK_ANNOTATION } from './traffic-shares.ts';

type Labels = Readonly<Record<string, string>>;

export interface KubeServicePort {
  readonly name: string;
  readonly number: number;
  readonly protocol: Protocol;
  /** A number, or the name of a container port. */
  readonly targetPort: number | string;
}

export interface KubeService {
  readonly ref: ObjectRef;
  readonly createdAtMs: number;
  readonly clusterIps: readonly string[];
  readonly headless: boolean;
  readonly externalName: string | undefined;
  /** Absent: the service selects nothing, its endpoints are somebody's own. */
  readonly selector: Labels | undefined;
  readonly ports: readonly KubeServicePort[];
  readonly sessionAffinity: 'client-ip' | 'none';
  readonly trafficDistribution: TrafficDistribution;
  /** Clients get no endpoint but those of their own node (internalTrafficPolicy: Local). */
  readonly nodeLocal: boolean;
  /** Where no endpoint of it is ready, other clusters' pods may serve in its place. */
  readonly fallback: boolean;
  /** From the annotation networking.istio.io/exportTo; empty without one. */
  readonly exportTo: readonly string[];
  /** IP addresses and names at which others reach it: its load balancer's, and its externalIPs. */
  readonly externalAddresses: readonly string[];
}

/** Which endpoints go first: https://kubernetes.io/docs/concepts/services-networking/service/#traffic-distribution */
export type TrafficDistribution = 'any' | 'same-zone' | 'same-node';

export interface KubeEndpoint {
  readonly addresses: readonly string[];
  readonly ready: boolean;
  /** On its way out, but still able to answer. */
  readonly draining: boolean;
  /** Name of the pod in the slice's namespace. */
  readonly podName: string | undefined;
  readonly zone: string;
  readonly nodeName: string;
}

export interface KubeEndpointSlice {
  readonly namespace: string;
  readonly service: string | undefined;
  /** Port name -> number. */
  readonly ports: Readonly<Record<string, number>>;
  readonly endpoints: readonly KubeEndpoint[];
}

export interface Workload {
  readonly ref: ObjectRef;
  readonly ip: string;
  /** Its addresses beside that one, of the other IP family as a rule; absent for none. */
  readonly otherIps?: readonly string[];
  readonly labels: Labels;
  readonly serviceAccount: string;
  readonly nodeName: string;
  /** `region/zone/subzone`: what the pod's label istio-locality says, or else its node's labels. '' where neither does. */
  readonly locality: string;
  /** Name of a container port -> number. */
  readonly ports: Readonly<Record<string, number>>;
  readonly facts: WorkloadFacts;
  /** It has a sidecar, so that mTLS can be spoken with it (label security.istio.io/tlsMode: istio). */
  readonly meshed: boolean;
}

export function decodeService(raw: KubeObject, cluster: string): KubeService {
  const spec = record(raw['spec']);
  const clusterIps =
    strings(spec['clusterIPs']).length > 0 ? strings(spec['clusterIPs']) : strings([spec['clusterIP']]);
  const headless = clusterIps.includes('None');
  const exported = string(raw.metadata.annotations?.['networking.istio.io/exportTo']);
  return {
    ref: refOf(raw, cluster),
    createdAtMs: Date.parse(raw.metadata.creationTimestamp ?? '') || 0,
    clusterIps: headless ? [] : clusterIps.filter((ip) => ip !== ''),
    headless,
    externalName: spec['type'] === 'ExternalName' ? string(spec['externalName']) : undefined,
    selector: isRecord(spec['selector']) ? labelsOf(spec['selector']) : undefined,
    ports: records(spec['ports']).flatMap((port) => servicePort(port)),
    sessionAffinity: spec['sessionAffinity'] === 'ClientIP' ? 'client-ip' : 'none',
    trafficDistribution: distributionOf(spec['trafficDistribution'], raw),
    nodeLocal: spec['internalTrafficPolicy'] === 'Local',
    fallback: raw.metadata.annotations?.[FALLBACK_ANNOTATION] !== 'false',
    exportTo: exported === undefined ? [] : exported.split(',').map((s) => s.trim()),
    externalAddresses: externalAddressesOf(raw),
  };
}

export const DISTRIBUTION_ANNOTATION = 'networking.istio.io/traffic-distribution';

const DISTRIBUTIONS: Readonly<Record<string, TrafficDistribution>> = {
  any: 'any',
  preferclose: 'same-zone',
  prefersamezone: 'same-zone',
  prefersamenode: 'same-node',
};

export function isDistribution(raw: string): boolean {
  return Object.hasOwn(DISTRIBUTIONS, raw.toLowerCase());
}

/** Istio's annotation is for what has no such field, and older than the field. */
export function distributionOf(field: unknown, { metadata }: Pick<KubeObject, 'metadata'>): TrafficDistribution {
  const annotated = metadata.annotations?.[DISTRIBUTION_ANNOTATION] ?? '';
  return DISTRIBUTIONS[(string(field) ?? '').toLowerCase()] ?? DISTRIBUTIONS[annotated.toLowerCase()] ?? 'any';
}

function externalAddressesOf(raw: KubeObject): string[] {
  const ingress = records(record(record(raw['status'])['loadBalancer'])['ingress']);
  const balanced = ingress.flatMap((entry) => strings([entry['ip'] ?? entry['hostname']]));
  return [...new Set([...balanced, ...strings(record(raw['spec'])['externalIPs'])])].sort();
}

function servicePort(raw: Readonly<Record<string, unknown>>): KubeServicePort[] {
  const number = raw['port'];
  if (!isPort(number)) return [];
  const name = string(raw['name']) ?? '';
  const target = raw['targetPort'];
  const protocol = servicePortProtocol({
    name,
    number,
    protocol: string(raw['protocol']),
    appProtocol: string(raw['appProtocol']),
  });
  return [{ name, number, protocol, targetPort: isPort(target) ? target : (string(target) ?? number) }];
}

export function decodeEndpointSlice(raw: KubeObject): KubeEndpointSlice {
  const ports = records(raw['ports']).flatMap((p) =>
    isPort(p['port']) ? [[string(p['name']) ?? '', p['port']] as const] : [],
  );
  return {
    namespace: raw.metadata.namespace ?? '',
    service: raw.metadata.labels?.['kubernetes.io/service-name'],
    ports: Object.fromEntries(ports),
    endpoints: records(raw['endpoints']).map(decodeEndpoint),
  };
}

function decodeEndpoint(endpoint: Readonly<Record<string, unknown>>): KubeEndpoint {
  const { ready, serving, terminating } = record(endpoint['conditions']);
  const target = record(endpoint['targetRef']);
  return {
    // A slice of names (addressType FQDN) is nothing that Envoy could be told as an endpoint.
    addresses: strings(endpoint['addresses']).filter((address) => isIP(address) !== 0),
    ready: ready !== false,
    draining: ready === false && serving === true && terminating === true,
    podName: target['kind'] === 'Pod' ? string(target['name']) : undefined,
    zone: string(endpoint['zone']) ?? '',
    nodeName: string(endpoint['nodeName']) ?? '',
  };
}

export function decodePod(raw: KubeObject, cluster: string): Workload {
  const spec = record(raw['spec']);
  const status = record(raw['status']);
  const ip = string(status['podIP']) ?? '';
  const otherIps = records(status['podIPs']).flatMap((each) => strings([each['ip']]).filter((other) => other !== ip));
  const labels = labelsOf(raw.metadata.labels ?? {});
  const ports = records(spec['containers'])
    .flatMap((container) => records(container['ports']))
    .flatMap((p) => {
      const name = string(p['name']);
      return name !== undefined && isPort(p['containerPort']) ? [[name, p['containerPort']] as const] : [];
    });
  return {
    ref: refOf(raw, cluster),
    ip,
    ...(otherIps.length > 0 && { otherIps }),
    labels,
    facts: workloadFacts(raw.metadata, cluster),
    serviceAccount: string(spec['serviceAccountName']) ?? 'default',
    nodeName: string(spec['nodeName']) ?? '',
    locality: labelledLocality(labels),
    ports: Object.fromEntries(ports),
    meshed: labels['security.istio.io/tlsMode'] === 'istio',
  };
}

/** Takes requests, as Kubernetes has found. */
export function isReadyPod(raw: KubeObject): boolean {
  const conditions = records(record(raw['status'])['conditions']);
  const isReady = conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
  return isReady && raw.metadata.deletionTimestamp === undefined;
}

/** Every label of `selector` is there with the same value; an empty selector takes everything. */
export function selects(selector: Labels, labels: Labels): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value);
}

/** What no API server would let through would make Envoy refuse a whole listener. */
function isPort(raw: unknown): raw is number {
  return typeof raw === 'number' && Number.isInteger(raw) && raw >= 1 && raw <= 65535;
}

function record(raw: unknown): Readonly<Record<string, unknown>> {
  return isRecord(raw) ? raw : {};
}

function records(raw: unknown): Readonly<Record<string, unknown>>[] {
  return Array.isArray(raw) ? raw.filter(isRecord) : [];
}

function string(raw: unknown): string | undefined {
  return typeof raw === 'string' ? raw : undefined;
}

function strings(raw: unknown): string[] {
  return Array.isArray(raw) ? raw.filter((entry): entry is string => typeof entry === 'string') : [];
}

function labelsOf(raw: Readonly<Record<string, unknown>>): Labels {
  const entries = Object.entries(raw).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}
