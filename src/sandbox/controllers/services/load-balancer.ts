// SPDX-License-Identifier: Apache-2.0
import { SERVICES } from '../../../kube/resources.ts';
import { type Controller, type ControllerContext, createQueue, recorderFor } from '../controller.ts';
import { type Informer, keyOf } from '../informer.ts';
import type { Service } from '../objects.ts';

const NAME = 'service-controller';

/**
 * Gives each Service of type LoadBalancer one address of `pool`, for as long as it lives. What is allocated stands in
 * the Services' status and nowhere else, so a restart changes nothing. Keys are Services, worked on one at a time:
 * two must never get one address.
 */
export function createLoadBalancerController(context: ControllerContext, pool: readonly string[]): Controller {
  const services = context.informers.of<Service>(SERVICES);
  const queue = createQueue(context, NAME, { concurrency: 1 });
  const events = recorderFor(context, NAME);
  services.onChange((before, after) => {
    const object = after ?? before;
    if (object !== undefined && (isBalanced(object) || addressesOf(object).length > 0)) queue.add(keyOf(object));
    // An address may have become free: those who wait for one try again.
    if (
      before !== undefined &&
      addressesOf(before).some((ip) => after === undefined || !addressesOf(after).includes(ip))
    ) {
      for (const service of services.all()) {
        if (isBalanced(service) && addressesOf(service).length === 0) queue.add(keyOf(service));
      }
    }
  });

  const write = async (service: Service, ip: string | undefined): Promise<void> => {
    const ingress = ip === undefined ? undefined : [{ ip, ipMode: 'VIP' }];
    const status = { ...service.status, loadBalancer: ingress ? { ingress } : {} };
    await services.echo(await context.client.replaceStatus(SERVICES, { ...service, status }));
  };

  return {
    name: NAME,
    queue,
    async reconcile(key) {
      const service = services.byKey(key);
      if (service === undefined || service.metadata.deletionTimestamp !== undefined) return;
      const current = addressesOf(service);
      if (!isBalanced(service)) {
        if (current.length > 0) await write(service, undefined);
        return;
      }
      const wanted = service.spec.loadBalancerIP || undefined;
      const taken = takenBy(services, service);
      const kept = current.find((ip) => pool.includes(ip) && !taken.has(ip) && (wanted === undefined || wanted === ip));
      if (kept !== undefined && current.length === 1) return;
      const free = kept ?? pool.find((ip) => !taken.has(ip) && (wanted === undefined || wanted === ip));
      if (free === undefined) {
        events.record(
          service,
          'Warning',
          'SyncLoadBalancerFailed',
          `Error syncing load balancer: ${refusal(pool, wanted)}`,
        );
        if (current.length > 0) await write(service, undefined);
        return;
      }
      await write(service, free);
      events.record(service, 'Normal', 'EnsuredLoadBalancer', 'Ensured load balancer');
    },
  };
}

/** A Service with a class of its own belongs to another implementation. */
function isBalanced(service: Service): boolean {
  return service.spec.type === 'LoadBalancer' && !service.spec.loadBalancerClass;
}

function addressesOf(service: Service): string[] {
  return (service.status?.loadBalancer?.ingress ?? []).flatMap(({ ip }) => (ip ? [ip] : []));
}

function takenBy(services: Informer<Service>, except: Service): Set<string> {
  const taken = new Set<string>();
  for (const service of services.all()) {
    if (service.metadata.uid !== except.metadata.uid) for (const ip of addressesOf(service)) taken.add(ip);
  }
  return taken;
}

function refusal(pool: readonly string[], wanted: string | undefined): string {
  if (wanted === undefined) {
    return `all ${pool.length} addresses of this cluster are in use; delete a Service of type LoadBalancer to free one`;
  }
  if (pool.includes(wanted)) return `spec.loadBalancerIP ${wanted} is in use by another Service`;
  const range = pool.length === 0 ? 'none' : `${pool[0]} to ${pool.at(-1)}`;
  return `spec.loadBalancerIP ${wanted} is not an address of this cluster (it has ${range})`;
}
