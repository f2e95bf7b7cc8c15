// SPDX-License-Identifier: Apache-2.0
// Which keys and roots a proxy is to get apart from the rest: those that its intent names, or may
// come to name, and no others.
import { DerivedMap } from '../incremental/derived-map.ts';
import { IdentityMemo } from '../incremental/identity-memo.ts';
import { LineageMemo } from '../incremental/lineage-memo.ts';
import type { DestinationIntent } from './destination-types.ts';
import type { Origin } from './origin.ts';
import type { CertificateSource, RootsSource, ServerTlsIntent } from './tls-types.ts';
import type { ProxyIntent } from './types.ts';

export type SecretUse =
  | { readonly what: 'certificate'; readonly source: CertificateSource; readonly origin: Origin }
  | { readonly what: 'roots'; readonly source: RootsSource; readonly origin: Origin };

/** What was found, by the parts of intents that were looked at. */
export class SecretUseCache {
  readonly #uses = new LineageMemo<DerivedMap<DestinationIntent, readonly SecretUse[]>>();
  readonly #lists = new IdentityMemo<readonly SecretUse[]>();

  ofClients(destinations: ProxyIntent['destinations']): readonly SecretUse[] {
    const uses = this.#uses.get(destinations, '', () => new DerivedMap(usesOfClient)).of(destinations);
    return this.#lists.get([uses], '', () => [...uses.values()].flat());
  }
}

/** Those of a cluster that nothing names, too: a proxy may go on with it, and waits for what it names. */
export function secretsOf(
  { gateway, inbound, destinations, nameable = destinations }: ProxyIntent,
  cache: SecretUseCache,
): readonly SecretUse[] {
  const opened = [
    ...(gateway?.tcpPorts ?? []).flatMap(({ chains, https }) => [...https, ...chains]),
    ...(inbound?.ports ?? []),
  ];
  const servers = opened.flatMap(({ tls, origin }) => (tls === undefined ? [] : usesOfServer(tls, origin)));
  const clients = cache.ofClients(nameable);
  return servers.length === 0 ? clients : [...servers, ...clients];
}

function usesOfServer({ certificates, roots }: ServerTlsIntent, origin: Origin): SecretUse[] {
  const shown = certificates === 'mesh' ? [] : certificates;
  return [
    ...shown.map((source) => ({ what: 'certificate' as const, source, origin })),
    ...(roots === 'mesh' || roots === undefined ? [] : [{ what: 'roots' as const, source: roots, origin }]),
  ];
}

/** undefined: none, as of most. */
function usesOfClient({ security }: DestinationIntent): readonly SecretUse[] | undefined {
  if (security.kind !== 'tls') return undefined;
  // Files are named in the cluster itself, which Envoy refuses without them: then the one before it stays in force.
  const uses: SecretUse[] = [];
  const { certificate, roots, origin } = security;
  if (certificate?.kind === 'secret') uses.push({ what: 'certificate', source: certificate, origin });
  if (roots?.kind === 'secret') uses.push({ what: 'roots', source: roots, origin });
  return uses.length === 0 ? undefined : uses;
}
