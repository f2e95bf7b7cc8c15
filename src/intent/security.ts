// SPDX-License-Identifier: Apache-2.0
// Who speaks TLS with whom. Without a rule a client speaks the mesh's mutual TLS to every endpoint that has a sidecar,
// and plaintext to the others, which cannot understand anything else. Names of other clusters lead to their gateways, which
// let in nothing but the mesh's TLS.
import type { TlsSettings } from '../api/destination-rule.ts';
import type { MeshConfig } from '../api/mesh-config.ts';
import type { TlsDefaults } from '../api/server-tls.ts';
import { isRemote } from '../model/hosts.ts';
import type { ClientSecurity, DestinationRef } from './destination-types.ts';
import type { DestinationInputs } from './destinations.ts';
import type { Origin } from './origin.ts';
import type { CertificateSource, RootsSource } from './tls-types.ts';
import type { Policy } from './traffic-policy.ts';

/** `outbound_.9080_.v2_.reviews.default.svc.cluster.local`: by it a gateway finds the way without opening the TLS. */
export function sniName(ref: DestinationRef): string {
  return `outbound_.${ref.port}_.${ref.subset}_.${ref.host}`;
}

const PLAIN: ClientSecurity = { kind: 'plain' };

/** Connections go on to the address that the sidecar's client dialled. A gateway's clients dialled the gateway. */
export function asDialled({ kind, exit }: DestinationInputs, policy: Partial<Policy> | undefined): boolean {
  return policy?.loadBalancer?.simple === 'PASSTHROUGH' && kind === 'sidecar' && exit !== true;
}

/** A sidecar's clients of a headless service choose the pod themselves. */
function dialsPods({ service, kind }: DestinationInputs): boolean {
  return kind === 'sidecar' && service.registry === 'kubernetes' && service.resolution === 'none';
}

export function clientSecurity(
  inputs: DestinationInputs,
  ref: DestinationRef,
  policy: Partial<Policy> | undefined,
): ClientSecurity {
  const { service, mesh, rule } = inputs;
  const tls = policy?.tls ?? tracerTls(inputs, ref);
  const peers = service.subjectAltNames.length > 0 ? service.subjectAltNames : inputs.identities;
  if (tls === undefined) {
    if (!mesh.enableAutoMtls || !service.meshInternal || service.resolution === 'by-name') return { kind: 'plain' };
    if (asDialled(inputs, policy) && service.resolution !== 'none') {
      // Where the connection ends up is not known here: what is in the mesh takes nothing but its TLS.
      return inputs.identities.length > 0 ? { kind: 'mesh', when: 'always', sni: sniName(ref), peers } : PLAIN;
    }
    if (dialsPods(inputs)) {
      // Envoy learns such an endpoint only when it is dialled, and cannot know whether it has a sidecar.
      return inputs.headlessMeshed ? { kind: 'mesh', when: 'always', sni: sniName(ref), peers } : { kind: 'plain' };
    }
    const when = isRemote(service) && service.traffic === undefined ? 'always' : 'where-meshed';
    return { kind: 'mesh', when, sni: sniName(sharedRef(inputs, ref)), peers: anyOf(inputs, peers) };
  }
  const asked = tls.subjectAltNames.length > 0 ? tls.subjectAltNames : undefined;
  switch (tls.mode) {
    case 'DISABLE':
      return { kind: 'plain' };
    case 'ISTIO_MUTUAL':
      return {
        kind: 'mesh',
        when: 'always',
        sni: tls.sni ?? sniName(sharedRef(inputs, ref)),
        peers: asked ?? anyOf(inputs, peers),
      };
    case 'SIMPLE':
    case 'MUTUAL':
      // A Secret of the namespace is for those clients alone that a rule selects, or for gateways, which all may have it.
      if (tls.credentialName && inputs.kind === 'sidecar' && rule?.selective !== true) return PLAIN;
      return {
        ...ownTls(tls, ref, asked ?? service.subjectAltNames),
        ...chosen(mesh.tlsDefaults),
        origin: tlsOrigin(inputs, ref),
      };
  }
}

/** The mesh's own tracer by its `defaultConfig.tracing.tlsSettings`, where no rule says how it is reached. */
function tracerTls({ mesh }: DestinationInputs, { host, port }: DestinationRef): TlsSettings | undefined {
  const { zipkin, datadog, tlsSettings } = mesh.defaultConfig?.tracing ?? {};
  const tracer = zipkin ?? datadog;
  if (!mesh.enableTracing || tracer === undefined || tlsSettings === undefined) return undefined;
  const names = [host, host.replace(/\.svc\..*$/, '')];
  return names.some((name) => tracer.address === `${name}:${port}`) ? tlsSettings : undefined;
}

/** Names outside of the mesh, by its `outboundTrafficPolicy.tls`: whoever is asked for has to prove that name. */
export function strangersSecurity(
  { outboundTrafficPolicy, tlsDefaults }: MeshConfig,
  origin: Origin,
): Extract<ClientSecurity, { kind: 'plain' | 'tls' }> {
  const { tls } = outboundTrafficPolicy;
  if (tls === undefined || tls.mode === 'DISABLE') return { kind: 'plain' };
  return { ...ownTls(tls, { host: '*', port: 0, subset: '' }, tls.subjectAltNames), ...chosen(tlsDefaults), origin };
}

/** Other clusters' gateways know the name that all clusters have for the service; its own pods do not look at it. */
function sharedRef({ service, spare }: DestinationInputs, ref: DestinationRef): DestinationRef {
  if (spare !== undefined && ref.subset === '') return { ...ref, host: spare.hostname };
  return service.traffic !== undefined && service.aliasOf !== undefined ? { ...ref, host: service.aliasOf } : ref;
}

/** Who answers in other clusters, the own one knows as far as the entry says it. */
function anyOf({ spare }: DestinationInputs, own: readonly string[]): readonly string[] {
  if (spare === undefined) return own;
  const others = spare.subjectAltNames;
  return others.length === 0 ? [] : [...new Set([...own, ...others])].sort();
}

/** Roots that a Linux image has for the public web; a rule may name others. */
const SYSTEM_ROOTS = '/etc/ssl/certs/ca-certificates.crt';

type OwnTls = Extract<ClientSecurity, { kind: 'tls' }>;

function ownTls(tls: TlsSettings, ref: DestinationRef, asked: readonly string[]): Omit<OwnTls, 'origin'> {
  const sni = tls.sni || (ref.host.startsWith('*') ? '' : ref.host);
  const verify = tls.insecureSkipVerify !== true;
  const peers = !verify || asked.length > 0 || sni === '' ? asked : [sni];
  return { kind: 'tls', sni, peers, roots: verify ? rootsOf(tls) : undefined, certificate: certificateOf(tls) };
}

function chosen(defaults: TlsDefaults | undefined): Pick<OwnTls, 'cipherSuites' | 'curves'> {
  const { cipherSuites = [], ecdhCurves: curves = [] } = defaults ?? {};
  return { ...(cipherSuites.length > 0 && { cipherSuites }), ...(curves.length > 0 && { curves }) };
}

/** A subset's own TLS, or else that of the whole rule; a port's stands within either. */
function tlsOrigin({ service, rule }: DestinationInputs, ref: DestinationRef): Origin {
  const subset = rule?.subsets.find(({ name }) => name === ref.subset);
  const policy = subset?.trafficPolicy;
  if (subset !== undefined && (policy?.tls ?? policy?.portLevelSettings.find(({ tls }) => tls)) !== undefined) {
    return { object: subset.origin.object, field: `${subset.origin.field}.trafficPolicy` };
  }
  return { object: rule?.policyRef ?? service.origin, field: 'spec.trafficPolicy' };
}

function rootsOf({ credentialName, caCertificates, caCrl }: TlsSettings): RootsSource {
  if (credentialName) return { kind: 'secret', name: credentialName };
  return { kind: 'files', roots: caCertificates || SYSTEM_ROOTS, crl: caCrl || undefined };
}

function certificateOf({
  mode,
  credentialName,
  clientCertificate,
  privateKey,
}: TlsSettings): CertificateSource | undefined {
  if (mode !== 'MUTUAL') return undefined;
  if (credentialName) return { kind: 'secret', name: credentialName };
  return { kind: 'files', chain: clientCertificate ?? '', key: privateKey ?? '' };
}
