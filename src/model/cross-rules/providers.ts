// SPDX-License-Identifier: Apache-2.0
// Telemetry that nobody is told, and objects for a whole namespace that an older one stands before.
import { serviceTold } from '../../api/extension-providers.ts';
import type { MeshObject } from '../../api/kind.ts';
import { hostname } from '../../api/names.ts';
import type { MeshIndex } from '../snapshot.ts';
import type { HostIndex, Say } from './known.ts';

/** There without being declared, as in Istio. */
const BUILT_IN: ReadonlySet<string> = new Set(['prometheus', 'envoy']);

export function checkProviders({ telemetries, mesh }: MeshIndex, hosts: HostIndex, say: Say): void {
  const providers = new Map(mesh.extensionProviders.map((provider) => [provider.name, provider]));
  for (const { ref, spec } of telemetries) {
    for (const part of ['tracing', 'metrics', 'accessLogging'] as const) {
      spec[part].forEach((entry, i) => {
        entry.providers.forEach(({ name }, k) => {
          const field = `spec.${part}[${i}].providers[${k}].name`;
          const provider = providers.get(name);
          if (provider === undefined && !BUILT_IN.has(name)) {
            const known = [...BUILT_IN, ...providers.keys()].join(', ');
            say(ref, 'ISM0117', field, `no extension provider is called ${name}`, `use one of ${known}`);
          }
          const { service, port } = (provider && serviceTold(provider)) ?? {};
          if (service === undefined) return;
          const served = hosts.get(hostname(service))?.flatMap(({ ports }) => ports);
          if (served?.some(({ number }) => number === port)) return;
          const message = `provider ${name} is told at ${service}:${port}, which is no service’s port`;
          say(ref, 'ISM0117', field, message, 'correct service and port in meshConfig.extensionProviders');
        });
      });
    }
  }
}

/** Of those without a selector the oldest of a namespace counts. */
export function checkGeneral({ telemetries, proxyConfigs }: MeshIndex, say: Say): void {
  for (const objects of [telemetries, proxyConfigs] as readonly (readonly Selecting[])[]) {
    const first = new Map<string, string>();
    for (const { ref, spec } of objects) {
      if (Object.keys(spec.selector?.matchLabels ?? {}).length > 0) continue;
      const older = first.get(ref.namespace);
      if (older === undefined) {
        first.set(ref.namespace, ref.name);
        continue;
      }
      const message = `${ref.kind} ${older} is for all of namespace ${ref.namespace} too, and is older: it alone counts`;
      say(
        ref,
        ref.kind === 'Telemetry' ? 'ISM0129' : 'ISM0118',
        'spec.selector',
        message,
        'join the two, or give this one a selector',
      );
    }
  }
}

type Selecting = MeshObject<{
  readonly selector?: { readonly matchLabels: Readonly<Record<string, string>> } | undefined;
}>;
