// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { resolveImage } from './catalogue.ts';
import { decodeImages, type HostFiles } from './own-images.ts';

/** Path -> who may read it. */
const machine: Readonly<Record<string, 'everybody' | 'owner' | 'program' | 'text'>> = {
  '/home/me/app': 'everybody',
  '/home/me/app/server': 'program',
  '/home/me/app/notes.txt': 'text',
  '/home/me/closed': 'owner',
  '/usr/bin/python3': 'program',
};
const host: HostFiles = {
  look: (path, uid) => {
    const kind = machine[path];
    if (kind === undefined) return undefined;
    const isFolder = kind === 'everybody' || kind === 'owner';
    return { isFolder, isOpen: kind !== 'text' && (kind !== 'owner' || uid === 1000 || uid < 0) };
  },
};
const decode = (text: string, rootless = false) => decodeImages({ file: '/w/images.yaml', text }, rootless, host);
const mistakes = (text: string, rootless = false): string[] => {
  try {
    decode(text, rootless);
    return [];
  } catch (error) {
    const [head, ...lines] = (error as Error).message.split('\n  ');
    expect(head).toBe('The images in /w/images.yaml cannot be used:');
    return lines;
  }
};

describe('images of one’s own', () => {
  it('are read with all that a container needs', () => {
    const images = decode(`
images:
  me/app:
    description: my app
    command: [/home/me/app/server, --port]
    args: ["8080"]
    env: { MODE: test, LEVEL: 3, ON: "yes", ZIP: 007 }
    ports: [8080, 9090]
    user: 1000
    workingDir: /home/me/app
    hostFolders: [/home/me/app/, /usr/local/go]
  registry.test:5000/me/app:v2: { command: [python3, -m, http.server] }
`);
    expect(images).toEqual({
      'me/app': {
        description: 'my app',
        entrypoint: ['/home/me/app/server', '--port'],
        defaultArgs: ['8080'],
        env: { MODE: 'test', LEVEL: '3', ON: 'yes', ZIP: '007' },
        ports: [8080, 9090],
        user: 1000,
        workingDir: '/home/me/app',
        hostFolders: ['/home/me/app'],
        file: '/w/images.yaml',
      },
      'registry.test:5000/me/app:v2': expect.objectContaining({ entrypoint: ['python3', '-m', 'http.server'] }),
    });
  });

  it.each([
    ['images: {a: {comand: [x]}}', 'line 1: images["a"].comand: there is no such field; closest: command. There are: '],
    ['\nimage: {}', 'line 2: image: there is no such field; closest: images.'],
    ['images: [a]', 'line 1: images: write `images:` and below it one entry per image'],
    ['images:\n  a: {}', 'line 2: images["a"].command is missing'],
    ['images:\n  a: {command: []}', 'line 2: images["a"].command is empty'],
    [
      'images:\n  a: {command: [sleep, 8]}',
      'line 2: images["a"].command: every entry must be a text (put 8 in quotes)',
    ],
    ['images:\n  a: {command: sleep 8}', 'line 2: images["a"].command: write a list'],
    ['images:\n  a:\n    command: [/opt/x/run]', 'line 3: images["a"].command: containers do not see /opt/x/run; add'],
    ['images:\n  a: {command: [/usr/bin/nothing]}', '/usr/bin/nothing is not on this machine'],
    [
      'images:\n  a: {hostFolders: [/home/me/app], command: [/home/me/app/notes.txt]}',
      'no program; `chmod +x /home/me/app/notes.txt`',
    ],
    ['images:\n  A: {command: [x]}', 'line 2: images["A"]: not an image\'s name'],
    ['images:\n  a@sha256:00: {command: [x]}', "not an image's name"],
    ['images:\n  a: {command: [x], user: me}', 'images["a"].user: write the user\'s number'],
    ['images:\n  a: {command: [x], ports: [http]}', 'images["a"].ports: write a list of numbers'],
    ['images:\n  a: {command: [x], env: [A=b]}', 'images["a"].env: write names and values'],
    ['images:\n  a: {command: [x], env: {A-B: c}}', 'images["a"].env["A-B"]: not a variable\'s name'],
    ['images:\n  a: {command: [x], env: {A: [c]}}', 'images["a"].env["A"]: write a text'],
    ['images:\n  a: {command: [x], workingDir: app}', 'images["a"].workingDir: write an absolute path'],
    ['images:\n  a: {command: [x], hostFolders: [/]}', 'hostFolders: / is what every container has of its own'],
    ['images:\n  a: {command: [x], hostFolders: [/proc/1]}', '/proc/1 is what every container has of its own'],
    ['images:\n  a: {command: [x], hostFolders: [/home/../etc]}', 'is not an absolute path'],
    ['images:\n  a: {command: [x], hostFolders: [/home/me/gone]}', '/home/me/gone is not on this machine'],
    ['images:\n  a: {command: [x], hostFolders: [/home/me/app/server]}', 'is a file; name its folder (/home/me/app)'],
    ['images:\n  a: {command: [x], hostFolders: [/home/me/closed]}', 'is closed to user 65532'],
    ['images:\n  a: {command: [x]\n', 'line '],
    ['images:\n  a: {command: [x]}\n  a: {command: [y]}', 'line 3: Map keys must be unique'],
  ])('%j is refused with the cure', (text, sentence) => {
    expect(mistakes(text).join('\n')).toContain(sentence);
  });

  it('a folder that is closed to others is open to its owner, and in a sandbox of that user', () => {
    expect(mistakes('images: {a: {command: [x], user: 1000, hostFolders: [/home/me/closed]}}')).toEqual([]);
    expect(mistakes('images: {a: {command: [x], hostFolders: [/home/me/closed]}}', true)).toEqual([]);
  });

  it('mistakes are told in the order of the file', () => {
    const lines = mistakes('images:\n  a:\n    user: x\n    command: [1]\n    ports: 1\nother: 1\n');
    expect(lines.map((line) => line.split(':')[0])).toEqual(['line 3', 'line 4', 'line 5', 'line 6']);
  });

  it('the name that says most wins, and the user’s own before the catalogue', () => {
    const own = decode(
      ['me/app', 'me/app:v2', 'registry.test/me/app', 'curlimages/curl']
        .map((name) => `  "${name}": {command: [${name.replaceAll(/\W/g, '')}]}`)
        .reduce((text, line) => `${text}\n${line}`, 'images:'),
    );
    const program = (image: string) => {
      const found = resolveImage(image, own);
      return found.kind === 'program' ? found.program.entrypoint[0] : found.closest;
    };
    expect(program('me/app')).toBe('meapp');
    expect(program('me/app:v1')).toBe('meapp');
    expect(program('me/app:v2')).toBe('meappv2');
    expect(program('other.test:5000/me/app:v2@sha256:00ff')).toBe('meappv2');
    expect(program('registry.test/me/app:v9')).toBe('registrytestmeapp');
    expect(program('curlimages/curl:8.10')).toBe('curlimagescurl');
    expect(program('kennethreitz/httpbin')).toBe('node');
    expect(program('me/ap')).toEqual(['me/app', expect.any(String), expect.any(String)]);
  });
});
