// SPDX-License-Identifier: Apache-2.0
import type { Logger } from 'pino';
import { codesOf, type Diagnostic, refName } from '../../api/diagnostics.ts';
import type { SourceProblem } from '../../sources/contract.ts';
import { PerAddressLimit } from '../../xds/per-address-limit.ts';
import { provenPod } from '../../xds/proven-pod.ts';
import type { XdsEvent } from '../../xds/stream.ts';
import type { Refusal } from './refusals.ts';
import type { RefusedSecrets } from './sds-backend.ts';

/** What an operator wants to read of the discovery server: who came, who went and why. Pushes are for debugging. */
export class XdsLog {
  readonly #log: Logger;
  readonly #nowMs: () => number;
  /** Address and reason of a refused stream -> when it was logged: Envoys come back every few seconds, for ever. */
  readonly #refused = new Map<string, number>();
  readonly #isolating: PerAddressLimit;
  #limitedAtMs = Number.NEGATIVE_INFINITY;

  constructor(log: Logger, nowMs: () => number = () => performance.now()) {
    this.#log = log;
    this.#nowMs = nowMs;
    this.#isolating = new PerAddressLimit(REFUSALS_OF_A_PROXY, nowMs);
  }

  take(event: XdsEvent): void {
    if (event.kind === 'refused') this.#takeRefused(event);
    else if (event.kind === 'received') this.#takeReceived(event);
    // A push to each of many proxies: not even the words for it, unless somebody reads them.
    else if (event.kind !== 'sent' || this.#log.isLevelEnabled('debug')) logStreamEvent(this.#log, event);
  }

  #takeReceived({ stream, received }: Extract<XdsEvent, { kind: 'received' }>): void {
    if (received.kind !== 'isolating' || !this.#isolating.take(provenPod(stream.peer) ?? stream.node.id)) return;
    const { typeUrl, message } = received;
    const details = { service: stream.service, proxy: stream.node.id, typeUrl, reason: shortened(message) };
    this.#log.warn(details, 'Envoy refused a response; finding out which part of it');
  }

  /** What of a handler's is our fault; of connections, whoever dials can make as many fail as there is room for in a log. */
  failed(error: Error, about: 'handler' | 'connection' | 'limit'): void {
    if (about === 'handler') this.#log.error({ err: error }, 'a discovery stream failed');
    else if (about === 'limit') this.#limited(error);
    else this.#log.debug({ err: error.message }, 'a connection failed');
  }

  /** A connection that the server's limits refused: without a word of it here, its proxy would wait for nobody knows what. */
  #limited(error: Error): void {
    const nowMs = this.#nowMs();
    if (nowMs - this.#limitedAtMs < REPEAT_MS) return;
    this.#limitedAtMs = nowMs;
    this.#log.warn({ reason: error.message }, 'a connection was refused');
  }

  #takeRefused({ service, address, status, message }: Extract<XdsEvent, { kind: 'refused' }>): void {
    // Not by the message: that is, in parts, the caller's own words.
    const key = `${address} ${service} ${status}`;
    const nowMs = this.#nowMs();
    const isRepeat = nowMs - (this.#refused.get(key) ?? Number.NEGATIVE_INFINITY) < REPEAT_MS;
    if (isRepeat) return;
    this.#refused.delete(key);
    for (const [oldest, atMs] of this.#refused) {
      if (this.#refused.size < MAX_REMEMBERED && nowMs - atMs < REPEAT_MS) break;
      this.#refused.delete(oldest);
    }
    this.#refused.set(key, nowMs);
    this.#log.warn({ service, address, status, reason: message }, 'a proxy was refused');
  }
}

const REPEAT_MS = 60_000;
const MAX_REMEMBERED = 1_000;
/** A proxy may refuse whatever it gets, again and again, and say what it likes: the log of all others is not for it alone. */
const REFUSALS_OF_A_PROXY = { burst: 20, perSecond: 0.2 };
const MAX_REASON_CHARS = 1_000;
/** Of those behind a resource: a table may be made of thousands. */
const MAX_OBJECTS = 20;

function shortened(reason: string): string {
  return reason.length <= MAX_REASON_CHARS ? reason : `${reason.slice(0, MAX_REASON_CHARS)}...`;
}

function logStreamEvent(log: Logger, event: Exclude<XdsEvent, { kind: 'refused' }>): void {
  const { service, node } = event.stream;
  const about = { service, proxy: node.id };
  switch (event.kind) {
    case 'opened':
      log.info({ ...about, envoy: node.userAgentVersion }, 'proxy connected');
      break;
    case 'closed': {
      const ordinary = event.status === 'OK' || event.status === 'CANCELLED';
      const details = { ...about, status: event.status, ...(event.message === '' ? {} : { reason: event.message }) };
      if (ordinary) log.info(details, 'proxy left');
      else log.warn(details, 'stream ended');
      break;
    }
    case 'sent': {
      const { typeUrl, resources, removed, bytes } = event;
      log.debug({ ...about, typeUrl, resources, removed, bytes }, 'pushed');
      break;
    }
    case 'backend-failed':
      log.error({ ...about, err: event.error }, 'the proxy’s state could not be computed; it keeps what it has');
      break;
  }
}

/** What proxies refuse, of each pod a few lines a minute. */
export class RefusalLog {
  readonly #log: Logger;
  readonly #limit: PerAddressLimit;

  constructor(log: Logger, nowMs?: () => number) {
    this.#log = log;
    this.#limit = new PerAddressLimit(REFUSALS_OF_A_PROXY, nowMs);
  }

  take({ blamed, proxy, client, typeUrl, resource, message }: Refusal): void {
    if (!this.#limit.take(client)) return;
    const objects = blamed.slice(0, MAX_OBJECTS).map(refName);
    this.#log.error(
      { proxy, typeUrl, resource, objects, reason: shortened(message) },
      'Envoy refused a resource; it keeps what it had before',
    );
  }

  failed(error: Error): void {
    this.#log.error({ err: error }, 'what to do about a refusal could not be found out; every object stays in force');
  }

  secrets({ proxy, client, message }: RefusedSecrets): void {
    if (this.#limit.take(client)) this.#log.error({ proxy, reason: shortened(message) }, 'Envoy refused its secrets');
  }
}

/** Logs what is new among the diagnostics, once. */
export class DiagnosticLog {
  readonly #log: Logger;
  #known = new Set<string>();

  constructor(log: Logger) {
    this.#log = log;
  }

  take(diagnostics: readonly Diagnostic[]): void {
    const now = new Set<string>();
    for (const found of diagnostics) {
      const { code, severity, object, field, message, cure, line } = found;
      const name = refName(object);
      const key = `${code} ${name} ${field} ${message}`;
      now.add(key);
      if (this.#known.has(key)) continue;
      const details = { ...codesOf(found), object: name, field, cure, ...(line === undefined ? {} : { line }) };
      if (severity === 'error') this.#log.error(details, message);
      else this.#log[severity === 'warning' ? 'warn' : 'info'](details, message);
    }
    this.#known = now;
  }
}

/** Problems of sources, each once as long as it stands. */
export class ProblemLog {
  readonly #log: Logger;
  #known = new Set<string>();

  constructor(log: Logger) {
    this.#log = log;
  }

  take(standing: readonly SourceProblem[]): void {
    const now = new Set(standing.map(({ where, message }) => `${where}\0${message}`));
    for (const { where, message, cure } of standing) {
      if (!this.#known.has(`${where}\0${message}`))
        this.#log.warn({ where, cure, reason: message }, 'a source has a problem');
    }
    if (now.size === 0 && this.#known.size > 0) this.#log.info('the sources are well again');
    this.#known = now;
  }
}
