// SPDX-License-Identifier: Apache-2.0
// Plays a recorded flow against our server: the same requests, and every answer compared member by member.
import { setTimeout as sleep } from 'node:timers/promises';
import { parse } from 'yaml';
import { builtinType, loadBuiltinTypes } from '../../../src/sandbox/apiserver/schema/builtin.ts';
import { decodeObject } from '../../../src/sandbox/apiserver/schema/decode.ts';
import type { ObjectNode, SchemaField, SchemaNode } from '../../../src/sandbox/apiserver/schema/node.ts';
import { decodeProtobuf, readEnvelope } from '../../../src/sandbox/apiserver/schema/protobuf.ts';
import type { Answer, TestServer } from '../test-server.ts';
import { byName } from './discovery-form.ts';
import { type Difference, difference, type Matching, withPlaceholders } from './matching.ts';
import type { Exchange, Flow, RecordedBody, RecordedResponse, Step } from './recording.ts';

export interface ExchangeResult {
  /** The step's place in the flow, from 0. */
  readonly step: number;
  /** "GET /api/v1/...", as recorded. */
  readonly request: string;
  differences: readonly Difference[];
}

/** What a flow needs around it while it is played. */
export interface Stage {
  readonly server: TestServer;
  readonly matching: Matching;
  /** Controllers work beside: what they make of a write is waited for. */
  readonly controllers: boolean;
  /** How long the effect of a controller or an event of a watch may take. */
  readonly patienceMs: number;
  /** Differences that are no reason to look again. */
  readonly isKnown: (step: number, request: string, difference: Difference) => boolean;
  /** Steps to play in the background beyond those that say so. */
  readonly beside: ReadonlySet<number>;
  /** Called before a step is played. */
  readonly beforeStep?: (step: number) => Promise<void>;
}

const LOOK_AGAIN_MS = 25;
/** Not recorded, but seen in managed fields. */
const KUBECTL = 'kubectl.1.32/v1.32.4';
/** Nothing written for so long: the controllers have done what they wanted. */
const QUIET_MS = 80;
/** And for so many looks, each of which takes its turn with what the controllers ask: they may be slow. */
const QUIET_LOOKS = 6;
/** Longer nobody waits for controllers that do not rest. */
const RESTLESS_MS = 3_000;
const LONGEST_WATCH_MS = 60_000;

export async function playFlow(flow: Flow, stage: Stage): Promise<ExchangeResult[]> {
  const player = new Player(stage);
  await player.learnEntityTags(flow);
  for (const [index, step] of flow.steps.entries()) {
    await stage.beforeStep?.(index);
    await player.play(step, index);
  }
  return player.finish();
}

class Player {
  readonly #stage: Stage;
  readonly #results: ExchangeResult[] = [];
  readonly #background: Promise<void>[] = [];
  /** Watches that end by themselves once they have seen what was recorded. */
  readonly #expected: Promise<void>[] = [];
  readonly #ended = new AbortController();
  /** Something was written that controllers may act on. */
  #restless = false;
  /** Entity tags of the recording -> ours. */
  readonly #tags = new Map<string, string>();

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  /** kubectl remembered these from earlier flows. */
  async learnEntityTags(flow: Flow): Promise<void> {
    for (const { request, response } of flow.steps.flatMap((step) => step.exchanges ?? [])) {
      const theirs = request.headers['If-None-Match'];
      // Those that were out of date are so here, as they are.
      if (!theirs || this.#tags.has(theirs) || response.status !== 304) continue;
      const path = request.path.replace(/hash=[0-9A-F]+&?/, '');
      const { headers } = await this.#stage.server.send('GET', path, undefined, { Accept: request.headers['Accept']! });
      if (typeof headers['etag'] === 'string') this.#tags.set(theirs, headers['etag']);
    }
  }

  async play(step: Step, index: number): Promise<void> {
    const exchanges = step.exchanges ?? [];
    if (this.#restless) await settle(this.#stage.server);
    this.#restless = false;
    const background = step.background === true || this.#stage.beside.has(index);
    if (!background) {
      for (const exchange of exchanges) await this.#playExchange(exchange, step, index);
      return;
    }
    const watching = Promise.withResolvers<void>();
    const played = (async () => {
      for (const exchange of exchanges) await this.#playExchange(exchange, step, index, watching.resolve, true);
    })();
    this.#background.push(played);
    await Promise.race([watching.promise, played]);
  }

  async finish(): Promise<ExchangeResult[]> {
    if (this.#stage.controllers) await settle(this.#stage.server);
    // What is still expected gets its time; what nothing more is expected of is over.
    await Promise.race([Promise.all(this.#expected), sleep(this.#stage.patienceMs)]);
    this.#ended.abort();
    await Promise.all(this.#background);
    return this.#results;
  }

  async #playExchange(
    exchange: Exchange,
    step: Step,
    index: number,
    watching = () => {},
    background = false,
  ): Promise<void> {
    const { request, response } = exchange;
    const { matching, controllers, server, patienceMs } = this.#stage;
    const label = `${request.method} ${request.path}`;
    if (controllers && request.method !== 'GET') this.#restless = true;
    const path = await this.#pathOf(request.path);
    const headers = await this.#headersOf(exchange, step, path);
    if (response.events) {
      const result = { step: index, request: label, differences: [] as Difference[] };
      this.#results.push(result);
      const played = this.#playWatch(path, response, headers, background, watching).then((differences) => {
        result.differences = differences;
      });
      if (response.ended_by === 'server') return played;
      // The recorder went on reading when kubectl had seen enough: what is missing may come with a later step.
      this.#background.push(played);
      if ((response.events ?? []).length > 0 && !(background && response.ended_by === undefined))
        this.#expected.push(played);
      return Promise.race([played, settle(server)]);
    }
    const body = requestBody(request.body, matching);
    const deadline = performance.now() + (controllers && request.method === 'GET' ? patienceMs : 0);
    for (;;) {
      const answer = await server.send(request.method, path, body, headers);
      const attempt = matching.fork();
      const differences = compareAnswer(response, answer, attempt, request.method);
      const settled = differences.every((one) => this.#stage.isKnown(index, label, one));
      if (!settled && performance.now() < deadline) {
        await sleep(LOOK_AGAIN_MS);
        continue;
      }
      matching.adopt(attempt);
      this.#learn(exchange, step, answer);
      this.#results.push({ step: index, request: label, differences });
      return;
    }
  }

  /** Events up to as many as were recorded; of a command in the background, all that came until the flow ended. */
  async #playWatch(
    path: string,
    response: RecordedResponse,
    headers: Record<string, string>,
    background: boolean,
    watching: () => void,
  ): Promise<Difference[]> {
    const { server, matching } = this.#stage;
    const wanted = response.events ?? [];
    const byServer = response.ended_by === 'server';
    const untilEnd = byServer || (background && response.ended_by === undefined);
    const enough = (seen: unknown[]) => !untilEnd && wanted.length > 0 && seen.length >= wanted.length;
    const options = { opened: watching, signal: this.#ended.signal };
    const { status, events, ended } = await server.watch(path, enough, headers, LONGEST_WATCH_MS, options);
    if (status !== response.status) return [difference('status', status, response.status)];
    const seen = untilEnd || wanted.length === 0 ? events : events.slice(0, wanted.length);
    const differences = matching.compare(wanted, seen, 'events');
    if (byServer && !ended) differences.push(difference('ended by', 'client', 'server'));
    return differences;
  }

  async #headersOf({ request, response }: Exchange, step: Step, path: string): Promise<Record<string, string>> {
    const headers: Record<string, string> = step.kubectl ? { 'User-Agent': KUBECTL } : {};
    for (const [name, value] of Object.entries(request.headers)) {
      if (name === 'Content-Length' || name === 'Host') continue;
      headers[name] = name === 'If-None-Match' ? (this.#tags.get(value) ?? value) : this.#stage.matching.fill(value);
    }
    // It was asked with a time of its own that was not recorded.
    if (response.status === 304 && !headers['If-None-Match']) {
      const now = await this.#stage.server.send('GET', path, undefined, headers);
      headers['If-None-Match'] = String(now.headers['etag']);
    }
    if (step.note?.startsWith('anonymous')) headers['X-Anonymous'] = 'true';
    return headers;
  }

  async #pathOf(recorded: string): Promise<string> {
    const path = this.#stage.matching.fill(recorded);
    if (!path.includes('hash=')) return path;
    const plain = path.split('?')[0]!.replace('/openapi/v3/', '');
    const { json } = await this.#stage.server.send('GET', '/openapi/v3');
    const url = (json as { paths: Record<string, { serverRelativeURL: string }> }).paths[plain]?.serverRelativeURL;
    const ours = /hash=([0-9A-F]+)/.exec(url ?? '')?.[1];
    return ours ? path.replace(/hash=[0-9A-F]+/, `hash=${ours}`) : path;
  }

  #learn({ response }: Exchange, step: Step, answer: Answer): void {
    const theirs = response.headers['Etag'];
    const ours = answer.headers['etag'];
    if (typeof theirs === 'string' && typeof ours === 'string') this.#tags.set(theirs, ours);
    // `kubectl create token` prints what the protobuf answer hides.
    const printed = /^<jwt-\d+>$/.exec(step.stdout?.trim() ?? '')?.[0];
    const token = (answer.json as { status?: { token?: string } } | undefined)?.status?.token;
    if (printed && token) this.#stage.matching.bind(printed, token);
  }
}

/** Waits until nothing has been written for a while. */
export async function settle(server: TestServer): Promise<void> {
  const deadline = performance.now() + RESTLESS_MS;
  let last = await server.revision();
  let since = performance.now();
  let looks = 0;
  while ((performance.now() - since < QUIET_MS || looks < QUIET_LOOKS) && performance.now() < deadline) {
    await sleep(10);
    const now = await server.revision();
    looks++;
    if (now !== last) [since, looks] = [performance.now(), 0];
    last = now;
  }
}

function compareAnswer(recorded: RecordedResponse, answer: Answer, matching: Matching, method: string): Difference[] {
  const out: Difference[] = [];
  if (answer.status !== recorded.status) {
    out.push({
      where: 'status',
      ours: `${answer.status} ${answer.text.slice(0, 300)}`,
      recorded: `${recorded.status}`,
    });
  }
  out.push(...compareHeaders(recorded, answer, matching));
  if (recorded.status !== 304 && method !== 'HEAD') out.push(...compareBody(recorded.body, answer, matching));
  return out;
}

function compareHeaders({ headers }: RecordedResponse, answer: Answer, matching: Matching): Difference[] {
  const out: Difference[] = [];
  const ours = (name: string) => answer.headers[name];
  const type = headers['Content-Type'];
  if (type !== ours('content-type')) out.push(difference('header content-type', ours('content-type'), type));
  const warnings = [headers['Warning'] ?? []].flat();
  // Node joins what was sent as several headers.
  const given = String(ours('warning') ?? '')
    .split(/, (?=299 - )/)
    .filter((one) => one !== '');
  out.push(...matching.compare(warnings, given, 'header warning'));
  if (headers['Retry-After'] !== ours('retry-after')) {
    out.push(difference('header retry-after', ours('retry-after'), headers['Retry-After']));
  }
  const tagged = headers['Etag'] !== undefined;
  if (tagged && ours('etag') === undefined) out.push(difference('header etag', undefined, headers['Etag']));
  return out;
}

function compareBody(body: RecordedBody | undefined, answer: Answer, matching: Matching): Difference[] {
  if (!body) return answer.text === '' ? [] : [difference('body', answer.text, undefined)];
  if (body.cut) return answer.text === '' ? [difference('body', '', 'a long one')] : [];
  if (body.json !== undefined) return matching.compare(byName(body.json), byName(answer.json), 'body');
  if (body.decoded !== undefined) return matching.compare(body.decoded, answer.json, 'body');
  if (body.base64 !== undefined) {
    const bytes = Buffer.from(body.base64, 'base64');
    // What was cut off cannot be read: then it is only sure that there was an answer.
    if (bytes.length < (body.size ?? 0)) return answer.text === '' ? [difference('body', '', 'a long one')] : [];
    return compareProtobuf(bytes, answer, matching);
  }
  const text = body.text ?? '';
  if (/^application\/yaml/.test(String(answer.headers['content-type']))) {
    return matching.compare(parse(text), parse(answer.text), 'body');
  }
  return matching.compare(text, answer.text, 'body');
}

const TYPES = loadBuiltinTypes();
const MAGIC = Buffer.from('k8s\0');

/** Our answer, which is JSON, with what the recorded protobuf says. */
function compareProtobuf(bytes: Buffer, answer: Answer, matching: Matching): Difference[] {
  if (!bytes.subarray(0, 4).equals(MAGIC)) return [difference('body', answer.json, 'protobuf without an envelope')];
  const { apiVersion, kind, raw } = readEnvelope(bytes);
  const node = typeOf(apiVersion, kind);
  if (!node) return [difference('body', answer.json, `${apiVersion} ${kind}, a type that is not known here`)];
  const decoded = decodeObject({ ...decodeProtobuf(raw, node), apiVersion, kind }, node).value;
  // The wire has no empty lists.
  if (kind.endsWith('List')) decoded['items'] ??= [];
  return matching.compare(withPlaceholders(decoded), answer.json, 'body');
}

function typeOf(apiVersion: string, kind: string): ObjectNode | undefined {
  const [version = '', group = 'core'] = apiVersion.split('/').reverse();
  const name = `${group.replace(/\.(authorization\.)?k8s\.io$/, '')}.${version}.${kind}`;
  if (TYPES.has(name)) return TYPES.get(name);
  const items = TYPES.get(name.replace(/List$/, ''));
  return items && listOf(items);
}

function listOf(items: ObjectNode): ObjectNode {
  const field = (number: number, node: SchemaNode): SchemaField => ({
    node,
    number,
    required: false,
    presence: 'always',
    patchStrategies: [],
  });
  const list: SchemaNode = { kind: 'list', items, listType: 'atomic', listKeys: [] };
  const fields = new Map([
    ['metadata', field(1, builtinType(TYPES, 'meta.v1.ListMeta'))],
    ['items', field(2, list)],
  ]);
  return { ...items, typeName: `${items.typeName}List`, fields };
}

function requestBody(body: RecordedBody | undefined, matching: Matching): string | Buffer | undefined {
  if (!body) return undefined;
  if (body.base64 !== undefined) return Buffer.from(body.base64, 'base64');
  if (body.text !== undefined) return matching.fill(body.text);
  return body.json === undefined ? undefined : matching.fill(JSON.stringify(body.json));
}
