// SPDX-License-Identifier: Apache-2.0
// What a Secret holds that somebody made for TLS: https://istio.io/latest/docs/tasks/traffic-management/ingress/secure-ingress/#key-formats.
// Whatever Envoy would refuse is found here, where it can be said which key of which Secret it is.
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { certificateBlocks } from '../pki/x509.ts';

/** As Kubernetes has it: values in base64. */
export type SecretData = Readonly<Record<string, string>>;

/** PEM texts. */
export interface ServerCertificate {
  readonly chain: string;
  readonly key: string;
  /** An OCSP response in DER. */
  readonly staple?: Uint8Array;
  readonly notAfterMs: number;
}

export interface ClientRoots {
  readonly roots: string;
  readonly crl?: string;
}

/** Why it cannot be used; none of it is secret. */
export class CredentialFault extends Error {
  readonly cure: string;
  constructor(message: string, cure: string) {
    super(message);
    this.cure = cure;
  }
}

const REMAKE = 'make the Secret anew: kubectl create secret tls NAME --cert=FILE --key=FILE';

/** @throws CredentialFault */
export function readServerCertificate(data: SecretData): ServerCertificate {
  const [certName, keyName] = has(data, 'cert', 'key') ? ['cert', 'key'] : ['tls.crt', 'tls.key'];
  const chain = textOf(data, certName!, `it has no ${certName}`);
  const key = textOf(data, keyName!, `it has no ${keyName}`);
  const certificates = parseCertificates(chain, certName!);
  const privateKey = parseKey(key, keyName!);
  const [leaf] = certificates;
  if (!leaf!.checkPrivateKey(privateKey)) {
    throw new CredentialFault(
      `${keyName} is not the key of the certificate in ${certName}`,
      `put both of one pair into it, or ${REMAKE}`,
    );
  }
  const staple = data['tls.ocsp-staple'];
  return {
    chain,
    key,
    ...(staple !== undefined && keyName === 'tls.key' && { staple: Buffer.from(staple, 'base64') }),
    notAfterMs: Date.parse(leaf!.validTo),
  };
}

/** @throws CredentialFault */
export function readClientRoots(data: SecretData): ClientRoots {
  const [rootsName, crlName] = has(data, 'cacert') ? ['cacert', 'crl'] : ['ca.crt', 'ca.crl'];
  const roots = textOf(data, rootsName!, 'it has neither ca.crt nor cacert');
  parseCertificates(roots, rootsName!);
  if (!has(data, crlName!)) return { roots };
  const crl = decode(data[crlName!]!);
  if (/-----BEGIN X509 CRL-----[\sA-Za-z0-9+/=]+-----END X509 CRL-----/.test(crl)) return { roots, crl };
  throw new CredentialFault(
    `${crlName} is no list of revoked certificates in PEM`,
    `put one into it, or remove ${crlName}`,
  );
}

function has(data: SecretData, ...names: readonly string[]): boolean {
  return names.every((name) => (data[name] ?? '') !== '');
}

function decode(base64: string): string {
  return Buffer.from(base64, 'base64').toString();
}

function textOf(data: SecretData, name: string, missing: string): string {
  if (has(data, name)) return decode(data[name]!);
  const there = Object.keys(data).sort().slice(0, 5);
  const keys = there.length === 0 ? 'it is empty' : `its keys are ${there.join(', ')}`;
  const message = data[name] === '' ? `its ${name} is empty` : `${missing}; ${keys}`;
  throw new CredentialFault(message, name === 'ca.crt' ? 'add the roots under ca.crt' : REMAKE);
}

function parseCertificates(pem: string, name: string): X509Certificate[] {
  const blocks = certificateBlocks(pem);
  if (blocks.length === 0) throw new CredentialFault(`${name} holds no certificate in PEM`, REMAKE);
  return blocks.map((block) => {
    try {
      return new X509Certificate(block);
    } catch {
      throw new CredentialFault(`${name} holds a certificate that cannot be read`, REMAKE);
    }
  });
}

function parseKey(pem: string, name: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    const encrypted = /ENCRYPTED/.test(pem);
    const message = encrypted ? `${name} is locked by a passphrase` : `${name} holds no private key in PEM`;
    throw new CredentialFault(message, encrypted ? 'unlock it first: openssl pkey -in FILE -out FILE' : REMAKE);
  }
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  const isStrong =
    (type === 'rsa' && (details?.modulusLength ?? 0) >= 2048) ||
    (type === 'ec' && ['prime256v1', 'secp384r1', 'secp521r1'].includes(details?.namedCurve ?? ''));
  if (isStrong) return key;
  throw new CredentialFault(
    `${name} is of a kind that Envoy refuses`,
    'use RSA of 2048 bits or more, or ECDSA on P-256, P-384 or P-521',
  );
}
