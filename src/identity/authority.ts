// SPDX-License-Identifier: Apache-2.0
// Issues certificates under a checked CA. Keys are made here, in memory, and handed to the caller.
import type { X509Certificate } from 'node:crypto';
import { findPublicCa } from '../pki/public-cas.ts';
import { type CertificateRequest, generateKeyPair, issueCertificate, privateKeyPem } from '../pki/x509.ts';
import { CaError, type CaFiles, type CheckedCa, CLOCK_SKEW_MS, checkCa } from './ca-material.ts';
import type { SpiffeId } from './spiffe.ts';

export interface IssuedCertificate {
  /** The certificate, then the intermediates up to the root, without it. */
  readonly chainPem: string;
  /** PKCS#8. A secret. */
  readonly keyPem: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** How long one of the CA's own certificates has left. */
export interface CaExpiry {
  readonly what: string;
  readonly notAfterMs: number;
  readonly state: 'ok' | 'expires-soon' | 'expired';
}

/** As telemetry knows a workload. */
export interface WorkloadSubject {
  readonly workload: string;
  readonly service: string;
  readonly revision: string;
  readonly app: string;
  readonly version: string;
  readonly cluster: string;
}

/** Parts without what would need to be quoted (RFC 2253), and no longer than X.520 lets them be. */
function nameOf({
  workload,
  service,
  revision,
  app,
  version,
  cluster,
}: WorkloadSubject): CertificateRequest['subject'] {
  const part = (text: string) => text.replace(/[^\w.-]/g, '_').slice(0, 64) || '_';
  return { organizationalUnits: [cluster, version, app, revision, service].map(part), commonName: part(workload) };
}

export const DEFAULT_LIFETIME_MS = 24 * 3600_000;
const SOON_MS = 30 * 24 * 3600_000;

export class Authority {
  /** The trust bundle: every root, in PEM. */
  readonly rootPem: string;
  readonly #ca: CheckedCa;
  readonly #caPem: string;
  readonly #chainPem: string;

  /** Throws CaError when the files are no CA that peers would trust at `nowMs`. */
  constructor(files: CaFiles, nowMs: number) {
    this.#ca = checkCa(files, nowMs);
    this.#caPem = pemOf(this.#ca.certificate);
    this.rootPem = this.#ca.roots.map(pemOf).join('');
    this.#chainPem = this.#ca.intermediates.map(pemOf).join('');
  }

  /** SHA-256 fingerprint of the certificate that signs: tells two clusters' intermediates apart. */
  get fingerprint(): string {
    return this.#ca.certificate.fingerprint256;
  }

  /** The subject of a certificate of its path whose key everybody can have; undefined when there is none. */
  get publicCa(): string | undefined {
    return findPublicCa([this.#caPem, this.#chainPem, this.rootPem]);
  }

  /** When the first certificate of its path ends: peers check all of them. */
  get #endMs(): number {
    const { certificate, intermediates, roots } = this.#ca;
    const [last = certificate] = intermediates.slice(-1);
    // Of the bundle's roots only those that the path ends at count; any one of them is enough.
    const trusted = roots.filter((root) => last.checkIssued(root) || last.fingerprint256 === root.fingerprint256);
    const rootEndMs = Math.max(...trusted.map(({ validToDate }) => validToDate.getTime()));
    return Math.min(rootEndMs, ...[certificate, ...intermediates].map(({ validToDate }) => validToDate.getTime()));
  }

  /**
   * A workload's certificate, for both ends of mutual TLS: its SPIFFE id is who it is. The subject only tells a peer's
   * telemetry which workload of that identity it is.
   */
  issueWorkload(id: SpiffeId, lifetimeMs: number, nowMs: number, subject?: WorkloadSubject): IssuedCertificate {
    const names = { uris: [id], ...(subject && { subject: nameOf(subject) }) };
    return this.#issue({ ...names, usages: ['serverAuth', 'clientAuth'] }, lifetimeMs, nowMs);
  }

  /** A server's certificate for DNS names (the control plane's own ports). */
  issueServer(dnsNames: readonly string[], lifetimeMs: number, nowMs: number): IssuedCertificate {
    return this.#issue({ dnsNames: [...dnsNames], usages: ['serverAuth'] }, lifetimeMs, nowMs);
  }

  #issue(
    names: Pick<CertificateRequest, 'uris' | 'dnsNames' | 'usages'> & Partial<Pick<CertificateRequest, 'subject'>>,
    lifetimeMs: number,
    nowMs: number,
  ): IssuedCertificate {
    const caEndMs = this.#endMs;
    if (nowMs >= caEndMs)
      throw new CaError(`The CA's certificate expired on ${new Date(caEndMs).toISOString()}: renew cacerts.`);
    const keys = generateKeyPair();
    // A certificate that outlives its CA would fail at a moment that nobody expects.
    const notAfter = new Date(Math.min(nowMs + lifetimeMs, caEndMs));
    const notBefore = new Date(nowMs - CLOCK_SKEW_MS);
    const issuer = { certPem: this.#caPem, key: this.#ca.key };
    const certPem = issueCertificate({ subject: {}, publicKey: keys.publicKey, issuer, notBefore, notAfter, ...names });
    return {
      chainPem: certPem + this.#chainPem,
      keyPem: privateKeyPem(keys.privateKey),
      notBeforeMs: notBefore.getTime(),
      notAfterMs: notAfter.getTime(),
    };
  }

  /** The CA's certificate, its intermediates and roots, with what they have left. For status and warnings. */
  expiry(nowMs: number): CaExpiry[] {
    const { certificate, intermediates, roots } = this.#ca;
    const all = new Set([certificate, ...intermediates, ...roots].map((each) => each.fingerprint256));
    const unique = [certificate, ...intermediates, ...roots].filter((each) => all.delete(each.fingerprint256));
    return unique.map((each) => {
      const notAfterMs = each.validToDate.getTime();
      const leftMs = notAfterMs - nowMs;
      const state = leftMs <= 0 ? 'expired' : leftMs < SOON_MS ? 'expires-soon' : 'ok';
      return { what: each.subject.replaceAll('\n', ', '), notAfterMs, state };
    });
  }
}

function pemOf(certificate: X509Certificate): string {
  const pem = certificate.toString();
  return pem.endsWith('\n') ? pem : `${pem}\n`;
}
