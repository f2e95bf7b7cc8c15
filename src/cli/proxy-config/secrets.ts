// SPDX-License-Identifier: Apache-2.0
// The certificates that a proxy has: never their keys, which Envoy does not tell, and which are taken out of a dump at once.
import { X509Certificate } from 'node:crypto';
import { type Held, inside, type Message, textOf } from './dump.ts';

export interface SecretRow {
  readonly name: string;
  readonly type: 'Cert Chain' | 'CA';
  readonly status: string;
  /** Now within its time. */
  readonly valid: boolean;
  readonly serialNumber: string;
  /** ISO 8601. */
  readonly notAfter: string;
  readonly notBefore: string;
  /** Of its SPIFFE ID; '' where it has none. */
  readonly trustDomain: string;
  /** `42d`, `23h`; `expired`; `damaged`. */
  readonly left: string;
}

export const SECRET_HEADER = [
  ...['RESOURCE NAME', 'TYPE', 'STATUS', 'VALID CERT', 'SERIAL NUMBER', 'NOT AFTER', 'NOT BEFORE'],
  ...['TRUST DOMAIN', 'TIME LEFT'],
];

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
const HOUR_MS = 3_600_000;

/** One for the first certificate of a chain, and one for each root. */
export function readSecrets(all: readonly Held[], nowMs: number): SecretRow[] {
  return all
    .flatMap(({ resource, state }) => {
      const name = textOf(resource, 'name');
      const chain = pemOf(inside(resource, 'tls_certificate', 'certificate_chain')).slice(0, 1);
      const roots = pemOf(inside(resource, 'validation_context', 'trusted_ca'));
      return [
        ...chain.map((pem) => secretRow(name, 'Cert Chain', state, pem, nowMs)),
        ...roots.map((pem) => secretRow(name, 'CA', state, pem, nowMs)),
      ];
    })
    .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

function secretRow(name: string, type: SecretRow['type'], status: string, pem: string, nowMs: number): SecretRow {
  const certificate = readCertificate(pem);
  const about = { name, type, status };
  if (certificate === undefined)
    return {
      ...about,
      valid: false,
      serialNumber: '-',
      notAfter: '-',
      notBefore: '-',
      trustDomain: '',
      left: 'damaged',
    };
  const [from, to] = [certificate.validFromDate.getTime(), certificate.validToDate.getTime()];
  return {
    ...about,
    valid: from <= nowMs && nowMs < to,
    serialNumber: certificate.serialNumber.toLowerCase(),
    notAfter: seconds(to),
    notBefore: seconds(from),
    trustDomain: /URI:spiffe:\/\/([^/,]+)/.exec(certificate.subjectAltName ?? '')?.[1] ?? '',
    left: timeLeft(to - nowMs),
  };
}

export function secretCells({
  name,
  type,
  status,
  valid,
  serialNumber,
  notAfter,
  notBefore,
  trustDomain,
  left,
}: SecretRow): string[] {
  return [name, type, status, String(valid), serialNumber, notAfter, notBefore, trustDomain || '-', left];
}

/** undefined: somebody's dump, cut or changed. */
function readCertificate(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

/** Certificates of workloads live a day, those of CAs years. */
function timeLeft(ms: number): string {
  const hours = Math.floor(ms / HOUR_MS);
  if (ms < 0) return 'expired';
  return hours < 48 ? `${hours}h` : `${Math.floor(hours / 24)}d`;
}

function seconds(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}

function pemOf(source: Message): string[] {
  const text = source['inline_string'] ?? Buffer.from(textOf(source, 'inline_bytes'), 'base64').toString('utf8');
  return String(text).match(PEM) ?? [];
}
