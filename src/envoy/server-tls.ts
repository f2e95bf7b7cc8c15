// SPDX-License-Identifier: Apache-2.0
// TLS that a proxy opens under a rule's settings, for clients that need not be of the mesh.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type TransportSocket, TransportSocketSchema } from '#gen/envoy/config/core/v3/base_pb.ts';
import type { ConfigSource } from '#gen/envoy/config/core/v3/config_source_pb.ts';
import {
  CertificateValidationContext_TrustChainVerification,
  type CertificateValidationContextSchema,
  TlsParameters_TlsProtocol as Protocol,
  SubjectAltNameMatcher_SanType as SanType,
} from '#gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts';
import {
  type SdsSecretConfig,
  SdsSecretConfigSchema,
} from '#gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';
import { DownstreamTlsContextSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import type { ServerTlsIntent, TlsVersion } from '../intent/tls-types.ts';
import { ROOT_SECRET, WORKLOAD_SECRET } from '../xds/envoy-client.ts';
import { packed, stringMatcher } from './messages.ts';
import { certificateName, rootsName, secretConfig } from './secrets.ts';

const VERSIONS: Readonly<Record<TlsVersion, Protocol>> = {
  '1.0': Protocol.TLSv1_0,
  '1.1': Protocol.TLSv1_1,
  '1.2': Protocol.TLSv1_2,
  '1.3': Protocol.TLSv1_3,
};
/** A subject alternative name is not said to be of one kind. */
const SAN_TYPES = [SanType.DNS, SanType.URI, SanType.EMAIL, SanType.IP_ADDRESS];

/** `secrets`: where the mesh's own keys come from. */
export function ownServerSocket(tls: ServerTlsIntent, alpn: readonly string[], secrets: ConfigSource): TransportSocket {
  const ofMesh = (name: string) => create(SdsSecretConfigSchema, { name, sdsConfig: secrets });
  const certificates =
    tls.certificates === 'mesh'
      ? [ofMesh(WORKLOAD_SECRET)]
      : tls.certificates.map((source) => secretConfig(certificateName(source)));
  const roots = tls.roots === 'mesh' ? ofMesh(ROOT_SECRET) : tls.roots && secretConfig(rootsName(tls.roots));
  return create(TransportSocketSchema, {
    name: 'envoy.transport_sockets.tls',
    configType: {
      case: 'typedConfig',
      value: packed(DownstreamTlsContextSchema, {
        requireClientCertificate: tls.clients === 'required',
        commonTlsContext: {
          tlsParams: {
            tlsMinimumProtocolVersion: VERSIONS[tls.versions.min],
            tlsMaximumProtocolVersion: VERSIONS[tls.versions.max],
            cipherSuites: [...tls.cipherSuites],
            ecdhCurves: [...tls.curves],
          },
          alpnProtocols: [...alpn],
          tlsCertificateSdsSecretConfigs: certificates,
          ...(roots && { validationContextType: clientsContext(tls, roots) }),
        },
      }),
    },
  });
}

function clientsContext(tls: ServerTlsIntent, roots: SdsSecretConfig) {
  const matchers = tls.names.map((value) => stringMatcher({ kind: 'exact', value }));
  const defaultValidationContext: MessageInitShape<typeof CertificateValidationContextSchema> = {
    matchTypedSubjectAltNames: matchers.flatMap((matcher) => SAN_TYPES.map((sanType) => ({ sanType, matcher }))),
    verifyCertificateSpki: [...tls.keyHashes],
    verifyCertificateHash: [...tls.hashes],
    ...(tls.meshCrl !== undefined && { crl: { specifier: { case: 'filename', value: tls.meshCrl } } }),
    ...(tls.untrusted && {
      trustChainVerification: CertificateValidationContext_TrustChainVerification.ACCEPT_UNTRUSTED,
    }),
  };
  return {
    case: 'combinedValidationContext' as const,
    value: { defaultValidationContext, validationContextSdsSecretConfig: roots },
  };
}
