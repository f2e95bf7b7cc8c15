// SPDX-License-Identifier: Apache-2.0
// Whom telemetry is told to: the mesh's extension providers, by their names.
import { type ExtensionProvider, type LogMembers, parseLogMembers, serviceTold } from '../api/extension-providers.ts';
import type { MeshConfig } from '../api/mesh-config.ts';
import type { TelemetrySpec } from '../api/telemetry.ts';
import type { ProxyView } from '../model/view.ts';
import { concerns, type Side } from './telemetry-sides.ts';
import type { CollectorIntent, LogIntent } from './telemetry-types.ts';

/** Names that are there without being declared, as Istio has them. */
export const PROMETHEUS = 'prometheus';
const FILE = 'envoy';

export type TelemetryView = Pick<ProxyView, 'mesh' | 'serviceOf' | 'settings'>;
type View = TelemetryView;

/** Undefined: the service is not visible, or has no such port. */
export function collectorOf(
  view: View,
  { service, port }: { readonly service: string; readonly port: number },
  timeoutMs?: number,
): CollectorIntent | undefined {
  const known = view.serviceOf.get(service)?.ports.some(({ number }) => number === port) ?? false;
  return known ? { to: { host: service, port, subset: '' }, timeoutMs } : undefined;
}

/** Whether what is told depends on which services there are. */
export function needsCollectors({ extensionProviders, enableTracing }: MeshConfig): boolean {
  return enableTracing || extensionProviders.some((provider) => serviceTold(provider) !== undefined);
}

/** Without any Telemetry about it, the mesh's accessLogFile. */
export function accessLogsOf(view: View, written: TelemetrySpec['accessLogging'], side: Side): LogIntent[] {
  const { mesh } = view;
  let names: readonly string[] = mesh.defaultProviders?.accessLogging ?? (mesh.accessLogFile === '' ? [] : [FILE]);
  if (written.length === 0 && mesh.defaultProviders?.accessLogging === undefined) return fileOfMesh(mesh, undefined);
  const filters = new Map<string, string | undefined>(names.map((name) => [name, undefined]));
  for (const { match, providers, disabled, filter } of written) {
    if (!concerns(match.mode, side)) continue;
    if (providers.length > 0) names = providers.map(({ name }) => name);
    for (const name of names) {
      if (disabled === true) filters.delete(name);
      else filters.set(name, filter?.expression);
    }
  }
  // Providers that a later one does not name any more are out.
  const named = names.filter((name) => filters.has(name));
  return [...new Set(named)].sort().flatMap((name) => logTo(view, name, filters.get(name)));
}

function fileOfMesh(mesh: MeshConfig, filter: string | undefined): LogIntent[] {
  const path = mesh.accessLogFile;
  return path === '' ? [] : [{ sink: { kind: 'file', path }, format: formatOfMesh(mesh), filter }];
}

function formatOfMesh({ accessLogFormat, accessLogEncoding }: MeshConfig): LogIntent['format'] {
  if (accessLogEncoding === 'TEXT') return accessLogFormat === '' ? undefined : { kind: 'text', text: accessLogFormat };
  return { kind: 'json', members: accessLogFormat === '' ? USUAL_MEMBERS : (parseLogMembers(accessLogFormat) ?? {}) };
}

function logTo(view: View, name: string, filter: string | undefined): LogIntent[] {
  const { mesh } = view;
  const provider = mesh.extensionProviders.find((p) => p.name === name);
  if (provider === undefined) return name === FILE ? fileOfMesh({ ...mesh, accessLogFile: '/dev/stdout' }, filter) : [];
  const { envoyFileAccessLog: file, envoyOtelAls: otlp } = provider;
  if (file !== undefined) {
    const format = formatOf(file.logFormat) ?? formatOfMesh(mesh);
    const omitEmpty = file.omitEmptyValues === true ? { omitEmpty: true } : {};
    return [{ sink: { kind: 'file', path: file.path, ...omitEmpty }, format, filter }];
  }
  const told = serviceTold(provider);
  const collector = told && collectorOf(view, told);
  if (collector === undefined) return [];
  if (otlp !== undefined)
    return [{ sink: { kind: 'otlp', collector, name: otlp.logName }, format: recordOf(otlp.logFormat), filter }];
  const sink = accessLogService(provider, collector);
  return sink === undefined ? [] : [{ sink, format: undefined, filter }];
}

function accessLogService(
  { envoyHttpAls: requests, envoyTcpAls: connections }: ExtensionProvider,
  collector: CollectorIntent,
): LogIntent['sink'] | undefined {
  if (connections !== undefined) {
    const { logName = 'tcp_envoy_accesslog', filterStateObjectsToLog: filterState } = connections;
    return { kind: 'als', of: 'connections', collector, name: logName, filterState };
  }
  if (requests === undefined) return undefined;
  const { logName = 'http_envoy_accesslog', filterStateObjectsToLog: filterState } = requests;
  const headers = {
    request: requests.additionalRequestHeadersToLog,
    response: requests.additionalResponseHeadersToLog,
    trailers: requests.additionalResponseTrailersToLog,
  };
  return { kind: 'als', of: 'requests', collector, name: logName, filterState, headers };
}

type LogFormat = NonNullable<ExtensionProvider['envoyFileAccessLog']>['logFormat'];

function formatOf(format: LogFormat): LogIntent['format'] {
  if (format?.labels !== undefined) return { kind: 'json', members: format.labels };
  return format?.text === undefined ? undefined : { kind: 'text', text: format.text };
}

function recordOf(format: LogFormat): LogIntent['format'] {
  const whole = formatOf(format);
  return whole?.kind === 'json' && format?.text !== undefined ? { ...whole, body: format.text } : whole;
}

/** Istio's members of a line in JSON, and both ends' identities: docs/telemetry.md. */
const USUAL_MEMBERS: LogMembers = {
  start_time: '%START_TIME%',
  route_name: '%ROUTE_NAME%',
  method: '%REQ(:METHOD)%',
  path: '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%',
  protocol: '%PROTOCOL%',
  response_code: '%RESPONSE_CODE%',
  response_flags: '%RESPONSE_FLAGS%',
  response_code_details: '%RESPONSE_CODE_DETAILS%',
  connection_termination_details: '%CONNECTION_TERMINATION_DETAILS%',
  bytes_received: '%BYTES_RECEIVED%',
  bytes_sent: '%BYTES_SENT%',
  duration: '%DURATION%',
  upstream_service_time: '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%',
  x_forwarded_for: '%REQ(X-FORWARDED-FOR)%',
  user_agent: '%REQ(USER-AGENT)%',
  request_id: '%REQ(X-REQUEST-ID)%',
  authority: '%REQ(:AUTHORITY)%',
  upstream_host: '%UPSTREAM_HOST%',
  upstream_cluster: '%UPSTREAM_CLUSTER_RAW%',
  upstream_local_address: '%UPSTREAM_LOCAL_ADDRESS%',
  downstream_local_address: '%DOWNSTREAM_LOCAL_ADDRESS%',
  downstream_remote_address: '%DOWNSTREAM_REMOTE_ADDRESS%',
  requested_server_name: '%REQUESTED_SERVER_NAME%',
  upstream_transport_failure_reason: '%UPSTREAM_TRANSPORT_FAILURE_REASON%',
  downstream_transport_failure_reason: '%DOWNSTREAM_TRANSPORT_FAILURE_REASON%',
  downstream_peer_uri_san: '%DOWNSTREAM_PEER_URI_SAN%',
  upstream_peer_uri_san: '%UPSTREAM_PEER_URI_SAN%',
};
