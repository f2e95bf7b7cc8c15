// SPDX-License-Identifier: Apache-2.0
// The four files of a CA as the Secret `cacerts` holds them, checked before anything is signed with them.
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import {
  type CertificateRequest,
  certificateBlocks,
  generateKeyPair,
  issueCertificate,
  privateKeyPem,
} from '../pki/x509.ts';

/** Contents of the files; the names are the contract with `kubectl create secret generic cacerts --from-file=...`. */
export interface CaFiles {
  readonly 'ca-cert.pem': string;
  readonly 'ca-key.pem': string;
  readonly 'root-cert.pem': string;
  readonly 'cert-chain.pem': string;
}

export const CA_FILE_NAMES = ['ca-cert.pem', 'ca-key.pem', 'root-cert.pem', 'cert-chain.pem'] as const;

/** What is wrong with a CA's files; the message names the file and the cure. */
export class CaError extends Error {}

/** A CA that may sign: files that belong together. */
export interface CheckedCa {
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
  /** What a peer needs between a workload's certificate and the root: the CA's own first. Empty when the CA is the root. */
  readonly intermediates: readonly X509Certificate[];
  readonly roots: readonly X509Certificate[];
}

const DAY_MS = 24 * 3600_000;
/** Backdated for peers whose clocks are behind. */
export const CLOCK_SKEW_MS = 5 * 60_000;
const MAX_CHAIN = 8;

export interface NewCa {
  readonly organization: string;
  readonly commonName: string;
  readonly days: number;
  readonly nowMs: number;
}

export interface CertAndKey {
  readonly certPem: string;
  readonly keyPem: string;
}

/** A self-signed root, with its key. */
export function makeRoot(options: NewCa): CertAndKey {
  const keys = generateKeyPair();
  const certPem = issueCertificate({ ...caRequest(options, keys.publicKey), selfKey: keys.privateKey });
  return { certPem, keyPem: privateKeyPem(keys.privateKey) };
}

/** An intermediate below `root` that may sign workloads but no further CAs; it ends no later than its root. */
export function makeIntermediate(root: CertAndKey, options: NewCa): CaFiles {
  const issuer = new X509Certificate(root.certPem);
  const keys = generateKeyPair();
  const request = caRequest(options, keys.publicKey);
  const certPem = issueCertificate({
    ...request,
    pathLength: 0,
    notAfter: new Date(Math.min(request.notAfter.getTime(), issuer.validToDate.getTime())),
    issuer: { certPem: root.certPem, key: createPrivateKey(root.keyPem) },
  });
  return {
    'ca-cert.pem': certPem,
    'ca-key.pem': privateKeyPem(keys.privateKey),
    'root-cert.pem': root.certPem,
    'cert-chain.pem': certPem + root.certPem,
  };
}

/** For a mesh without `cacerts`: a root that signs workloads itself. The caller keeps it, or the next start makes another. */
export function makeSelfSignedCa(options: NewCa): CaFiles {
  const { certPem, keyPem } = makeRoot(options);
  return { 'ca-cert.pem': certPem, 'ca-key.pem': keyPem, 'root-cert.pem': certPem, 'cert-chain.pem': '' };
}

function caRequest(options: NewCa, publicKey: KeyObject): CertificateRequest {
  return {
    subject: { organization: options.organization, commonName: options.commonName },
    publicKey,
    isCa: true,
    notBefore: new Date(options.nowMs - CLOCK_SKEW_MS),
    notAfter: new Date(options.nowMs + options.days * DAY_MS),
  };
}

/** Checks that the files make a CA that peers will trust now. Throws CaError with the first thing that is wrong. */
export function checkCa(files: CaFiles, nowMs: number): CheckedCa {
  const [certificate] = readCertificates('ca-cert.pem', files['ca-cert.pem']);
  if (certificate === undefined) throw new CaError('ca-cert.pem holds no certificate.');
  const roots = readCertificates('root-cert.pem', files['root-cert.pem']);
  if (roots.length === 0) throw new CaError('root-cert.pem holds no certificate.');
  const key = readKey(files['ca-key.pem']);
  if (!certificate.checkPrivateKey(key)) {
    throw new CaError('ca-key.pem does not belong to ca-cert.pem: their public keys differ. Take both from one CA.');
  }
  if (!certificate.ca) {
    throw new CaError(
      `ca-cert.pem (${nameOf(certificate)}) is not the certificate of a CA (its basic constraints say CA:FALSE or nothing); ` +
        'a CA certificate is needed, e.g. from `isthmus certs`.',
    );
  }
  checkTime('ca-cert.pem', certificate, nowMs);
  const chain =
    files['cert-chain.pem'].trim() === '' ? [] : readCertificates('cert-chain.pem', files['cert-chain.pem']);
  return { certificate, key, roots, intermediates: findPath(certificate, chain, roots, nowMs) };
}

/** From the CA's certificate upwards, without the root. */
function findPath(
  certificate: X509Certificate,
  chain: readonly X509Certificate[],
  roots: readonly X509Certificate[],
  nowMs: number,
): X509Certificate[] {
  const path: X509Certificate[] = [];
  for (let current = certificate; path.length < MAX_CHAIN; ) {
    if (roots.some((root) => root.fingerprint256 === current.fingerprint256)) {
      checkTime('root-cert.pem', current, nowMs);
      return path;
    }
    path.push(current);
    const root = roots.find((candidate) => isIssuedBy(current, candidate));
    if (root !== undefined) {
      checkTime('root-cert.pem', root, nowMs);
      return path;
    }
    const issuer = chain.find((candidate) => !path.includes(candidate) && isIssuedBy(current, candidate));
    if (issuer === undefined) {
      throw new CaError(
        `ca-cert.pem does not lead to root-cert.pem: no certificate in cert-chain.pem or root-cert.pem has issued ` +
          `${nameOf(current)} (its issuer is ${oneLine(current.issuer)}). Put the missing intermediates into cert-chain.pem.`,
      );
    }
    checkTime('cert-chain.pem', issuer, nowMs);
    current = issuer;
  }
  throw new CaError(`cert-chain.pem is longer than ${MAX_CHAIN} certificates.`);
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function checkTime(file: string, certificate: X509Certificate, nowMs: number): void {
  const { validFromDate, validToDate } = certificate;
  if (nowMs >= validToDate.getTime()) {
    throw new CaError(
      `${file}: ${nameOf(certificate)} expired on ${validToDate.toISOString()}. Renew it (isthmus certs --force) and replace the secret.`,
    );
  }
  if (nowMs < validFromDate.getTime()) {
    throw new CaError(
      `${file}: ${nameOf(certificate)} is not valid before ${validFromDate.toISOString()}. Is this machine's clock right?`,
    );
  }
}

/** Every certificate of a PEM file; text around them is allowed, as openssl writes it. @throws CaError naming `file` */
export function readCertificates(file: string, pem: string): X509Certificate[] {
  const blocks = certificateBlocks(pem);
  if (blocks.length === 0) throw new CaError(`${file} holds no certificate (no "-----BEGIN CERTIFICATE-----").`);
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block);
    } catch {
      throw new CaError(`${file}: certificate ${index + 1} is damaged and cannot be read.`);
    }
  });
}

function readKey(pem: string): KeyObject {
  if (/ENCRYPTED/.test(pem)) {
    throw new CaError(
      'ca-key.pem is encrypted; the control plane needs it without a passphrase (openssl pkey -in ... -out ...).',
    );
  }
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    throw new CaError('ca-key.pem holds no private key that can be read (PEM: PKCS#8, PKCS#1 or SEC1).');
  }
  if (key.asymmetricKeyType !== 'ec' && key.asymmetricKeyType !== 'rsa') {
    throw new CaError(
      `ca-key.pem is a key of type ${key.asymmetricKeyType ?? 'unknown'}; a CA needs an EC or RSA key.`,
    );
  }
  return key;
}

function nameOf(certificate: X509Certificate): string {
  return `"${oneLine(certificate.subject)}"`;
}

function oneLine(name: string | undefined): string {
  return (name ?? '').replaceAll('\n', ', ');
}
