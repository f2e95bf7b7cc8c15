// SPDX-License-Identifier: Apache-2.0
// Who speaks TLS with whom. Without a rule a client speaks the mesh's mutual TLS to every endpoint that has a sidecar,
// and plaintext to the others, which cannot understand anything else. Names of other clusters lead to their gateways, which
// let in nothing but the mesh's TLS.
import type { TlsSettings } from '../api/destination-rule.ts';
import { isRemote } from '../model/hosts.ts';
import type { DestinationInputs } from './destinations.ts';
import type { ClientSecurity, DestinationRef } from './types.ts';

/** `outbound_.9080_.v2_.reviews.default.svc.cluster.local`: by it a gateway finds the way without opening the TLS. */
export function sniName(ref: DestinationRef): string {
  return `outbound_.${ref.port}_.${ref.subset}_.${ref.host}`;
}

/** A sidecar's clients of a headless service choose the pod themselves. */
function dialsPods({ service, kind }: DestinationInputs): boolean {
  return kind === 'sidecar' && service.registry === 'kubernetes' && service.resolution === 'none';
}

export function clientSecurity(
  inputs: DestinationInputs,
  ref: DestinationRef,
  tls: TlsSettings | undefined,
): ClientSecurity {
  const { service, mesh } = inputs;
  const peers = service.subjectAltNames.length > 0 ? service.subjectAltNames : inputs.identities;
  if (tls === undefined) {
    if (!mesh.enableAutoMtls || !service.meshInternal) return { kind: 'plain' };
    if (dialsPods(inputs)) {
      // Envoy learns such an endpoint only when it is dialled, and cannot know whether it has a sidecar.
      return inputs.headlessMeshed ? { kind: 'mesh', when: 'always', sni: sniName(ref), peers } : { kind: 'plain' };
    }
    return { kind: 'mesh', when: isRemote(service) ? 'always' : 'where-meshed', sni: sniName(ref), peers };
  }
  const asked = tls.subjectAltNames.length > 0 ? tls.subjectAltNames : undefined;
  switch (tls.mode) {
    case 'DISABLE':
      return { kind: 'plain' };
    case 'ISTIO_MUTUAL':
      return { kind: 'mesh', when: 'always', sni: tls.sni ?? sniName(ref), peers: asked ?? peers };
    case 'SIMPLE':
    case 'MUTUAL':
      return ownTls(tls, ref, asked ?? service.subjectAltNames);
  }
}

/** Roots that a Linux image has for the public web; a rule may name others. */
const SYSTEM_ROOTS = '/etc/ssl/certs/ca-certificates.crt';

function ownTls(tls: TlsSettings, ref: DestinationRef, asked: readonly string[]): ClientSecurity {
  const sni = tls.sni ?? (ref.host.startsWith('*') ? '' : ref.host);
  const verify = tls.insecureSkipVerify !== true;
  return {
    kind: 'tls',
    sni,
    peers: !verify || asked.length > 0 || sni === '' ? asked : [sni],
    roots: verify ? (tls.caCertificates ?? SYSTEM_ROOTS) : undefined,
    certificate: tls.mode === 'MUTUAL' ? { chain: tls.clientCertificate ?? '', key: tls.privateKey ?? '' } : undefined,
  };
}
