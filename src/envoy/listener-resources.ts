// SPDX-License-Identifier: Apache-2.0
import { hash } from 'node:crypto';
import type { ConfigSource } from '#gen/envoy/config/core/v3/config_source_pb.ts';
import { type Listener, ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.ts';
import { DerivedMap } from '../incremental/derived-map.ts';
import type { Layers } from '../incremental/layered-map.ts';
import { LineageMemo } from '../incremental/lineage-memo.ts';
import type { VirtualHostIntent } from '../intent/route-types.ts';
import type { SideTelemetry } from '../intent/telemetry-types.ts';
import type {
  GatewayPortIntent,
  HttpPortIntent,
  OnDemand,
  OutboundHttpPortIntent,
  OutboundIntent,
  ProxyIntent,
  TcpPortIntent,
} from '../intent/types.ts';
import type { XdsResource } from '../xds/types.ts';
import { buildGatewayHttpListener, buildGatewayTcpListener } from './listeners-gateway.ts';
import { buildOpenInbound, buildVirtualInbound } from './listeners-inbound.ts';
import { buildHttpListener, buildTcpListener, buildVirtualOutbound } from './listeners-outbound.ts';
import { onBothFamilies } from './messages.ts';
import { TYPE_URL, unclaimedName } from './names.ts';
import { OwnResources } from './own-resources.ts';
import { nameOf, type ResourceCache, type ResourceMap } from './resource-cache.ts';

const LISTENER = {
  typeUrl: TYPE_URL.listener,
  schema: ListenerSchema,
  name: 'name' as const,
  isRepeated: true as const,
};

/** What all listeners of a proxy's outbound side have in common. */
type OutboundFrame = Pick<OutboundIntent, 'unknown' | 'detectionTimeoutMs'> & {
  readonly hasIpv6: true | undefined;
};

/** The listeners of a proxy: those of its outbound side, which others have too, and its own. */
export class ListenerResources {
  readonly #cache: ResourceCache;
  readonly #layers: Layers<XdsResource>;
  readonly #secrets: ConfigSource;
  readonly #keys = new WeakMap<SideTelemetry, string>();
  readonly #own = new OwnResources();
  /** Of outbound ports, and all their later versions. */
  readonly #http = new LineageMemo<DerivedMap<OutboundHttpPortIntent, XdsResource>>();
  readonly #tcp = new LineageMemo<DerivedMap<TcpPortIntent, XdsResource>>();
  /** Nodes for resources that no intent node stands for. */
  readonly #fixed = { outboundTrap: {}, nothing: {} };

  constructor(cache: ResourceCache, layers: Layers<XdsResource>, secrets: ConfigSource) {
    this.#cache = cache;
    this.#layers = layers;
    this.#secrets = secrets;
  }

  of(intent: ProxyIntent, onDemand?: OnDemand): ResourceMap {
    const own = this.#ownOf(intent);
    const { outbound } = intent;
    return outbound === undefined ? own : this.#layers.of(this.#outbound(intent, outbound, onDemand), own);
  }

  #outbound({ telemetry, hasIpv6 }: ProxyIntent, outbound: OutboundIntent, onDemand?: OnDemand): ResourceMap {
    const told = telemetry.client;
    const { unknown, detectionTimeoutMs, httpPorts, tcpPorts } = outbound;
    const rest = `${unclaimedName(unknown)} ${this.#keyOf(told)}${ipv6Key(hasIpv6)}`;
    const context = `${rest} ${detectionTimeoutMs}${onDemand === undefined ? '' : ` ${onDemand}`}`;
    const like = { unknown, detectionTimeoutMs, hasIpv6 };
    const http = this.#http.get(httpPorts, context, () => this.#derivedHttpListeners(context, like, told, onDemand));
    const tcp = this.#tcp.get(tcpPorts, rest, () => this.#derivedTcpListeners(rest, like, told));
    return this.#layers.of(http.of(httpPorts), tcp.of(tcpPorts));
  }

  #ownOf(intent: ProxyIntent): ResourceMap {
    const { inbound, gateway, telemetry, outbound } = intent;
    const parts = [inbound ?? gateway ?? this.#fixed.nothing, telemetry.client, telemetry.server];
    const strangers = outbound?.strangers?.families;
    const tag = `listeners ${outbound && unclaimedName(outbound.unknown)} ${strangers} ${intent.hasIpv6}`;
    return this.#own.of(parts, tag, () => this.#ownListeners(intent));
  }

  // These live as long as the ports' tables do, and must not see any of their versions.

  #derivedHttpListeners(
    context: string,
    like: OutboundFrame,
    told: SideTelemetry,
    onDemand: OnDemand | undefined,
  ): DerivedMap<OutboundHttpPortIntent, XdsResource> {
    const frames = new WeakMap<object, OutboundHttpPortIntent>();
    return new DerivedMap((port) => {
      // Hashing its chains anew for each changed route would cost what the services of the port are.
      const frame = frames.get(port.chains) ?? withoutRoutes(port);
      frames.set(port.chains, frame);
      return this.#listener(frame, context, like, () => buildHttpListener(frame, like, told, onDemand));
    }, nameOf);
  }

  #derivedTcpListeners(
    context: string,
    like: OutboundFrame,
    told: SideTelemetry,
  ): DerivedMap<TcpPortIntent, XdsResource> {
    const make = (port: TcpPortIntent): XdsResource =>
      this.#listener(port, context, like, () => buildTcpListener(port, like.unknown, told));
    return new DerivedMap(make, nameOf);
  }

  /** Of a gateway, all that it has. */
  *#ownListeners(intent: ProxyIntent): Generator<XdsResource> {
    const { inbound, outbound, gateway, telemetry } = intent;
    const told = telemetry.client;
    const key = `${this.#keyOf(told)}${ipv6Key(intent.hasIpv6)}`;
    if (outbound !== undefined) {
      const rest = `${unclaimedName(outbound.unknown)} ${outbound.strangers?.families} ${key}`;
      yield this.#listener(this.#fixed.outboundTrap, rest, intent, () => buildVirtualOutbound(outbound, told));
    }
    for (const port of (gateway?.httpPorts ?? []).map(withoutRoutes)) {
      yield this.#listener(port, `gateway ${key}`, intent, () => buildGatewayHttpListener(port, told));
    }
    const context = { telemetry: told, secrets: this.#secrets };
    for (const port of (gateway?.tcpPorts ?? []).map(withoutHttpsRoutes)) {
      if (port.chains.length + port.https.length === 0) continue;
      yield this.#listener(port, `gateway ${key}`, intent, () => buildGatewayTcpListener(port, context)!);
    }
    if (inbound === undefined) return;
    const { server } = telemetry;
    const serverKey = `${this.#keyOf(server)}${ipv6Key(intent.hasIpv6)}`;
    yield this.#listener(inbound, serverKey, intent, () => buildVirtualInbound(inbound, this.#secrets, server));
    for (const port of inbound.ports) {
      const { open } = port;
      if (open === undefined) continue;
      const context = { secrets: this.#secrets, telemetry: server };
      yield this.#listener(port, serverKey, intent, () => buildOpenInbound(port, open, context));
    }
  }

  /** `context` has to tell those apart that listen on IPv6. */
  #listener(
    node: object,
    context: string,
    { hasIpv6 }: Pick<ProxyIntent, 'hasIpv6'>,
    build: () => Listener,
  ): XdsResource {
    return this.#cache.get(node, context, LISTENER, () => (hasIpv6 ? onBothFamilies(build()) : build()));
  }

  /** Says all of it in short. */
  #keyOf(telemetry: SideTelemetry): string {
    const key = this.#keys.get(telemetry) ?? hash('sha1', JSON.stringify(telemetry));
    this.#keys.set(telemetry, key);
    return key;
  }
}

function ipv6Key(hasIpv6: true | undefined): string {
  return hasIpv6 ? ' IPv6' : '';
}

const NO_HOSTS: ReadonlyMap<string, VirtualHostIntent> = new Map();

/** The routes come by a resource of their own, so that a listener stays as it is when they change. */
function withoutRoutes<P extends HttpPortIntent>(port: P): P {
  return { ...port, table: { ...port.table, hosts: NO_HOSTS } };
}

function withoutHttpsRoutes(port: GatewayPortIntent): GatewayPortIntent {
  return { ...port, https: port.https.map((chain) => ({ ...chain, table: { ...chain.table, hosts: NO_HOSTS } })) };
}
