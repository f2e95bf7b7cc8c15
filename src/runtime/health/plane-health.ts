// SPDX-License-Identifier: Apache-2.0
// What can go wrong around a control plane without anything being wrong in it: its clock, its file descriptors, proxies
// that do not take its certificate. Each is logged, counted, and told by an Event on its pod.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Clock } from '../../identity/renewal.ts';
import type { KubeClient } from '../../kube/client.ts';
import type { KubeObject } from '../../kube/types.ts';
import type { MeshSnapshot } from '../../model/snapshot.ts';
import { watchDescriptors } from '../../process/descriptors.ts';
import { ISTIO_NAMESPACE } from '../mesh-resources.ts';
import type { Metrics } from '../metrics.ts';
import type { RegistryTrouble } from '../registries/registry-reports.ts';
import { watchClock } from './clock-skew.ts';
import { HandshakeFailures, type PeerName } from './handshake-failures.ts';
import { PlaneEvents } from './plane-events.ts';

const SWEEP_MS = 15_000;

export interface PlaneHealthOptions {
  readonly client: KubeClient;
  readonly replica: string;
  /** The own cluster's name. */
  readonly cluster: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Whose addresses are whose. */
  readonly snapshot: () => MeshSnapshot;
}

export class PlaneHealth {
  readonly #options: PlaneHealthOptions;
  readonly #events: PlaneEvents;
  #podUid: string | undefined;
  #skewMs = 0;

  constructor(options: PlaneHealthOptions) {
    this.#options = options;
    const { client, replica, clock, log } = options;
    const nowMs = (): number => clock.nowMs() - this.#skewMs;
    this.#events = new PlaneEvents({ client, pod: replica, uid: () => this.#podUid, log, nowMs });
  }

  /** Looks until `signal` aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { client, clock, log, metrics } = this.#options;
    const observe = (skewMs: number): void => {
      this.#skewMs = skewMs;
      metrics.clockSkew(skewMs / 1000);
    };
    let shortage = '';
    await Promise.all([
      watchClock(
        {
          client,
          log,
          nowMs: clock.nowMs,
          observe,
          trouble: (message) => void this.#events.tell('ClockSkew', message),
        },
        signal,
      ),
      watchDescriptors(
        {
          short: (message, isNews) => {
            shortage = message;
            if (isNews) log.error(message);
            void this.#events.tell('FileDescriptors', message);
          },
          enough: () => {
            log.info('there are enough file descriptors again');
            // While there were none, no connection could be made to tell it.
            void this.#events.tell('FileDescriptors', shortage);
          },
        },
        signal,
      ),
      this.#sweepEvents(signal),
    ]);
  }

  async #sweepEvents(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#events.sweep();
      await sleep(SWEEP_MS, undefined, { signal, ref: false }).catch(() => {});
    }
  }

  /** For every object that the source tells: one of them is the pod that this process runs in. */
  notice({ kind, metadata: { name, namespace, uid } }: KubeObject): void {
    if (kind === 'Pod' && namespace === ISTIO_NAMESPACE && name === this.#options.replica) this.#podUid = uid;
  }

  /** While a gateway's name does not resolve. */
  tellOfName(message: string, name: string): void {
    void this.#events.tell('GatewayName', message, name);
  }

  /** While it stands, on this process's pod and on the secret that is behind it. */
  tellOfRegistry({ kind, message, about, secret }: RegistryTrouble): void {
    void this.#events.tell(kind, message, about);
    void this.#events.tell(kind, message, about, secret);
  }

  /** To be told of failed handshakes with a server that shows a certificate of this validity. */
  handshakes(validity: () => { notBeforeMs: number; notAfterMs: number }): HandshakeFailures {
    const { clock, log, metrics } = this.#options;
    return new HandshakeFailures({
      log,
      nowMs: clock.nowMs,
      validity,
      observe: metrics.handshakeFailed,
      trouble: (message, address) => void this.#events.tell('RefusedByProxy', message, address),
      nameOf: (address) => this.#podAt(address),
    });
  }

  #podAt(address: string): PeerName | undefined {
    // What listens on both families sees IPv4 as a part of IPv6.
    const plain = address.replace(/^::ffff:(?=[\d.]+$)/, '');
    for (const { ref, ip, otherIps = [], labels } of this.#options.snapshot().workloads.values()) {
      // Pods of other clusters come by gateways, and may have the addresses of ours.
      if ((ip !== plain && !otherIps.includes(plain)) || ref.cluster !== this.#options.cluster) continue;
      return { name: `pod ${ref.namespace}/${ref.name}`, isGateway: labels['istio'] === 'ingressgateway' };
    }
    return undefined;
  }
}
