// SPDX-License-Identifier: Apache-2.0
// A route says which rule made it, where Istio's users look for it (metadata `istio`, member `config`), and which field
// of the rule: whoever reads the proxy's configuration can tell why a request went where it did.
import type { JsonObject } from '@bufbuild/protobuf';
import type { Metadata } from '#gen/envoy/config/core/v3/base_pb.ts';
import type { Origin } from '../intent/origin.ts';

const KEY = 'istio';

export interface RuleRef {
  /** `/apis/networking.istio.io/v1/namespaces/default/virtual-service/reviews` */
  readonly config: string;
  /** `spec.http[0].match[1]` */
  readonly field: string;
}

/** Nothing for routes that a Service alone makes. */
export function ruleMetadata({ object, field }: Origin): { metadata?: { filterMetadata: Record<string, JsonObject> } } {
  if (object.kind !== 'VirtualService') return {};
  return { metadata: { filterMetadata: { [KEY]: { config: configPath(object), field } } } };
}

/** `/apis/networking.istio.io/v1/namespaces/default/virtual-service/reviews` */
export function configPath({ apiVersion, kind, namespace, name }: Origin['object']): string {
  const slug = kind.replace(/(?<=[a-z])(?=[A-Z])/g, '-').toLowerCase();
  return `/apis/${apiVersion}/namespaces/${namespace}/${slug}/${name}`;
}

export function readRuleMetadata(metadata: Metadata | undefined): RuleRef | undefined {
  const { config, field } = metadata?.filterMetadata[KEY] ?? {};
  return typeof config === 'string' && typeof field === 'string' ? { config, field } : undefined;
}
