// SPDX-License-Identifier: Apache-2.0
// What kube-proxy is to a real cluster, in user space: listens on every address of every service that somebody stands
// behind, and forwards. Nobody behind it: nobody listens, and the kernel refuses the connection.
import type { Endpoint, Service, ServiceKey, ServicePort, ServiceTable } from './service-table.ts';
import { type Forward, type ForwardOptions, forwardTcp, type Target } from './tcp-forward.ts';
import { forwardUdp } from './udp-forward.ts';

export interface ServiceProxyOptions {
  /** Node ports are served here. */
  readonly nodeAddress: string;
  /** Only these of a service's load balancer addresses are ours to listen on. */
  readonly loadBalancerAddresses: readonly string[];
  /** Served by somebody else at their addresses: the cluster's DNS. */
  readonly excluded: ReadonlySet<ServiceKey>;
  /** Used for a service without any endpoint: `default/kubernetes` before the API server has published itself. */
  readonly fallback: ReadonlyMap<ServiceKey, Target>;
  readonly drainMs: number;
  random(): number;
  onError(where: string, error: Error): void;
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
    const wanted = new Map<string, { address: string; port: number; of: ServicePort }>();
    for (const of of service?.ports ?? []) {
      if (this.#targets(key, of).length === 0) continue;
      for (const { address, port } of this.#addresses(service!, of)) {
        wanted.set(`${of.protocol} ${address}:${port} ${of.name}`, { address, port, of });
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
    for (const [id, { address, port, of }] of wanted) {
      if (!listeners.has(id)) listeners.set(id, this.#listen(key, id, { address, port, of }));
    }
    if (listeners.size > 0) this.#listeners.set(key, listeners);
    else this.#listeners.delete(key);
  }

  #addresses(service: Service, of: ServicePort): Target[] {
    const { nodeAddress, loadBalancerAddresses } = this.#options;
    const external = service.type === 'LoadBalancer' ? service.loadBalancerIps : [];
    return [
      ...(service.clusterIp === undefined ? [] : [{ address: service.clusterIp, port: of.port }]),
      ...(of.nodePort === undefined ? [] : [{ address: nodeAddress, port: of.nodePort }]),
      ...external
        .filter((address) => loadBalancerAddresses.includes(address))
        .map((address) => ({ address, port: of.port })),
    ];
  }

  #listen(
    key: ServiceKey,
    id: string,
    { address, port, of }: { address: string; port: number; of: ServicePort },
  ): Listener {
    const open = of.protocol === 'TCP' ? forwardTcp : forwardUdp;
    const options: ForwardOptions = {
      address,
      port,
      targets: () => this.#targets(key, of),
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

  /** The ready ones; without any, those that are on their way out but still answer. */
  #targets(key: ServiceKey, of: ServicePort): Target[] {
    const endpoints = this.#table.endpoints(key).filter(({ ports }) => ports.has(of.name));
    const toTarget = ({ address, ports }: Endpoint): Target => ({ address, port: ports.get(of.name)! });
    const ready = endpoints.filter((endpoint) => endpoint.ready);
    if (ready.length > 0) return ready.map(toTarget);
    const draining = endpoints.filter((endpoint) => endpoint.draining);
    if (draining.length > 0) return draining.map(toTarget);
    const fallback = endpoints.length === 0 ? this.#options.fallback.get(key) : undefined;
    return fallback === undefined ? [] : [fallback];
  }
}

function closeListener(listener: Listener): void {
  void listener.forward.then((forward) => forward?.close());
}
