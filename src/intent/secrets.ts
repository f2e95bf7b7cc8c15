// SPDX-License-Identifier: Apache-2.0
// Which keys and roots a proxy is to get apart from the rest: those that its intent names, and no others.
import { IdentityMemo } from './identity-memo.ts';
import type { CertificateSource, Origin, ProxyIntent, RootsSource, ServerTlsIntent } from './types.ts';

export type SecretUse =
  | { readonly what: 'certificate'; readonly source: CertificateSource; readonly origin: Origin }
  | { readonly what: 'roots'; readonly source: RootsSource; readonly origin: Origin };

/** What was found, by the parts of intents that were looked at. */
export class SecretUseCache {
  readonly destinations = new IdentityMemo<readonly SecretUse[]>();
}

export function secretsOf({ gateway, destinations }: ProxyIntent, cache: SecretUseCache): readonly SecretUse[] {
  const servers = (gateway?.tcpPorts ?? []).flatMap(({ chains, https }) =>
    [...https, ...chains].flatMap(({ tls, origin }) => (tls === undefined ? [] : usesOfServer(tls, origin))),
  );
  const clients = cache.destinations.get([destinations], '', () => usesOfClients(destinations));
  return servers.length === 0 ? clients : [...servers, ...clients];
}

function usesOfServer({ certificates, roots }: ServerTlsIntent, origin: Origin): SecretUse[] {
  const shown = certificates === 'mesh' ? [] : certificates;
  return [
    ...shown.map((source) => ({ what: 'certificate' as const, source, origin })),
    ...(roots === 'mesh' || roots === undefined ? [] : [{ what: 'roots' as const, source: roots, origin }]),
  ];
}

function usesOfClients(destinations: ProxyIntent['destinations']): readonly SecretUse[] {
  return destinations.flatMap(({ security, origin }): SecretUse[] => {
    if (security.kind !== 'tls' || security.credential === undefined) return [];
    const { name, client, verify } = security.credential;
    const source = { kind: 'secret' as const, name };
    return [
      ...(client ? [{ what: 'certificate' as const, source, origin }] : []),
      ...(verify ? [{ what: 'roots' as const, source, origin }] : []),
    ];
  });
}
