// SPDX-License-Identifier: Apache-2.0
// Which Sidecar a proxy has, and what that lets it see: services and rules, one by one.
import { selects } from '../api/kubernetes.ts';
import { covers } from '../api/names.ts';
import type { Protocol } from '../api/protocol.ts';
import type { EgressListener, ImportedHost, Sidecar } from '../api/sidecar.ts';
import type { VirtualService } from '../api/virtual-service.ts';
import { qualifyHost } from './hosts.ts';
import type { MeshProxy } from './proxy.ts';
import type { MeshService, MeshSettings, ServicePort } from './snapshot.ts';

/** Where a proxy takes what its application sends to a port, if not wherever that is addressed to. */
export interface ListeningPlace {
  readonly address: string;
  /** It is a port that the proxy itself has open; else what the redirect hands to it. */
  readonly open: boolean;
}

/** A Sidecar as it is for the proxies of one namespace. */
export interface SidecarScope {
  readonly sidecar: Sidecar;
  readonly namespace: string;
  /** Equal for equal scopes of one process, and for no others. */
  readonly key: string;
  readonly byPort: ReadonlyMap<number, EgressListener>;
  /** For all other ports. */
  readonly rest: EgressListener | undefined;
}

/**
 * The one that selects the pod, else that of the namespace, else that of the mesh, which is in the root namespace; of
 * several the oldest. `sidecars`: oldest first.
 */
export function chooseSidecar(
  sidecars: readonly Sidecar[],
  proxy: Pick<MeshProxy, 'kind' | 'namespace' | 'labels'>,
  { rootNamespace }: MeshSettings,
): Sidecar | undefined {
  if (proxy.kind === 'gateway' || sidecars.length === 0) return undefined;
  const isGeneral = ({ spec }: Sidecar) => spec.workloadSelector === undefined;
  const own = sidecars.filter(({ ref }) => ref.namespace === proxy.namespace);
  return (
    own.find(({ spec }) => spec.workloadSelector && selects(spec.workloadSelector.labels, proxy.labels)) ??
    own.find(isGeneral) ??
    sidecars.find((sidecar) => sidecar.ref.namespace === rootNamespace && isGeneral(sidecar))
  );
}

const EVERYTHING: EgressListener = {
  port: undefined,
  bind: undefined,
  captureMode: 'DEFAULT',
  hosts: [{ namespace: '*', host: '*', excluded: false }],
};

export function buildScope(sidecar: Sidecar, namespace: string, key: string): SidecarScope {
  const egress = sidecar.spec.egress.length === 0 ? [EVERYTHING] : sidecar.spec.egress;
  const byPort = new Map<number, EgressListener>();
  for (const listener of egress) if (listener.port !== undefined) byPort.set(listener.port.number, listener);
  return { sidecar, namespace, key, byPort, rest: egress.find(({ port }) => port === undefined) };
}

/** It lets everything through that there is. */
export function seesEverything({ byPort, rest }: SidecarScope): boolean {
  if (byPort.size > 0 || rest === undefined) return false;
  const isAll = ({ namespace, host }: ImportedHost) => namespace === '*' && host === '*';
  return rest.hosts.some(isAll) && !rest.hosts.some(({ excluded }) => excluded);
}

/** The service with the ports that are imported: itself when all are; undefined when none is. */
export function importService(scope: SidecarScope, service: MeshService): MeshService | undefined {
  let isWhole = true;
  const ports = service.ports.flatMap((port) => {
    const listener = scope.byPort.get(port.number) ?? scope.rest;
    if (listener === undefined || !imports(listener, scope, service.namespace, service.hostname)) {
      isWhole = false;
      return [];
    }
    const taken = listener.port === undefined ? port : speaking(port, listener.port.protocol.protocol);
    if (taken !== port) isWhole = false;
    return [taken];
  });
  if (ports.length === 0) return undefined;
  return isWhole ? service : { ...service, ports };
}

/** A listener's protocol says whether requests are read; which HTTP it is, the service knows better. */
function speaking(port: ServicePort, protocol: Exclude<Protocol, 'udp'>): ServicePort {
  const isHttp = (p: Protocol) => p === 'http' || p === 'http2';
  if (port.protocol === 'udp' || protocol === port.protocol || isHttp(protocol) === isHttp(port.protocol)) return port;
  return { ...port, protocol };
}

/** Rules come by any of their hosts; a wildcard in either covers the other. Without a port: for any. */
export function importsRule(scope: SidecarScope, rule: VirtualService, dnsDomain: string, port?: number): boolean {
  const some = port === undefined ? [...scope.byPort.values(), scope.rest] : [scope.byPort.get(port) ?? scope.rest];
  const listeners = some.filter((listener) => listener !== undefined);
  const { namespace } = rule.ref;
  return rule.spec.hosts.some((raw) => {
    const host = qualifyHost(raw, namespace, dnsDomain);
    return listeners.some((listener) => imports(listener, scope, namespace, host, true));
  });
}

/** Services that the rules send to: they are reached by those rules, imported or not. */
export function destinationsOf(rules: Iterable<VirtualService>, dnsDomain: string): Set<string> {
  const hosts = new Set<string>();
  for (const { spec, ref } of rules) {
    const add = (host: string) => hosts.add(qualifyHost(host, ref.namespace, dnsDomain));
    for (const route of [...spec.http, ...spec.tls, ...spec.tcp])
      for (const { destination } of route.route) add(destination.host);
    for (const { mirror, mirrors } of spec.http) {
      if (mirror !== undefined) add(mirror.host);
      for (const { destination } of mirrors) add(destination.host);
    }
  }
  return hosts;
}

function imports(
  { hosts }: EgressListener,
  scope: SidecarScope,
  namespace: string,
  host: string,
  eitherWay = false,
): boolean {
  let isImported = false;
  for (const entry of hosts) {
    if (!isOf(entry, scope, namespace)) continue;
    const fits = covers(entry.host, host);
    if (entry.excluded && fits) return false;
    if (!entry.excluded && (fits || (eitherWay && covers(host, entry.host)))) isImported = true;
  }
  return isImported;
}

function isOf(entry: ImportedHost, scope: SidecarScope, namespace: string): boolean {
  return entry.namespace === '*' || namespace === (entry.namespace === '.' ? scope.namespace : entry.namespace);
}

/** Absent where the proxy listens as it does without a Sidecar. */
export function listeningPlace(scope: SidecarScope | undefined, port: number): ListeningPlace | undefined {
  const listener = scope && (scope.byPort.get(port) ?? scope.rest);
  if (listener === undefined) return undefined;
  const open = listener.captureMode === 'NONE';
  if (!open && listener.bind === undefined) return undefined;
  return { address: listener.bind ?? '127.0.0.1', open };
}
