// SPDX-License-Identifier: Apache-2.0
// Servers of Gateways that have to give way to those of older ones.
import type { Gateway } from '../../api/gateway.ts';
import { mergeServers, type ServerConflict } from '../gateway-servers.ts';
import type { Say } from './known.ts';

type Labels = Gateway['spec']['selector'];

/** Whoever has more kinds of gateways than this is told of some conflicts only. */
const MAX_SELECTORS = 100;

export function checkServers(gateways: readonly Gateway[], say: Say): void {
  const found = new Map<string, ServerConflict>();
  for (const labels of distinctSelectors(gateways)) {
    for (const conflict of mergeServers(together(labels, gateways), (port) => port).conflicts) {
      const { ref } = conflict.gateway;
      found.set(`${ref.namespace}/${ref.name} ${conflict.field}`, conflict);
    }
  }
  for (const { gateway, field, message, cure } of found.values()) say(gateway.ref, 'ISM0125', field, message, cure);
}

function distinctSelectors(gateways: readonly Gateway[]): Labels[] {
  const selectors = new Map(
    gateways.map(({ spec }) => [JSON.stringify(Object.entries(spec.selector).sort()), spec.selector]),
  );
  return [...selectors.values()].slice(0, MAX_SELECTORS);
}

/** Gateways that a pod may have together that has these labels and maybe others. */
function together(labels: Labels, gateways: readonly Gateway[]): Gateway[] {
  const pod: Record<string, string> = { ...labels };
  return gateways.filter(({ spec }) => {
    const wanted = Object.entries(spec.selector);
    if (!wanted.every(([key, value]) => (pod[key] ?? value) === value)) return false;
    for (const [key, value] of wanted) pod[key] = value;
    return true;
  });
}
