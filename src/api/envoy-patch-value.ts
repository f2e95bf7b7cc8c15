// SPDX-License-Identifier: Apache-2.0
// The value of a patch: proto3 JSON of one of Envoy's messages, which has to be one that Envoy knows.
import { type DescMessage, fromJson, type JsonValue, type Message } from '@bufbuild/protobuf';
import { envoyRegistry } from '#gen/registry.ts';
import type { PatchOperation, PatchTarget } from './envoy-filter.ts';
import { type At, isRecord } from './shape.ts';
import { parseDuration } from './values.ts';

const MESSAGES: Readonly<Record<PatchTarget, string>> = {
  LISTENER: 'envoy.config.listener.v3.Listener',
  LISTENER_FILTER: 'envoy.config.listener.v3.ListenerFilter',
  FILTER_CHAIN: 'envoy.config.listener.v3.FilterChain',
  NETWORK_FILTER: 'envoy.config.listener.v3.Filter',
  HTTP_FILTER: 'envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter',
  ROUTE_CONFIGURATION: 'envoy.config.route.v3.RouteConfiguration',
  VIRTUAL_HOST: 'envoy.config.route.v3.VirtualHost',
  HTTP_ROUTE: 'envoy.config.route.v3.Route',
  CLUSTER: 'envoy.config.cluster.v3.Cluster',
  EXTENSION_CONFIG: 'envoy.config.core.v3.TypedExtensionConfig',
};

export function checkPatchValue(applyTo: PatchTarget, operation: PatchOperation, value: unknown, at: At): void {
  const schema = envoyRegistry().getMessage(MESSAGES[applyTo])!;
  let message: Message;
  try {
    message = decodeValue(schema, value);
  } catch (error) {
    const { code, text, cure } = faultOf(schema, (error as Error).message);
    at.report.add(code, at.field, text, cure);
    return;
  }
  const named = message as { name?: string; configType?: { case: string | undefined } };
  const isPlaced = operation === 'ADD' || operation === 'REPLACE' || operation.startsWith('INSERT');
  if (isPlaced && named.name === '' && applyTo !== 'HTTP_ROUTE' && applyTo !== 'FILTER_CHAIN') {
    at.report.add('ISM0001', `${at.field}.name`, 'what is added needs a name', `add ${at.field}.name`);
  }
  if (isPlaced && named.configType !== undefined && named.configType.case === undefined) {
    const message = `Envoy finds a filter by its typed_config, not by the name ${named.name}`;
    at.report.add('ISM0001', `${at.field}.typed_config`, message, 'add typed_config with its @type');
  }
}

/** Istio takes Go's durations (`500ms`, `1m30s`) in patches, where proto3 JSON has seconds alone. */
export function withDurationsInSeconds(applyTo: PatchTarget, value: unknown): unknown {
  return inSeconds(envoyRegistry().getMessage(MESSAGES[applyTo])!, value);
}

function inSeconds(schema: DescMessage, value: unknown): unknown {
  if (schema.typeName === 'google.protobuf.Duration') {
    const isInSeconds = typeof value !== 'string' || /^-?\d+(\.\d+)?s$/.test(value);
    const ms = isInSeconds ? undefined : parseDuration(value);
    return ms === undefined ? value : `${(ms / 1000).toFixed(9).replace(/\.?0+$/, '')}s`;
  }
  if (!isRecord(value)) return value;
  if (schema.typeName === 'google.protobuf.Any') {
    const type = typeof value['@type'] === 'string' ? value['@type'].split('/').at(-1)! : '';
    const inner = envoyRegistry().getMessage(type);
    return inner === undefined ? value : { ...(inSeconds(inner, value) as object), '@type': value['@type'] };
  }
  // Structs are any JSON, and none of ours.
  if (schema.typeName.startsWith('google.protobuf.')) return value;
  const fields = new Map(
    schema.fields.flatMap((field) => [[field.name, field] as const, [field.jsonName, field] as const]),
  );
  return Object.fromEntries(
    Object.entries(value).map(([key, given]) => {
      const field = fields.get(key);
      const inner = field?.message;
      if (inner === undefined) return [key, given];
      if (field?.fieldKind === 'list' && Array.isArray(given))
        return [key, given.map((each) => inSeconds(inner, each))];
      if (field?.fieldKind === 'map' && isRecord(given)) {
        return [key, Object.fromEntries(Object.entries(given).map(([name, each]) => [name, inSeconds(inner, each)]))];
      }
      return [key, inSeconds(inner, given)];
    }),
  );
}

/** @throws Error in the words of the protobuf library */
export function decodeValue(schema: DescMessage, value: unknown): Message {
  return fromJson(schema, value as JsonValue, { registry: envoyRegistry() });
}

function faultOf(schema: DescMessage, message: string) {
  const [, unknownType] = /: (\S+) is not in the type registry/.exec(message) ?? [];
  if (unknownType !== undefined) {
    const old = /\.v2(alpha\d*)?\.|envoy\.config\.filter\./.test(unknownType);
    const cure = old
      ? 'use the type of the same name in version 3 of the API: envoy.extensions....v3....'
      : 'write a type of version 3 of the API: https://www.envoyproxy.io/docs/envoy/latest/api-v3/api';
    return { code: 'ISM0006' as const, text: `Envoy has no type ${unknownType}`, cure };
  }
  const [, type, key] = /cannot decode message (\S+) from JSON: key "(.+?)" is unknown/.exec(message) ?? [];
  if (key !== undefined) {
    const cure = `see ${type} in https://www.envoyproxy.io/docs/envoy/latest/api-v3/api`;
    return { code: 'ISM0003' as const, text: `there is no field \`${key}\` in ${type}`, cure };
  }
  const text = `it is no ${schema.typeName}: ${message}`;
  return { code: 'ISM0002' as const, text, cure: 'write it as https://protobuf.dev/programming-guides/json says' };
}
