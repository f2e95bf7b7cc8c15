// SPDX-License-Identifier: Apache-2.0
// Patches of route tables, their virtual hosts and routes.
import { clone } from '@bufbuild/protobuf';
import {
  RetryPolicySchema,
  type Route,
  type VirtualHost,
  VirtualHostSchema,
} from '#gen/envoy/config/route/v3/route_components_pb.ts';
import { type RouteConfiguration, RouteConfigurationSchema } from '#gen/envoy/config/route/v3/route_pb.ts';
import type { PatchContext } from '../../intent/patch-types.ts';
import { merged } from './merge.ts';
import { type Findings, type Patch, type PatchSet, place, replacesLists, SCHEMAS } from './patch-set.ts';

export function patchRouteConfiguration(
  table: RouteConfiguration,
  patches: PatchSet,
  context: PatchContext,
  findings: Findings,
): RouteConfiguration {
  let patched = table;
  for (const patch of patches.of('ROUTE_CONFIGURATION', context)) {
    if (!fitsTable(table.name, patch)) continue;
    findings.note(patch);
    patched = merged(RouteConfigurationSchema, patched, patch.value(), replacesLists(patch));
  }
  patched.virtualHosts = patched.virtualHosts.flatMap(
    (host) => patchVirtualHost(host, table.name, patches, context, findings) ?? [],
  );
  for (const patch of patches.of('VIRTUAL_HOST', context)) {
    if (patch.intent.operation !== 'ADD' || !fitsTable(table.name, patch)) continue;
    findings.note(patch);
    patched.virtualHosts.push(patch.value());
  }
  return patched;
}

/** `table`: the name of the route table that the host belongs to. */
export function patchVirtualHost(
  host: VirtualHost,
  table: string,
  patches: PatchSet,
  context: PatchContext,
  findings: Findings,
): VirtualHost | undefined {
  let patched = host;
  const fits = (patch: Patch) => fitsTable(table, patch) && fitsHost(patched, table, patch);
  for (const patch of patches.of('VIRTUAL_HOST', context)) {
    const { operation } = patch.intent;
    if (operation === 'ADD' || !fits(patch)) continue;
    findings.note(patch);
    if (operation === 'REMOVE') return undefined;
    const own = patched === host ? withOwnRetries(host) : patched;
    patched =
      operation === 'REPLACE' ? patch.value() : merged(VirtualHostSchema, own, patch.value(), replacesLists(patch));
  }
  for (const patch of patches.of('HTTP_ROUTE', context)) {
    if (!fits(patch)) continue;
    const own = patched === host ? withOwnRetries(host) : patched;
    if (!patchRoutes(own.routes, patch)) continue;
    patched = own;
    findings.note(patch);
  }
  return patched;
}

/**
 * A patch that merges retries into a route means those that the route has, one that adds a route has none in mind for it, and
 * those of a virtual host are nobody's here: where there are patches, each of our routes says for itself what its host did.
 */
function withOwnRetries(host: VirtualHost): VirtualHost {
  const { retryPolicy, ...rest } = host;
  if (retryPolicy === undefined) return host;
  const routes = host.routes.map((route): Route => {
    const { action } = route;
    if (action.case !== 'route' || action.value.retryPolicy !== undefined) return route;
    // Merging takes away what a patch replaces, down to the parts of parts: no two routes may share any.
    const own = clone(RetryPolicySchema, retryPolicy);
    return { ...route, action: { case: 'route', value: { ...action.value, retryPolicy: own } } };
  });
  return { ...rest, routes };
}

/** Unlike filters, routes are all meant where a patch names none. */
function patchRoutes(routes: Route[], patch: Patch<'HTTP_ROUTE'>): boolean {
  const { operation, match } = patch.intent;
  const wanted = match.routeConfiguration?.vhost?.route;
  const fits = wanted === undefined ? undefined : (route: Route) => fitsRoute(route, wanted);
  switch (operation) {
    case 'MERGE':
    case 'MERGE_AND_REPLACE_LIST': {
      let found = false;
      routes.forEach((route, i) => {
        if (fits !== undefined && !fits(route)) return;
        found = true;
        routes[i] = merged(SCHEMAS.HTTP_ROUTE, route, patch.value(), replacesLists(patch));
      });
      return found;
    }
    case 'REMOVE':
      return place(routes, operation, patch.value, fits ?? (() => true));
    case 'INSERT_FIRST':
      return (fits === undefined || routes.some(fits)) && place(routes, operation, patch.value, fits);
    default:
      return place(routes, operation, patch.value, fits);
  }
}

interface TableName {
  readonly port: number;
  readonly portName: string;
  /** NAMESPACE/NAME */
  readonly gateway: string;
}

/** `9080`, `inbound|9080||`, `reviews.default.svc.cluster.local:9080`, `http.8080`, `https.443.NAME.GATEWAY.NAMESPACE`. */
function readTableName(name: string): TableName {
  const [kind, port = '', portName = '', gateway = '', namespace = ''] = name.split('.');
  if ((kind === 'http' || kind === 'https') && /^\d+$/.test(port)) {
    return { port: Number(port), portName, gateway: gateway === '' ? '' : `${namespace}/${gateway}` };
  }
  const [, inbound] = /^inbound\|(\d+)\|/.exec(name) ?? [];
  const [, plain] = /(?:^|:)(\d+)$/.exec(name) ?? [];
  return { port: Number(inbound ?? plain ?? 0), portName: '', gateway: '' };
}

function fitsTable(name: string, { intent }: Patch): boolean {
  const match = intent.match.routeConfiguration;
  if (match === undefined) return true;
  const { port, portName, gateway } = readTableName(name);
  return (
    (match.name === '' || match.name === name) &&
    (match.portNumber === 0 || match.portNumber === port) &&
    (match.portName === '' || match.portName === portName) &&
    (match.gateway === '' || match.gateway === gateway)
  );
}

/** A host that comes by a resource of its own has the table before its name. */
function fitsHost({ name, domains }: VirtualHost, table: string, { intent }: Patch): boolean {
  const match = intent.match.routeConfiguration?.vhost;
  if (match === undefined) return true;
  const isNamed = match.name === '' || match.name === name || `${table}/${match.name}` === name;
  return isNamed && (match.domainName === '' || domains.includes(match.domainName));
}

const ACTIONS: Readonly<Record<string, string>> = {
  route: 'ROUTE',
  redirect: 'REDIRECT',
  directResponse: 'DIRECT_RESPONSE',
};

function fitsRoute({ name, action }: Route, wanted: { readonly name: string; readonly action: string }): boolean {
  if (wanted.name !== '' && wanted.name !== name) return false;
  return wanted.action === 'ANY' || ACTIONS[action.case ?? ''] === wanted.action;
}
