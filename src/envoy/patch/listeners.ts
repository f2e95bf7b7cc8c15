// SPDX-License-Identifier: Apache-2.0
// Patches of listeners and of all that is inside of them.
import { anyPack, anyUnpack } from '@bufbuild/protobuf/wkt';
import type { TransportSocket } from '#gen/envoy/config/core/v3/base_pb.ts';
import type { Filter, FilterChain, ListenerFilter } from '#gen/envoy/config/listener/v3/listener_components_pb.ts';
import { type Listener, ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.ts';
import {
  type HttpConnectionManager,
  HttpConnectionManagerSchema,
  type HttpFilter,
} from '#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import type { ListenerPatchMatch, PatchContext } from '../../intent/patch-types.ts';
import { VIRTUAL_INBOUND, VIRTUAL_OUTBOUND } from '../names.ts';
import { merged, mergedAny } from './merge.ts';
import { type Findings, isMerge, type Patch, type PatchSet, place, replacesLists, SCHEMAS } from './patch-set.ts';
import { patchRouteConfiguration } from './routes.ts';

/** undefined: it is taken out. */
export function patchListener(
  listener: Listener,
  patches: PatchSet,
  context: PatchContext,
  findings: Findings,
): Listener | undefined {
  let patched = listener;
  for (const patch of patches.of('LISTENER', context)) {
    if (patch.intent.operation === 'ADD' || !fitsListener(patched, patch, true)) continue;
    findings.note(patch);
    if (patch.intent.operation === 'REMOVE') return undefined;
    patched = merged(ListenerSchema, patched, patch.value(), replacesLists(patch));
  }
  for (const patch of patches.of('LISTENER_FILTER', context)) {
    if (!fitsListener(patched, patch)) continue;
    const wanted = patch.intent.match.listener?.listenerFilter ?? '';
    const fits = wanted === '' ? undefined : (filter: ListenerFilter) => filter.name === wanted;
    const done = isMerge(patch)
      ? mergeFilters(patched.listenerFilters, patch.value(), fits)
      : place(patched.listenerFilters, patch.intent.operation, patch.value, fits);
    if (done) findings.note(patch);
  }
  patchChains({ listener: patched, patches, context, findings });
  return patched;
}

interface Scene {
  readonly listener: Listener;
  readonly patches: PatchSet;
  readonly context: PatchContext;
  readonly findings: Findings;
}

function patchChains(scene: Scene): void {
  const { listener, patches, context, findings } = scene;
  listener.filterChains = listener.filterChains.flatMap((chain) => patchChain(chain, scene) ?? []);
  const rest = listener.defaultFilterChain;
  if (rest !== undefined) {
    const patched = patchChain(rest, scene);
    if (patched === undefined) delete listener.defaultFilterChain;
    else listener.defaultFilterChain = patched;
  }
  for (const patch of patches.of('FILTER_CHAIN', context)) {
    if (patch.intent.operation !== 'ADD' || !fitsListener(listener, patch)) continue;
    findings.note(patch);
    listener.filterChains.push(patch.value());
  }
}

function patchChain(chain: FilterChain, scene: Scene): FilterChain | undefined {
  const { listener, patches, context, findings } = scene;
  let patched = chain;
  const fits = (patch: Patch) => fitsListener(listener, patch) && fitsChain(listener, patched, patch);
  for (const patch of patches.of('FILTER_CHAIN', context)) {
    if (patch.intent.operation === 'ADD' || !fits(patch)) continue;
    findings.note(patch);
    if (patch.intent.operation === 'REMOVE') return undefined;
    patched = mergeChain(patched, patch);
  }
  for (const patch of patches.of('NETWORK_FILTER', context)) {
    if (isMerge(patch) || !fits(patch)) continue;
    const { filters } = patched;
    if (place(filters, patch.intent.operation, patch.value, networkFilterOf(patch), endOf(filters)))
      findings.note(patch);
  }
  for (const patch of patches.of('NETWORK_FILTER', context)) {
    if (!isMerge(patch) || !fits(patch)) continue;
    if (mergeFilters(patched.filters, patch.value(), networkFilterOf(patch))) findings.note(patch);
  }
  for (const filter of patched.filters) {
    patchManager(filter, scene, (patch) => fits(patch) && (networkFilterOf(patch)?.(filter) ?? true));
  }
  return patched;
}

const TERMINAL: readonly string[] = [
  'envoy.filters.http.router',
  'envoy.filters.network.http_connection_manager',
  'envoy.filters.network.tcp_proxy',
];

/** Behind the filter that passes requests or bytes on Envoy takes no other. */
function endOf(filters: readonly { readonly name: string }[]): number {
  return TERMINAL.includes(filters.at(-1)?.name ?? '') ? filters.length - 1 : filters.length;
}

/** The TLS of a chain is inside of an Any, and merged there. */
function mergeChain(chain: FilterChain, patch: Patch<'FILTER_CHAIN'>): FilterChain {
  const value = patch.value();
  if (mergeSocket(chain.transportSocket, value.transportSocket)) delete value.transportSocket;
  return merged(SCHEMAS.FILTER_CHAIN, chain, value, replacesLists(patch));
}

/** True when the patch's socket is merged into the one that is there. */
export function mergeSocket(into: TransportSocket | undefined, patch: TransportSocket | undefined): boolean {
  if (into === undefined || patch === undefined || into.name !== patch.name) return false;
  if (into.configType.case !== 'typedConfig' || patch.configType.case !== 'typedConfig') return false;
  const config = mergedAny(into.configType.value, patch.configType.value);
  if (config !== undefined) into.configType.value = config;
  return config !== undefined;
}

/** All filters that fit; their configurations are inside of Anys. */
function mergeFilters<F extends ListenerFilter | Filter | HttpFilter>(
  filters: readonly F[],
  patch: F,
  fits: ((filter: F) => boolean) | undefined,
): boolean {
  let found = false;
  for (const filter of filters) {
    if (fits !== undefined && !fits(filter)) continue;
    const { configType: own } = filter;
    const { configType: change } = patch;
    if (own.case !== 'typedConfig') continue;
    found = true;
    if (patch.name !== '') filter.name = patch.name;
    if (change.case === 'typedConfig') own.value = mergedAny(own.value, change.value) ?? own.value;
  }
  return found;
}

function patchManager(filter: Filter, scene: Scene, fits: (patch: Patch) => boolean): void {
  const { patches, context, findings } = scene;
  if (filter.configType.case !== 'typedConfig') return;
  const manager = anyUnpack(filter.configType.value, HttpConnectionManagerSchema);
  if (manager === undefined) return;
  let changed = false;
  for (const pass of ['place', 'merge'] as const) {
    for (const patch of patches.of('HTTP_FILTER', context)) {
      if (isMerge(patch) !== (pass === 'merge') || !fits(patch)) continue;
      const wanted = patch.intent.match.listener?.filterChain?.filter?.subFilter?.name;
      const isWanted = wanted === undefined ? undefined : (inner: HttpFilter) => inner.name === wanted;
      const done =
        pass === 'merge'
          ? mergeFilters(manager.httpFilters, patch.value(), isWanted)
          : place(manager.httpFilters, patch.intent.operation, patch.value, isWanted, endOf(manager.httpFilters));
      if (!done) continue;
      findings.note(patch);
      changed = true;
    }
  }
  changed = patchOwnRoutes(manager, scene) || changed;
  if (changed) filter.configType.value = anyPack(HttpConnectionManagerSchema, manager);
}

/** What comes to a pod is routed by a table inside of the listener. */
function patchOwnRoutes(manager: HttpConnectionManager, { patches, context, findings }: Scene): boolean {
  if (manager.routeSpecifier.case !== 'routeConfig') return false;
  if (!patches.touches('ROUTE_CONFIGURATION', 'VIRTUAL_HOST', 'HTTP_ROUTE')) return false;
  const before = findings.found.size;
  const { value } = manager.routeSpecifier;
  manager.routeSpecifier.value = patchRouteConfiguration(value, patches, context, findings);
  return findings.found.size > before;
}

function fitsListener({ name, address }: Listener, { intent }: Patch, byPort = false): boolean {
  const match = intent.match.listener;
  if (match === undefined) return true;
  if (match.name !== '' && match.name !== name) return false;
  // The ports of these two are those of their chains.
  if (match.portNumber === 0 || (!byPort && isVirtual(name))) return true;
  const socket = address?.address;
  if (socket?.case !== 'socketAddress' || socket.value.portSpecifier.case !== 'portValue') return false;
  return socket.value.portSpecifier.value === match.portNumber;
}

function isVirtual(name: string): boolean {
  return name === VIRTUAL_INBOUND || name === VIRTUAL_OUTBOUND;
}

function fitsChain({ name }: Listener, chain: FilterChain, { intent }: Patch): boolean {
  const match: ListenerPatchMatch | undefined = intent.match.listener;
  if (match === undefined) return true;
  const asks = chain.filterChainMatch;
  if (isVirtual(name) && match.portNumber > 0 && asks?.destinationPort !== match.portNumber) return false;
  const wanted = match.filterChain;
  if (wanted === undefined) return true;
  const protocols = wanted.applicationProtocols === '' ? [] : wanted.applicationProtocols.split(',');
  return (
    (wanted.name === '' || wanted.name === chain.name) &&
    (wanted.sni === '' || (asks?.serverNames.includes(wanted.sni) ?? false)) &&
    (wanted.transportProtocol === '' || asks?.transportProtocol === wanted.transportProtocol) &&
    protocols.every((protocol) => asks?.applicationProtocols.includes(protocol) ?? false) &&
    (wanted.destinationPort === 0 || asks?.destinationPort === wanted.destinationPort)
  );
}

function networkFilterOf({ intent }: Patch): ((filter: Filter) => boolean) | undefined {
  const wanted = intent.match.listener?.filterChain?.filter?.name;
  return wanted === undefined ? undefined : (filter) => filter.name === wanted;
}
