// SPDX-License-Identifier: Apache-2.0
// The user's own programs under image names, from a YAML file (docs/sandbox.md, "Your own programs"):
//
//     images:
//       me/hello:
//         command: [python3, -m, http.server, "8080"]
//         workingDir: /home/me/hello
//         hostFolders: [/home/me/hello]
//
// This decodes and judges; own-images-file.ts keeps what was good.
import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type YAMLMap } from 'yaml';
import { closestNames } from '../closest-names.ts';
import { SandboxError } from '../layout.ts';
import type { ImageProgram } from './catalogue.ts';

/** A program of the user's, as `sandbox images -o json` shows it. */
export interface OwnImage extends ImageProgram {
  /** What it listens on; for people, as EXPOSE in an image. */
  readonly ports: readonly number[];
  /** The file that it was read from. */
  readonly file: string;
}

/** What is asked of the machine, once, when the file is read. */
export interface HostFiles {
  /** undefined: nothing is there. `open`: this user id may read it (a folder: and enter it). */
  look(path: string, uid: number): { readonly isFolder: boolean; readonly isOpen: boolean } | undefined;
}

export interface ImagesFile {
  /** As the user named it, for messages and for `sandbox images`. */
  readonly file: string;
  readonly text: string;
}

const FIELDS = ['description', 'command', 'args', 'env', 'ports', 'user', 'workingDir', 'hostFolders'] as const;
const DEFAULT_USER = 65_532;
/** Name, with a registry in front and a tag behind where these matter: the Docker reference grammar, without digests. */
const IMAGE_NAME =
  /^([\w.-]+(:\d+)?\/)?[a-z0-9]+([._-]+[a-z0-9]+)*(\/[a-z0-9]+([._-]+[a-z0-9]+)*)*(:[A-Za-z0-9_][\w.-]{0,127})?$/;
/** What every container has already, or has of its own. */
const ALWAYS_THERE = /^\/(usr|bin|sbin|lib|lib32|lib64|libx32)(\/|$)/;
const NEVER = /^\/($|proc(\/|$)|sys(\/|$)|dev(\/|$)|run(\/|$)|var\/run(\/|$)|etc$|tmp$|var$|opt$|opt\/isthmus(\/|$))/;

/**
 * @param rootless everything in the sandbox runs as the user: folders need not be open to others.
 * @throws SandboxError that lists every mistake: file, line, field, and what to write instead.
 */
export function decodeImages(
  source: ImagesFile,
  rootless: boolean,
  host: HostFiles,
): Readonly<Record<string, OwnImage>> {
  const reader = new Reader(source, host, rootless);
  const images = reader.read();
  if (reader.mistakes.length === 0) return images;
  throw new SandboxError(`The images in ${source.file} cannot be used:\n  ${reader.mistakes.join('\n  ')}`);
}

class Reader {
  readonly #mistakes: { line: number; sentence: string }[] = [];
  readonly #source: ImagesFile;
  readonly #host: HostFiles;
  readonly #rootless: boolean;
  readonly #lines = new LineCounter();

  constructor(source: ImagesFile, host: HostFiles, rootless: boolean) {
    this.#source = source;
    this.#host = host;
    this.#rootless = rootless;
  }

  /** In the order of the file. */
  get mistakes(): string[] {
    return this.#mistakes.toSorted((a, b) => a.line - b.line).map(({ line, sentence }) => `line ${line}: ${sentence}`);
  }

  read(): Record<string, OwnImage> {
    const document = parseDocument(this.#source.text, { lineCounter: this.#lines });
    for (const { message, pos } of document.errors) this.#say(pos[0], message.split('\n')[0]!);
    if (this.mistakes.length > 0) return {};
    const root = document.contents;
    const images = isMap(root) ? (root as YAMLMap).get('images', true) : undefined;
    const shape = 'write `images:` and below it one entry per image, such as `me/hello: { command: [/usr/bin/env] }`';
    if (!isMap(root)) {
      this.#say(0, shape);
      return {};
    }
    this.#refuseOthers(root, ['images'], '');
    if (!isMap(images) || images.items.length === 0) {
      this.#say(images ?? root, `images: ${shape}`);
      return {};
    }
    return Object.fromEntries(
      images.items.flatMap(({ key, value }) => {
        const name = isScalar(key) ? String(key.value) : '';
        const image = this.#readImage(name, key as Node, value as Node | null);
        return image === undefined ? [] : [[name, image]];
      }),
    );
  }

  #readImage(name: string, key: Node, value: Node | null): OwnImage | undefined {
    const field = `images["${name}"]`;
    if (!IMAGE_NAME.test(name) || name.includes('@')) {
      this.#say(key, `${field}: not an image's name; write for example me/hello or registry.example/me/hello:v2`);
    }
    if (!isMap(value)) {
      this.#say(key, `${field}: say at least what runs, such as { command: [python3, /home/me/app/main.py] }`);
      return undefined;
    }
    this.#refuseOthers(value, FIELDS, `${field}.`);
    const user = this.#readUser(value, field);
    const hostFolders = this.#readFolders(value, field, user);
    const command = this.#readWords(value, 'command', field);
    this.#checkProgram(value, field, command, hostFolders);
    const args = this.#readWords(value, 'args', field);
    const workingDir = this.#readText(value, 'workingDir', field);
    if (workingDir !== undefined && !workingDir.startsWith('/')) {
      this.#say(this.#at(value, 'workingDir'), `${field}.workingDir: write an absolute path, such as /home/me/app`);
    }
    return {
      description: this.#readText(value, 'description', field) ?? command.join(' '),
      entrypoint: command,
      ...(args.length > 0 && { defaultArgs: args }),
      env: this.#readEnv(value, field),
      ...(user !== DEFAULT_USER && { user }),
      ...(workingDir !== undefined && { workingDir }),
      hostFolders,
      ports: this.#readPorts(value, field),
      file: this.#source.file,
    };
  }

  #readUser(map: YAMLMap, field: string): number {
    const user = map.get('user');
    if (user === undefined) return DEFAULT_USER;
    if (typeof user === 'number' && Number.isInteger(user) && user >= 0 && user <= 0x7fff_fffe) return user;
    this.#say(this.#at(map, 'user'), `${field}.user: write the user's number (\`id -u\` says yours), such as 1000`);
    return DEFAULT_USER;
  }

  #readFolders(map: YAMLMap, field: string, user: number): string[] {
    const folders: string[] = [];
    for (const [path, node] of this.#readList(map, 'hostFolders', field)) {
      const where = `${field}.hostFolders`;
      if (ALWAYS_THERE.test(path)) continue;
      const cleaned = path.length > 1 ? path.replace(/\/+$/, '') : path;
      const problem = this.#judgeFolder(cleaned, user);
      if (problem !== undefined) this.#say(node, `${where}: ${path} ${problem}`);
      else folders.push(cleaned);
    }
    return [...new Set(folders)];
  }

  #judgeFolder(path: string, user: number): string | undefined {
    if (!path.startsWith('/') || path.split('/').includes('..')) return 'is not an absolute path such as /home/me/app';
    if (NEVER.test(path)) {
      return 'is what every container has of its own; name the folder of your program, such as /home/me/app';
    }
    const found = this.#host.look(path, this.#rootless ? -1 : user);
    if (found === undefined) return 'is not on this machine';
    if (!found.isFolder) return `is a file; name its folder (${path.slice(0, path.lastIndexOf('/')) || '/'})`;
    if (!found.isOpen) {
      return `is closed to user ${user}, as whom the program runs; \`chmod o+rx ${path}\`, or give \`user:\``;
    }
    return undefined;
  }

  /** What can be known to fail is said now, not by a pod that does not start. */
  #checkProgram(map: YAMLMap, field: string, command: readonly string[], hostFolders: readonly string[]): void {
    const [program] = command;
    const node = this.#at(map, 'command');
    if (program === undefined) {
      if (!map.has('command')) this.#say(map, `${field}.command is missing: write what runs, as a list of words`);
      else if (isSeq(node) && node.items.length === 0)
        this.#say(node, `${field}.command is empty: write what runs, as a list of words`);
      return;
    }
    if (!program.startsWith('/') || program.startsWith('/opt/isthmus/')) return;
    const isSeen =
      ALWAYS_THERE.test(program) ||
      hostFolders.some((folder) => program === folder || program.startsWith(`${folder}/`));
    const folder = program.slice(0, program.lastIndexOf('/')) || '/';
    if (!isSeen) {
      this.#say(node, `${field}.command: containers do not see ${program}; add \`hostFolders: [${folder}]\``);
      return;
    }
    const found = this.#host.look(program, -1);
    if (found === undefined) this.#say(node, `${field}.command: ${program} is not on this machine`);
    else if (!found.isOpen) this.#say(node, `${field}.command: ${program} is no program; \`chmod +x ${program}\``);
  }

  #readEnv(map: YAMLMap, field: string): Record<string, string> {
    const env = map.get('env', true);
    if (env === undefined) return {};
    if (!isMap(env)) {
      this.#say(env as Node, `${field}.env: write names and values, such as { GREETING: hello }`);
      return {};
    }
    return Object.fromEntries(
      env.items.flatMap(({ key, value }) => {
        const name = isScalar(key) ? String(key.value) : '';
        const scalar = isScalar(value) ? value.value : undefined;
        if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
          this.#say(key as Node, `${field}.env["${name}"]: not a variable's name`);
        } else if (typeof scalar !== 'string' && typeof scalar !== 'number' && typeof scalar !== 'boolean') {
          this.#say(
            key as Node,
            `${field}.env["${name}"]: write a text, in quotes where YAML would read another thing`,
          );
        }
        return [[name, isScalar(value) ? (value.source ?? String(scalar)) : '']];
      }),
    );
  }

  #readPorts(map: YAMLMap, field: string): number[] {
    const ports = map.get('ports', true);
    if (ports === undefined) return [];
    const numbers = isSeq(ports) ? ports.items.map((item) => (isScalar(item) ? item.value : undefined)) : [undefined];
    if (numbers.every((port) => Number.isInteger(port) && Number(port) >= 1 && Number(port) <= 65_535)) {
      return numbers.map(Number);
    }
    this.#say(ports as Node, `${field}.ports: write a list of numbers from 1 to 65535, such as [8080]`);
    return [];
  }

  #readText(map: YAMLMap, name: string, field: string): string | undefined {
    const value = map.get(name);
    if (value === undefined || typeof value === 'string') return value;
    this.#say(this.#at(map, name), `${field}.${name}: write a text`);
    return undefined;
  }

  #readWords(map: YAMLMap, name: string, field: string): string[] {
    return this.#readList(map, name, field).map(([word]) => word);
  }

  #readList(map: YAMLMap, name: string, field: string): [string, Node][] {
    const list = map.get(name, true);
    if (list === undefined) return [];
    if (!isSeq(list)) {
      this.#say(list as Node, `${field}.${name}: write a list, such as [python3, -m, http.server, "8080"]`);
      return [];
    }
    return list.items.flatMap((item): [string, Node][] => {
      if (isScalar(item) && typeof item.value === 'string') return [[item.value, item]];
      const said = isScalar(item) ? ` (put ${String(item.source ?? item.value)} in quotes)` : '';
      this.#say(item as Node, `${field}.${name}: every entry must be a text${said}`);
      return [];
    });
  }

  #refuseOthers(map: YAMLMap, known: readonly string[], prefix: string): void {
    for (const { key } of map.items) {
      const name = isScalar(key) ? String(key.value) : '';
      if (known.includes(name)) continue;
      const [closest] = closestNames(name, known, 1);
      this.#say(
        key as Node,
        `${prefix}${name}: there is no such field; closest: ${closest}. There are: ${known.join(', ')}`,
      );
    }
  }

  #at(map: YAMLMap, name: string): Node {
    return (map.get(name, true) as Node | undefined) ?? map;
  }

  #say(where: Node | number, sentence: string): void {
    const offset = typeof where === 'number' ? where : (where.range?.[0] ?? 0);
    this.#mistakes.push({ line: Math.max(1, this.#lines.linePos(offset).line), sentence });
  }
}
