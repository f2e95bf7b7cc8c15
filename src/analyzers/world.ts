// SPDX-License-Identifier: Apache-2.0
// The objects of one cluster, read once for all analyzers.
import { DESTINATION_RULE, type DestinationRuleSpec } from '../api/destination-rule.ts';
import type { Diagnostic, DiagnosticCode, Severity } from '../api/diagnostics.ts';
import { ENVOY_FILTER, type EnvoyFilterSpec } from '../api/envoy-filter.ts';
import { GATEWAY, type GatewaySpec } from '../api/gateway.ts';
import { decodeObject, type Kind, refOf } from '../api/kind.ts';
import { decodeService, type KubeService } from '../api/kubernetes.ts';
import { PROXY_CONFIG, type ProxyConfigSpec } from '../api/proxy-config.ts';
import { diagnose, type Locate } from '../api/report.ts';
import { SERVICE_ENTRY, type ServiceEntrySpec } from '../api/service-entry.ts';
import { isRecord } from '../api/shape.ts';
import { SIDECAR, type SidecarSpec } from '../api/sidecar.ts';
import { TELEMETRY, type TelemetrySpec } from '../api/telemetry.ts';
import { VIRTUAL_SERVICE, type VirtualServiceSpec } from '../api/virtual-service.ts';
import type { KubeObject } from '../kube/types.ts';

export interface Analyzed {
  readonly object: KubeObject;
  /** Line of a field, where the object was read from a text. */
  readonly locate?: Locate;
}

/** A mesh object that is taken as it is: what cannot be decoded is told of elsewhere. */
export interface Rule<Spec> extends Analyzed {
  readonly namespace: string;
  readonly name: string;
  readonly spec: Spec;
}

export type Labels = Readonly<Record<string, string>>;

/** A pod, or what makes pods: whose labels selectors select. */
export interface Workload extends Analyzed {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Labels;
}

export interface World {
  readonly all: readonly Analyzed[];
  readonly pods: readonly Workload[];
  /** Deployments and the like, with the labels of their pods. */
  readonly templates: readonly Workload[];
  readonly namespaces: readonly Analyzed[];
  readonly services: readonly (Analyzed & { readonly service: KubeService })[];
  readonly virtualServices: readonly Rule<VirtualServiceSpec>[];
  readonly destinationRules: readonly Rule<DestinationRuleSpec>[];
  readonly serviceEntries: readonly Rule<ServiceEntrySpec>[];
  readonly gateways: readonly Rule<GatewaySpec>[];
  readonly sidecars: readonly Rule<SidecarSpec>[];
  readonly telemetries: readonly Rule<TelemetrySpec>[];
  readonly envoyFilters: readonly Rule<EnvoyFilterSpec>[];
  readonly proxyConfigs: readonly Rule<ProxyConfigSpec>[];
  readonly dnsDomain: string;
}

const TEMPLATED = new Set(['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet']);

export function readWorld(all: readonly Analyzed[], dnsDomain = 'cluster.local'): World {
  const of = (kind: string, group = '') =>
    all.filter(({ object }) => object.kind === kind && groupOf(object) === group);
  const rules = <Spec>(kind: Kind<Spec>): Rule<Spec>[] =>
    of(kind.kind, kind.group).flatMap((analyzed) => {
      const { value } = decodeObject(kind, analyzed.object);
      return value === undefined ? [] : [{ ...analyzed, ...nameOf(analyzed.object), spec: value.spec }];
    });
  return {
    all,
    pods: of('Pod').map((pod) => ({ ...pod, ...nameOf(pod.object), labels: pod.object.metadata.labels ?? {} })),
    templates: all
      .filter(({ object }) => TEMPLATED.has(object.kind) && groupOf(object) === 'apps')
      .map((owner) => ({ ...owner, ...nameOf(owner.object), labels: templateOf(owner.object).metadata.labels ?? {} })),
    namespaces: of('Namespace'),
    services: of('Service').map((each) => ({ ...each, service: decodeService(each.object, '') })),
    virtualServices: rules(VIRTUAL_SERVICE),
    destinationRules: rules(DESTINATION_RULE),
    serviceEntries: rules(SERVICE_ENTRY),
    gateways: rules(GATEWAY),
    sidecars: rules(SIDECAR),
    telemetries: rules(TELEMETRY),
    envoyFilters: rules(ENVOY_FILTER),
    proxyConfigs: rules(PROXY_CONFIG),
    dnsDomain,
  };
}

/** Pods, and what pods will be made of. */
export function workloadsOf({ pods, templates }: World): readonly Workload[] {
  return [...pods, ...templates];
}

/** The pod that a Deployment and the like makes, as an object. */
export function templateOf({ spec }: KubeObject): Pick<KubeObject, 'metadata' | 'spec'> {
  const template = isRecord(spec) && isRecord(spec['template']) ? spec['template'] : {};
  const metadata = isRecord(template['metadata']) ? (template['metadata'] as KubeObject['metadata']) : {};
  return { metadata, spec: isRecord(template['spec']) ? template['spec'] : {} };
}

export function say(
  { object, locate }: Analyzed,
  code: DiagnosticCode,
  field: string,
  message: string,
  cure: string,
  severity?: Severity,
): Diagnostic {
  return diagnose(refOf(object), code, field, message, cure, { locate, severity });
}

export function nameOf({ metadata }: KubeObject): { namespace: string; name: string } {
  return { namespace: metadata.namespace ?? '', name: metadata.name ?? '' };
}

function groupOf({ apiVersion }: KubeObject): string {
  return apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : '';
}

/** `app=web,version=v1` */
export function describeLabels(labels: Labels): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(',');
}
