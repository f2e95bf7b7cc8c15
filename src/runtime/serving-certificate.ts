// SPDX-License-Identifier: Apache-2.0
import { type Authority, DEFAULT_LIFETIME_MS } from '../identity/authority.ts';
import { RenewedCertificate } from '../identity/renewal.ts';
import type { TlsIdentity } from '../xds/grpc/server.ts';
import type { ControlPlaneOptions } from './control-plane-options.ts';
import { ISTIO_NAMESPACE } from './mesh-resources.ts';

/** Services that lead to this process: names under which it must prove itself. */
const SERVICES = ['istio-pilot', 'istio-citadel', 'istio-sidecar-injector', 'istiod'];

/** By which the control plane proves itself to proxies and to the API server. `renewed` is told of each but the first. */
export function createServingCertificate(
  { dnsDomain, log, serverNames = [], clock }: ControlPlaneOptions & Required<Pick<ControlPlaneOptions, 'clock'>>,
  authority: () => Authority,
  renewed: () => void,
): RenewedCertificate {
  const ofServices = SERVICES.flatMap((name) => {
    const short = `${name}.${ISTIO_NAMESPACE}`;
    return [short, `${short}.svc`, `${short}.svc.${dnsDomain}`];
  });
  const names = [...ofServices, ...serverNames];
  const changed = (): void => {
    log.info('the control plane’s own certificate has been renewed');
    renewed();
  };
  const issue = () => authority().issueServer(names, DEFAULT_LIFETIME_MS, clock.nowMs());
  const failed = (error: Error): void => {
    log.error({ err: error.message }, 'the control plane’s own certificate could not be renewed; trying again');
  };
  return new RenewedCertificate(issue, { changed, failed }, clock);
}

export function tlsOf({ current }: RenewedCertificate): TlsIdentity {
  return { certPem: current.chainPem, keyPem: current.keyPem };
}
