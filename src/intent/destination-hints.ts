// SPDX-License-Identifier: Apache-2.0
// What routes and TCP chains have to know of the rules for their destinations.
import { hostname } from '../api/names.ts';
import type { MeshService } from '../model/snapshot.ts';
import { aliasTarget, type ProxyView, selectDestinationRule } from '../model/view.ts';
import type { DestinationRef, HashIntent } from './destination-types.ts';
import { refsOf } from './route-refs.ts';
import type { HttpRouteIntent, VirtualHostIntent } from './route-types.ts';
import { effectivePolicy, hashOf, type Policy, tcpPolicyOf } from './traffic-policy.ts';
import type { TcpChainIntent } from './types.ts';

/**
 * The same routes; those to destinations that balance by hash say what the hash is made of, and those to a service of
 * several clusters try again in another one.
 */
export function withHints(routes: readonly HttpRouteIntent[], view: ProxyView): readonly HttpRouteIntent[] {
  return routes.map((route) => {
    const { action } = route;
    if (action.kind !== 'forward') return route;
    const hashes = distinct(action.to.flatMap(({ to }) => hashOf(policyFor(to, view)) ?? []));
    const hashed = hashes.length === 0 ? action : { ...action, hashes };
    const { retries } = hashed;
    const isOpen = retries !== undefined && !retries.otherPriorities && !retries.samePriorities;
    const hinted =
      isOpen && action.to.some(({ to }) => isOfSeveral(to, view))
        ? { ...hashed, retries: { ...retries, otherPriorities: true } }
        : hashed;
    return hinted === action ? route : { ...route, action: hinted };
  });
}

/** As many as a request has. */
const CONNECT_ATTEMPTS = 3;

/** Of several destinations the first decides: a connection's filter is chosen before its destination is. */
export function withPolicy(chain: TcpChainIntent, view: ProxyView): TcpChainIntent {
  if (chain.use !== 'proxy') return chain;
  const { ref } = chain.to[0]!;
  const ruled = tcpPolicyOf(policyFor(ref, view));
  const byNamePort = portByName(ref, view);
  const found =
    byNamePort === undefined ? ruled : { ...ruled, byName: { port: byNamePort, families: view.vantage.families } };
  // Another cluster may take what the first one refuses.
  const policy = isOfSeveral(ref, view) ? { ...found, connectAttempts: CONNECT_ATTEMPTS } : found;
  return policy === undefined ? chain : { ...chain, policy };
}

function serviceFor({ host }: DestinationRef, view: ProxyView): MeshService | undefined {
  const named = view.serviceOf.get(hostname(host));
  return named && (aliasTarget(view, named) ?? named);
}

/** Of a destination of which the client says the name: the port that it has there. */
function portByName(ref: DestinationRef, view: ProxyView): number | undefined {
  const service = serviceFor(ref, view);
  if (service?.resolution !== 'by-name') return undefined;
  const target = service.ports.find(({ number }) => number === ref.port)?.targetPort;
  return typeof target === 'number' ? target : ref.port;
}

/** Some request may go to a name that it says itself. */
export function leadsByName(hosts: Iterable<VirtualHostIntent>, view: ProxyView): boolean {
  return [...hosts].some(({ routes }) => refsOf(routes).some((ref) => serviceFor(ref, view)?.resolution === 'by-name'));
}

function isOfSeveral(ref: DestinationRef, view: ProxyView): boolean {
  return serviceFor(ref, view)?.traffic !== undefined;
}

function policyFor(ref: DestinationRef, view: ProxyView): Partial<Policy> | undefined {
  const { subset, port } = ref;
  const service = serviceFor(ref, view);
  return service && effectivePolicy(service, selectDestinationRule(view, service), subset, port);
}

function distinct(hashes: readonly HashIntent[]): HashIntent[] {
  return [...new Map(hashes.map((hash) => [JSON.stringify(hash), hash])).values()];
}
