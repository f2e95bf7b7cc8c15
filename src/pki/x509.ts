// SPDX-License-Identifier: Apache-2.0
// X.509 v3 certificates (RFC 5280) by node:crypto and a little DER. Keys made here are ECDSA P-256; a CA that somebody
// else made may also have an RSA or another EC key. Everything is signed with SHA-256.
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto';
import {
  type DerNode,
  decodeNodes,
  encodeBitString,
  encodeBoolean,
  encodeNamedBits,
  encodeObjectIdentifier,
  encodeSequence,
  encodeTime,
  encodeTlv,
  encodeUnsigned,
  TAG,
} from './der.ts';
import { encodeIpAddress } from './ip-address.ts';

export interface KeyPair {
  privateKey: KeyObject;
  publicKey: KeyObject;
}

export interface CertificateRequest {
  subject: { commonName?: string; organization?: string | string[]; organizationalUnits?: readonly string[] };
  publicKey: KeyObject;
  /** Absent: self-signed with `selfKey`. */
  issuer?: { certPem: string; key: KeyObject };
  selfKey?: KeyObject;
  isCa?: boolean;
  /** Of a CA: how many more CAs may follow below it. */
  pathLength?: number;
  dnsNames?: string[];
  ipAddresses?: string[];
  uris?: string[];
  notBefore: Date;
  notAfter: Date;
  usages?: ('serverAuth' | 'clientAuth')[];
}

const OID = {
  commonName: '2.5.4.3',
  organization: '2.5.4.10',
  organizationalUnit: '2.5.4.11',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  rsaWithSha256: '1.2.840.113549.1.1.11',
} as const;

const KEY_USAGE = { digitalSignature: 0, keyEncipherment: 2, keyCertSign: 5, crlSign: 6 } as const;
const SERIAL_BYTES = 16;

/** The certificates of a PEM text, each as it stands there; text around them is left out, as openssl writes it. */
export function certificateBlocks(pem: string): string[] {
  return pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
}

/** A new ECDSA P-256 key pair, in memory only. */
export function generateKeyPair(): KeyPair {
  return generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
}

/** PKCS#8 in PEM. */
export function privateKeyPem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/**
 * Signs a certificate and returns it as PEM; `openssl verify -x509_strict` accepts it.
 * Times are cut to whole seconds. Throws when neither `issuer` nor `selfKey` is given, when the validity is empty, when a
 * CA has no subject, when a name is not ASCII, or when the signing key is neither EC nor RSA.
 */
export function issueCertificate(request: CertificateRequest): string {
  const { issuer, selfKey, notBefore, notAfter } = request;
  const signingKey = issuer?.key ?? selfKey;
  if (signingKey === undefined) throw new Error('A certificate needs an issuer, or selfKey to be self-signed.');
  if (!(notBefore.getTime() < notAfter.getTime())) {
    throw new Error(`A certificate's notBefore (${notBefore.toISOString()}) must lie before its notAfter.`);
  }
  const subject = encodeName(request.subject);
  if (request.isCa === true && subject.length === 2) throw new Error('The certificate of a CA needs a subject.');
  const authority = issuer === undefined ? undefined : readIssuer(issuer.certPem);
  const algorithm = signatureAlgorithm(signingKey);
  const toBeSigned = encodeSequence(
    encodeTlv(0xa0, encodeUnsigned(Buffer.from([2]))), // version 3
    encodeUnsigned(randomSerial()),
    algorithm,
    authority?.subject ?? subject,
    encodeSequence(encodeTime(notBefore), encodeTime(notAfter)),
    subject,
    request.publicKey.export({ type: 'spki', format: 'der' }),
    encodeTlv(0xa3, encodeSequence(...encodeExtensions(request, subject, authority?.keyId))),
  );
  const signature = sign('sha256', toBeSigned, signingKey);
  return certificatePem(encodeSequence(toBeSigned, algorithm, encodeBitString(signature)));
}

function certificatePem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

/** Positive and always SERIAL_BYTES long: the top bit clear, the next one set. */
function randomSerial(): Buffer {
  const serial = randomBytes(SERIAL_BYTES);
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  return serial;
}

function signatureAlgorithm(key: KeyObject): Buffer {
  switch (key.asymmetricKeyType) {
    case 'ec':
      return encodeSequence(encodeObjectIdentifier(OID.ecdsaWithSha256));
    case 'rsa':
      return encodeSequence(encodeObjectIdentifier(OID.rsaWithSha256), Buffer.from([0x05, 0x00]));
    default:
      throw new Error(`A CA key of type ${key.asymmetricKeyType ?? 'unknown'} is not supported; use EC or RSA.`);
  }
}

function encodeName(subject: CertificateRequest['subject']): Buffer {
  const attributes: [string, string][] = [subject.organization ?? []]
    .flat()
    .map((organization): [string, string] => [OID.organization, organization]);
  for (const unit of subject.organizationalUnits ?? []) attributes.push([OID.organizationalUnit, unit]);
  if (subject.commonName !== undefined) attributes.push([OID.commonName, subject.commonName]);
  return encodeSequence(
    ...attributes.map(([oid, value]) =>
      encodeTlv(
        TAG.set,
        encodeSequence(encodeObjectIdentifier(oid), encodeTlv(TAG.utf8String, Buffer.from(value, 'utf8'))),
      ),
    ),
  );
}

function encodeExtensions(request: CertificateRequest, subject: Buffer, authorityKeyId: Buffer | undefined): Buffer[] {
  const isCa = request.isCa === true;
  const subjectKeyId = keyIdentifier(request.publicKey);
  const extensions = [
    extension(OID.basicConstraints, true, encodeBasicConstraints(isCa, request.pathLength)),
    extension(OID.keyUsage, true, encodeNamedBits(keyUsageBits(isCa, request.publicKey))),
    extension(OID.subjectKeyIdentifier, false, encodeTlv(TAG.octetString, subjectKeyId)),
    extension(OID.authorityKeyIdentifier, false, encodeSequence(encodeTlv(0x80, authorityKeyId ?? subjectKeyId))),
  ];
  if (request.usages !== undefined && request.usages.length > 0) {
    const usages = request.usages.map((usage) => encodeObjectIdentifier(OID[usage]));
    extensions.push(extension(OID.extendedKeyUsage, false, encodeSequence(...usages)));
  }
  const names = encodeAlternativeNames(request);
  // RFC 5280, 4.2.1.6: critical when it is all that names the subject.
  if (names.length > 0) extensions.push(extension(OID.subjectAltName, subject.length === 2, encodeSequence(...names)));
  return extensions;
}

function extension(oid: string, critical: boolean, value: Buffer): Buffer {
  const flag = critical ? [encodeBoolean(true)] : [];
  return encodeSequence(encodeObjectIdentifier(oid), ...flag, encodeTlv(TAG.octetString, value));
}

function encodeBasicConstraints(isCa: boolean, pathLength: number | undefined): Buffer {
  if (!isCa) return encodeSequence();
  const limit = pathLength === undefined ? [] : [encodeUnsigned(Buffer.from([pathLength]))];
  return encodeSequence(encodeBoolean(true), ...limit);
}

function keyUsageBits(isCa: boolean, publicKey: KeyObject): number[] {
  if (isCa) return [KEY_USAGE.keyCertSign, KEY_USAGE.crlSign];
  return publicKey.asymmetricKeyType === 'rsa'
    ? [KEY_USAGE.digitalSignature, KEY_USAGE.keyEncipherment]
    : [KEY_USAGE.digitalSignature];
}

/** GeneralNames: dNSName [2], uniformResourceIdentifier [6], iPAddress [7]. */
function encodeAlternativeNames(request: CertificateRequest): Buffer[] {
  return [
    ...(request.dnsNames ?? []).map((name) => encodeTlv(0x82, asciiBytes(name))),
    ...(request.ipAddresses ?? []).map((address) => encodeTlv(0x87, encodeIpAddress(address))),
    ...(request.uris ?? []).map((uri) => encodeTlv(0x86, asciiBytes(uri))),
  ];
}

function asciiBytes(name: string): Buffer {
  if (name === '' || /[^\x21-\x7e]/.test(name)) throw new Error(`"${name}" is no name for a certificate (not ASCII).`);
  return Buffer.from(name, 'ascii');
}

/** RFC 5280, 4.2.1.2, method 1: SHA-1 of the public key's bits. */
function keyIdentifier(publicKey: KeyObject): Buffer {
  const [info] = decodeNodes(publicKey.export({ type: 'spki', format: 'der' }));
  const bits = info === undefined ? undefined : decodeNodes(info.contents)[1];
  if (bits === undefined) throw new Error('A public key without bits.');
  return createHash('sha1').update(bits.contents.subarray(1)).digest();
}

interface Issuer {
  /** The issuer's subject exactly as it encoded it: verifiers compare bytes. */
  readonly subject: Buffer;
  readonly keyId: Buffer;
}

function readIssuer(certPem: string): Issuer {
  const certificate = new X509Certificate(certPem);
  const fields = certificateFields(certificate);
  // TBSCertificate: [0] version (absent in v1), serial, algorithm, issuer, validity, subject, key, ...
  const subject = fields[fields[0]?.tag === 0xa0 ? 5 : 4];
  if (subject === undefined) throw new Error('The issuer certificate has no subject.');
  return { subject: subject.raw, keyId: readSubjectKeyId(fields) ?? keyIdentifier(certificate.publicKey) };
}

function certificateFields(certificate: X509Certificate): DerNode[] {
  const [outer] = decodeNodes(certificate.raw);
  const toBeSigned = outer === undefined ? undefined : decodeNodes(outer.contents)[0];
  return toBeSigned === undefined ? [] : decodeNodes(toBeSigned.contents);
}

function readSubjectKeyId(fields: DerNode[]): Buffer | undefined {
  const wrapper = fields.find((field) => field.tag === 0xa3);
  const list = wrapper === undefined ? undefined : decodeNodes(wrapper.contents)[0];
  const wanted = encodeObjectIdentifier(OID.subjectKeyIdentifier);
  for (const item of list === undefined ? [] : decodeNodes(list.contents)) {
    const parts = decodeNodes(item.contents);
    if (parts[0]?.raw.equals(wanted) !== true) continue;
    return decodeNodes(parts.at(-1)?.contents ?? Buffer.alloc(0))[0]?.contents;
  }
  return undefined;
}
