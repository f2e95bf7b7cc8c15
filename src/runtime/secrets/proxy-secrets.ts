// SPDX-License-Identifier: Apache-2.0
// What proxies get by SDS besides their own keys: what their rules name, from Secrets of the proxy's own namespace and cluster.
import type { Diagnostic } from '../../api/diagnostics.ts';
import { diagnose } from '../../api/report.ts';
import { certificateResource, fileResource, rootsResource, secretName } from '../../envoy/secrets.ts';
import type { Clock } from '../../identity/renewal.ts';
import {
  CredentialFault,
  readClientRoots,
  readServerCertificate,
  type SecretData,
} from '../../identity/server-credential.ts';
import type { SecretUse } from '../../intent/secrets.ts';
import type { XdsResource } from '../../xds/types.ts';
import type { SecretPlace, SecretReader, SecretState } from './secret-reader.ts';

export interface ProxySecretsOptions {
  readonly reader: SecretReader;
  readonly clock: Clock;
  /** All that is to be said of the objects that name Secrets. */
  readonly onDiagnostics: (diagnostics: readonly Diagnostic[]) => void;
  /** After this a change goes out without the Secrets that the API server has not told. */
  readonly readMs?: number;
}

/** What one Secret gives. */
interface Reading {
  readonly resource: XdsResource | undefined;
  readonly fault: Pick<CredentialFault, 'message' | 'cure'> | undefined;
  readonly notAfterMs?: number;
}

interface Followed {
  readonly place: SecretPlace;
  state: SecretState;
  readonly listeners: Set<() => void>;
  /** By the name under which it is asked for: what was last good stays in force. */
  readonly readings: Map<string, { readonly state: SecretState; readonly reading: Reading }>;
  readonly giveUp: NodeJS.Timeout;
  end: () => void;
}

const READ_MS = 3_000;
/** Longer than a timer can wait. */
const DAY_MS = 86_400_000;

export class ProxySecrets {
  readonly #options: Required<ProxySecretsOptions>;
  readonly #followed = new Map<string, Followed>();
  readonly #open = new Set<SecretsOfProxy>();
  #told: readonly Diagnostic[] = [];
  #telling: NodeJS.Immediate | undefined;
  #cancelExpiry = (): void => {};

  constructor(options: ProxySecretsOptions) {
    this.#options = { readMs: READ_MS, ...options };
  }

  /**
   * For one proxy, of which the caller has proved that it is of that cluster and namespace. `changed` is called when the
   * answer of `want` may be another.
   */
  open(of: { readonly cluster: string; readonly namespace: string }, changed: () => void): SecretsOfProxy {
    const proxy = new SecretsOfProxy(of, {
      follow: (place, listener) => this.#follow(place, listener),
      read: (use, followed, ca) => this.#read(use, followed, ca),
      changed,
      told: () => this.#tellSoon(),
      closed: (closed) => {
        this.#open.delete(closed);
        this.#tellSoon();
      },
    });
    this.#open.add(proxy);
    return proxy;
  }

  close(): void {
    for (const proxy of [...this.#open]) proxy.close();
    clearImmediate(this.#telling);
    this.#cancelExpiry();
  }

  #follow(place: SecretPlace, listener: () => void): { followed: Followed; end: () => void } {
    const key = `${place.cluster}/${place.namespace}/${place.name}`;
    const followed = this.#followed.get(key) ?? this.#add(key, place);
    followed.listeners.add(listener);
    return {
      followed,
      end: () => {
        followed.listeners.delete(listener);
        if (followed.listeners.size > 0 || this.#followed.get(key) !== followed) return;
        this.#followed.delete(key);
        clearTimeout(followed.giveUp);
        followed.end();
      },
    };
  }

  #add(key: string, place: SecretPlace): Followed {
    const followed: Followed = {
      place,
      state: { kind: 'reading' },
      listeners: new Set(),
      readings: new Map(),
      giveUp: setTimeout(() => {
        if (followed.state.kind !== 'reading') return;
        const cure = 'none needed if it is short: it is waited for';
        take({ kind: 'unreadable', message: 'the API server has not told it yet', cure });
      }, this.#options.readMs).unref(),
      end: () => {},
    };
    const take = (state: SecretState): void => {
      if (state.kind === 'reading' && followed.state.kind === 'reading') return;
      followed.state = state;
      for (const listener of followed.listeners) listener();
      this.#tellSoon();
    };
    this.#followed.set(key, followed);
    followed.end = this.#options.reader.follow(place, take);
    return followed;
  }

  /** `ca`: the Secret NAME-cacert, of roots. */
  #read(use: SecretUse, followed: Followed, ca: Followed | undefined): Reading {
    const name = secretName(use);
    const from = ca?.state.kind === 'present' ? ca : followed;
    const known = from.readings.get(name);
    if (known?.state === from.state) return known.reading;
    const reading = readingOf(use.what, name, from, known?.reading.resource);
    from.readings.set(name, { state: from.state, reading });
    return reading;
  }

  #tellSoon(): void {
    this.#telling ??= setImmediate(() => {
      this.#telling = undefined;
      this.#tell();
    });
  }

  #tell(): void {
    const nowMs = this.#options.clock.nowMs();
    const found = new Map<string, Diagnostic>();
    let soonestMs = Number.POSITIVE_INFINITY;
    for (const proxy of this.#open) {
      for (const { use, place, reading } of proxy.readings()) {
        const { notAfterMs } = reading;
        if (notAfterMs !== undefined && notAfterMs > nowMs) soonestMs = Math.min(soonestMs, notAfterMs);
        const said = saidOf(use, place, reading, nowMs);
        if (said !== undefined) found.set(JSON.stringify(said), said);
      }
    }
    this.#cancelExpiry();
    if (Number.isFinite(soonestMs)) {
      const waitMs = Math.min(DAY_MS, soonestMs - nowMs + 1_000);
      this.#cancelExpiry = this.#options.clock.after(waitMs, () => this.#tell());
    }
    const before = new Map(this.#told.map((said) => [JSON.stringify(said), said]));
    const next = [...found].map(([key, said]) => before.get(key) ?? said);
    if (next.length === this.#told.length && next.every((said) => before.has(JSON.stringify(said)))) return;
    this.#told = next;
    this.#options.onDiagnostics(next);
  }
}

function readingOf(what: SecretUse['what'], name: string, { state }: Followed, last: XdsResource | undefined): Reading {
  switch (state.kind) {
    case 'reading':
      return { resource: last, fault: undefined };
    case 'absent':
      return { resource: last, fault: { message: 'there is no such Secret', cure: 'create it there' } };
    case 'unreadable':
      return { resource: last, fault: state };
    case 'present':
      break;
  }
  const data = (state.object['data'] ?? {}) as SecretData;
  try {
    if (what === 'roots') return { resource: rootsResource(name, readClientRoots(data)), fault: undefined };
    const certificate = readServerCertificate(data);
    return { resource: certificateResource(name, certificate), fault: undefined, notAfterMs: certificate.notAfterMs };
  } catch (error) {
    if (error instanceof CredentialFault) return { resource: last, fault: error };
    throw error;
  }
}

function saidOf(use: SecretUse, place: SecretPlace, reading: Reading, nowMs: number): Diagnostic | undefined {
  const { fault, notAfterMs, resource } = reading;
  const where = `Secret ${place.namespace}/${place.name}${use.origin.object.cluster === place.cluster ? '' : ` of cluster ${place.cluster}`}`;
  const { object, field } = use.origin;
  if (fault !== undefined) {
    const effect = resource === undefined ? 'nobody is served' : 'what it held before is served';
    return diagnose(object, 'ISM0202', field, `${where}: ${fault.message}; ${effect}`, fault.cure);
  }
  if (notAfterMs === undefined || notAfterMs > nowMs) return undefined;
  const ended = new Date(notAfterMs).toISOString().replace(/\.\d+Z$/, 'Z');
  const message = `${where}: the certificate ended at ${ended}; it is served, and clients refuse it`;
  return diagnose(object, 'ISM0202', field, message, 'put a new certificate and its key into it');
}

interface Hooks {
  follow(place: SecretPlace, listener: () => void): { followed: Followed; end: () => void };
  read(use: SecretUse, followed: Followed, ca: Followed | undefined): Reading;
  changed(): void;
  told(): void;
  closed(proxy: SecretsOfProxy): void;
}

const ROOTS_SUFFIX = '-cacert';

export class SecretsOfProxy {
  readonly #of: { readonly cluster: string; readonly namespace: string };
  readonly #hooks: Hooks;
  #uses: readonly SecretUse[] = [];
  readonly #followed = new Map<string, { followed: Followed; end: () => void }>();
  #resources: ReadonlyMap<string, XdsResource> = new Map();
  #waiting: (() => void)[] = [];

  constructor(of: { readonly cluster: string; readonly namespace: string }, hooks: Hooks) {
    this.#of = of;
    this.#hooks = hooks;
  }

  /** Says what the proxy's rules name now; everything else is forgotten. */
  want(uses: readonly SecretUse[]): void {
    if (uses === this.#uses) return;
    this.#uses = uses;
    const names = new Set(uses.flatMap(secretNames));
    for (const name of names) {
      if (this.#followed.has(name)) continue;
      const place = { ...this.#of, name };
      this.#followed.set(name, this.#hooks.follow(place, this.#changed));
    }
    for (const [name, { end }] of [...this.#followed]) {
      if (names.has(name)) continue;
      this.#followed.delete(name);
      end();
    }
    this.#hooks.told();
  }

  /** The API server has told of each, or has been waited for long enough. */
  get isRead(): boolean {
    for (const { followed } of this.#followed.values()) if (followed.state.kind === 'reading') return false;
    return true;
  }

  async read(): Promise<void> {
    while (!this.isRead) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.push(resolve);
      await promise;
    }
  }

  /** Those that can be served, by name: the same object while none of them changes. */
  resources(): ReadonlyMap<string, XdsResource> {
    // As nearly all proxies, at each change of the mesh.
    if (this.#uses.length + this.#resources.size === 0) return this.#resources;
    const next = new Map<string, XdsResource>();
    for (const use of this.#uses) {
      const resource = fileResource(use.source) ?? this.#reading(use)?.reading.resource;
      if (resource !== undefined) next.set(resource.name, resource);
    }
    const before = this.#resources;
    const same = next.size === before.size && [...next].every(([name, r]) => before.get(name)?.version === r.version);
    if (!same) this.#resources = next;
    return this.#resources;
  }

  *readings(): Generator<{ use: SecretUse; place: SecretPlace; reading: Reading }> {
    for (const use of this.#uses) {
      const found = this.#reading(use);
      if (found !== undefined) yield { use, ...found };
    }
  }

  close(): void {
    this.want([]);
    for (const resolve of this.#waiting) resolve();
    this.#waiting = [];
    this.#hooks.closed(this);
  }

  readonly #changed = (): void => {
    for (const resolve of this.#waiting) resolve();
    this.#waiting = [];
    this.#hooks.changed();
  };

  #reading(use: SecretUse): { place: SecretPlace; reading: Reading } | undefined {
    if (use.source.kind !== 'secret') return undefined;
    const own = this.#followed.get(use.source.name)?.followed;
    if (own === undefined) return undefined;
    const ca = use.what === 'roots' ? this.#followed.get(use.source.name + ROOTS_SUFFIX)?.followed : undefined;
    const place = ca?.state.kind === 'present' ? ca.place : own.place;
    return { place, reading: this.#hooks.read(use, own, ca) };
  }
}

function secretNames({ what, source }: SecretUse): string[] {
  if (source.kind !== 'secret') return [];
  return what === 'roots' ? [source.name, source.name + ROOTS_SUFFIX] : [source.name];
}
