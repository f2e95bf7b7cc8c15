// SPDX-License-Identifier: Apache-2.0
// Transport sockets: the mesh's mutual TLS on both sides, a rule's own TLS, plaintext.
import { create, createRegistry, fromJson, type JsonValue, type MessageInitShape } from '@bufbuild/protobuf';
import { type TransportSocket, TransportSocketSchema } from '#gen/envoy/config/core/v3/base_pb.ts';
import { type ConfigSource, ConfigSourceSchema } from '#gen/envoy/config/core/v3/config_source_pb.ts';
import { ProxyProtocolConfig_Version } from '#gen/envoy/config/core/v3/proxy_protocol_pb.ts';
import { FileBasedMetadataConfigSchema } from '#gen/envoy/config/grpc_credential/v3/file_based_metadata_pb.ts';
import { ProxyProtocolUpstreamTransportSchema } from '#gen/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.ts';
import { RawBufferSchema } from '#gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.ts';
import {
  SubjectAltNameMatcher_SanType,
  TlsParameters_TlsProtocol,
  TlsParametersSchema,
} from '#gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts';
import type { SdsSecretConfigSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';
import {
  type CommonTlsContextSchema,
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from '#gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import type { ClientSecurity, DestinationIntent } from '../intent/destination-types.ts';
import type { CertificateSource, RootsSource } from '../intent/tls-types.ts';
import { type ControlPlaneEndpoint, ROOT_SECRET, sdsConfigSource, WORKLOAD_SECRET } from '../xds/envoy-client.ts';
import { type Init, packed, stringMatcher } from './messages.ts';
import { certificateName, rootsName, secretConfig } from './secrets.ts';

export const TLS = 'envoy.transport_sockets.tls';
/** Of the mesh's own TLS in clusters, of which there are thousands: Envoy goes by the type. */
export const MESH_TLS = 'tls';
/** Envoy's clients stop at 1.2 unless they are told otherwise. */
const VERSIONS_OF_CLIENTS = {
  tlsMinimumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_2,
  tlsMaximumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_3,
};
const VERSIONS = create(TlsParametersSchema, VERSIONS_OF_CLIENTS);

const ONLY_NEWEST = create(TlsParametersSchema, {
  tlsMinimumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_3,
  tlsMaximumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_3,
});

export const RAW_BUFFER: TransportSocket = create(TransportSocketSchema, {
  name: 'envoy.transport_sockets.raw_buffer',
  configType: { case: 'typedConfig', value: packed(RawBufferSchema, {}) },
});

type SocketInit = MessageInitShape<typeof TransportSocketSchema>;

/** A server of their own, or the stream that everything else comes by. */
export type SecretSource = ControlPlaneEndpoint | 'ads';

const ADS_SOURCE = { ads: {}, resource_api_version: 'V3', initial_fetch_timeout: '0s' };

/** Where this proxy gets its keys from; equal sources share one subscription in Envoy. */
export function secretSource(source: SecretSource | undefined): ConfigSource {
  const json = (
    source === undefined ? sdsConfigSource() : source === 'ads' ? ADS_SOURCE : sdsConfigSource(source)
  ) as JsonValue;
  return fromJson(ConfigSourceSchema, json, { registry: createRegistry(FileBasedMetadataConfigSchema) });
}

/** `istio` says that the peer is a sidecar; the rest is what the peer's HTTP codec goes by. */
function clientAlpn(protocol: DestinationIntent['protocol']): string[] {
  return protocol === 'as-client' || protocol === 'as-routed' ? [] : ['istio', ...httpAlpn(protocol)];
}

/** Where the connection's use decides, and nothing else is offered, Envoy itself offers what the connection is for. */
function httpAlpn(protocol: DestinationIntent['protocol']): string[] {
  return protocol === 'http2' ? ['h2'] : protocol === 'http' ? ['http/1.1'] : [];
}

export function clientSocket(
  security: Exclude<ClientSecurity, { kind: 'plain' }>,
  protocol: DestinationIntent['protocol'],
  secrets: ConfigSource,
): SocketInit {
  const common =
    security.kind === 'mesh'
      ? meshContext(secrets, clientAlpn(protocol), security.peers)
      : ownContext(security, httpAlpn(protocol));
  return {
    name: security.kind === 'mesh' ? MESH_TLS : TLS,
    configType: {
      case: 'typedConfig',
      value: packed(UpstreamTlsContextSchema, { sni: security.sni, commonTlsContext: common }),
    },
  };
}

/** The PROXY protocol's header goes out in the clear, before the TLS of the socket within. */
export function proxyProtocolSocket(version: 'v1' | 'v2', transportSocket: SocketInit): SocketInit {
  return {
    name: 'envoy.transport_sockets.upstream_proxy_protocol',
    configType: {
      case: 'typedConfig',
      value: packed(ProxyProtocolUpstreamTransportSchema, {
        config: { version: version === 'v1' ? ProxyProtocolConfig_Version.V1 : ProxyProtocolConfig_Version.V2 },
        transportSocket,
      }),
    },
  };
}

/** A certificate of the mesh is asked of every client. */
export function serverSocket(protocol: 'http' | 'tcp', secrets: ConfigSource, minTls?: '1.3'): TransportSocket {
  const alpn = protocol === 'tcp' ? [] : ['h2', 'http/1.1'];
  return create(TransportSocketSchema, {
    name: TLS,
    configType: {
      case: 'typedConfig',
      value: packed(DownstreamTlsContextSchema, {
        requireClientCertificate: true,
        commonTlsContext: meshContext(secrets, alpn, [], minTls && ONLY_NEWEST),
      }),
    },
  });
}

function meshContext(
  secrets: ConfigSource,
  alpnProtocols: string[],
  peers: readonly string[],
  tlsParams = VERSIONS,
): ContextInit {
  return {
    tlsParams,
    alpnProtocols,
    tlsCertificateSdsSecretConfigs: [secret(WORKLOAD_SECRET, secrets)],
    validationContextType: {
      case: 'combinedValidationContext',
      value: {
        defaultValidationContext: validation(peers, SubjectAltNameMatcher_SanType.URI),
        validationContextSdsSecretConfig: secret(ROOT_SECRET, secrets),
      },
    },
  };
}

function ownContext(security: Extract<ClientSecurity, { kind: 'tls' }>, alpnProtocols: string[]): ContextInit {
  const { certificate, roots, peers, cipherSuites = [], curves = [] } = security;
  return {
    tlsParams: { ...VERSIONS_OF_CLIENTS, cipherSuites: [...cipherSuites], ecdhCurves: [...curves] },
    alpnProtocols,
    ...(certificate && ownCertificate(certificate)),
    ...(roots && { validationContextType: ownValidation(roots, peers) }),
  };
}

type ContextInit = Init<typeof CommonTlsContextSchema>;

function ownCertificate(source: CertificateSource): ContextInit {
  if (source.kind === 'secret') return { tlsCertificateSdsSecretConfigs: [secretConfig(certificateName(source))] };
  return { tlsCertificates: [{ certificateChain: file(source.chain), privateKey: file(source.key) }] };
}

function ownValidation(
  source: RootsSource,
  peers: readonly string[],
): NonNullable<ContextInit['validationContextType']> {
  const names = validation(peers, SubjectAltNameMatcher_SanType.DNS);
  if (source.kind === 'secret') {
    const validationContextSdsSecretConfig = secretConfig(rootsName(source));
    return {
      case: 'combinedValidationContext',
      value: { defaultValidationContext: names, validationContextSdsSecretConfig },
    };
  }
  const { matchTypedSubjectAltNames } = names;
  const crl = source.crl === undefined ? {} : { crl: file(source.crl) };
  return { case: 'validationContext', value: { matchTypedSubjectAltNames, trustedCa: file(source.roots), ...crl } };
}

function file(filename: string) {
  return { specifier: { case: 'filename' as const, value: filename } };
}

function validation(peers: readonly string[], sanType: SubjectAltNameMatcher_SanType) {
  return {
    matchTypedSubjectAltNames: peers.map((value) => ({ sanType, matcher: stringMatcher({ kind: 'exact', value }) })),
  };
}

function secret(name: string, sdsConfig: ConfigSource): Init<typeof SdsSecretConfigSchema> {
  return { name, sdsConfig };
}
