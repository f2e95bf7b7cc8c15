// SPDX-License-Identifier: Apache-2.0
import type { Logger } from 'pino';
import { INJECTOR_CONFIG_MAP, type InjectorSettings, parseInjectorSettings } from '../../injector/settings.ts';
import type { KubeClient } from '../../kube/client.ts';
import { CONFIG_MAPS } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';
import { watchResource } from '../../kube/watch.ts';
import { ISTIO_NAMESPACE } from '../mesh-resources.ts';

/** What `install` decided for the proxies, from its ConfigMap; a change counts from the next pod on. */
export class FollowedSettings {
  #current: InjectorSettings | undefined;

  /** undefined until the ConfigMap has been read. */
  get current(): InjectorSettings | undefined {
    return this.#current;
  }

  /** Follows the ConfigMap until `signal` aborts. */
  async run(client: KubeClient, log: Logger, signal: AbortSignal): Promise<void> {
    await watchResource<KubeObject>(
      client,
      CONFIG_MAPS,
      { namespace: ISTIO_NAMESPACE, signal },
      {
        upsert: (object) => {
          if (object.metadata.name === INJECTOR_CONFIG_MAP) this.#read(object, log);
        },
        delete: () => {},
        synced: () => {},
        error: (error) => log.warn({ err: error.message }, 'the injector’s settings cannot be read; trying again'),
      },
    );
  }

  #read(object: KubeObject, log: Logger): void {
    try {
      const { settings = '' } = (object['data'] ?? {}) as { settings?: string };
      this.#current = parseInjectorSettings(settings);
    } catch (error) {
      const reason = (error as Error).message;
      log.error({ configMap: INJECTOR_CONFIG_MAP, reason }, 'settings cannot be used; those before stay');
    }
  }
}
