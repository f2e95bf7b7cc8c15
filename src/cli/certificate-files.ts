// SPDX-License-Identifier: Apache-2.0
// `isthmus certs`: a root and one intermediate CA per cluster, as files in the layout that the Secret `cacerts` is made from.

import { X509Certificate } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  CA_FILE_NAMES,
  CaError,
  type CaFiles,
  type CertAndKey,
  checkCa,
  makeIntermediate,
  makeRoot,
} from '../identity/ca-material.ts';
import { UserError } from './user-error.ts';

export interface CertificateOptions {
  readonly dir: string;
  readonly clusters: readonly string[];
  readonly organization: string;
  readonly days: number;
  /** Make the intermediates anew below the root that is there. */
  readonly renew: boolean;
  /** Make everything anew: nothing that trusts the old root will trust the new one. */
  readonly newRoot: boolean;
  readonly nowMs: number;
}

export interface CertificateReport {
  readonly root: CertificateEntry;
  /** The first has no cluster: it lies in the folder itself. */
  readonly intermediates: readonly (CertificateEntry & {
    readonly cluster: string | undefined;
    readonly dir: string;
  })[];
}

export interface CertificateEntry {
  readonly subject: string;
  readonly fingerprint: string;
  readonly notAfter: string;
  readonly state: 'made' | 'kept';
}

const CLUSTER_NAME = /^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/;

/** Makes what is missing. Idempotent; throws UserError when what is there cannot be used, or nothing can be written. */
export function writeCertificates(options: CertificateOptions): CertificateReport {
  try {
    return ensureCertificates(options);
  } catch (error) {
    const { code, path, syscall } = error as NodeJS.ErrnoException;
    if (syscall === undefined) throw error;
    throw new UserError(
      `${path ?? options.dir} cannot be read or written (${code ?? syscall}). Choose a folder that you may write to with --out.`,
    );
  }
}

function ensureCertificates(options: CertificateOptions): CertificateReport {
  for (const cluster of options.clusters) {
    if (CLUSTER_NAME.test(cluster)) continue;
    throw new UserError(`"${cluster}" is no name for a cluster: use lower-case letters, digits, "-" and ".".`, 2);
  }
  const { root, entry } = ensureRoot(options);
  const places = [
    { cluster: undefined, dir: options.dir },
    ...options.clusters.map((cluster) => ({ cluster, dir: join(options.dir, cluster) })),
  ];
  const isRootNew = entry.state === 'made';
  return {
    root: entry,
    intermediates: places.map((place) => ({ ...ensureIntermediate(options, root, isRootNew, place), ...place })),
  };
}

/** The root of a folder: the one that is there, or a new one. @throws UserError where it cannot be used */
export function ensureRoot(options: Omit<CertificateOptions, 'clusters' | 'renew'>): {
  root: CertAndKey;
  entry: CertificateEntry;
} {
  const { dir, newRoot, nowMs, days, organization } = options;
  const certFile = join(dir, 'root-cert.pem');
  const keyFile = join(dir, 'root-key.pem');
  if (existsSync(certFile) && !newRoot) {
    if (!existsSync(keyFile)) {
      throw new UserError(
        `${certFile} is there, but its key ${keyFile} is not, so nothing can be signed with it. Put the key back, choose another ` +
          'folder with --out, or start anew with --new-root.',
      );
    }
    const root = { certPem: readFileSync(certFile, 'utf8'), keyPem: readFileSync(keyFile, 'utf8') };
    check(`the root in ${dir}`, rootFiles(root), nowMs, '--new-root');
    return { root, entry: entryOf(root.certPem, 'kept') };
  }
  const root = makeRoot({ organization, commonName: `${organization} root CA`, days, nowMs });
  mkdirSync(dir, { recursive: true });
  writeFile(keyFile, root.keyPem, 0o600);
  writeFile(certFile, root.certPem, 0o644);
  return { root, entry: entryOf(root.certPem, 'made') };
}

function rootFiles(root: CertAndKey): CaFiles {
  return {
    'ca-cert.pem': root.certPem,
    'ca-key.pem': root.keyPem,
    'root-cert.pem': root.certPem,
    'cert-chain.pem': '',
  };
}

function ensureIntermediate(
  options: CertificateOptions,
  root: CertAndKey,
  isRootNew: boolean,
  place: { cluster: string | undefined; dir: string },
): CertificateEntry {
  const { organization, days, nowMs, renew } = options;
  if (!isRootNew && !renew && CA_FILE_NAMES.every((file) => existsSync(join(place.dir, file)))) {
    const files = readFiles(place.dir);
    if (files['root-cert.pem'] !== root.certPem) {
      throw new UserError(`${place.dir} belongs to another root than ${options.dir}. Renew it with --force.`);
    }
    check(place.dir, files, nowMs, '--force');
    return entryOf(files['ca-cert.pem'], 'kept');
  }
  const commonName = `${organization} intermediate CA ${place.cluster ?? ''}`.trim();
  const files = makeIntermediate(root, { organization, commonName, days, nowMs });
  mkdirSync(place.dir, { recursive: true });
  for (const file of CA_FILE_NAMES) {
    if (place.cluster === undefined && file === 'root-cert.pem') continue; // the root's own file, written above
    writeFile(join(place.dir, file), files[file], file === 'ca-key.pem' ? 0o600 : 0o644);
  }
  return entryOf(files['ca-cert.pem'], 'made');
}

function readFiles(dir: string): CaFiles {
  const read = (file: (typeof CA_FILE_NAMES)[number]) => readFileSync(join(dir, file), 'utf8');
  return {
    'ca-cert.pem': read('ca-cert.pem'),
    'ca-key.pem': read('ca-key.pem'),
    'root-cert.pem': read('root-cert.pem'),
    'cert-chain.pem': read('cert-chain.pem'),
  };
}

function check(what: string, files: CaFiles, nowMs: number, cure: string): void {
  try {
    checkCa(files, nowMs);
  } catch (error) {
    if (!(error instanceof CaError)) throw error;
    throw new UserError(`${what} cannot be used: ${error.message} (${cure} makes it anew.)`);
  }
}

/** Whole or not at all, and never readable by others in between. */
function writeFile(path: string, text: string, mode: number): void {
  const partial = `${path}.${process.pid}.partial`;
  writeFileSync(partial, text, { mode: 0o600 });
  chmodSync(partial, mode);
  renameSync(partial, path);
}

function entryOf(certPem: string, state: CertificateEntry['state']): CertificateEntry {
  const certificate = new X509Certificate(certPem);
  return {
    subject: certificate.subject.replaceAll('\n', ', '),
    fingerprint: certificate.fingerprint256,
    notAfter: certificate.validToDate.toISOString(),
    state,
  };
}
