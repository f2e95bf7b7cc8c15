// SPDX-License-Identifier: Apache-2.0
// Webhooks of the mesh that lead nowhere: objects are refused, or pods start without a sidecar.
import type { Diagnostic } from '../api/diagnostics.ts';
import { isRecord } from '../api/shape.ts';
import { type Analyzed, say, type World } from './world.ts';

const KINDS = new Set(['MutatingWebhookConfiguration', 'ValidatingWebhookConfiguration']);
const OF_THE_MESH = /(^|\.)istio\.io$/;

export function checkWebhooks(world: World): Diagnostic[] {
  return world.all.filter(({ object }) => KINDS.has(object.kind)).flatMap((each) => checkConfiguration(each, world));
}

function checkConfiguration(each: Analyzed, { services }: World): Diagnostic[] {
  const webhooks = each.object['webhooks'];
  return (Array.isArray(webhooks) ? webhooks.filter(isRecord) : []).flatMap((webhook, i) => {
    const config = isRecord(webhook['clientConfig']) ? webhook['clientConfig'] : {};
    const { service } = config;
    if (!isRecord(service) || !OF_THE_MESH.test(String(webhook['name']))) return [];
    const { namespace, name, port = 443 } = service;
    const field = `webhooks[${i}].clientConfig.service`;
    const found = services.find(({ service: { ref } }) => ref.namespace === namespace && ref.name === name)?.service;
    if (found === undefined) {
      const message = `there is no Service ${String(namespace)}/${String(name)}, which the webhook ${String(webhook['name'])} asks`;
      return [say(each, 'ISM0425', `${field}.name`, message, 'install the mesh anew, or delete the configuration')];
    }
    if (found.ports.some(({ number }) => number === port)) return [];
    const message = `Service ${String(namespace)}/${String(name)} has no port ${String(port)}`;
    return [say(each, 'ISM0425', `${field}.port`, message, 'install the mesh anew, or correct the port')];
  });
}
