// SPDX-License-Identifier: Apache-2.0
// What Envoy's admin interface says of its configuration (envoy.admin.v3.ConfigDump, as JSON), as far as it is looked at.
import { isRecord } from '../../api/shape.ts';
import { UserError } from '../user-error.ts';

/** Any message, in the JSON of Envoy: members in snake_case. */
export type Message = Readonly<Record<string, unknown>>;

/** One resource of a dump, and in which state it is. */
export interface Held {
  readonly resource: Message;
  readonly state: 'ACTIVE' | 'WARMING' | 'STATIC';
}

export interface ConfigDump {
  readonly bootstrap: Message;
  readonly clusters: readonly Held[];
  readonly listeners: readonly Held[];
  readonly routes: readonly Held[];
  readonly endpoints: readonly Held[];
  readonly secrets: readonly Held[];
  /** Envoy tells endpoints only to who asks for them. */
  readonly hasEndpoints: boolean;
  /** What the proxy refuses now, in its own words. */
  readonly refusals: readonly string[];
  /** The whole of it, without keys. */
  readonly raw: Message;
}

/** Members that hold a key or a password, in whatever message. */
const SECRET_MEMBERS = new Set(['private_key', 'pkcs12', 'password', 'session_ticket_keys', 'generic_secret', 'token']);
const REDACTED = '[redacted]';

/** @throws UserError when the text is no dump */
export function readDump(text: string, source: string): ConfigDump {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch (error) {
    throw new UserError(`${source} is no configuration dump: ${(error as Error).message}`);
  }
  const dump = withoutKeys(raw);
  if (!isRecord(dump) || !Array.isArray(dump['configs'])) {
    const cure = 'save one with isthmus proxy-config all POD -o json, or from /config_dump?include_eds of Envoy';
    throw new UserError(`${source} is no configuration dump (it has no \`configs\`): ${cure}`);
  }
  const sections = dump['configs'].filter(isRecord);
  const section = (name: string): Message =>
    sections.find((each) => String(each['@type']).endsWith(`.${name}ConfigDump`)) ??
    sections.find((each) => String(each['@type']).endsWith(`.${name}Dump`)) ??
    {};
  const [clusters, listeners, routes, endpoints, secrets] = [
    ...[section('Clusters'), section('Listeners'), section('Routes'), section('Endpoints'), section('Secrets')],
  ] as const;
  return {
    bootstrap: message(section('Bootstrap')['bootstrap']),
    clusters: [
      ...held(clusters!, 'dynamic_active_clusters', 'cluster', 'ACTIVE'),
      ...held(clusters!, 'dynamic_warming_clusters', 'cluster', 'WARMING'),
      ...held(clusters!, 'static_clusters', 'cluster', 'STATIC'),
    ],
    listeners: [
      ...list(listeners!, 'dynamic_listeners').flatMap((each) => [
        ...held({ of: [each['active_state']] }, 'of', 'listener', 'ACTIVE'),
        ...(each['active_state'] === undefined
          ? held({ of: [each['warming_state']] }, 'of', 'listener', 'WARMING')
          : []),
      ]),
      ...held(listeners!, 'static_listeners', 'listener', 'STATIC'),
    ],
    routes: [
      ...held(routes!, 'dynamic_route_configs', 'route_config', 'ACTIVE'),
      ...held(routes!, 'static_route_configs', 'route_config', 'STATIC'),
    ],
    endpoints: [
      ...held(endpoints!, 'dynamic_endpoint_configs', 'endpoint_config', 'ACTIVE'),
      ...held(endpoints!, 'static_endpoint_configs', 'endpoint_config', 'STATIC'),
    ],
    secrets: [
      ...held(secrets!, 'dynamic_active_secrets', 'secret', 'ACTIVE'),
      ...held(secrets!, 'dynamic_warming_secrets', 'secret', 'WARMING'),
      ...held(secrets!, 'static_secrets', 'secret', 'STATIC'),
    ],
    hasEndpoints: section('Endpoints')['@type'] !== undefined,
    refusals: [
      ...refusalsOf(list(clusters!, 'dynamic_active_clusters'), 'cluster'),
      ...refusalsOf(list(clusters!, 'dynamic_warming_clusters'), 'cluster'),
      ...refusalsOf(list(listeners!, 'dynamic_listeners'), 'listener'),
      ...refusalsOf(list(routes!, 'dynamic_route_configs'), 'route'),
    ],
    raw: dump,
  };
}

export function message(raw: unknown): Message {
  return isRecord(raw) ? raw : {};
}

export function list(of: Message, member: string): readonly Message[] {
  const raw = of[member];
  return Array.isArray(raw) ? raw.filter(isRecord) : [];
}

export function texts(of: Message, member: string): readonly string[] {
  const raw = of[member];
  return Array.isArray(raw) ? raw.map(String) : [];
}

export function textOf(of: Message, member: string): string {
  const raw = of[member];
  return raw === undefined ? '' : String(raw);
}

/** The member of a member of a member. */
export function inside(of: Message, ...path: readonly string[]): Message {
  return path.reduce((each, member) => message(each[member]), of);
}

function held(section: Message, member: string, resource: string, state: Held['state']): Held[] {
  return list(section, member).flatMap((each) =>
    isRecord(each[resource]) ? [{ resource: each[resource], state }] : [],
  );
}

function refusalsOf(entries: readonly Message[], kind: string): string[] {
  return entries.flatMap((entry) => {
    const { details } = message(entry['error_state']);
    if (details === undefined) return [];
    const name = entry['name'] ?? message(entry[kind])['name'] ?? message(entry['route_config'])['name'] ?? '';
    return [`${kind} ${String(name)}: ${String(details)}`];
  });
}

function withoutKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutKeys);
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [name, SECRET_MEMBERS.has(name) ? REDACTED : withoutKeys(member)]),
  );
}
