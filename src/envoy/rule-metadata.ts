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

interface WithMetadata {
  readonly metadata?: { readonly filterMetadata: Record<string, JsonObject> };
}

/** Nothing for routes that a Service alone makes. `usual`: the rule that the virtual host tells for its routes. */
export function ruleMetadata(origin: Origin, usual?: string): WithMetadata {
  const { field } = origin;
  const config = configOf(origin);
  if (config === undefined) return {};
  return { metadata: { filterMetadata: { [KEY]: { ...(config !== usual && { config }), field } } } };
}

/** The rule of most of a virtual host's routes, which leave it out. */
export function hostMetadata(config: string): WithMetadata {
  return { metadata: { filterMetadata: { [KEY]: { config } } } };
}

/** The path of the rule, if it is one. */
export function configOf({ object }: Origin): string | undefined {
  return object.kind === 'VirtualService' ? configPath(object) : undefined;
}

/** `/apis/networking.istio.io/v1/namespaces/default/virtual-service/reviews` */
export function configPath({ apiVersion, kind, namespace, name }: Origin['object']): string {
  const slug = kind.replace(/(?<=[a-z])(?=[A-Z])/g, '-').toLowerCase();
  return `/apis/${apiVersion}/namespaces/${namespace}/${slug}/${name}`;
}

/** `host`: the metadata of the virtual host that a route is of. */
export function readRuleMetadata(metadata: Metadata | undefined, host?: Metadata): RuleRef | undefined {
  const { config = host?.filterMetadata[KEY]?.['config'], field } = metadata?.filterMetadata[KEY] ?? {};
  return typeof config === 'string' && typeof field === 'string' ? { config, field } : undefined;
}
