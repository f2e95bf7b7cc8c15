// SPDX-License-Identifier: Apache-2.0
// Which addresses of a name Envoy asks the DNS for: those that the proxy can dial.
import { Cluster_DnsLookupFamily } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import type { IpFamilies } from '../intent/destination-types.ts';

/** Where all addresses of a name are one endpoint, of which Envoy tries one after another (RFC 8305). */
export function allAtOnce(families: IpFamilies): Cluster_DnsLookupFamily {
  return families === 'both' ? Cluster_DnsLookupFamily.ALL : eachByItself(families);
}

/**
 * Where each address is an endpoint of its own, with its share of the traffic. With both families it is IPv4 while the name
 * has any: pods often have an IPv6 address with no way out, and every other connection would find that out.
 */
export function eachByItself(families: IpFamilies): Cluster_DnsLookupFamily {
  return families === 'IPv6' ? Cluster_DnsLookupFamily.V6_ONLY : Cluster_DnsLookupFamily.V4_PREFERRED;
}
