// SPDX-License-Identifier: Apache-2.0
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type Filter, FilterSchema } from '#gen/envoy/config/listener/v3/listener_components_pb.ts';
import type { RouteConfiguration } from '#gen/envoy/config/route/v3/route_pb.ts';
import {
  HttpConnectionManager_PathWithEscapedSlashesAction as EscapedSlashes,
  HttpConnectionManager_ForwardClientCertDetails as ForwardCert,
  type HttpConnectionManager,
  HttpConnectionManagerSchema,
  type ResponseMapperSchema,
  HttpConnectionManager_ServerHeaderTransformation as ServerHeader,
} from '#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import type { IpFamilies } from '../../intent/destination-types.ts';
import type { EdgeIntent, ForwardedCertificates, HeadersIntent, SideTelemetry } from '../../intent/telemetry-types.ts';
import type { OnDemand } from '../../intent/types.ts';
import { keptCase } from '../header-case.ts';
import { byAds, duration, packed } from '../messages.ts';
import { UNSERVED_HEADER } from '../retries.ts';
import { accessLogs } from './access-log.ts';
import { connectionSettings } from './connection-settings.ts';
import { httpFilters } from './http-order.ts';
import { httpMetrics } from './metrics.ts';
import { requestIdsApart, tracing } from './tracing.ts';

type ManagerInit = Exclude<MessageInitShape<typeof HttpConnectionManagerSchema>, HttpConnectionManager>;

export interface HttpManagerOptions {
  readonly role: 'outbound' | 'inbound' | 'gateway';
  readonly statPrefix: string;
  /** A table that is discovered by name, or one given here and now. */
  readonly routes: { readonly name: string } | { readonly table: RouteConfiguration };
  readonly telemetry: SideTelemetry;
  /** Every client has shown a certificate of the mesh. */
  readonly secured?: boolean;
  readonly onDemand?: OnDemand | undefined;
  /** See RouteTableIntent. */
  readonly byName?: IpFamilies | undefined;
}

export function httpConnectionManager(options: HttpManagerOptions): Filter {
  const { role, routes, telemetry } = options;
  const side = role === 'inbound' ? 'server' : 'client';
  const connections = (role === 'gateway' && telemetry.edgeConnections) || telemetry.connections;
  return create(FilterSchema, {
    name: 'envoy.filters.network.http_connection_manager',
    configType: {
      case: 'typedConfig',
      value: packed(HttpConnectionManagerSchema, {
        statPrefix: options.statPrefix,
        routeSpecifier:
          'name' in routes
            ? { case: 'rds', value: { routeConfigName: routes.name, configSource: byAds() } }
            : { case: 'routeConfig', value: routes.table },
        httpFilters: httpFilters(side, {
          onDemand: options.onDemand,
          byName: options.byName,
          noEnvoyHeaders: telemetry.headers?.noEnvoyHeaders,
        }),
        accessLog: [
          ...accessLogs(telemetry.logs, 'requests'),
          ...(telemetry.metrics ? httpMetrics(telemetry.metrics, side, options.secured === true) : []),
        ],
        ...(telemetry.tracing && { tracing: tracing(telemetry.tracing) }),
        ...(telemetry.tracing?.ignoresRequestId && { requestIdExtension: requestIdsApart() }),
        // Streams may be silent for as long as their application likes.
        streamIdleTimeout: duration(0),
        ...PATHS[telemetry.paths ?? 'base'],
        upgradeConfigs: [{ upgradeType: 'websocket' }],
        ...ROLES[role],
        ...(role === 'gateway' && telemetry.edge && edge(telemetry.edge)),
        ...(telemetry.headers && headers(telemetry.headers, role)),
        ...(connections && connectionSettings(connections)),
      }),
    },
  });
}

function edge({
  trustedProxies,
  certificates,
}: EdgeIntent): Pick<HttpConnectionManager, 'xffNumTrustedHops' | 'forwardClientCertDetails'> {
  return { xffNumTrustedHops: trustedProxies, forwardClientCertDetails: FORWARDED[certificates] };
}

/** Over what the role says. */
function headers(intent: HeadersIntent, role: HttpManagerOptions['role']): ManagerInit {
  const { server, certificates } = intent;
  return {
    ...(server?.kind === 'kept' && { serverHeaderTransformation: ServerHeader.PASS_THROUGH }),
    ...(server?.kind === 'named' && {
      serverName: server.name,
      serverHeaderTransformation: ServerHeader.OVERWRITE,
    }),
    ...(intent.noRequestIds && { generateRequestId: false }),
    ...(intent.port && { appendXForwardedPort: true }),
    ...(intent.keepsCase && { httpProtocolOptions: keptCase() }),
    ...(role === 'inbound' &&
      certificates && {
        forwardClientCertDetails: FORWARDED[certificates.forwarded],
        setCurrentClientCertDetails: Object.fromEntries(certificates.details.map((name) => [name, true])),
      }),
  };
}

const MERGED = { normalizePath: true, mergeSlashes: true };
const PATHS: Readonly<Record<NonNullable<SideTelemetry['paths']> | 'base', ManagerInit>> = {
  base: { normalizePath: true },
  kept: { normalizePath: false },
  'merge-slashes': MERGED,
  'decode-and-merge-slashes': { ...MERGED, pathWithEscapedSlashesAction: EscapedSlashes.UNESCAPE_AND_FORWARD },
};

const FORWARDED: Readonly<Record<ForwardedCertificates, ForwardCert>> = {
  sanitize: ForwardCert.SANITIZE,
  'forward-only': ForwardCert.FORWARD_ONLY,
  'append-forward': ForwardCert.APPEND_FORWARD,
  'sanitize-set': ForwardCert.SANITIZE_SET,
  'always-forward-only': ForwardCert.ALWAYS_FORWARD_ONLY,
};

/** Marks the sidecar's own answers to requests that never reached the application. */
function unserved(): MessageInitShape<typeof ResponseMapperSchema> {
  return {
    filter: { filterSpecifier: { case: 'responseFlagFilter', value: { flags: ['UF'] } } },
    headersToAdd: [{ header: { key: UNSERVED_HEADER, value: 'true' } }],
  };
}

const ROLES: Readonly<Record<HttpManagerOptions['role'], ManagerInit>> = {
  // A name may be written with its final dot (RFC 1034, section 3.1), and is the same service's.
  outbound: { useRemoteAddress: false, stripTrailingHostDot: true },
  // The application's own `server` header stays; its clients' certificates are told to it.
  inbound: {
    useRemoteAddress: false,
    serverName: 'istio-envoy',
    serverHeaderTransformation: ServerHeader.PASS_THROUGH,
    forwardClientCertDetails: ForwardCert.APPEND_FORWARD,
    setCurrentClientCertDetails: { subject: true, dns: true, uri: true },
    localReplyConfig: { mappers: [unserved()] },
  },
  // At the edge nothing that a stranger says about itself is believed.
  gateway: {
    useRemoteAddress: true,
    stripTrailingHostDot: true,
    serverName: 'istio-envoy',
    forwardClientCertDetails: ForwardCert.SANITIZE_SET,
    setCurrentClientCertDetails: { subject: true, cert: true, dns: true, uri: true },
  },
};
