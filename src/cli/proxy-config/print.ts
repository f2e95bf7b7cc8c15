// SPDX-License-Identifier: Apache-2.0
// A part of a dump as a table in istioctl's columns, or as Envoy's own messages.
import { renderStructured } from '../proxies/render.ts';
import { renderTable } from '../table.ts';
import type { Asked } from './ask.ts';
import { CLUSTER_HEADER, clusterRow, selectClusters } from './clusters.ts';
import { type ConfigDump, inside, type Message, textOf } from './dump.ts';
import { ENDPOINT_HEADER, endpointRows, selectEndpoints } from './endpoints.ts';
import {
  LISTENER_HEADER,
  listenerRows,
  SHORT_LISTENER_HEADER,
  selectListeners,
  shortListenerRow,
} from './listeners.ts';
import { ROUTE_HEADER, routeRows, SHORT_ROUTE_HEADER, selectRoutes, shortRouteRow } from './routes.ts';
import { readSecrets, SECRET_HEADER, secretCells } from './secrets.ts';

export type Part = 'cluster' | 'listener' | 'route' | 'endpoint' | 'secret' | 'bootstrap' | 'all';
export type Format = 'short' | 'json' | 'yaml';

/** Each part looks at those that it knows. */
export interface Filter {
  readonly fqdn?: string;
  readonly direction?: string;
  readonly subset?: string;
  readonly port?: number;
  readonly address?: string;
  readonly type?: string;
  readonly name?: string;
  readonly cluster?: string;
  readonly status?: string;
  /** false: listeners by their kind, routes by their number. */
  readonly verbose: boolean;
}

interface PartWriter {
  table(asked: Asked, filter: Filter, nowMs: number): string;
  messages(asked: Asked, filter: Filter, nowMs: number): unknown;
}

const PARTS: Readonly<Record<Exclude<Part, 'all'>, PartWriter>> = {
  cluster: {
    table: ({ dump }, filter) => renderTable(CLUSTER_HEADER, selectClusters(dump.clusters, filter).map(clusterRow)),
    messages: ({ dump }, filter) => selectClusters(dump.clusters, filter),
  },
  listener: {
    table({ dump }, filter) {
      const found = selectListeners(dump.listeners, filter);
      if (!filter.verbose) return renderTable(SHORT_LISTENER_HEADER, found.map(shortListenerRow));
      return renderTable(LISTENER_HEADER, found.flatMap(listenerRows));
    },
    messages: ({ dump }, filter) => selectListeners(dump.listeners, filter),
  },
  route: {
    table({ dump }, filter) {
      const found = selectRoutes(dump.routes, filter);
      if (!filter.verbose) return renderTable(SHORT_ROUTE_HEADER, found.map(shortRouteRow));
      return renderTable(ROUTE_HEADER, found.flatMap(routeRows));
    },
    messages: ({ dump }, filter) => selectRoutes(dump.routes, filter),
  },
  endpoint: {
    table({ dump, ejected }, filter) {
      const found = selectEndpoints(dump.endpoints, filter, ejected);
      return renderTable(
        ENDPOINT_HEADER,
        found.flatMap((assignment) => endpointRows(assignment, ejected)),
      );
    },
    messages: ({ dump, ejected }, filter) => selectEndpoints(dump.endpoints, filter, ejected),
  },
  secret: {
    table: ({ dump }, _, nowMs) => renderTable(SECRET_HEADER, readSecrets(dump.secrets, nowMs).map(secretCells)),
    messages: ({ dump }, _, nowMs) => readSecrets(dump.secrets, nowMs),
  },
  bootstrap: {
    table: ({ dump }) => renderTable(['NODE', 'CLUSTER', 'VERSION', 'CONTROL PLANE'], [bootstrapRow(dump)]),
    messages: ({ dump }) => dump.bootstrap,
  },
};

const OF_ALL = ['cluster', 'listener', 'route', 'endpoint', 'secret'] as const;

export function renderPart(part: Part, asked: Asked, filter: Filter, format: Format, nowMs: number): string {
  if (part === 'all') {
    if (format !== 'short') return renderStructured(asked.dump.raw, format);
    return OF_ALL.map((each) => PARTS[each].table(asked, filter, nowMs)).join('\n');
  }
  const writer = PARTS[part];
  return format === 'short'
    ? writer.table(asked, filter, nowMs)
    : renderStructured(writer.messages(asked, filter, nowMs), format);
}

/** What a reader of the table should know besides. */
export function notesOn({ dump }: Asked): string[] {
  const warming = [dump.clusters, dump.listeners].flatMap((all) =>
    all.filter(({ state }) => state === 'WARMING').map(({ resource }) => textOf(resource, 'name')),
  );
  const fetching = dump.routes.filter(({ resource }) => resource['vhds'] !== undefined);
  return [
    ...(dump.hasEndpoints ? [] : ['the dump has no endpoints: save it from /config_dump?include_eds']),
    ...dump.refusals.map((refusal) => `the proxy refuses ${refusal}`),
    ...(warming.length === 0 ? [] : [`not used yet, until what they wait for has come: ${warming.join(', ')}`]),
    ...(fetching.length === 0
      ? []
      : [
          'this proxy fetches hosts with the first request that needs them (VHDS): it has those that were needed so far',
        ]),
  ];
}

function bootstrapRow({ bootstrap }: ConfigDump): string[] {
  const node = inside(bootstrap, 'node');
  const metadata = inside(node, 'metadata');
  const ads: Message = inside(bootstrap, 'dynamic_resources', 'ads_config');
  const [service = {}] = (ads['grpc_services'] ?? []) as readonly Message[];
  const plane = textOf(inside(service, 'envoy_grpc'), 'cluster_name');
  return [textOf(node, 'id'), textOf(metadata, 'CLUSTER_ID') || '-', textOf(metadata, 'ISTIO_VERSION') || '-', plane];
}
