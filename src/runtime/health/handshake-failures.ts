// SPDX-License-Identifier: Apache-2.0
// A proxy that does not take the control plane's certificate can say so by a TLS alert only, before there is a stream;
// Envoy closes the connection without one.
// https://www.rfc-editor.org/rfc/rfc8446#section-6.2
import type { Logger } from 'pino';

export type HandshakeReason = 'unknown-ca' | 'expired' | 'bad-certificate' | 'closed' | 'other';

export interface HandshakeFailuresOptions {
  readonly log: Logger;
  readonly nowMs: () => number;
  /** Of the certificate that is shown now. */
  readonly validity: () => { readonly notBeforeMs: number; readonly notAfterMs: number };
  readonly observe: (reason: HandshakeReason) => void;
  /** At every failure of a peer that fails again and again. */
  readonly trouble: (message: string, address: string) => void;
  /** Of the pod at an address of this cluster, where that is known. */
  readonly nameOf: (address: string) => PeerName | undefined;
}

export interface PeerName {
  /** `pod NAMESPACE/NAME` */
  readonly name: string;
  /** It is the gateway that passes the proxies of other clusters on, whose own addresses nobody sees. */
  readonly isGateway: boolean;
}

const WINDOW_MS = 60_000;
/** So many a minute from one address are no accident. */
const WARN_AT = 5;
const REMIND_MS = 10 * 60_000;
const MAX_ADDRESSES = 1_000;
const NEVER = Number.NEGATIVE_INFINITY;

/** One that was in trouble still is while it comes back so soon: Envoys wait ever longer. */
const STANDING_MS = 5 * 60_000;

interface Peer {
  readonly atMs: number[];
  troubledAtMs: number;
  warnedAtMs: number;
}

export class HandshakeFailures {
  readonly #options: HandshakeFailuresOptions;
  readonly #peers = new Map<string, Peer>();

  constructor(options: HandshakeFailuresOptions) {
    this.#options = options;
  }

  take(error: Error, address: string): void {
    const { log, nowMs, observe } = this.#options;
    const reason = reasonOf(error);
    observe(reason);
    log.debug({ address, reason, err: error.message }, 'a TLS handshake failed');
    const peerName = this.#options.nameOf(address);
    const pod = peerName?.name;
    // Port scans, health checks, plain text: nobody who wanted to be a proxy.
    if (reason === 'other' || (reason === 'closed' && pod === undefined)) return;
    const now = nowMs();
    const peer = this.#peers.get(address) ?? { atMs: [], troubledAtMs: NEVER, warnedAtMs: NEVER };
    this.#peers.delete(address);
    this.#peers.set(address, peer);
    for (const oldest of this.#peers.keys()) {
      if (this.#peers.size <= MAX_ADDRESSES) break;
      this.#peers.delete(oldest);
    }
    while (peer.atMs.length > 0 && (now - peer.atMs[0]! > WINDOW_MS || peer.atMs.length >= WARN_AT)) peer.atMs.shift();
    peer.atMs.push(now);
    if (peer.atMs.length < WARN_AT && now - peer.troubledAtMs > STANDING_MS) return;
    peer.troubledAtMs = now;
    const message =
      peerName?.isGateway === true && reason !== 'expired'
        ? explainRemote(peerName.name)
        : this.#explain(reason, pod === undefined ? `at ${address}` : `of ${pod} (${address})`, now);
    this.#options.trouble(message, address);
    if (now - peer.warnedAtMs < REMIND_MS) return;
    peer.warnedAtMs = now;
    log.warn({ address, reason, ...(pod === undefined ? {} : { pod }) }, message);
  }

  #explain(reason: Exclude<HandshakeReason, 'other'>, whose: string, nowMs: number): string {
    const { notBeforeMs, notAfterMs } = this.#options.validity();
    const seconds = (ms: number) => Math.max(0, Math.round(ms / 1000));
    if (notAfterMs <= nowMs) {
      return 'the control plane’s own certificate has expired, as its CA has: renew the CA (isthmus certs) and Secret cacerts';
    }
    switch (reason) {
      case 'closed':
        return (
          `the proxy ${whose} does not take the control plane’s certificate: either it has the root of before (was ` +
          'Secret cacerts changed?): restart its pod (kubectl rollout restart); or its clock is off by more than ' +
          `${seconds(Math.min(notAfterMs - nowMs, nowMs - notBeforeMs))} s: set it right`
        );
      case 'unknown-ca':
        return (
          `the proxy ${whose} does not trust the control plane: it has the root of before (was Secret cacerts changed?); ` +
          'restart its pod, so that it starts with the root of now (kubectl rollout restart)'
        );
      case 'expired':
        return (
          `the proxy ${whose} takes the control plane’s certificate for expired: the clock there is at least ` +
          `${seconds(notAfterMs - nowMs)} s ahead of the control plane’s; set it right`
        );
      case 'bad-certificate':
        return (
          `the proxy ${whose} does not take the control plane’s certificate: most likely the clock there is at least ` +
          `${seconds(nowMs - notBeforeMs)} s behind the control plane’s, so that it is not valid there yet; set it right`
        );
    }
  }
}

/** The gateway itself, or somebody behind it: its pod shows which by whether it is ready. */
function explainRemote(gateway: string): string {
  return (
    `a proxy of another cluster that comes by ${gateway}, or that gateway itself, does not take the control plane’s ` +
    'certificate: the other cluster has another root (isthmus analyze with --context for each cluster shows both ' +
    'fingerprints), or a clock there is off; the gateway’s own pod is not ready only if it is the one'
  );
}

function reasonOf(error: Error): HandshakeReason {
  const { code = '' } = error as NodeJS.ErrnoException;
  if (code.endsWith('ALERT_UNKNOWN_CA')) return 'unknown-ca';
  if (code.endsWith('ALERT_CERTIFICATE_EXPIRED')) return 'expired';
  if (code === 'CLOSED') return 'closed';
  if (/ALERT_(BAD_CERTIFICATE|CERTIFICATE_UNKNOWN)$/.test(code)) return 'bad-certificate';
  return 'other';
}
