// SPDX-License-Identifier: Apache-2.0
// What a proxy gets by SDS: its own certificate and key, and the roots of the mesh.

import { createHash } from 'node:crypto';
import { create, toBinary } from '@bufbuild/protobuf';
import { SecretSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts';
import { ROOT_SECRET, WORKLOAD_SECRET } from '../xds/envoy-client.ts';
import { SECRET_TYPE } from '../xds/session/type-urls.ts';
import type { XdsResource } from '../xds/types.ts';
import {
  type Authority,
  type CaExpiry,
  DEFAULT_LIFETIME_MS,
  type IssuedCertificate,
  type WorkloadSubject,
} from './authority.ts';
import { type Clock, RenewedCertificate, systemClock } from './renewal.ts';
import type { SpiffeId } from './spiffe.ts';

export interface SecretSubscription {
  /** `default` and `ROOTCA`, by name; the same object until `changed`. */
  resources(): ReadonlyMap<string, XdsResource>;
  close(): void;
}

/** One proxy, as it was proved: `instance` tells the pods of one service account apart (the pod's uid). */
export interface SecretOwner {
  readonly id: SpiffeId;
  readonly instance: string;
  /** For its peers' telemetry. */
  readonly subject?: WorkloadSubject | undefined;
}

export interface SecretsStatus {
  readonly workloads: number;
  /** The first of the workloads' certificates to end; undefined without workloads. */
  readonly soonestExpiryMs: number | undefined;
  readonly authority: readonly CaExpiry[];
}

export interface WorkloadSecretsOptions {
  readonly lifetimeMs?: number;
  readonly clock?: Clock;
  /** A renewal failed; the proxy keeps what it has, and it is tried again. */
  readonly onError?: (error: Error, id: SpiffeId) => void;
}

/** How long a certificate is kept for a proxy that went away: it comes back when its token is renewed. */
const LINGER_MS = 5 * 60_000;

interface Entry {
  readonly certificate: RenewedCertificate;
  readonly listeners: Set<() => void>;
  resources: ReadonlyMap<string, XdsResource>;
  cancelLinger: () => void;
}

export class WorkloadSecrets {
  readonly #lifetimeMs: number;
  readonly #clock: Clock;
  readonly #onError: (error: Error, id: SpiffeId) => void;
  readonly #entries = new Map<string, Entry>();
  #authority: Authority;
  #root: XdsResource;

  constructor(authority: Authority, options: WorkloadSecretsOptions = {}) {
    this.#authority = authority;
    this.#root = rootSecret(authority);
    this.#lifetimeMs = options.lifetimeMs ?? DEFAULT_LIFETIME_MS;
    this.#clock = options.clock ?? systemClock;
    this.#onError = options.onError ?? (() => {});
  }

  /**
   * The secrets of `owner`, whom the caller has proved. `changed` is called when they are renewed. Throws CaError when the
   * authority has expired.
   */
  open(owner: SecretOwner, changed: () => void): SecretSubscription {
    const key = `${owner.id} ${owner.instance}`;
    const entry = this.#entries.get(key) ?? this.#add(key, owner);
    entry.cancelLinger();
    entry.listeners.add(changed);
    return {
      resources: () => entry.resources,
      close: () => {
        entry.listeners.delete(changed);
        if (entry.listeners.size > 0 || this.#entries.get(key) !== entry) return;
        entry.cancelLinger = this.#clock.after(LINGER_MS, () => this.#drop(key));
      },
    };
  }

  /** Signs everything anew under another authority: a new intermediate, or a bundle with another root. */
  setAuthority(authority: Authority): void {
    this.#authority = authority;
    this.#root = rootSecret(authority);
    for (const entry of this.#entries.values()) entry.certificate.renew();
  }

  status(): SecretsStatus {
    const ends = [...this.#entries.values()].map((entry) => entry.certificate.current.notAfterMs);
    return {
      workloads: this.#entries.size,
      soonestExpiryMs: ends.length === 0 ? undefined : Math.min(...ends),
      authority: this.#authority.expiry(this.#clock.nowMs()),
    };
  }

  /** Forgets every key and stops renewing. */
  close(): void {
    for (const key of [...this.#entries.keys()]) this.#drop(key);
  }

  #add(key: string, { id, subject }: SecretOwner): Entry {
    const certificate = new RenewedCertificate(
      () => this.#authority.issueWorkload(id, this.#lifetimeMs, this.#clock.nowMs(), subject),
      { changed: () => this.#renewed(entry), failed: (error) => this.#onError(error, id) },
      this.#clock,
    );
    const entry: Entry = {
      certificate,
      listeners: new Set(),
      resources: this.#resources(certificate.current),
      cancelLinger: () => {},
    };
    this.#entries.set(key, entry);
    return entry;
  }

  #renewed(entry: Entry): void {
    entry.resources = this.#resources(entry.certificate.current);
    for (const listener of entry.listeners) listener();
  }

  #resources(certificate: IssuedCertificate): ReadonlyMap<string, XdsResource> {
    return new Map([
      [WORKLOAD_SECRET, workloadSecret(certificate)],
      [ROOT_SECRET, this.#root],
    ]);
  }

  #drop(key: string): void {
    const entry = this.#entries.get(key);
    entry?.cancelLinger();
    entry?.certificate.close();
    this.#entries.delete(key);
  }
}

function workloadSecret(certificate: IssuedCertificate): XdsResource {
  const inline = (text: string) => ({ specifier: { case: 'inlineBytes' as const, value: Buffer.from(text) } });
  const secret = create(SecretSchema, {
    name: WORKLOAD_SECRET,
    type: {
      case: 'tlsCertificate',
      value: { certificateChain: inline(certificate.chainPem), privateKey: inline(certificate.keyPem) },
    },
  });
  // The version is public (logs, config dumps), so it is made of the public half.
  return resourceOf(WORKLOAD_SECRET, certificate.chainPem, toBinary(SecretSchema, secret));
}

function rootSecret(authority: Authority): XdsResource {
  const trustedCa = { specifier: { case: 'inlineBytes' as const, value: Buffer.from(authority.rootPem) } };
  const secret = create(SecretSchema, {
    name: ROOT_SECRET,
    type: { case: 'validationContext', value: { trustedCa } },
  });
  return resourceOf(ROOT_SECRET, authority.rootPem, toBinary(SecretSchema, secret));
}

/** `value` of a workload's secret holds its private key: it belongs to that workload's stream and nowhere else. */
function resourceOf(name: string, publicPart: string, value: Uint8Array): XdsResource {
  const version = createHash('sha256').update(publicPart).digest('hex').slice(0, 16);
  return { typeUrl: SECRET_TYPE, name, version, value };
}
