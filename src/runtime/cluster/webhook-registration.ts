// SPDX-License-Identifier: Apache-2.0
// The API server calls our webhooks only over TLS that it can check: the CA's roots stand in their configurations, and
// are put back when somebody applies the manifests again.
import type { Logger } from 'pino';
import type { KubeClient } from '../../kube/client.ts';
import { MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS } from '../../kube/resources.ts';
import type { KubeObject, ResourceType } from '../../kube/types.ts';
import { watchResource } from '../../kube/watch.ts';

interface WebhookConfiguration extends KubeObject {
  webhooks?: { name: string; clientConfig: { caBundle?: string } }[];
}

const OURS: readonly [role: 'injector' | 'validator', type: ResourceType, name: string][] = [
  ['injector', MUTATING_WEBHOOKS, 'istio-sidecar-injector'],
  ['validator', VALIDATING_WEBHOOKS, 'istio-validator'],
];
const RETRY_MS = 1_000;
/** Somebody else who insists on another CA (a control plane that is being replaced, say) is outwaited, not outrun. */
const CONTEST = { firstMs: 100, capMs: 5_000, calmMs: 30_000 };

/** Keeps the `caBundle` of the webhooks that `roles` serve equal to `rootPem` until `signal` aborts. */
export async function keepWebhooksTrusting(
  client: KubeClient,
  rootPem: string,
  roles: ReadonlySet<string>,
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  const caBundle = Buffer.from(rootPem).toString('base64');
  await Promise.all(
    OURS.filter(([role]) => roles.has(role)).map(([, type, name]) => {
      const restraint = new Restraint();
      const patch = async (configuration: WebhookConfiguration): Promise<void> => {
        const operations = buildOperations(configuration, caBundle);
        if (operations.length === 0 || signal.aborted) return;
        if (!restraint.mayAct(() => void again())) return;
        try {
          await client.patch(type, name, undefined, operations, { kind: 'json' });
          log.info({ webhooks: name }, 'the webhooks trust this control plane');
        } catch (error) {
          log.warn(
            { webhooks: name, err: (error as Error).message },
            'the CA could not be put into the webhooks; trying again',
          );
          // A conflict brings an event of its own; for the rest, look again.
          setTimeout(() => void again(), RETRY_MS).unref();
        }
      };
      const again = async (): Promise<void> => {
        if (signal.aborted) return;
        const current = await client.get<WebhookConfiguration>(type, name).catch(() => undefined);
        if (current !== undefined) await patch(current);
      };
      return watchResource<WebhookConfiguration>(
        client,
        type,
        { signal },
        {
          upsert: (object) => {
            if (object.metadata.name === name) void patch(object);
          },
          delete: () => {},
          synced: () => {},
          error: (error) =>
            log.warn({ webhooks: name, err: error.message }, 'webhooks cannot be watched; trying again'),
        },
      );
    }),
  );
}

/** Lets the first two acts pass at once; while there are more, ever later ones take their place. */
class Restraint {
  #acts = 0;
  #lastMs = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  /** False when it is too early: `later` is called in time. */
  mayAct(later: () => void): boolean {
    const nowMs = performance.now();
    const sinceMs = nowMs - this.#lastMs;
    if (sinceMs > CONTEST.calmMs) this.#acts = 0;
    const waitMs = this.#acts < 2 ? 0 : Math.min(CONTEST.capMs, CONTEST.firstMs * 2 ** (this.#acts - 2)) - sinceMs;
    if (waitMs <= 0) {
      this.#acts++;
      this.#lastMs = nowMs;
      return true;
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(later, waitMs).unref();
    return false;
  }
}

/** Each webhook is named in a test, so that a list that was changed meanwhile is left alone. */
function buildOperations({ webhooks = [] }: WebhookConfiguration, caBundle: string): unknown[] {
  return webhooks.flatMap(({ name, clientConfig }, i) =>
    clientConfig.caBundle === caBundle
      ? []
      : [
          { op: 'test', path: `/webhooks/${i}/name`, value: name },
          { op: 'add', path: `/webhooks/${i}/clientConfig/caBundle`, value: caBundle },
        ],
  );
}
