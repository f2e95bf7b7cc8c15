// SPDX-License-Identifier: Apache-2.0
// Whom the clusters trust: one root, and for each cluster an intermediate of it, whose key is in that cluster's Secret
// cacerts and nowhere else. The root's key is read only when a cluster has no intermediate yet (docs/decisions/0030).
import { X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import {
  CA_FILE_NAMES,
  CaError,
  type CaFiles,
  type CertAndKey,
  checkCa,
  makeIntermediate,
} from '../../identity/ca-material.ts';
import { ISTIO_NAMESPACE } from '../../install/values/values.ts';
import type { KubeObject } from '../../kube/types.ts';
import { certificateBlocks } from '../../pki/x509.ts';
import { ensureRoot } from '../certificate-files.ts';
import { UserError } from '../user-error.ts';
import type { Mesh } from './mesh-file.ts';
import { MADE_CA_DIR } from './mesh-shape.ts';
import { markMade } from './record.ts';

export const CA_SECRET = 'cacerts';
const ROOT_FILE = 'root-cert.pem';

/** What is to become of a cluster's Secret cacerts. */
export type CaPlan =
  | { readonly kind: 'keep' }
  /** `isReplaced`: another one is there. */
  | { readonly kind: 'make'; readonly isReplaced: boolean };

export interface Trust {
  /** A root is still to be made. */
  readonly makesRoot: boolean;
  readonly dir: string;
  /** By the cluster's name. A mistake is that cluster's alone. */
  readonly plans: ReadonlyMap<string, CaPlan | UserError>;
  /** Makes, or reads, what a cluster is to have. @throws UserError */
  secretFor(cluster: string): KubeObject;
}

/**
 * @param existing Secret cacerts of each cluster that could be read; undefined where there is none
 * @throws UserError for what concerns all clusters
 */
export function planTrust(mesh: Mesh, existing: ReadonlyMap<string, KubeObject | undefined>, nowMs: number): Trust {
  switch (mesh.spec.trust.ca) {
    case 'made':
      return planMade(mesh, existing, nowMs);
    case 'files':
      return planFiles(mesh, existing, nowMs);
    case 'secrets':
      return planSecrets(existing, nowMs);
  }
}

function planMade(mesh: Mesh, existing: ReadonlyMap<string, KubeObject | undefined>, nowMs: number): Trust {
  const { organization, days, directory = MADE_CA_DIR } = mesh.spec.trust;
  const dir = resolve(mesh.dir, directory);
  const given = new Map(
    [...existing].flatMap(([name, secret]) => (secret === undefined ? [] : [[name, filesOf(secret)] as const])),
  );
  const local = readIfThere(join(dir, ROOT_FILE));
  const plans = new Map<string, CaPlan | UserError>();
  // Those that are there already decide: a new root would divide the mesh.
  const [first] = given;
  const root = local ?? first?.[1][ROOT_FILE];
  const whose = local === undefined ? `cluster ${first?.[0]}` : join(dir, ROOT_FILE);
  for (const [name] of existing) {
    const files = given.get(name);
    if (files !== undefined) plans.set(name, judgeGiven(name, files, root, whose, nowMs));
    else if (root !== undefined && local === undefined) plans.set(name, missingRoot(name, root, dir, whose));
    else if (root !== undefined && !existsSync(join(dir, 'root-key.pem'))) plans.set(name, missingKey(name, dir));
    else plans.set(name, { kind: 'make', isReplaced: false });
  }
  const makes = [...plans.values()].some((plan) => !(plan instanceof UserError) && plan.kind === 'make');
  let made: CertAndKey | undefined;
  return {
    makesRoot: makes && local === undefined,
    dir,
    plans,
    secretFor: (cluster) => {
      made ??= openRoot(dir, organization, days, nowMs);
      const commonName = `${organization} intermediate CA ${cluster}`;
      return buildSecret(mesh, makeIntermediate(made, { organization, commonName, days, nowMs }));
    },
  };
}

function openRoot(dir: string, organization: string, days: number, nowMs: number): CertAndKey {
  try {
    if (!existsSync(dir)) {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      // Beside a mesh.yaml that is in git, say: a key that was committed once is everybody's.
      writeFileSync(join(dir, '.gitignore'), '*\n');
    }
    return ensureRoot({ dir, organization, days, newRoot: false, nowMs }).root;
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (syscall === undefined) throw error;
    throw new UserError(`the root cannot be kept in ${dir} (${code}): name another folder as spec.trust.directory`);
  }
}

/** A cluster that has a CA keeps it, if the mesh will trust it. */
function judgeGiven(
  name: string,
  files: CaFiles,
  root: string | undefined,
  whose: string,
  nowMs: number,
): CaPlan | UserError {
  const mistake = mistakeIn(files, nowMs);
  if (mistake !== undefined) return new UserError(`${secretOf(name)} cannot be used: ${mistake}`);
  if (root === undefined || sharesRoot(files[ROOT_FILE], root)) return { kind: 'keep' };
  return new UserError(
    `${secretOf(name)} has another root (${fingerprint(files[ROOT_FILE])}) than ${whose} (${fingerprint(root)}), so that its ` +
      'workloads and those of the other clusters would refuse one another: delete that Secret to have it made anew (the pods of ' +
      'the cluster then have to be made anew, too), or name the folder of its root as spec.trust.directory',
  );
}

function missingRoot(name: string, root: string, dir: string, whose: string): UserError {
  return new UserError(
    `cluster ${name} needs an intermediate of the root that ${whose} has (${fingerprint(root)}), and that root is not here: ` +
      `put its root-cert.pem and root-key.pem into ${dir}, or name their folder as spec.trust.directory`,
  );
}

function missingKey(name: string, dir: string): UserError {
  const what = `cluster ${name} needs an intermediate, and the root’s key ${join(dir, 'root-key.pem')} is not there`;
  return new UserError(`${what}: put it back for as long as this command runs`);
}

function planFiles(mesh: Mesh, existing: ReadonlyMap<string, KubeObject | undefined>, nowMs: number): Trust {
  const dir = resolve(mesh.dir, mesh.spec.trust.directory ?? '');
  const plans = new Map<string, CaPlan | UserError>();
  const read = new Map<string, CaFiles>();
  for (const [name, secret] of existing) {
    const files = readFolder(join(dir, name), nowMs);
    if (files instanceof UserError) {
      plans.set(name, files);
      continue;
    }
    read.set(name, files);
    const given = secret && filesOf(secret);
    const isSame = given !== undefined && CA_FILE_NAMES.every((file) => given[file] === files[file]);
    plans.set(name, isSame ? { kind: 'keep' } : { kind: 'make', isReplaced: given !== undefined });
  }
  demandOneRoot(read, (name) => join(dir, name, ROOT_FILE));
  return {
    makesRoot: false,
    dir,
    plans,
    secretFor: (cluster) => {
      const files = read.get(cluster);
      if (files === undefined) throw new UserError(`${join(dir, cluster)} has no CA`);
      return buildSecret(mesh, files);
    },
  };
}

function planSecrets(existing: ReadonlyMap<string, KubeObject | undefined>, nowMs: number): Trust {
  const plans = new Map<string, CaPlan | UserError>();
  const read = new Map<string, CaFiles>();
  for (const [name, secret] of existing) {
    const files = secret && filesOf(secret);
    const mistake = files === undefined ? 'it is not there' : mistakeIn(files, nowMs);
    if (files !== undefined) read.set(name, files);
    const cure = 'make it (docs/certificates.md), or let `mesh up` make it: spec.trust.ca: made';
    plans.set(name, mistake === undefined ? { kind: 'keep' } : new UserError(`${secretOf(name)}: ${mistake}: ${cure}`));
  }
  demandOneRoot(read, secretOf);
  return {
    makesRoot: false,
    dir: '',
    plans,
    secretFor: (cluster) => {
      throw new UserError(`${secretOf(cluster)} is not there`);
    },
  };
}

/** @throws UserError that names the two which differ */
function demandOneRoot(read: ReadonlyMap<string, CaFiles>, placeOf: (cluster: string) => string): void {
  const [first, ...others] = read;
  if (first === undefined) return;
  for (const [name, files] of others) {
    if (sharesRoot(files[ROOT_FILE], first[1][ROOT_FILE])) continue;
    const [one, two] = [first[1], files].map((each) => fingerprint(each[ROOT_FILE]));
    throw new UserError(
      `${placeOf(first[0])} and ${placeOf(name)} hold different roots (${one}, ${two}): clusters of one mesh have one in common; ` +
        'add the one to the other’s root-cert.pem, or take intermediates of one root',
    );
  }
}

function readFolder(dir: string, nowMs: number): CaFiles | UserError {
  const missing = CA_FILE_NAMES.filter((file) => !existsSync(join(dir, file)));
  if (missing.length > 0) {
    const cure = `put ${CA_FILE_NAMES.join(', ')} of the cluster’s own intermediate there (docs/certificates.md)`;
    return new UserError(`${dir} has no ${missing.join(', ')}: ${cure}`);
  }
  const read = (file: (typeof CA_FILE_NAMES)[number]) => readFileSync(join(dir, file), 'utf8');
  const files = Object.fromEntries(CA_FILE_NAMES.map((file) => [file, read(file)])) as unknown as CaFiles;
  const mistake = mistakeIn(files, nowMs);
  return mistake === undefined ? files : new UserError(`${dir} cannot be used: ${mistake}`);
}

function mistakeIn(files: CaFiles, nowMs: number): string | undefined {
  try {
    checkCa(files, nowMs);
    return undefined;
  } catch (error) {
    if (error instanceof CaError) return error.message;
    throw error;
  }
}

function filesOf(secret: KubeObject): CaFiles {
  const data = (secret['data'] ?? {}) as Record<string, string>;
  const text = (file: string) => Buffer.from(data[file] ?? '', 'base64').toString('utf8');
  return Object.fromEntries(CA_FILE_NAMES.map((file) => [file, text(file)])) as unknown as CaFiles;
}

function buildSecret(mesh: Mesh, files: CaFiles): KubeObject {
  const data = Object.fromEntries(CA_FILE_NAMES.map((file) => [file, Buffer.from(files[file]).toString('base64')]));
  const metadata = markMade({ name: CA_SECRET, namespace: ISTIO_NAMESPACE }, mesh.name);
  return { apiVersion: 'v1', kind: 'Secret', metadata, type: 'Opaque', data };
}

function sharesRoot(one: string, other: string): boolean {
  const fingerprints = (pem: string) =>
    certificateBlocks(pem).map((block) => new X509Certificate(block).fingerprint256);
  const known = new Set(fingerprints(one));
  return fingerprints(other).some((each) => known.has(each));
}

/** Enough to tell one from another. */
function fingerprint(pem: string): string {
  const [block] = certificateBlocks(pem);
  return block === undefined ? 'none' : `SHA-256 ${new X509Certificate(block).fingerprint256.slice(0, 23)}...`;
}

function secretOf(cluster: string): string {
  return `Secret ${ISTIO_NAMESPACE}/${CA_SECRET} of cluster ${cluster}`;
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new UserError(`${file} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}
