// SPDX-License-Identifier: Apache-2.0
// A route says which rule made it (metadata `istio`, member `config`), and which field of the rule: whoever reads the
// proxy's configuration can tell why a request went where it did. Istio has the object's path there; here it is its
// namespace and name, and what is the same for the routes of a virtual host is said by the virtual host, for there are many.
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
  const config = configOf(origin);
  if (config === undefined) return {};
  const field = origin.field.replace(SPEC, '');
  return { metadata: { filterMetadata: { [KEY]: { ...(config !== usual && { config }), field } } } };
}

/** The rule of most of a virtual host's routes, which leave it out. */
export function hostMetadata(config: string): WithMetadata {
  return { metadata: { filterMetadata: { [KEY]: { config } } } };
}

/** What is said of the rule, if it is one. */
export function configOf({ object }: Origin): string | undefined {
  return object.kind === ROUTING.kind ? configName(object, ROUTING.kind) : undefined;
}

/** `default/reviews`, or of another kind or version than is usual there the whole path. */
export function configName(object: Origin['object'], kind: 'VirtualService' | 'DestinationRule'): string {
  const { apiVersion, namespace, name } = object;
  return apiVersion === API_VERSION && object.kind === kind ? `${namespace}/${name}` : configPath(object);
}

/** `host`: the metadata of the virtual host that a route is of. */
export function readRuleMetadata(metadata: Metadata | undefined, host?: Metadata): RuleRef | undefined {
  const { config = host?.filterMetadata[KEY]?.['config'], field } = metadata?.filterMetadata[KEY] ?? {};
  if (typeof config !== 'string' || typeof field !== 'string') return undefined;
  const [namespace = '', name = ''] = config.split('/');
  const path = config.startsWith('/') ? config : configPath({ ...ROUTING, namespace, name });
  return { config: path, field: SPEC.test(field) ? field : `spec.${field}` };
}

const API_VERSION = 'networking.istio.io/v1';
const ROUTING = { apiVersion: API_VERSION, kind: 'VirtualService' } as const;
/** All fields of a rule begin so. */
const SPEC = /^spec\./;

/** `/apis/networking.istio.io/v1/namespaces/default/virtual-service/reviews` */
function configPath({ apiVersion, kind, namespace, name }: Origin['object']): string {
  const slug = kind.replace(/(?<=[a-z])(?=[A-Z])/g, '-').toLowerCase();
  return `/apis/${apiVersion}/namespaces/${namespace}/${slug}/${name}`;
}
