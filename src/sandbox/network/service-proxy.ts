// SPDX-License-Identifier: Apache-2.0
// What kube-proxy is to a real cluster, in user space: listens on every address of every service that somebody stands
// behind, and forwards. Nobody behind it: nobody listens, and the kernel refuses the connection.
import { ClientAffinity } from './client-affinity.ts';
import type { Endpoint, Service, ServiceKey, ServicePort, ServiceTable } from './service-table.ts';
import { type Forward, type ForwardOptions, forwardTcp, hasTarget, type Target } from './tcp-forward.ts';
import { forwardUdp } from './udp-forward.ts';

export interface ServiceProxyOptions {
  /** Node ports are served here. */
  readonly nodeAddress: string;
  /** Endpoints of other nodes (somebody's own slices) do not answer for a service that wants local ones. */
  readonly nodeName: string;
  /** Only these of a service's load balancer addresses are ours to listen on. */
  readonly loadBalancerAddresses: readonly string[];
  /** Served by somebody else at their addresses: the cluster's DNS. */
  readonly excluded: ReadonlySet<ServiceKey>;
  /** Used for a service without any endpoint: `default/kubernetes` before the API server has published itself. */
  readonly fallback: ReadonlyMap<ServiceKey, Target>;
  readonly drainMs: number;
  random(): number;
  /** In milliseconds, for session affinity. */
  now(): number;
  onError(where: string, error: Error): void;
}

/** One address and port of a service. */
interface Place extends Target {
  readonly of: ServicePort;
  readonly side: 'internal' | 'external';
}

interface Listener {
  readonly forward: Promise<Forward | undefined>;
}

/** A port in the way (a listener that is still closing) is tried again. */
const RETRY_MS = 200;

export class ServiceProxy {
  readonly #table: ServiceTable;
  readonly #options: ServiceProxyOptions;
  /** Service -> `TCP 10.96.0.7:80 http` -> listener. */
  readonly #listeners = new Map<ServiceKey, Map<string, Listener>>();
  readonly #dirty = new Set<ServiceKey>();
  /** Service and port -> its clients; in a service with session affinity. */
  readonly #affinities = new Map<ServiceKey, Map<string, ClientAffinity>>();
  #isClosed = false;

  constructor(table: ServiceTable, options: ServiceProxyOptions) {
    this.#table = table;
    this.#options = options;
  }

  /** To be called for every change of the table; changes within one turn of the event loop are handled together. */
  changed(key: ServiceKey): void {
    if (this.#isClosed || this.#options.excluded.has(key)) return;
    if (this.#dirty.size === 0) setImmediate(() => this.#reconcile());
    this.#dirty.add(key);
  }

  close(): void {
    this.#isClosed = true;
    for (const listeners of this.#listeners.values())
      for (const listener of listeners.values()) closeListener(listener);
    this.#listeners.clear();
  }

  #reconcile(): void {
    const keys = [...this.#dirty];
    this.#dirty.clear();
    if (this.#isClosed) return;
    for (const key of keys) this.#reconcileService(key);
  }

  #reconcileService(key: ServiceKey): void {
    const service = this.#table.byKey(key);
    if (service?.affinityMs === undefined) this.#affinities.delete(key);
    const wanted = new Map<string, Place>();
    for (const of of service?.ports ?? []) {
      for (const place of this.#places(service!, of)) {
        if (this.#targets(key, place).length === 0) continue;
        wanted.set(`${of.protocol} ${place.address}:${place.port} ${of.name} ${place.side}`, place);
      }
    }
    const listeners = this.#listeners.get(key) ?? new Map<string, Listener>();
    for (const [id, listener] of listeners) {
      if (wanted.has(id)) {
        void listener.forward.then((forward) => forward?.retarget());
      } else {
        closeListener(listener);
        listeners.delete(id);
      }
    }
    for (const [id, place] of wanted) {
      if (!listeners.has(id)) listeners.set(id, this.#listen(key, id, place));
    }
    if (listeners.size > 0) this.#listeners.set(key, listeners);
    else this.#listeners.delete(key);
  }

  #places(service: Service, of: ServicePort): Place[] {
    const { nodeAddress, loadBalancerAddresses } = this.#options;
    const balancers = service.type === 'LoadBalancer' ? service.loadBalancerIps : [];
    const outside = [
      ...(of.nodePort === undefined ? [] : [{ address: nodeAddress, port: of.nodePort }]),
      ...balancers
        .filter((address) => loadBalancerAddresses.includes(address))
        .map((address) => ({ address, port: of.port })),
    ];
    return [
      ...(service.clusterIp === undefined
        ? []
        : [{ address: service.clusterIp, port: of.port, of, side: 'internal' as const }]),
      ...outside.map((place) => ({ ...place, of, side: 'external' as const })),
    ];
  }

  #listen(key: ServiceKey, id: string, place: Place): Listener {
    const { of } = place;
    const open = of.protocol === 'TCP' ? forwardTcp : forwardUdp;
    const options: ForwardOptions = {
      address: place.address,
      port: place.port,
      targets: () => this.#targets(key, place),
      preferred: (client) => {
        const timeoutMs = this.#table.byKey(key)?.affinityMs;
        return timeoutMs === undefined ? undefined : this.#affinity(key, of).recall(client, timeoutMs);
      },
      chose: (client, target) => {
        if (this.#table.byKey(key)?.affinityMs !== undefined) this.#affinity(key, of).remember(client, target);
      },
      isKnown: (target) => hasTarget(this.#withPort(key, of).map(toTarget(of)), target),
      random: this.#options.random,
      drainMs: this.#options.drainMs,
      onError: (error) => this.#options.onError(id, error),
    };
    const forward = open(options).catch((error: Error) => {
      this.#options.onError(id, error);
      this.#listeners.get(key)?.delete(id);
      setTimeout(() => this.changed(key), RETRY_MS).unref();
      return undefined;
    });
    return { forward };
  }

  #affinity(key: ServiceKey, of: ServicePort): ClientAffinity {
    const ports = this.#affinities.get(key) ?? new Map<string, ClientAffinity>();
    this.#affinities.set(key, ports);
    const name = `${of.protocol} ${of.name}`;
    const affinity = ports.get(name) ?? new ClientAffinity(this.#options.now);
    ports.set(name, affinity);
    return affinity;
  }

  #withPort(key: ServiceKey, of: ServicePort): Endpoint[] {
    return this.#table.endpoints(key).filter(({ ports }) => ports.has(of.name));
  }

  /** The ready ones; without any, those that are on their way out but still answer. */
  #targets(key: ServiceKey, { of, side }: Place): Target[] {
    const isLocalOnly = this.#table.byKey(key)?.isLocalOnly[side] ?? false;
    const all = this.#withPort(key, of);
    const endpoints = isLocalOnly ? all.filter(({ nodeName }) => nodeName === this.#options.nodeName) : all;
    const ready = endpoints.filter((endpoint) => endpoint.ready);
    if (ready.length > 0) return ready.map(toTarget(of));
    const draining = endpoints.filter((endpoint) => endpoint.draining);
    if (draining.length > 0) return draining.map(toTarget(of));
    const fallback = all.length === 0 ? this.#options.fallback.get(key) : undefined;
    return fallback === undefined ? [] : [fallback];
  }
}

function toTarget(of: ServicePort): (endpoint: Endpoint) => Target {
  return ({ address, ports }) => ({ address, port: ports.get(of.name)! });
}

function closeListener(listener: Listener): void {
  void listener.forward.then((forward) => forward?.close());
}
