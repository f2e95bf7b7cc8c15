// SPDX-License-Identifier: Apache-2.0
// A proxy's resources as one static bootstrap, so that `envoy --mode validate` judges all of them: what would come by
// EDS, RDS and SDS is put in its place. (With SDS over google_grpc, Envoy's validation crashes.)
import { existsSync } from 'node:fs';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { anyPack, anyUnpack } from '@bufbuild/protobuf/wkt';
import { BootstrapSchema } from '#gen/envoy/config/bootstrap/v3/bootstrap_pb.ts';
import { type Cluster, Cluster_DiscoveryType, ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import type { DataSource, TransportSocket } from '#gen/envoy/config/core/v3/base_pb.ts';
import { ClusterLoadAssignmentSchema } from '#gen/envoy/config/endpoint/v3/endpoint_pb.ts';
import type { Filter } from '#gen/envoy/config/listener/v3/listener_components_pb.ts';
import { type Listener, ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.ts';
import { type RouteConfiguration, RouteConfigurationSchema } from '#gen/envoy/config/route/v3/route_pb.ts';
import { HttpConnectionManagerSchema } from '#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { ProxyProtocolUpstreamTransportSchema } from '#gen/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.ts';
import { SecretSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';
import {
  type CommonTlsContext,
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from '#gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import { TYPE_URL } from '../../src/envoy/names.ts';
import { generateKeyPair, issueCertificate, privateKeyPem } from '../../src/pki/x509.ts';
import { ROOT_SECRET, WORKLOAD_SECRET } from '../../src/xds/envoy-client.ts';
import type { DesiredState, XdsResource } from '../../src/xds/types.ts';

/** PEM texts: what the control plane would give by SDS. */
export interface WorkloadKeys {
  readonly chain: string;
  readonly key: string;
  readonly roots: string;
}

/** A serialized envoy.config.bootstrap.v3.Bootstrap, for a file that ends in `.pb`. Without keys, throw-away ones. */
export function staticBootstrap(desired: DesiredState, keys: WorkloadKeys = throwAwayKeys()): Uint8Array {
  const routes = new Map<string, RouteConfiguration>();
  for (const { name, value } of resources(desired, TYPE_URL.routes)) {
    routes.set(name, fromBinary(RouteConfigurationSchema, value));
  }
  const named = new SecretNames();
  const clusters = [...resources(desired, TYPE_URL.cluster)].map((r) => staticCluster(r, desired, named));
  const listeners = [...resources(desired, TYPE_URL.listener)].map((r) => staticListener(r, routes, named));
  return toBinary(
    BootstrapSchema,
    create(BootstrapSchema, {
      node: { id: 'validate', cluster: 'validate' },
      staticResources: { clusters, secrets: secrets(keys, named), listeners },
    }),
  );
}

/** What the resources ask for by SDS. */
export class SecretNames {
  readonly certificates = new Set([WORKLOAD_SECRET]);
  readonly roots = new Set([ROOT_SECRET]);
}

/** A listener or cluster that takes its keys from the bootstrap. */
export function inlineAllSecrets(resource: Listener | Cluster, named: SecretNames): void {
  const sockets =
    'filterChains' in resource
      ? resource.filterChains.map((chain) => chain.transportSocket)
      : [resource.transportSocket, ...resource.transportSocketMatches.map((m) => m.transportSocket)];
  for (const socket of sockets) inlineSecrets(socket, named);
}

function* resources(desired: DesiredState, typeUrl: string): Iterable<XdsResource> {
  yield* desired.get(typeUrl)?.values() ?? [];
}

function staticCluster(resource: XdsResource, desired: DesiredState, named: SecretNames): Cluster {
  const cluster = fromBinary(ClusterSchema, resource.value);
  inlineAllSecrets(cluster, named);
  if (cluster.edsClusterConfig === undefined) return cluster;
  const endpoints = desired.get(TYPE_URL.endpoints)?.get(resource.name);
  if (endpoints === undefined) throw new Error(`${resource.name} waits for endpoints that nobody gives`);
  cluster.edsClusterConfig = undefined;
  cluster.clusterDiscoveryType = { case: 'type', value: Cluster_DiscoveryType.STATIC };
  cluster.loadAssignment = fromBinary(ClusterLoadAssignmentSchema, endpoints.value);
  return cluster;
}

function staticListener(
  resource: XdsResource,
  routes: ReadonlyMap<string, RouteConfiguration>,
  named: SecretNames,
): Listener {
  const listener = fromBinary(ListenerSchema, resource.value);
  inlineAllSecrets(listener, named);
  for (const filter of listener.filterChains.flatMap(({ filters }) => filters)) inlineRoutes(filter, routes);
  return listener;
}

function inlineRoutes(filter: Filter, routes: ReadonlyMap<string, RouteConfiguration>): void {
  if (filter.configType.case !== 'typedConfig') return;
  const manager = anyUnpack(filter.configType.value, HttpConnectionManagerSchema);
  if (manager?.routeSpecifier.case !== 'rds') return;
  const name = manager.routeSpecifier.value.routeConfigName;
  const value = routes.get(name);
  if (value === undefined) throw new Error(`a listener waits for the routes ${name}, which nobody gives`);
  manager.routeSpecifier = { case: 'routeConfig', value };
  filter.configType.value = anyPack(HttpConnectionManagerSchema, manager);
}

function inlineSecrets(socket: TransportSocket | undefined, named: SecretNames): void {
  if (socket?.configType.case !== 'typedConfig') return;
  const wrapper = anyUnpack(socket.configType.value, ProxyProtocolUpstreamTransportSchema);
  if (wrapper !== undefined) {
    inlineSecrets(wrapper.transportSocket, named);
    socket.configType.value = anyPack(ProxyProtocolUpstreamTransportSchema, wrapper);
  }
  for (const schema of [UpstreamTlsContextSchema, DownstreamTlsContextSchema] as const) {
    const context = anyUnpack(socket.configType.value, schema);
    if (context === undefined) continue;
    inlineContext(context.commonTlsContext, named);
    socket.configType.value = anyPack(schema as typeof UpstreamTlsContextSchema, context as never);
  }
}

function inlineContext(context: CommonTlsContext | undefined, named: SecretNames): void {
  // Files that a rule names are in the proxy's image, as a rule, and not here.
  const validation = context?.validationContextType;
  if (validation?.case === 'validationContext' && !isHere(validation.value.trustedCa)) {
    context!.validationContextType = { case: undefined };
  }
  if (context?.tlsCertificates.some(({ certificateChain }) => !isHere(certificateChain))) context.tlsCertificates = [];
  for (const secret of context?.tlsCertificateSdsSecretConfigs ?? []) {
    secret.sdsConfig = undefined;
    named.certificates.add(secret.name);
  }
  if (context?.validationContextType.case !== 'combinedValidationContext') return;
  const { defaultValidationContext: own, validationContextSdsSecretConfig: roots } =
    context.validationContextType.value;
  if (own !== undefined) delete own.crl;
  if (roots === undefined) return;
  roots.sdsConfig = undefined;
  named.roots.add(roots.name);
}

/** One certificate that vouches for itself, as everybody's. */
function isHere(source: DataSource | undefined): boolean {
  return source?.specifier.case !== 'filename' || existsSync(source.specifier.value);
}

export function throwAwayKeys(): WorkloadKeys {
  const { privateKey, publicKey } = generateKeyPair();
  const [notBefore, notAfter] = [new Date(Date.now() - 60_000), new Date(Date.now() + 3_600_000)];
  const request = { subject: { commonName: 'x' }, publicKey, selfKey: privateKey, notBefore, notAfter };
  const pem = issueCertificate(request);
  return { chain: pem, key: privateKeyPem(privateKey), roots: pem };
}

export function secrets({ chain, key, roots }: WorkloadKeys, named: SecretNames) {
  const inline = (value: string) => ({ specifier: { case: 'inlineString' as const, value } });
  const certificate = { certificateChain: inline(chain), privateKey: inline(key) };
  const validation = { trustedCa: inline(roots) };
  return [
    ...[...named.certificates].map((name) =>
      create(SecretSchema, { name, type: { case: 'tlsCertificate', value: certificate } }),
    ),
    ...[...named.roots].map((name) =>
      create(SecretSchema, { name, type: { case: 'validationContext', value: validation } }),
    ),
  ];
}
