// SPDX-License-Identifier: Apache-2.0
// The resource types whose order on a stream matters, and that order.

const ENVOY = 'type.googleapis.com/envoy';
export const CLUSTER_TYPE = `${ENVOY}.config.cluster.v3.Cluster`;
export const ENDPOINT_TYPE = `${ENVOY}.config.endpoint.v3.ClusterLoadAssignment`;
export const LISTENER_TYPE = `${ENVOY}.config.listener.v3.Listener`;
export const ROUTE_TYPE = `${ENVOY}.config.route.v3.RouteConfiguration`;
/** One virtual host, named `ROUTE_CONFIGURATION/whatever` (VHDS). */
export const VIRTUAL_HOST_TYPE = `${ENVOY}.config.route.v3.VirtualHost`;
export const SECRET_TYPE = `${ENVOY}.extensions.transport_sockets.tls.v3.Secret`;

/** Add before remove: what is referred to goes before what refers to it. Other types follow behind these. */
export const SEND_ORDER: readonly string[] = [
  SECRET_TYPE,
  CLUSTER_TYPE,
  ENDPOINT_TYPE,
  LISTENER_TYPE,
  ROUTE_TYPE,
  VIRTUAL_HOST_TYPE,
];

/**
 * Types for which a first request without names means "all that is meant for me", and for which a state-of-the-world
 * response is the full set: what it leaves out is removed.
 * https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#how-the-client-specifies-what-resources-to-return
 */
export const FULL_STATE_TYPES: ReadonlySet<string> = new Set([CLUSTER_TYPE, LISTENER_TYPE]);
