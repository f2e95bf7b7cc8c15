// SPDX-License-Identifier: Apache-2.0
// What a Corefile (CoreDNS' configuration) says about forwarding; https://coredns.io/manual/configuration/.
//
//     global:53 {
//         errors
//         forward . 10.96.4.2 { policy sequential }
//     }
import { isIPv4, isIPv6 } from 'node:net';
import { closestNames } from '../closest-names.ts';
import type { DnsUpstream, StubDomains } from './stub-domains.ts';

/** A Corefile that CoreDNS would refuse, too. */
class CorefileError extends Error {
  override readonly name = 'CorefileError';
  readonly line: number;

  constructor(line: number, sentence: string) {
    super(`Corefile line ${line}: ${sentence}`);
    this.line = line;
  }
}

export interface Corefile {
  /** An empty list of servers: names that `except` keeps here. */
  readonly stubs: StubDomains;
  /** What is right, but not carried out here: one sentence each, with its line. */
  readonly notes: readonly string[];
}

/** Plugins that change nothing about which server is asked, or that this DNS does by itself. */
const UNNOTED = ['errors', 'log', 'health', 'ready', 'kubernetes', 'prometheus', 'cache', 'loop', 'reload'].concat([
  'loadbalance',
  'autopath',
  'bind',
  'bufsize',
  'cancel',
  'debug',
  'lameduck',
  'metadata',
  'nsid',
  'pprof',
  'trace',
]);
const OTHERS = [
  'acl',
  'any',
  'auto',
  'azure',
  'chaos',
  'clouddns',
  'dns64',
  'dnssec',
  'dnstap',
  'erratic',
  'etcd',
].concat(
  ['federation', 'file', 'grpc', 'header', 'hosts', 'import', 'k8s_external', 'local', 'minimal', 'multisocket'],
  ['proxyproto', 'quic', 'rewrite', 'root', 'route53', 'secondary', 'sign', 'template', 'timeouts', 'tls', 'transfer'],
  ['tsig', 'view', 'whoami'],
);
const FORWARDERS = ['forward', 'proxy'];
const KNOWN = [...FORWARDERS, ...UNNOTED, ...OTHERS];
const OWN_PORT = '53';

interface Line {
  readonly number: number;
  readonly words: readonly string[];
}

interface Directive extends Line {
  readonly block: readonly Line[];
}

interface ServerBlock {
  readonly keys: Line;
  readonly directives: readonly Directive[];
}

/** @throws CorefileError for what CoreDNS would not start with. */
export function readCorefile(text: string): Corefile {
  const stubs = new Map<string, readonly DnsUpstream[]>();
  const notes: string[] = [];
  const seen = new Map<string, number>();
  for (const { keys, directives } of parseBlocks(readLines(text))) {
    const zones = keys.words.flatMap((key) => {
      const zone = readZone(key, keys.number);
      const before = seen.get(`${zone.name}:${zone.port}`);
      if (before !== undefined) {
        throw new CorefileError(keys.number, `${key} has a server block already, at line ${before}: join the two`);
      }
      seen.set(`${zone.name}:${zone.port}`, keys.number);
      if (zone.port === OWN_PORT) return [zone.name];
      notes.push(
        `Corefile line ${keys.number}: ${key} is for port ${zone.port}; this DNS serves port ${OWN_PORT} only`,
      );
      return [];
    });
    for (const directive of directives) readDirective(directive, zones, stubs, notes);
  }
  return { stubs, notes };
}

/** Words of each line that has any; comments are gone, and `{` and `}` are words. A word in quotes may have spaces. */
function readLines(text: string): Line[] {
  return text
    .split('\n')
    .map((line, i) => {
      const words = [...line.matchAll(/"((?:[^"\\]|\\.)*)"|(#.*)|(\S+)/g)]
        .filter((match) => match[2] === undefined)
        .map((match) => match[1] ?? match[3]!);
      // `example.org{` is one word to a hurried writer.
      const split = words.flatMap((word) =>
        word.length > 1 && word.endsWith('{') && !word.includes('{$') ? [word.slice(0, -1), '{'] : [word],
      );
      return { number: i + 1, words: split };
    })
    .filter(({ words }) => words.length > 0);
}

function parseBlocks(lines: readonly Line[]): ServerBlock[] {
  const blocks: ServerBlock[] = [];
  let keys: string[] = [];
  for (let i = 0; i < lines.length; i++) {
    const { number, words } = lines[i]!;
    if (words[0] === '}') throw new CorefileError(number, 'there is no block that this } could end');
    keys.push(...words.filter((word) => word !== '{').flatMap((word) => word.split(',').filter((key) => key !== '')));
    if (words.at(-1) !== '{') {
      // CoreDNS lets keys go on over lines as long as there is a comma.
      if (!words.at(-1)!.endsWith(','))
        throw new CorefileError(number, `write { behind ${words.at(-1)}, at its line's end`);
      continue;
    }
    if (keys.length === 0)
      throw new CorefileError(number, 'a server block begins with the zones it is for, such as global:53 {');
    const { directives, end } = parseDirectives(lines, i + 1, number);
    // Snippets are text for `import`, and serve nothing.
    if (!/^\(.*\)$/.test(keys[0]!)) blocks.push({ keys: { number, words: keys }, directives });
    keys = [];
    i = end;
  }
  return blocks;
}

function parseDirectives(
  lines: readonly Line[],
  start: number,
  opened: number,
): { directives: Directive[]; end: number } {
  const directives: Directive[] = [];
  for (let i = start; i < lines.length; i++) {
    const line = lines[i]!;
    if (line.words[0] === '}') return { directives, end: i };
    if (line.words.at(-1) !== '{') {
      directives.push({ ...line, block: [] });
      continue;
    }
    const block: Line[] = [];
    let depth = 1;
    for (i++; i < lines.length && depth > 0; i++) {
      const { words } = lines[i]!;
      if (words[0] === '}') depth--;
      else block.push(lines[i]!);
      if (words.at(-1) === '{') depth++;
    }
    if (depth > 0) throw new CorefileError(line.number, `the block of "${line.words[0]}" is not ended by a }`);
    i--;
    directives.push({ number: line.number, words: line.words.slice(0, -1), block });
  }
  throw new CorefileError(opened, 'this server block is not ended by a }');
}

function readDirective(
  directive: Directive,
  zones: readonly string[],
  stubs: Map<string, readonly DnsUpstream[]>,
  notes: string[],
): void {
  const [plugin = ''] = directive.words;
  if (!KNOWN.includes(plugin)) {
    const [closest] = closestNames(plugin, KNOWN, 1);
    throw new CorefileError(directive.number, `CoreDNS has no plugin "${plugin}"; closest: ${closest}`);
  }
  if (OTHERS.includes(plugin)) notes.push(`Corefile line ${directive.number}: "${plugin}" is not carried out here`);
  if (!FORWARDERS.includes(plugin)) return;
  const [, from, ...to] = directive.words;
  if (from === undefined || to.length === 0) {
    throw new CorefileError(directive.number, `write \`${plugin} . ADDRESS\`, such as ${plugin} . 10.96.4.2`);
  }
  const servers = to.flatMap((target) => readTarget(target, directive.number, notes));
  const domains = from === '.' ? zones : [normalize(from)];
  for (const domain of domains) if (servers.length > 0) stubs.set(domain, servers);
  for (const { words } of directive.block.filter((line) => line.words[0] === 'except')) {
    for (const name of words.slice(1)) stubs.set(normalize(name), []);
  }
}

/** The machine's own servers (a file) and encrypted ones are not there: the sandbox has no way out. */
function readTarget(target: string, line: number, notes: string[]): DnsUpstream[] {
  if (target.startsWith('/')) return [];
  if (/^(tls|https|quic|grpc):\/\//.test(target)) {
    notes.push(`Corefile line ${line}: ${target} is not asked: only plain DNS is spoken here`);
    return [];
  }
  const match = /^(?:dns:\/\/)?(\d{1,3}(?:\.\d{1,3}){3})(?::(\d{1,5}))?$/.exec(target);
  const port = Number(match?.[2] ?? 53);
  if (match && isIPv4(match[1]!) && port >= 1 && port <= 65_535) return [{ host: match[1]!, port }];
  if (isIPv6(target.replace(/^(dns:\/\/)?\[?/, '').replace(/\](:\d+)?$/, ''))) {
    notes.push(`Corefile line ${line}: ${target} is not asked: the sandbox has no IPv6`);
    return [];
  }
  throw new CorefileError(line, `"${target}" is not an IP address or a file: write for example 10.96.4.2`);
}

function readZone(key: string, line: number): { name: string; port: string } {
  const match = /^(?:(dns|tls|https|grpc|quic):\/\/)?([^:\s]*?)(?::(\d{1,5}))?$/.exec(key);
  if (match === null) throw new CorefileError(line, `"${key}" is not a zone such as global:53`);
  const standard = { dns: '53', tls: '853', https: '443', grpc: '443', quic: '853' }[match[1] ?? 'dns']!;
  return { name: normalize(match[2]!), port: match[3] ?? standard };
}

function normalize(name: string): string {
  return name.toLowerCase().replace(/\.$/, '');
}
