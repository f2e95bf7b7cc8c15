// SPDX-License-Identifier: Apache-2.0
import { knownCipherSuites, type ServerTls, type TlsDefaults, verifiesClients } from '../api/server-tls.ts';
import type { CertificateSource, RootsSource, ServerTlsIntent, TlsVersion } from './tls-types.ts';

const VERSIONS: Readonly<Record<Exclude<ServerTls['minProtocolVersion'], 'TLS_AUTO'>, TlsVersion>> = {
  TLSV1_0: '1.0',
  TLSV1_1: '1.1',
  TLSV1_2: '1.2',
  TLSV1_3: '1.3',
};

/** What a server with these settings does with the TLS that it opens; what they do not say, the mesh's `defaults` do. */
export function buildServerTls(tls: ServerTls, defaults: TlsDefaults | undefined): ServerTlsIntent {
  const isMesh = tls.mode === 'ISTIO_MUTUAL';
  const verifies = verifiesClients(tls);
  const max = isMesh || tls.maxProtocolVersion === 'TLS_AUTO' ? '1.3' : VERSIONS[tls.maxProtocolVersion];
  const ciphers = knownCipherSuites(tls);
  return {
    certificates: isMesh ? 'mesh' : certificatesOf(tls),
    clients: tls.mode === 'OPTIONAL_MUTUAL' ? 'asked' : verifies ? 'required' : 'unasked',
    roots: isMesh ? 'mesh' : verifies ? rootsOf(tls) : undefined,
    meshCrl: isMesh ? tls.caCrl : undefined,
    names: verifies ? tls.subjectAltNames : [],
    keyHashes: verifies ? tls.verifyCertificateSpki : [],
    hashes: verifies ? tls.verifyCertificateHash : [],
    untrusted: verifies && tls.insecureSkipVerify === true,
    versions: {
      min: isMesh ? '1.2' : minimum(tls, max, defaults),
      max,
    },
    cipherSuites: isMesh ? [] : ciphers.length > 0 ? ciphers : (defaults?.cipherSuites ?? []),
    curves: isMesh ? [] : tls.ecdhCurves.length > 0 ? tls.ecdhCurves : (defaults?.ecdhCurves ?? []),
  };
}

/** A server that is told to stop at an older version keeps that one. */
function minimum(
  { minProtocolVersion: own }: ServerTls,
  max: TlsVersion,
  defaults: TlsDefaults | undefined,
): TlsVersion {
  if (own !== 'TLS_AUTO') return VERSIONS[own];
  return defaults?.minProtocolVersion === 'TLSV1_3' && max === '1.3' ? '1.3' : '1.2';
}

function certificatesOf(tls: ServerTls): CertificateSource[] {
  const names = tls.credentialName === undefined ? tls.credentialNames : [tls.credentialName];
  if (names.length > 0) return names.map((name) => ({ kind: 'secret', name }));
  const files = tls.tlsCertificates.length > 0 ? tls.tlsCertificates : [tls];
  return files.map(({ serverCertificate, privateKey }) => ({
    kind: 'files',
    chain: serverCertificate!,
    key: privateKey!,
  }));
}

const ROOTS_SUFFIX = '-cacert';

function rootsOf(tls: ServerTls): RootsSource {
  const name = tls.caCertCredentialName ?? tls.credentialName ?? tls.credentialNames[0];
  if (name === undefined) return { kind: 'files', roots: tls.caCertificates!, crl: tls.caCrl };
  return { kind: 'secret', name: name.endsWith(ROOTS_SUFFIX) ? name.slice(0, -ROOTS_SUFFIX.length) : name };
}
