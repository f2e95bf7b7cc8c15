// SPDX-License-Identifier: Apache-2.0
// networking.istio.io EnvoyFilter: https://istio.io/latest/docs/reference/config/networking/envoy-filter/
import type { DiagnosticCode } from './diagnostics.ts';
import { checkPatchValue, withDurationsInSeconds } from './envoy-patch-value.ts';
import type { Kind, MeshObject } from './kind.ts';
import {
  type At,
  anything,
  checked,
  choice,
  defaulted,
  type Infer,
  idle,
  integer,
  list,
  mapOf,
  optional,
  refused,
  required,
  struct,
  supportedChoice,
  text,
  turned,
} from './shape.ts';
import { labels, regex } from './values.ts';

const APPLY_TO = [
  'LISTENER',
  'LISTENER_FILTER',
  'FILTER_CHAIN',
  'NETWORK_FILTER',
  'HTTP_FILTER',
  'ROUTE_CONFIGURATION',
  'VIRTUAL_HOST',
  'HTTP_ROUTE',
  'CLUSTER',
  'EXTENSION_CONFIG',
] as const;
export type PatchTarget = (typeof APPLY_TO)[number];

const OPERATIONS = [
  'MERGE',
  'MERGE_AND_REPLACE_LIST',
  'ADD',
  'REMOVE',
  'INSERT_BEFORE',
  'INSERT_AFTER',
  'INSERT_FIRST',
  'REPLACE',
] as const;
export type PatchOperation = (typeof OPERATIONS)[number];

/** 0: any. */
const port = defaulted(integer({ max: 65535 }), 0);
const name = defaulted(text(), '');

const listenerMatch = struct({
  name,
  portNumber: port,
  portName: idle('match by portNumber'),
  listenerFilter: name,
  filterChain: optional(
    struct({
      name,
      sni: name,
      transportProtocol: name,
      transportSocket: idle('match by name, sni or destinationPort'),
      applicationProtocols: name,
      destinationPort: port,
      filter: optional(struct({ name: required(text()), subFilter: optional(struct({ name: required(text()) })) })),
    }),
  ),
});

const routeConfigurationMatch = struct({
  name,
  portNumber: port,
  portName: name,
  gateway: name,
  vhost: optional(
    struct({
      name,
      domainName: name,
      route: optional(
        struct({ name, action: defaulted(choice(['ANY', 'ROUTE', 'REDIRECT', 'DIRECT_RESPONSE']), 'ANY') }),
      ),
    }),
  ),
});

const clusterMatch = struct({ name, portNumber: port, service: name, subset: name });

const waypoints = 'remove it; there are no waypoints here: sidecars and gateways are matched by their contexts';
const match = struct({
  context: defaulted(
    supportedChoice(['ANY', 'SIDECAR_INBOUND', 'SIDECAR_OUTBOUND', 'GATEWAY'], { WAYPOINT: waypoints }),
    'ANY',
  ),
  proxy: optional(struct({ proxyVersion: optional(regex), metadata: defaulted(mapOf(text()), {}) })),
  listener: optional(listenerMatch),
  routeConfiguration: optional(routeConfigurationMatch),
  cluster: optional(clusterMatch),
  waypoint: refused(waypoints),
});
export type PatchMatch = Infer<typeof match>;

const invalid = { INVALID: 'say what is meant' };
const patchShape = struct({
  applyTo: required(
    supportedChoice(APPLY_TO, {
      ...invalid,
      BOOTSTRAP: 'the bootstrap is in the pod, as the injector wrote it: change it by ProxyConfig and by annotations',
    }),
  ),
  match: optional(match),
  patch: required(
    struct({
      operation: required(supportedChoice(OPERATIONS, invalid)),
      value: optional(anything),
      filterClass: idle('the operation says where a filter goes: INSERT_BEFORE, INSERT_AFTER or INSERT_FIRST'),
    }),
  ),
});
export type ConfigPatch = Infer<typeof patchShape>;
const configPatch = checked(
  turned(patchShape, (value) => {
    const { applyTo, patch } = value;
    return patch.value === undefined
      ? value
      : { ...value, patch: { ...patch, value: withDurationsInSeconds(applyTo, patch.value) } };
  }),
  checkPatch,
);

const spec = struct(
  {
    workloadSelector: optional(struct({ labels: defaulted(labels, {}) })),
    targetRefs: refused('select workloads by workloadSelector'),
    configPatches: defaulted(list(configPatch), []),
    priority: defaulted(integer({ min: -0x8000_0000, max: 0x7fff_ffff }), 0),
  },
  'Changes to what the proxies of chosen workloads are given, in the words of Envoy.',
);
export type EnvoyFilterSpec = Infer<typeof spec>;
export type EnvoyFilter = MeshObject<EnvoyFilterSpec>;

export const ENVOY_FILTER: Kind<EnvoyFilterSpec> = {
  group: 'networking.istio.io',
  kind: 'EnvoyFilter',
  plural: 'envoyfilters',
  singular: 'envoyfilter',
  shortNames: [],
  versions: ['v1alpha3'],
  description: 'Changes to what the proxies of chosen workloads are given, in the words of Envoy.',
  columns: [
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since it was created' },
  ],
  spec,
  check(value, at) {
    if (value.configPatches.length > 0) return;
    at.report.add('ISM0005', `${at.field}.configPatches`, 'it changes nothing', 'add a patch, or remove the object');
  },
};

const MANAGER = 'envoy.filters.network.http_connection_manager';
const OF_LISTENERS: ReadonlySet<PatchTarget> = new Set([
  'LISTENER',
  'LISTENER_FILTER',
  'FILTER_CHAIN',
  'NETWORK_FILTER',
  'HTTP_FILTER',
]);
const OF_ROUTES: ReadonlySet<PatchTarget> = new Set(['ROUTE_CONFIGURATION', 'VIRTUAL_HOST', 'HTTP_ROUTE']);

/** What a target can be matched by, and what can be done with it. */
function checkPatch({ applyTo, match, patch }: ConfigPatch, at: At): void {
  const wanted = OF_LISTENERS.has(applyTo)
    ? 'listener'
    : OF_ROUTES.has(applyTo)
      ? 'routeConfiguration'
      : applyTo === 'CLUSTER'
        ? 'cluster'
        : undefined;
  for (const kind of ['listener', 'routeConfiguration', 'cluster'] as const) {
    if (match?.[kind] === undefined || kind === wanted) continue;
    const cure = wanted === undefined ? `remove ${kind}` : `match by ${wanted}`;
    at.report.add('ISM0007', `${at.field}.match.${kind}`, `a ${applyTo} is not matched by ${kind}`, cure);
  }
  checkFilterMatch(applyTo, match, at);
  const allowed = OPERATIONS_OF[applyTo];
  if (!allowed.includes(patch.operation)) {
    const message = `${patch.operation} is not done to a ${applyTo}`;
    const code = FOREIGN_OPERATIONS[patch.operation] ?? 'ISM0007';
    at.report.add(code, `${at.field}.patch.operation`, message, `use one of ${allowed.join(', ')}`);
  }
  const field = `${at.field}.patch.value`;
  if (patch.operation === 'REMOVE') {
    if (patch.value !== undefined) at.report.add('ISM0005', field, 'nothing is needed to remove', 'remove it');
  } else if (patch.value === undefined) {
    at.report.add('ISM0001', field, `${patch.operation} needs a value`, `add ${field}`);
  } else checkPatchValue(applyTo, patch.operation, patch.value, { ...at, field });
}

/** Those that Istio has a code for each. */
const FOREIGN_OPERATIONS: Partial<Record<PatchOperation, DiagnosticCode>> = {
  REPLACE: 'ISM0016',
  ADD: 'ISM0017',
  REMOVE: 'ISM0018',
};
const MERGES = ['MERGE', 'MERGE_AND_REPLACE_LIST'] as const;
const INSERTS = ['INSERT_BEFORE', 'INSERT_AFTER', 'INSERT_FIRST'] as const;
/** Where a place in an order means nothing, inserting is adding, as in Istio. */
const OPERATIONS_OF: Readonly<Record<PatchTarget, readonly PatchOperation[]>> = {
  LISTENER: [...MERGES, 'ADD', 'REMOVE', ...INSERTS],
  LISTENER_FILTER: ['MERGE', 'ADD', 'REMOVE', 'REPLACE', ...INSERTS],
  FILTER_CHAIN: [...MERGES, 'ADD', 'REMOVE', ...INSERTS],
  NETWORK_FILTER: ['MERGE', 'ADD', 'REMOVE', 'REPLACE', ...INSERTS],
  HTTP_FILTER: ['MERGE', 'ADD', 'REMOVE', 'REPLACE', ...INSERTS],
  ROUTE_CONFIGURATION: [...MERGES],
  VIRTUAL_HOST: [...MERGES, 'ADD', 'REMOVE', 'REPLACE', ...INSERTS],
  HTTP_ROUTE: [...MERGES, 'ADD', 'REMOVE', ...INSERTS],
  CLUSTER: [...MERGES, 'ADD', 'REMOVE', ...INSERTS],
  EXTENSION_CONFIG: ['ADD', ...INSERTS],
};

function checkFilterMatch(applyTo: PatchTarget, match: PatchMatch | undefined, at: At): void {
  const filter = match?.listener?.filterChain?.filter;
  const field = `${at.field}.match.listener.filterChain.filter`;
  if (filter === undefined) return;
  if (applyTo === 'LISTENER' || applyTo === 'FILTER_CHAIN' || applyTo === 'LISTENER_FILTER') {
    const message = `a ${applyTo} is not matched by its filters`;
    at.report.add('ISM0005', field, message, 'remove it, or patch NETWORK_FILTER or HTTP_FILTER');
  }
  if (filter.subFilter === undefined) return;
  if (applyTo !== 'HTTP_FILTER') {
    at.report.add('ISM0007', `${field}.subFilter`, `a ${applyTo} has no filters inside`, 'use it with HTTP_FILTER');
  } else if (filter.name !== MANAGER) {
    at.report.add('ISM0006', `${field}.name`, `HTTP filters are inside of ${MANAGER}`, `write ${MANAGER}`);
  }
}
