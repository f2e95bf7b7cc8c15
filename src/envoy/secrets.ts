// SPDX-License-Identifier: Apache-2.0
// Keys and certificates that are no workload's own: under which names proxies ask for them, and what they are told. By the
// stream that everything else comes by, so that a certificate is replaced without touching the listener that shows it.
import { hash } from 'node:crypto';
import { dirname } from 'node:path/posix';
import { create, toBinary } from '@bufbuild/protobuf';
import { ApiVersion, ConfigSourceSchema } from '#gen/envoy/config/core/v3/config_source_pb.ts';
import {
  type SdsSecretConfig,
  SdsSecretConfigSchema,
  type Secret,
  SecretSchema,
} from '#gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';
import type { SecretUse } from '../intent/secrets.ts';
import type { CertificateSource, RootsSource } from '../intent/tls-types.ts';
import { SECRET_TYPE } from '../xds/session/type-urls.ts';
import type { XdsResource } from '../xds/types.ts';

/** PEM texts. */
export interface CertificateMaterial {
  readonly chain: string;
  readonly key: string;
  /** An OCSP response in DER. */
  readonly staple?: Uint8Array;
}

export interface RootsMaterial {
  readonly roots: string;
  readonly crl?: string;
}

/** Istio's names. */
export function certificateName(source: CertificateSource): string {
  return source.kind === 'secret' ? `kubernetes://${source.name}` : `file-cert:${source.chain}~${source.key}`;
}

export function rootsName(source: RootsSource): string {
  if (source.kind === 'secret') return `kubernetes://${source.name}-cacert`;
  return `file-root:${source.roots}${source.crl === undefined ? '' : `~${source.crl}`}`;
}

export function secretName(use: Pick<SecretUse, 'what' | 'source'>): string {
  return use.what === 'certificate'
    ? certificateName(use.source as CertificateSource)
    : rootsName(use.source as RootsSource);
}

/**
 * A reference to it in a TLS context. Without an answer Envoy opens the listener after its fifteen seconds, so that one
 * missing Secret does not hold up the other servers of a port.
 */
export function secretConfig(name: string): SdsSecretConfig {
  const sdsConfig = create(ConfigSourceSchema, {
    resourceApiVersion: ApiVersion.V3,
    configSourceSpecifier: { case: 'ads', value: {} },
  });
  return create(SdsSecretConfigSchema, { name, sdsConfig });
}

/** `value` holds a private key: it belongs to the stream of a proxy that may have it, and nowhere else. */
export function certificateResource(name: string, { chain, key, staple }: CertificateMaterial): XdsResource {
  const secret = create(SecretSchema, {
    name,
    type: {
      case: 'tlsCertificate',
      value: {
        certificateChain: inline(chain),
        privateKey: inline(key),
        ...(staple !== undefined && { ocspStaple: { specifier: { case: 'inlineBytes', value: staple } } }),
      },
    },
  });
  // The version is public (logs, config dumps), so it is made of the public half.
  return resource(secret, [chain, Buffer.from(staple ?? []).toString('base64')]);
}

export function rootsResource(name: string, { roots, crl }: RootsMaterial): XdsResource {
  const secret = create(SecretSchema, {
    name,
    type: {
      case: 'validationContext',
      value: { trustedCa: inline(roots), ...(crl !== undefined && { crl: inline(crl) }) },
    },
  });
  return resource(secret, [roots, crl ?? '']);
}

/** Envoy reads the files itself, and again when something in their directory is renamed, as the kubelet does. */
export function fileResource(source: CertificateSource | RootsSource): XdsResource | undefined {
  if (source.kind !== 'files') return undefined;
  if ('chain' in source) {
    const { chain, key } = source;
    const value = { certificateChain: file(chain), privateKey: file(key), watchedDirectory: { path: dirname(chain) } };
    const secret = create(SecretSchema, { name: certificateName(source), type: { case: 'tlsCertificate', value } });
    return resource(secret, [chain, key]);
  }
  const { roots, crl } = source;
  const value = {
    trustedCa: file(roots),
    watchedDirectory: { path: dirname(roots) },
    ...(crl !== undefined && { crl: file(crl) }),
  };
  const secret = create(SecretSchema, { name: rootsName(source), type: { case: 'validationContext', value } });
  return resource(secret, [roots, crl ?? '']);
}

function resource(secret: Secret, publicParts: readonly string[]): XdsResource {
  const version = hash('sha256', JSON.stringify(publicParts)).slice(0, 16);
  return { typeUrl: SECRET_TYPE, name: secret.name, version, value: toBinary(SecretSchema, secret) };
}

function inline(text: string) {
  return { specifier: { case: 'inlineBytes' as const, value: Buffer.from(text) } };
}

function file(filename: string) {
  return { specifier: { case: 'filename' as const, value: filename } };
}
