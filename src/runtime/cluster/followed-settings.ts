// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { type ConfigDelivery, DEFAULT_CONFIG_DELIVERY } from '../../api/config-delivery.ts';
import { decodeMeshConfig } from '../../api/mesh-config.ts';
import type { ProxySettings } from '../../api/proxy-settings.ts';
import {
  INJECTOR_CONFIG_MAP,
  type InjectorSettings,
  parseInjectorSettings,
  type StoredSettings,
} from '../../injector/settings.ts';
import type { KubeClient } from '../../kube/client.ts';
import { CONFIG_MAPS, NODES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';
import { watchResource } from '../../kube/watch.ts';
import { ownFamilies } from '../../process/own-addresses.ts';
import { ISTIO_NAMESPACE } from '../mesh-resources.ts';

const MESH_CONFIG_MAP = 'istio';
const RETRY_MS = 1_000;

/** What `install` decided for the proxies, from its ConfigMap; a change counts from the next pod on. */
export class FollowedSettings {
  #current: InjectorSettings | undefined;
  #delivery: ConfigDelivery = DEFAULT_CONFIG_DELIVERY;
  #proxyDefaults: ProxySettings | undefined;
  /** The latest text: a slower answer about an earlier one comes too late. */
  #latest: StoredSettings | undefined;

  /** undefined until the ConfigMap has been read. */
  get current(): InjectorSettings | undefined {
    return this.#current;
  }

  /** What the mesh's own settings say of sidecars: a change counts from the next pod on, too. */
  get delivery(): ConfigDelivery {
    return this.#delivery;
  }

  /** The mesh's defaultConfig. */
  get proxyDefaults(): ProxySettings | undefined {
    return this.#proxyDefaults;
  }

  /** Follows the ConfigMaps until `signal` aborts. */
  async run(client: KubeClient, log: Logger, signal: AbortSignal): Promise<void> {
    await watchResource<KubeObject>(
      client,
      CONFIG_MAPS,
      { namespace: ISTIO_NAMESPACE, signal },
      {
        upsert: (object) => {
          if (object.metadata.name === INJECTOR_CONFIG_MAP) void this.#read(object, client, log, signal);
          // One that cannot be read leaves the one before in force; what is wrong with it is told elsewhere.
          if (object.metadata.name === MESH_CONFIG_MAP) this.#readMesh(object);
        },
        delete: () => {},
        synced: () => {},
        error: (error) => log.warn({ err: error.message }, 'the injector’s settings cannot be read; trying again'),
      },
    );
  }

  #readMesh(object: KubeObject): void {
    const { value } = decodeMeshConfig(object);
    if (value === undefined) return;
    this.#delivery = value.configDelivery;
    this.#proxyDefaults = value.defaultConfig;
  }

  async #read(object: KubeObject, client: KubeClient, log: Logger, signal: AbortSignal): Promise<void> {
    let stored: StoredSettings;
    try {
      const { settings = '' } = (object['data'] ?? {}) as { settings?: string };
      stored = parseInjectorSettings(settings);
    } catch (error) {
      const reason = (error as Error).message;
      log.error({ configMap: INJECTOR_CONFIG_MAP, reason }, 'settings cannot be used; those before stay');
      return;
    }
    this.#latest = stored;
    while (!signal.aborted && this.#latest === stored) {
      try {
        const settings = await settle(stored, client);
        if (this.#latest === stored) this.#current = settings;
        return;
      } catch (error) {
        log.warn({ err: (error as Error).message }, 'what `auto` means in this cluster cannot be read; trying again');
      }
      await sleep(RETRY_MS, undefined, { signal, ref: false }).catch(() => {});
    }
  }
}

/** Decides what was left to the cluster. */
async function settle(stored: StoredSettings, client: KubeClient): Promise<InjectorSettings> {
  const { excludeOutboundBy, nativeSidecars } = stored;
  return {
    ...stored,
    excludeOutboundBy: excludeOutboundBy === 'auto' ? await decideExclusion(client) : excludeOutboundBy,
    nativeSidecars: nativeSidecars === 'auto' ? await hasNativeSidecars(client) : nativeSidecars,
    ...((await hasIpv6(client)) && { hasIpv6: true as const }),
  };
}

/**
 * Of the cluster's pods, not of this process alone: it may run on the host's network, or on a node without. Nodes that give their
 * pods IPv6 have a range of it to give, or an address of it themselves. Every one has to: on a node whose kernel has no IPv6 an Envoy does
 * not start with such an address in its bootstrap.
 */
async function hasIpv6(client: KubeClient): Promise<boolean> {
  if (ownFamilies() !== 'IPv4') return true;
  const { items } = await client.list(NODES);
  const have = items.map((node) => {
    const { spec = {}, status = {} } = node as NodeAddresses;
    const own = (status.addresses ?? []).filter(({ type }) => type === 'InternalIP').map(({ address }) => address);
    return [...(spec.podCIDRs ?? []), ...own].some((text) => text.includes(':'));
  });
  return have.length > 0 && have.every(Boolean);
}

interface NodeAddresses {
  readonly spec?: { readonly podCIDRs?: readonly string[] };
  readonly status?: { readonly addresses?: readonly { readonly type: string; readonly address: string }[] };
}

/** Where all users of a node are one, rules by uid would lead Envoy's own connections back into Envoy for ever. */
async function decideExclusion(client: KubeClient): Promise<'uid' | 'mark'> {
  const { items } = await client.list(NODES, { labelSelector: 'isthmus.dev/rootless=true' });
  return items.length > 0 ? 'mark' : 'uid';
}

/** Older clusters would take the sidecar for an init container that never ends (1.28), or know no `sleep` (1.29). */
async function hasNativeSidecars(client: KubeClient): Promise<boolean> {
  const { major = '', minor = '' } = (await client.request('GET', '/version')) as { major?: string; minor?: string };
  return Number.parseInt(major, 10) * 100 + Number.parseInt(minor, 10) >= 130;
}
