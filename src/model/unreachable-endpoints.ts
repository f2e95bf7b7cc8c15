// SPDX-License-Identifier: Apache-2.0
// Endpoints behind a gateway that it cannot lead to: it passes on the mesh's own TLS, which only a sidecar understands.
import type { Diagnostic } from '../api/diagnostics.ts';
import { diagnose } from '../api/report.ts';
import type { EndpointCensus } from './endpoint-census.ts';
import type { MeshIndex, MeshService } from './snapshot.ts';

export class UnreachableEndpoints {
  #inputs: readonly unknown[] = [];
  #diagnostics: readonly Diagnostic[] = [];

  get diagnostics(): readonly Diagnostic[] {
    return this.#diagnostics;
  }

  update(index: MeshIndex, unmeshed: EndpointCensus['unmeshed']): void {
    const inputs = [index.services, index.networks, unmeshed];
    if (inputs.every((input, i) => input === this.#inputs[i])) return;
    this.#inputs = inputs;
    const { gateways } = index.networks;
    this.#diagnostics = [...(gateways.size === 0 ? [] : unmeshed)].flatMap(([key, places]) => {
      const service = index.services.get(key);
      if (service === undefined || isOfPlatform(service, index)) return [];
      // A Service that only its own cluster has is known to no DNS of the others.
      const isShared = (cluster: string) =>
        service.registry === 'service-entry' || Object.keys(service.clusters).some((other) => other !== cluster);
      const behind = places.filter(({ network, cluster }) => gateways.has(network) && isShared(cluster));
      return behind.map(({ network, cluster }) => {
        const where = `in ${cluster}, behind the gateway of network ${network}, have no sidecar`;
        const message = `endpoints of ${service.hostname} ${where}: other networks cannot reach them`;
        const isEntry = service.registry === 'service-entry';
        const cure = isEntry
          ? 'label them security.istio.io/tlsMode: istio if they have one, or name no network for them'
          : 'give their pods a sidecar';
        return diagnose(service.origin, 'ISM0113', isEntry ? 'spec.endpoints' : 'spec.selector', message, cure);
      });
    });
  }
}

/** What clusters and the mesh itself are made of has no sidecars, and no need of them. */
function isOfPlatform({ namespace, hostname }: MeshService, { settings }: MeshIndex): boolean {
  const isApi = namespace === 'default' && hostname.startsWith('kubernetes.default.svc.');
  return isApi || namespace === settings.rootNamespace || namespace.startsWith('kube-');
}
