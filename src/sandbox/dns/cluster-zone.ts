// SPDX-License-Identifier: Apache-2.0
// What a cluster's own names mean: https://github.com/kubernetes/dns/blob/master/docs/specification.md (1.1.0).
// Pure: from the table of services to an answer.
import type { Endpoint, Service, ServiceTable } from '../network/service-table.ts';

export type QueryType = 'A' | 'AAAA' | 'SRV' | 'PTR' | 'CNAME' | 'SOA' | 'NS' | 'TXT' | (string & {});

export type RecordData =
  | { readonly type: 'A' | 'CNAME' | 'PTR' | 'NS'; readonly data: string }
  | { readonly type: 'SRV'; readonly data: { priority: number; weight: number; port: number; target: string } }
  | { readonly type: 'TXT'; readonly data: string };

export type DnsRecord = RecordData & { readonly name: string; readonly ttl: number };

/**
 * `exists` without records is NODATA: the name is there, with other types or with names below it. `alias` is where an
 * external service leads; the caller resolves it further.
 */
export type ZoneAnswer =
  | { readonly kind: 'records'; readonly records: DnsRecord[]; readonly additional: DnsRecord[] }
  | { readonly kind: 'alias'; readonly record: DnsRecord; readonly target: string }
  | { readonly kind: 'no-data' }
  | { readonly kind: 'no-name' }
  /** Not a name of this zone: ask elsewhere. */
  | { readonly kind: 'not-ours' };

/** As short as CoreDNS': pods come and go. */
export const TTL_SECONDS = 5;
const SCHEMA_VERSION = '1.1.0';
const WEIGHT = 100;
const NO_DATA: ZoneAnswer = { kind: 'no-data' };
const NO_NAME: ZoneAnswer = { kind: 'no-name' };
const NOT_OURS: ZoneAnswer = { kind: 'not-ours' };

export interface Zone {
  readonly table: ServiceTable;
  /** `cluster.local` */
  readonly domain: string;
  /** Service addresses are of this network, for reverse lookups. */
  readonly serviceNetworkPrefix: string;
}

/** @param name lower case, without the final dot. */
export function answerFromZone(zone: Zone, name: string, type: QueryType): ZoneAnswer {
  if (name.endsWith('.in-addr.arpa')) return answerReverse(zone, name, type);
  if (name !== zone.domain && !name.endsWith(`.${zone.domain}`)) return NOT_OURS;
  const labels = name === zone.domain ? [] : name.slice(0, -zone.domain.length - 1).split('.');
  if (labels.length === 0) return answerApex(zone, name, type);
  const branch = labels.pop();
  if (branch === 'svc') return answerService(zone, name, labels, type);
  if (branch === 'pod') return answerPod(zone, name, labels, type);
  if (branch === 'dns-version' && labels.length === 0) {
    return type === 'TXT' ? recordsOf([{ type: 'TXT', data: SCHEMA_VERSION }], name) : NO_DATA;
  }
  return NO_NAME;
}

function answerApex(zone: Zone, name: string, type: QueryType): ZoneAnswer {
  return type === 'NS' ? recordsOf([{ type: 'NS', data: `ns.dns.${zone.domain}` }], name) : NO_DATA;
}

/** @param labels what stands before `svc`: `[_port, _proto, ]service, namespace` or `hostname, service, namespace`. */
function answerService(zone: Zone, name: string, labels: string[], type: QueryType): ZoneAnswer {
  const namespace = labels.pop();
  if (namespace === undefined) return NO_DATA;
  const serviceName = labels.pop();
  if (serviceName === undefined) return zone.table.hasNamespace(namespace) ? NO_DATA : NO_NAME;
  const service = zone.table.get(namespace, serviceName);
  if (service === undefined) return NO_NAME;
  if (labels.length === 0) return answerServiceName(zone, service, name, type);
  if (service.type === 'ExternalName') return NO_NAME;
  if (labels.length === 1) return answerEndpointName(zone, service, name, labels[0]!, type);
  if (labels.length === 2) return answerPort(zone, service, name, labels, type);
  return NO_NAME;
}

function answerServiceName(zone: Zone, service: Service, name: string, type: QueryType): ZoneAnswer {
  if (service.externalName !== undefined) {
    const target = service.externalName.toLowerCase().replace(/\.$/, '');
    return { kind: 'alias', record: { type: 'CNAME', data: target, name, ttl: TTL_SECONDS }, target };
  }
  if (type === 'A') {
    const addresses = service.isHeadless
      ? readyEndpoints(zone, service).map(({ address }) => address)
      : [service.clusterIp].filter((address) => address !== undefined);
    return recordsOf(
      unique(addresses).map((data) => ({ type: 'A', data })),
      name,
    );
  }
  if (type === 'SRV') return answerSrv(zone, service, name, () => true);
  return NO_DATA;
}

/** `hostname.service.namespace.svc`, or the address with dashes where an endpoint has no hostname. */
function answerEndpointName(zone: Zone, service: Service, name: string, label: string, type: QueryType): ZoneAnswer {
  if (label === '_tcp' || label === '_udp') {
    const protocol = label.slice(1).toUpperCase();
    return service.ports.some((port) => port.protocol === protocol) ? NO_DATA : NO_NAME;
  }
  const endpoints = readyEndpoints(zone, service).filter((endpoint) => endpointLabel(endpoint) === label);
  if (endpoints.length === 0) return NO_NAME;
  if (type !== 'A') return NO_DATA;
  return recordsOf(
    unique(endpoints.map(({ address }) => address)).map((data) => ({ type: 'A', data })),
    name,
  );
}

function answerPort(zone: Zone, service: Service, name: string, labels: string[], type: QueryType): ZoneAnswer {
  const [port, protocol] = labels as [string, string];
  const matches = service.ports.filter(
    (candidate) => `_${candidate.name}` === port && `_${candidate.protocol.toLowerCase()}` === protocol,
  );
  if (matches.length === 0) return NO_NAME;
  if (type !== 'SRV') return NO_DATA;
  return answerSrv(zone, service, name, (candidate) => matches.includes(candidate));
}

function answerSrv(
  zone: Zone,
  service: Service,
  name: string,
  isWanted: (port: Service['ports'][number]) => boolean,
): ZoneAnswer {
  const base = `${service.name}.${service.namespace}.svc.${zone.domain}`;
  const srv: RecordData[] = [];
  const additional = new Map<string, DnsRecord>();
  const add = (target: string, port: number, address: string) => {
    srv.push({ type: 'SRV', data: { priority: 0, weight: WEIGHT, port, target } });
    additional.set(`${target} ${address}`, { type: 'A', data: address, name: target, ttl: TTL_SECONDS });
  };
  for (const port of service.ports.filter(isWanted)) {
    if (service.clusterIp !== undefined) {
      add(base, port.port, service.clusterIp);
      continue;
    }
    for (const endpoint of readyEndpoints(zone, service)) {
      const number = endpoint.ports.get(port.name);
      if (number !== undefined) add(`${endpointLabel(endpoint)}.${base}`, number, endpoint.address);
    }
  }
  return recordsOf(srv, name, [...additional.values()]);
}

/** `10-1-0-12.namespace.pod`: the name says the address; nobody checks that there is such a pod (as CoreDNS' default). */
function answerPod(zone: Zone, name: string, labels: string[], type: QueryType): ZoneAnswer {
  const namespace = labels.pop();
  if (namespace === undefined) return NO_DATA;
  if (!zone.table.hasNamespace(namespace)) return NO_NAME;
  const [label] = labels;
  if (label === undefined) return NO_DATA;
  const address = label.replaceAll('-', '.');
  if (labels.length > 1 || !isIpv4(address)) return NO_NAME;
  return type === 'A' ? recordsOf([{ type: 'A', data: address }], name) : NO_DATA;
}

function answerReverse(zone: Zone, name: string, type: QueryType): ZoneAnswer {
  const address = name.slice(0, -'.in-addr.arpa'.length).split('.').reverse().join('.');
  if (!isIpv4(address)) return NOT_OURS;
  const names: string[] = [];
  for (const service of zone.table.services()) {
    const base = `${service.name}.${service.namespace}.svc.${zone.domain}`;
    if (service.clusterIp === address) names.push(base);
    if (!service.isHeadless) continue;
    for (const endpoint of readyEndpoints(zone, service)) {
      if (endpoint.address === address && endpoint.hostname) names.push(`${endpoint.hostname}.${base}`);
    }
  }
  if (names.length === 0) return address.startsWith(zone.serviceNetworkPrefix) ? NO_NAME : NOT_OURS;
  return type === 'PTR'
    ? recordsOf(
        unique(names).map((data) => ({ type: 'PTR', data })),
        name,
      )
    : NO_DATA;
}

function readyEndpoints(zone: Zone, service: Service): Endpoint[] {
  return zone.table.endpoints(`${service.namespace}/${service.name}`).filter(({ ready }) => ready);
}

function endpointLabel({ hostname, address }: Endpoint): string {
  return hostname || address.replaceAll('.', '-');
}

function recordsOf(data: RecordData[], name: string, additional: DnsRecord[] = []): ZoneAnswer {
  if (data.length === 0) return NO_DATA;
  return { kind: 'records', records: data.map((record) => ({ ...record, name, ttl: TTL_SECONDS })), additional };
}

function isIpv4(text: string): boolean {
  return /^\d{1,3}(\.\d{1,3}){3}$/.test(text) && text.split('.').every((byte) => Number(byte) <= 255);
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)];
}
