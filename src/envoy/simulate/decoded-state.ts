// SPDX-License-Identifier: Apache-2.0

import { type DescMessage, fromBinary, type MessageShape } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { type Cluster, ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import { type ClusterLoadAssignment, ClusterLoadAssignmentSchema } from '#gen/envoy/config/endpoint/v3/endpoint_pb.ts';
import { type Listener, ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.ts';
import { type VirtualHost, VirtualHostSchema } from '#gen/envoy/config/route/v3/route_components_pb.ts';
import { type RouteConfiguration, RouteConfigurationSchema } from '#gen/envoy/config/route/v3/route_pb.ts';
import type { DesiredState, OfferedState, XdsResource } from '../../xds/types.ts';
import { TYPE_URL } from '../names.ts';

/**
 * A proxy's resources as messages again: the simulator reads what Envoy reads, and so cannot disagree with it on that. What
 * is on offer counts as what the proxy has: it fetches it with the first request that needs it.
 */
export class DecodedState {
  readonly #desired: DesiredState;
  readonly #offered: OfferedState | undefined;
  readonly #decoded = new Map<string, unknown>();
  readonly #unpacked = new WeakMap<Any, unknown>();

  constructor(desired: DesiredState, offered?: OfferedState) {
    this.#desired = desired;
    this.#offered = offered;
  }

  static of(compiled: { readonly desired: DesiredState; readonly offered: OfferedState }): DecodedState {
    return new DecodedState(compiled.desired, compiled.offered);
  }

  listeners(): Listener[] {
    const names = [...(this.#desired.get(TYPE_URL.listener)?.keys() ?? [])];
    return names.map((name) => this.listener(name)!);
  }
  listener(name: string): Listener | undefined {
    return this.#decode(TYPE_URL.listener, name, ListenerSchema);
  }
  routes(name: string): RouteConfiguration | undefined {
    return this.#decode(TYPE_URL.routes, name, RouteConfigurationSchema);
  }
  /** The virtual hosts of a table that are resources of their own: those that are pushed, and the one of this authority. */
  virtualHosts(table: string, authority: string): VirtualHost[] {
    const type = TYPE_URL.virtualHost;
    const pushed = [...(this.#desired.get(type)?.keys() ?? [])].filter((name) => name.startsWith(`${table}/`));
    const asked = this.#offered?.get(type)?.resolve?.(`${table}/${authority}`);
    const names = new Set([...pushed, ...(asked === undefined ? [] : [asked])]);
    return [...names].flatMap((name) => this.#decode(type, name, VirtualHostSchema) ?? []);
  }
  cluster(name: string): Cluster | undefined {
    return this.#decode(TYPE_URL.cluster, name, ClusterSchema);
  }
  endpoints(name: string): ClusterLoadAssignment | undefined {
    return this.#decode(TYPE_URL.endpoints, name, ClusterLoadAssignmentSchema);
  }

  /** What is inside of an Any, unpacked once; undefined: something else. */
  unpack<D extends DescMessage>(any: Any, schema: D): MessageShape<D> | undefined {
    const known = this.#unpacked.get(any);
    if (known !== undefined)
      return any.typeUrl.endsWith(`/${schema.typeName}`) ? (known as MessageShape<D>) : undefined;
    const message = anyUnpack(any, schema);
    if (message !== undefined) this.#unpacked.set(any, message);
    return message;
  }

  #decode<D extends DescMessage>(typeUrl: string, name: string, schema: D): MessageShape<D> | undefined {
    const key = `${typeUrl} ${name}`;
    const known = this.#decoded.get(key) as MessageShape<D> | undefined;
    if (known !== undefined) return known;
    const resource = this.#resource(typeUrl, name);
    if (resource === undefined) return undefined;
    const message = fromBinary(schema, resource.value);
    this.#decoded.set(key, message);
    return message;
  }

  #resource(typeUrl: string, name: string): XdsResource | undefined {
    const offer = this.#offered?.get(typeUrl);
    return this.#desired.get(typeUrl)?.get(name) ?? offer?.resources.get(name) ?? offer?.standIn?.(name);
  }
}
