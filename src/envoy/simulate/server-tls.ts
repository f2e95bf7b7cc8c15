// SPDX-License-Identifier: Apache-2.0
// Whether a chain and a client agree on TLS.
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import type { FilterChain } from '#gen/envoy/config/listener/v3/listener_components_pb.ts';
import {
  type CertificateValidationContext,
  TlsParameters_TlsProtocol as Version,
} from '#gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts';
import {
  type CommonTlsContext,
  DownstreamTlsContextSchema,
} from '#gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import type { Call } from './outcome.ts';
import { takesString } from './route-choice.ts';

const VERSIONS = { '1.0': Version.TLSv1_0, '1.1': Version.TLSv1_1, '1.2': Version.TLSv1_2, '1.3': Version.TLSv1_3 };

/** Undefined where they do. */
export function faultOfHandshake(
  { transportSocket }: FilterChain,
  { connection, direction }: Call,
): string | undefined {
  const { tls } = connection;
  const config = transportSocket?.configType;
  const context = config?.case === 'typedConfig' ? anyUnpack(config.value, DownstreamTlsContextSchema) : undefined;
  if (context === undefined) return undefined;
  if (tls === undefined) return 'it asks for TLS';
  const { commonTlsContext: common, requireClientCertificate } = context;
  const lowest = common?.tlsParams?.tlsMinimumProtocolVersion || Version.TLSv1_2;
  const highest = common?.tlsParams?.tlsMaximumProtocolVersion || Version.TLSv1_3;
  if (VERSIONS[tls.version ?? '1.3'] < lowest) return `it asks for TLS 1.${lowest - 1} at least`;
  if (highest < Version.TLSv1_0) return 'it takes no version of TLS';
  // Of clients in the mesh a certificate is taken for granted.
  const shown = tls.certificate ?? direction === 'inbound';
  if ((requireClientCertificate === true || asksWho(common)) && !shown) return 'it asks for a client certificate';
  const { identity } = tls;
  const isKnown = identity === undefined || !shown || common === undefined || takesIdentity(common, identity);
  return isKnown ? undefined : `it does not know ${identity}`;
}

/** Who is asked for a name has to show one, even where certificates are optional. */
function asksWho(common: CommonTlsContext | undefined): boolean {
  const validation = validationOf(common);
  const { matchTypedSubjectAltNames = [], verifyCertificateHash = [], verifyCertificateSpki = [] } = validation ?? {};
  return matchTypedSubjectAltNames.length + verifyCertificateHash.length + verifyCertificateSpki.length > 0;
}

function validationOf(common: CommonTlsContext | undefined): CertificateValidationContext | undefined {
  const validation = common?.validationContextType;
  if (validation?.case === 'combinedValidationContext') return validation.value.defaultValidationContext;
  return validation?.case === 'validationContext' ? validation.value : undefined;
}

function takesIdentity(common: CommonTlsContext, identity: string): boolean {
  const names = validationOf(common)?.matchTypedSubjectAltNames ?? [];
  return names.length === 0 || names.some(({ matcher }) => matcher && takesString(matcher, identity) !== false);
}
