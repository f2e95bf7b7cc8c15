// SPDX-License-Identifier: Apache-2.0
// `isthmus sandbox images`: which program is behind which name.
import { existsSync } from 'node:fs';
import { CATALOGUE, type ImageProgram } from '../../sandbox/images/catalogue.ts';
import { addOwnImages, readImageFiles, readOwnImages, removeOwnImages } from '../../sandbox/images/own-images-file.ts';
import { paths, readConfig, SandboxError, sandboxDir } from '../../sandbox/layout.ts';
import { commandName } from '../command-name.ts';
import { renderTable } from '../table.ts';
import { printReport } from './report.ts';
import { withCure } from './with-cure.ts';

export type ImageListFormat = 'json' | 'yaml' | 'wide';

const DEFAULT_USER = 65_532;

export async function listImages(options: { name: string; output?: ImageListFormat }): Promise<void> {
  const own = await withCure(async () => readOwnImages(sandboxDir(options.name)));
  const catalogue = Object.entries(CATALOGUE).filter(([image]) => own[image] === undefined);
  const rows: ImageRow[] = [
    ...Object.entries(own).map(([image, program]) => describe(image, program)),
    ...catalogue.map(([image, program]) => describe(image, program)),
  ];
  if (options.output === 'json' || options.output === 'yaml') {
    printReport(rows, options.output);
    return;
  }
  const isWide = options.output === 'wide';
  const table = renderTable(
    ['IMAGE', 'PROGRAM', 'USER', ...(isWide ? ['COMMAND', 'FROM'] : [])],
    rows.map((row) => [
      row.image,
      row.description,
      String(row.user),
      ...(isWide ? [[...row.entrypoint, ...row.defaultArgs].join(' '), row.file ?? '-'] : []),
    ]),
    3,
  );
  process.stdout.write(
    `${table}\nAny tag will do, and any registry in front. Pods pull nothing: each name leads to a program of this machine.\n` +
      `Programs of your own: ${commandName()} sandbox images add FILE (--help shows one)\n`,
  );
}

interface ImageRow extends Required<ImageProgram> {
  readonly image: string;
  /** Of the user's own. */
  readonly file?: string;
}

function describe(image: string, program: ImageProgram): ImageRow {
  const { defaultArgs = [], env = {}, user = DEFAULT_USER, workingDir = '/', hostFolders = [] } = program;
  return { image, ...program, defaultArgs, env, user, workingDir, hostFolders };
}

export async function addImages(name: string, files: readonly string[]): Promise<void> {
  const names = await withCure(async () => {
    const stateDir = demandState(name);
    const images = readImageFiles(files, readConfig(paths.config(stateDir)).rootless);
    addOwnImages(stateDir, images);
    return Object.keys(images);
  });
  process.stderr.write(`Pods of the sandbox "${name}" can use: ${names.join(', ')}\n`);
}

export async function removeImages(name: string, images: readonly string[]): Promise<void> {
  await withCure(async () => removeOwnImages(demandState(name), images));
}

function demandState(name: string): string {
  const stateDir = sandboxDir(name);
  if (existsSync(paths.config(stateDir))) return stateDir;
  throw new SandboxError(`There is no sandbox "${name}". Start it with them: isthmus sandbox up --images FILE`);
}
