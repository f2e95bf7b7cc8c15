// SPDX-License-Identifier: Apache-2.0
// Adds up what becomes of logged requests. Nothing is kept of a request but what it adds to the sums, and of equal requests
// one is asked: memory follows the number of callers, hosts and destinations, not that of requests.
import { type End, keyOf, type Move } from './fates.ts';
import { type Judgement, judge, type Meshes, type Reason, type ReplayCaller } from './judge.ts';
import type { LoggedRequest } from './log-format.ts';

export interface Example {
  readonly method: string;
  readonly authority: string;
  readonly path: string;
}

/** Sums of one caller’s requests to one host. */
export interface Flow {
  readonly cluster: string;
  readonly namespace: string;
  readonly workload: string;
  /** As it was asked for. */
  readonly host: string;
  /** All that were judged, those that cannot be told too. */
  requests: number;
  /** Expected numbers of requests: sums of shares. */
  changed: number;
  failsNow: number;
  failsAfter: number;
  readonly ends: Map<string, { readonly end: End; now: number; after: number }>;
  readonly moves: Map<string, FlowMove>;
}

export interface FlowMove {
  readonly from: End;
  readonly to: End;
  requests: number;
  readonly example: Example;
  readonly why: readonly Reason[];
}

/** Requests of which it cannot be told. */
export interface Untold {
  readonly caller: string;
  readonly host: string;
  readonly headers: readonly string[];
  readonly why: string;
  readonly cure: string;
  /** What may become of them after the change. */
  readonly may: readonly End[];
  requests: number;
  readonly example: Example;
}

export interface Replayed {
  readonly flows: readonly Flow[];
  readonly untold: readonly Untold[];
  /** Requests that the log has gone elsewhere than today’s configuration would send them. */
  readonly sinceMoved: number;
}

const MAX_REMEMBERED = 20_000;
const MAX_JUDGEMENTS = 5_000;
/** Hosts can be made up by whoever sends requests. */
const MAX_FLOWS = 2_000;
const OTHERS = '(others)';

interface Remembered {
  known: readonly string[];
  readonly byHeaders: Map<string, Judgement>;
}

export class Replay {
  readonly #meshes: Meshes;
  readonly #judged = new Map<string, Remembered>();
  /** Of many requests that meet the same, one judgement is kept. */
  readonly #judgements = new Map<string, Judgement>();
  readonly #flows = new Map<string, Flow>();
  readonly #untold = new Map<string, Untold>();
  #sinceMoved = 0;

  constructor(meshes: Meshes) {
    this.#meshes = meshes;
  }

  add(caller: ReplayCaller, logged: LoggedRequest, knows: ReadonlySet<string>): void {
    const judgement = this.#judge(caller, logged, knows);
    const flow = this.#flowOf(caller, logged.authority.toLowerCase());
    flow.requests++;
    switch (judgement.kind) {
      case 'told':
        this.#addTold(flow, judgement, logged);
        return;
      case 'same':
        addEnd(flow, sameAsNow(judgement.headers), 1, 1);
        return;
      case 'open': {
        const { headers, cure, may } = judgement;
        const why = headers.length === 0 ? 'too many conditions on headers that the log does not hold' : '';
        this.#addUntold(flow, { headers, why, cure, may }, logged);
        return;
      }
      case 'unasked':
        this.#addUntold(flow, { headers: [], may: [], ...judgement }, logged);
    }
  }

  result(): Replayed {
    const flows = [...this.#flows.values()].sort((a, b) => b.changed - a.changed || b.requests - a.requests);
    const untold = [...this.#untold.values()].sort((a, b) => b.requests - a.requests);
    return { flows, untold, sinceMoved: this.#sinceMoved };
  }

  #judge(caller: ReplayCaller, logged: LoggedRequest, knows: ReadonlySet<string>): Judgement {
    const { method, authority, path, localAddress = '', serverName = '', protocol = '' } = logged;
    const base = JSON.stringify([caller.key, method, authority, path, localAddress, serverName, protocol]);
    const remembered = this.#judged.get(base) ?? { known: [], byHeaders: new Map<string, Judgement>() };
    const keyBy = (names: readonly string[]) => JSON.stringify(names.map((name) => logged.headers.get(name) ?? null));
    const found = remembered.byHeaders.get(keyBy(remembered.known));
    if (found !== undefined) return found;
    const judgement = this.#shared(judge(this.#meshes, caller, logged, knows));
    // Another value may lead to conditions on more headers: what was known by fewer is asked again.
    const known = [...new Set([...remembered.known, ...judgement.known])].sort();
    if (known.length > remembered.known.length) remembered.byHeaders.clear();
    remembered.known = known;
    remembered.byHeaders.set(keyBy(known), judgement);
    if (!this.#judged.has(base)) {
      const [oldest] = this.#judged.keys();
      if (this.#judged.size >= MAX_REMEMBERED && oldest !== undefined) this.#judged.delete(oldest);
      this.#judged.set(base, remembered);
    }
    if (remembered.byHeaders.size > MAX_REMEMBERED / 20) this.#judged.delete(base);
    return judgement;
  }

  #shared(judgement: Judgement): Judgement {
    const key = JSON.stringify(judgement, (_name, value: unknown) =>
      value instanceof Map || value instanceof Set ? [...(value as Iterable<unknown>)] : value,
    );
    const known = this.#judgements.get(key);
    if (known === undefined && this.#judgements.size < MAX_JUDGEMENTS) this.#judgements.set(key, judgement);
    return known ?? judgement;
  }

  #flowOf({ cluster, namespace, workload }: ReplayCaller, asked: string): Flow {
    const keyFor = (host: string) => JSON.stringify([cluster, namespace, workload, host]);
    const isKept = this.#flows.has(keyFor(asked)) || this.#flows.size < MAX_FLOWS;
    const host = isKept ? asked : OTHERS;
    const known = this.#flows.get(keyFor(host));
    if (known !== undefined) return known;
    const about = { cluster, namespace, workload, host };
    const sums = { requests: 0, changed: 0, failsNow: 0, failsAfter: 0 };
    const flow: Flow = { ...about, ...sums, ends: new Map(), moves: new Map() };
    this.#flows.set(keyFor(host), flow);
    return flow;
  }

  #addTold(flow: Flow, judgement: Judgement & { kind: 'told' }, logged: LoggedRequest): void {
    const { before, after, moves, fails, why, clusters } = judgement;
    for (const { end, share } of before.values()) addEnd(flow, end, share, 0);
    for (const { end, share } of after.values()) addEnd(flow, end, 0, share);
    flow.failsNow += fails.before;
    flow.failsAfter += fails.after;
    for (const move of moves) {
      flow.changed += move.share;
      addMove(flow, move, logged, why);
    }
    const { upstreamCluster = '' } = logged;
    if (upstreamCluster !== '' && clusters.size > 0 && !clusters.has(upstreamCluster)) this.#sinceMoved++;
  }

  #addUntold(
    { cluster, namespace, workload, host }: Flow,
    { headers, why, cure, may }: Pick<Untold, 'headers' | 'why' | 'cure' | 'may'>,
    logged: LoggedRequest,
  ): void {
    const caller = `${workload}.${namespace} of ${cluster}`;
    const key = JSON.stringify([caller, host, headers, why]);
    const known = this.#untold.get(key) ?? {
      ...{ caller, host, headers, why, cure, may },
      requests: 0,
      example: exampleOf(logged),
    };
    known.requests++;
    this.#untold.set(key, known);
  }
}

function addEnd(flow: Flow, end: End, now: number, after: number): void {
  const key = keyOf(end);
  const row = flow.ends.get(key) ?? { end, now: 0, after: 0 };
  row.now += now;
  row.after += after;
  flow.ends.set(key, row);
}

function sameAsNow(headers: readonly string[]): End {
  return { kind: 'same', text: `where ${headers.join(', ')} leads it, which the log does not hold` };
}

function addMove(flow: Flow, { from, to, share }: Move, logged: LoggedRequest, why: readonly Reason[]): void {
  const key = `${keyOf(from)} ${keyOf(to)}`;
  const known = flow.moves.get(key) ?? { from, to, requests: 0, example: exampleOf(logged), why };
  known.requests += share;
  flow.moves.set(key, known);
}

function exampleOf({ method, authority, path }: LoggedRequest): Example {
  return { method, authority, path };
}
