// SPDX-License-Identifier: Apache-2.0
// What a proxy will do with a call, read off the very resources that it gets.
import { isIPv6 } from 'node:net';
import { TrafficDirection } from '#gen/envoy/config/core/v3/base_pb.ts';
import type { Filter, FilterChain } from '#gen/envoy/config/listener/v3/listener_components_pb.ts';
import type { Listener } from '#gen/envoy/config/listener/v3/listener_pb.ts';
import { HttpConnectionManagerSchema } from '#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { ConfigSchema as FilterStateSchema } from '#gen/envoy/extensions/filters/network/set_filter_state/v3/set_filter_state_pb.ts';
import { FilterConfigSchema as ByServerNameSchema } from '#gen/envoy/extensions/filters/network/sni_dynamic_forward_proxy/v3/sni_dynamic_forward_proxy_pb.ts';
import { type TcpProxy, TcpProxySchema } from '#gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts';
import { BLACK_HOLE, INBOUND_PORT, OUTBOUND_PORT, VIRTUAL_INBOUND, VIRTUAL_OUTBOUND } from '../names.ts';
import { readRuleMetadata } from '../rule-metadata.ts';
import type { DecodedState } from './decoded-state.ts';
import { chainsInDoubt, selectChain, strangeInspectors } from './filter-chain.ts';
import { runHttp } from './http.ts';
import type { Call, Outcome, Place, Verdict } from './outcome.ts';
import { faultOfHandshake } from './server-tls.ts';
import { sharesOf, targetOf } from './upstream.ts';

export type * from './outcome.ts';

export function simulate(state: DecodedState, call: Call): Outcome {
  const listener = chooseListener(state, call);
  if (listener === undefined)
    return { kind: 'refuse', listener: '', why: `nothing listens on ${call.connection.port}`, chosen: {} };
  const outcome = runListener(state, listener, call);
  const filters = [...strangeInspectors(listener), ...chainsInDoubt(listener)];
  if (filters.length === 0) return outcome;
  const why = `only the proxy knows what ${filters.join(', ')} makes of the connection`;
  return { kind: 'unknown', listener: listener.name, chosen: {}, why, filters, otherwise: outcome };
}

const INSPECTED = { 'http/1.0': 'http/1.0', 'http/1.1': 'http/1.1', h2: 'h2c' } as const;

function runListener(state: DecodedState, listener: Listener, call: Call): Outcome {
  const { request, direction, connection } = call;
  const spoken = request === undefined ? undefined : INSPECTED[request.protocol ?? 'http/1.1'];
  const chain = selectChain(listener, connection, spoken);
  if (chain === undefined)
    return { kind: 'refuse', listener: listener.name, why: 'no filter chain takes the connection', chosen: {} };
  const fault = direction === 'outbound' ? undefined : faultOfHandshake(chain, call);
  if (fault !== undefined) return { kind: 'refuse', listener: listener.name, why: fault, chosen: { chain } };
  const outcome = runChain(state, listener, chain, call);
  const filters = chain.filters.slice(0, -1).filter((filter) => !isKnown(filter));
  if (filters.length === 0) return outcome;
  const names = filters.map(({ name }) => name);
  const why = `only the proxy knows what ${names.join(', ')} does`;
  return { kind: 'unknown', listener: listener.name, chosen: { chain }, why, filters: names, otherwise: outcome };
}

const EVERY_IPV4 = '0.0.0.0';

function chooseListener(state: DecodedState, { direction, connection }: Call): Listener | undefined {
  const everywhere = isIPv6(connection.address) ? '::' : EVERY_IPV4;
  const at = (address: string) =>
    state.listeners().find((l) => {
      // Redirected connections are handed to whatever listener has their address, whether it binds its port or not.
      const isReached = direction === 'outbound' || l.bindToPort !== false;
      return isReached && listensAt(l, address, connection.port);
    });
  // Where redirected connections end that are for nobody: nothing, where the proxy does not listen on their family.
  const redirected = (name: string, port: number) => {
    const virtual = state.listener(name);
    return virtual !== undefined && listensAt(virtual, everywhere, port) ? virtual : undefined;
  };
  const exact = at(connection.address) ?? at(everywhere);
  switch (direction) {
    case 'gateway':
      return exact;
    case 'inbound':
      return exact?.trafficDirection === TrafficDirection.INBOUND ? exact : redirected(VIRTUAL_INBOUND, INBOUND_PORT);
    case 'outbound': {
      const virtual = redirected(VIRTUAL_OUTBOUND, OUTBOUND_PORT);
      const isHanded = virtual !== undefined || everywhere === EVERY_IPV4;
      return isHanded || exact?.bindToPort !== false ? (exact ?? virtual) : undefined;
    }
  }
}

function listensAt({ address, additionalAddresses }: Listener, at: string, port: number): boolean {
  return [address, ...additionalAddresses.map((each) => each.address)].some((each) => {
    const socket = each?.address;
    if (socket?.case !== 'socketAddress' || socket.value.portSpecifier.case !== 'portValue') return false;
    return socket.value.address === at && socket.value.portSpecifier.value === port;
  });
}

function runChain(state: DecodedState, { name: listener }: Listener, chain: FilterChain, call: Call): Outcome {
  const rule = readRuleMetadata(chain.metadata);
  const place: Place = { listener, ...(rule !== undefined && { rule }), chosen: { chain } };
  const config = chain.filters.at(-1)?.configType;
  if (config?.case !== 'typedConfig') return { kind: 'refuse', ...place, why: 'the chain has no filter' };
  const manager = state.unpack(config.value, HttpConnectionManagerSchema);
  if (manager !== undefined) {
    const chosen = { chain, manager };
    const { request } = call;
    return request === undefined
      ? { kind: 'refuse', listener, why: 'the port speaks HTTP', chosen }
      : runHttp({ state, manager, call: { ...call, request }, listener, chosen });
  }
  const proxy = state.unpack(config.value, TcpProxySchema);
  return { ...place, ...(proxy === undefined ? strangeEnd(config.value.typeUrl, place) : runTcp(state, proxy)) };
}

function strangeEnd(typeUrl: string, place: Place): Verdict {
  const name = typeUrl.replace(/^.*\//, '');
  const why = `only the proxy knows what ${name} does`;
  return { kind: 'unknown', why, filters: [name], otherwise: { ...place, kind: 'refuse', why } };
}

function runTcp(state: DecodedState, proxy: TcpProxy): Verdict {
  const { clusterSpecifier: specifier, tunnelingConfig } = proxy;
  const tunnel = tunnelingConfig && {
    tunnel: {
      method: tunnelingConfig.usePost ? ('POST' as const) : ('CONNECT' as const),
      target: tunnelingConfig.hostname,
    },
  };
  if (specifier.case === 'weightedClusters') {
    return { kind: 'forward', to: sharesOf(state, specifier.value.clusters), ...tunnel };
  }
  const cluster = specifier.case === 'cluster' ? specifier.value : '';
  if (cluster === BLACK_HOLE) return { kind: 'refuse', why: 'it leads into the black hole' };
  return { kind: 'forward', to: [targetOf(state, cluster, 1)], ...tunnel };
}

/** Those that only look at a connection, or look up what it is for. */
const KNOWN = [FilterStateSchema, ByServerNameSchema].map(({ typeName }) => `type.googleapis.com/${typeName}`);

/** Filters before the last one that change nothing. */
function isKnown({ configType: { case: kind, value } }: Filter): boolean {
  return kind === 'typedConfig' && KNOWN.includes(value.typeUrl);
}
