// SPDX-License-Identifier: Apache-2.0
import { type DescMessage, fromBinary, type MessageShape } from '@bufbuild/protobuf';
import { type Cluster, ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import { type ClusterLoadAssignment, ClusterLoadAssignmentSchema } from '#gen/envoy/config/endpoint/v3/endpoint_pb.ts';
import { type Listener, ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.ts';
import { type RouteConfiguration, RouteConfigurationSchema } from '#gen/envoy/config/route/v3/route_pb.ts';
import type { DesiredState } from '../../xds/types.ts';
import { TYPE_URL } from '../names.ts';

/** A proxy's resources as messages again: the simulator reads what Envoy reads, and so cannot disagree with it on that. */
export class DecodedState {
  readonly #desired: DesiredState;
  readonly #decoded = new Map<string, unknown>();

  constructor(desired: DesiredState) {
    this.#desired = desired;
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
  cluster(name: string): Cluster | undefined {
    return this.#decode(TYPE_URL.cluster, name, ClusterSchema);
  }
  endpoints(name: string): ClusterLoadAssignment | undefined {
    return this.#decode(TYPE_URL.endpoints, name, ClusterLoadAssignmentSchema);
  }

  #decode<D extends DescMessage>(typeUrl: string, name: string, schema: D): MessageShape<D> | undefined {
    const key = `${typeUrl} ${name}`;
    const known = this.#decoded.get(key) as MessageShape<D> | undefined;
    if (known !== undefined) return known;
    const resource = this.#desired.get(typeUrl)?.get(name);
    if (resource === undefined) return undefined;
    const message = fromBinary(schema, resource.value);
    this.#decoded.set(key, message);
    return message;
  }
}
