// SPDX-License-Identifier: Apache-2.0
// /opt/isthmus of every container: node, envoy, isthmus and curl, what images have and this machine may lack, and the
// bundle with the images' programs.
import { chmodSync, cpSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

export interface ToolPaths {
  readonly node: string;
  readonly envoy: string | undefined;
  /** Folder with isthmus.mjs and images/. */
  readonly dist: string;
}

export interface Toolbox {
  /** Becomes /opt/isthmus/bin. */
  readonly bin: string;
  /** Name in /opt/isthmus/bin -> file that is mounted over it. */
  readonly programs: Readonly<Record<string, string>>;
  /** Becomes /opt/isthmus/dist. */
  readonly dist: string;
}

const SCRIPTS = { isthmus: 'isthmus.mjs', 'pilot-agent': 'isthmus.mjs', curl: 'images/curl.mjs' };
/** Programs that people call by name in images that have them: the machine's own where it has one. */
const STAND_INS = { nc: 'images/nc.mjs', fortio: 'images/fortio.mjs', gunicorn: 'images/httpbin.mjs gunicorn' };

/**
 * @param memoryFolder for /opt/isthmus/bin itself
 * @param copyFolder on disk, for copies of what the pods' users could not read where it is (a umask of 077 makes such
 * files); undefined when pods run as this process's own user
 */
export function writeToolbox(tools: ToolPaths, memoryFolder: string, copyFolder: string | undefined): Toolbox {
  mkdirSync(memoryFolder, { recursive: true });
  chmodSync(memoryFolder, 0o755);
  if (copyFolder !== undefined) rmSync(copyFolder, { recursive: true, force: true });
  const publish = (path: string) => (copyFolder === undefined || isPublic(path) ? path : copy(path, copyFolder));
  const programs: Record<string, string> = { node: publish(tools.node) };
  if (tools.envoy) programs['envoy'] = publish(tools.envoy);
  for (const name of Object.keys(programs)) writeFileSync(join(memoryFolder, name), '');
  const writeScript = (name: string, lines: string): void => {
    const path = join(memoryFolder, name);
    writeFileSync(path, `#!/bin/sh\n${lines}`);
    chmodSync(path, 0o755);
  };
  for (const [name, words] of Object.entries(SCRIPTS)) writeScript(name, runDist(words));
  for (const [name, words] of Object.entries(STAND_INS)) {
    const own = `for own in /usr/local/bin/${name} /usr/bin/${name}; do [ ! -x "$own" ] || exec "$own" "$@"; done\n`;
    writeScript(name, `${own}${runDist(words)}`);
  }
  return { bin: memoryFolder, programs, dist: publish(tools.dist) };
}

/** A path at which an image has one of them, and this machine perhaps not, becomes the script that finds either. */
export function atStandIn(argv: readonly string[]): readonly string[] {
  const [, name] = /^\/usr\/(?:local\/)?bin\/([^/]+)$/.exec(argv[0] ?? '') ?? [];
  return name !== undefined && Object.hasOwn(STAND_INS, name) ? [`/opt/isthmus/bin/${name}`, ...argv.slice(1)] : argv;
}

function runDist(words: string): string {
  return `exec /opt/isthmus/bin/node /opt/isthmus/dist/${words} "$@"\n`;
}

/** Readable by everybody, folders with all that is in them. The way to it does not count: it is mounted. */
function isPublic(path: string): boolean {
  const info = statSync(path);
  if (!info.isDirectory()) return (info.mode & 0o004) !== 0 && ((info.mode & 0o100) === 0 || (info.mode & 0o001) !== 0);
  return (info.mode & 0o005) === 0o005 && readdirSync(path).every((name) => isPublic(join(path, name)));
}

function copy(path: string, folder: string): string {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const target = join(folder, basename(path));
  cpSync(path, target, { recursive: true, dereference: true });
  makePublic(target);
  return target;
}

function makePublic(path: string): void {
  const info = statSync(path);
  chmodSync(path, info.isDirectory() || (info.mode & 0o100) !== 0 ? 0o755 : 0o644);
  if (info.isDirectory()) for (const name of readdirSync(path)) makePublic(join(path, name));
}
