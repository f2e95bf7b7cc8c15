// SPDX-License-Identifier: Apache-2.0
// One logged request, asked of the mesh as it is and of the mesh as it would be.
import type { AskedRequest } from '../../explain/asked.ts';
import type { Caller } from '../../explain/callers.ts';
import type { Mesh } from '../../explain/mesh.ts';
import type { Path, Why } from '../../explain/path.ts';
import { type End, type Fate, failing, fateOf, fingerprintOf, type Move, movesBetween } from './fates.ts';
import type { LoggedRequest } from './log-format.ts';
import { commandFor, explore } from './worlds.ts';

/** Who sent it, in both meshes. */
export interface ReplayCaller {
  /** Names the pod among all. */
  readonly key: string;
  readonly cluster: string;
  readonly namespace: string;
  readonly workload: string;
  readonly isGateway: boolean;
  readonly before: Caller;
  /** Absent: the change takes the pod away. */
  readonly after: Caller | undefined;
}

export interface Meshes {
  readonly before: Mesh;
  readonly after: Mesh;
  readonly explain: (mesh: Mesh, question: { from: Caller; request: AskedRequest }) => Path;
}

/** An object that decides so, or that did, and is gone. */
export type Reason = Why & { readonly isGone?: true };

export type Judgement = {
  /** Headers that the format holds, and that the answer rests on. */
  readonly known: readonly string[];
} & (
  | {
      readonly kind: 'told';
      readonly before: Fate;
      readonly after: Fate;
      readonly moves: readonly Move[];
      /** Of the requests: those that fail now, and that would. */
      readonly fails: { readonly before: number; readonly after: number };
      readonly why: readonly Reason[];
      /** Envoy’s clusters that the caller’s proxy chooses among now. */
      readonly clusters: ReadonlySet<string>;
    }
  /** Where it goes depends on headers that the log does not hold; the change makes no difference to any of them. */
  | { readonly kind: 'same'; readonly headers: readonly string[] }
  | {
      readonly kind: 'open';
      readonly headers: readonly string[];
      readonly cure: string;
      /** What may become of it after the change, each once. */
      readonly may: readonly End[];
    }
  | { readonly kind: 'unasked'; readonly why: string; readonly cure: string }
);

/** @param knows lower-case names of the headers that the format holds */
export function judge(
  meshes: Meshes,
  caller: ReplayCaller,
  logged: LoggedRequest,
  knows: ReadonlySet<string>,
): Judgement {
  const request = askedOf(caller, logged);
  if (request === undefined) {
    const cure = 'log %DOWNSTREAM_LOCAL_ADDRESS%, or the host’s port';
    return { kind: 'unasked', known: [], why: `nothing says which port ${logged.authority} was asked at`, cure };
  }
  const from = caller.after;
  if (from === undefined) {
    const why = `the change takes away what sent it (${caller.workload})`;
    return { kind: 'unasked', known: [], why, cure: 'none: who is not there sends nothing' };
  }
  const worlds = explore(
    (name) => knows.has(name),
    (decide) => {
      const asked = { ...request, more: { decide } };
      const now = meshes.explain(meshes.before, { from: caller.before, request: asked });
      const then = meshes.explain(meshes.after, { from, request: asked });
      return { now, then, before: fateOf(now), after: fateOf(then) };
    },
  );
  if (worlds === undefined) {
    const cure = 'log the headers that the rules of its host match on (accessLogFormat, with %REQ(NAME)%)';
    return { kind: 'open', known: [], headers: [], cure, may: [] };
  }
  const { found, asked: headers, known } = worlds;
  const answers = new Set(found.map(({ before, after }) => `${fingerprintOf(before)} ${fingerprintOf(after)}`));
  const [first] = found;
  if (answers.size > 1 || first === undefined) {
    if (found.every(({ before, after }) => fingerprintOf(before) === fingerprintOf(after)))
      return { kind: 'same', known, headers };
    const may = new Map(found.flatMap(({ after }) => [...after].map(([key, { end }]) => [key, end] as const)));
    const cure = `accessLogFormat with ${headers.map(commandFor).join(' ')}`;
    return { kind: 'open', known, headers, cure, may: [...may.values()] };
  }
  const { before, after, now } = first;
  const moves = movesBetween(before, after);
  return {
    kind: 'told',
    known,
    before,
    after,
    moves,
    fails: { before: failing(before), after: failing(after) },
    why: moves.length === 0 ? [] : whyOf(meshes.after, first),
    clusters: new Set(now.leg.forks.flatMap(({ destination }) => destination?.cluster ?? [])),
  };
}

interface Answers {
  readonly now: Path;
  readonly then: Path;
  readonly before: Fate;
  readonly after: Fate;
}

/** The rule by which the caller’s proxy would decide, or does no more; and what is behind what becomes more. */
function whyOf(mesh: Mesh, { now, then, before, after }: Answers): Reason[] {
  const routesOf = ({ leg }: Path): readonly Why[] =>
    leg.steps.filter(({ kind }) => kind === 'route').flatMap(({ why }) => why);
  const grown = [...after].filter(([key, { share }]) => share > (before.get(key)?.share ?? 0));
  const routes = routesOf(then);
  const lost = routes.length > 0 ? [] : routesOf(now).map((each) => asItWouldBe(mesh, each));
  const found = new Map<string, Reason>();
  for (const each of [...routes, ...lost, ...grown.flatMap(([, { why }]) => why)])
    found.set(JSON.stringify([each.cluster, each.kind, each.namespace, each.name, each.field]), each);
  return [...found.values()];
}

/** An object that took the request, and does not after the change: it is gone, or says something else. */
function asItWouldBe(mesh: Mesh, { cluster, apiVersion, kind, namespace, name }: Why): Reason {
  const object = { cluster, apiVersion, kind, namespace, name };
  const seen = mesh.object(cluster, kind, namespace, name);
  if (seen === undefined) return { ...object, isGone: true };
  return { ...object, ...(seen.file !== undefined && { file: seen.file }) };
}

/** As Envoy logs them; HTTP/3 ends at a gateway. */
const PROTOCOLS: Readonly<Record<string, 'http/1.0' | 'h2'>> = {
  'HTTP/1.0': 'http/1.0',
  'HTTP/2': 'h2',
  'HTTP/3': 'h2',
};

function askedOf({ isGateway }: ReplayCaller, logged: LoggedRequest): AskedRequest | undefined {
  const { method, path, authority, headers, localAddress, serverName, protocol } = logged;
  const [, host = '', written] = /^(\[[^\]]+\]|[^:]+)(?::(\d+))?$/.exec(authority) ?? [];
  if (host === '') return undefined;
  const dial = addressOf(localAddress);
  const scheme = isGateway && serverName !== undefined ? 'https' : 'http';
  const port = written === undefined ? (isGateway ? (scheme === 'https' ? 443 : 80) : dial?.port) : Number(written);
  if (port === undefined) return undefined;
  const given = [...headers].flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]));
  return {
    kind: 'http',
    method,
    scheme,
    host: host.replace(/^\[|\]$/g, '').toLowerCase(),
    port,
    authority,
    path,
    headers: Object.fromEntries(given),
    protocol: PROTOCOLS[protocol ?? ''] ?? 'http/1.1',
    ...(dial && { dial }),
  };
}

export function addressOf(text: string | undefined): { address: string; port: number } | undefined {
  const [, address, port] = /^\[?(.+?)\]?:(\d+)$/.exec(text ?? '') ?? [];
  return address === undefined ? undefined : { address, port: Number(port) };
}
