// SPDX-License-Identifier: Apache-2.0
// `<state>/images.json`: the user's own programs, as they were when their files were read. Whoever starts a container
// reads it then, so a change counts from the next start on.
import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { readJson, writeAtomically } from '../atomic-file.ts';
import { closestNames } from '../closest-names.ts';
import { paths, SandboxError } from '../layout.ts';
import { CATALOGUE } from './catalogue.ts';
import { decodeImages, type HostFiles, type OwnImage } from './own-images.ts';

export type OwnImageTable = Readonly<Record<string, OwnImage>>;

export function readOwnImages(stateDir: string): OwnImageTable {
  return readJson<OwnImageTable>(paths.images(stateDir)) ?? {};
}

/** @throws SandboxError that names file, line and field of every mistake. */
export function readImageFiles(files: readonly string[], rootless: boolean): OwnImageTable {
  return Object.assign(
    {},
    ...files.map((file) => decodeImages(readSource(file), rootless, hostFiles)),
  ) as OwnImageTable;
}

/** What has the name of an earlier entry replaces it. */
export function addOwnImages(stateDir: string, images: OwnImageTable): void {
  if (Object.keys(images).length === 0) return;
  writeAtomically(
    paths.images(stateDir),
    `${JSON.stringify({ ...readOwnImages(stateDir), ...images }, undefined, 2)}\n`,
  );
}

/** @throws SandboxError when one of the names is not the user's. */
export function removeOwnImages(stateDir: string, names: readonly string[]): void {
  const images = { ...readOwnImages(stateDir) };
  for (const name of names) {
    if (images[name] === undefined) throw new SandboxError(describeUnknown(name, Object.keys(images)));
    delete images[name];
  }
  writeAtomically(paths.images(stateDir), `${JSON.stringify(images, undefined, 2)}\n`);
}

function describeUnknown(name: string, own: readonly string[]): string {
  if (own.length === 0) return `There are no images of your own. Add some: isthmus sandbox images add FILE`;
  if (name in CATALOGUE) return `"${name}" is the sandbox's own image; what can be removed: ${own.join(', ')}.`;
  return `There is no image of your own "${name}". Closest: ${closestNames(name, own, 3).join(', ')}.`;
}

function readSource(file: string): { file: string; text: string } {
  const path = resolve(file);
  try {
    return { file: path, text: readFileSync(path, 'utf8') };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new SandboxError(`${path} cannot be read (${code}): name a YAML file with \`images:\` in it.`);
  }
}

const hostFiles: HostFiles = {
  look(path, uid) {
    const info = statSync(path, { throwIfNoEntry: false });
    if (info === undefined) return undefined;
    return { isFolder: info.isDirectory(), isOpen: uid < 0 ? isAccessible(path) : isOpenTo(info, uid) };
  },
};

/** Its group does not help, and being root neither: containers have none of the machine's groups or capabilities. */
function isOpenTo(info: { mode: number; uid: number }, uid: number): boolean {
  const needed = info.uid === uid ? 0o500 : 0o005;
  return (info.mode & needed) === needed;
}

function isAccessible(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
