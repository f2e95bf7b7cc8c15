// SPDX-License-Identifier: Apache-2.0
// isthmus.io ExportedService: what a cluster tells the others of a service that it exports. The control plane writes it,
// and it is all that other clusters read.
import type { Kind, MeshObject } from './kind.ts';
import { choice, defaulted, type Infer, integer, list, optional, required, struct, text } from './shape.ts';
import { dnsLabel, labels, portNumber } from './values.ts';

/** Name of a cluster: it becomes the value of a label. */
export const CLUSTER_NAME = {
  pattern: /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/,
  what: 'the name of a cluster: at most 63 letters, digits, dashes, dots and underscores',
} as const;

/** What is spoken, in words of a ServiceEntry's port; nothing is said where each connection tells. */
export const EXPORTED_PROTOCOLS = ['HTTP', 'HTTP2', 'TCP', 'TLS'] as const;

const port = struct({
  name: required(dnsLabel),
  port: required(portNumber),
  protocol: optional(choice(EXPORTED_PROTOCOLS)),
});
export type ExportedPort = Infer<typeof port>;

const share = struct({
  /** `region/zone/subzone`, or ''. */
  locality: defaulted(text({ max: 253 }), ''),
  ready: required(integer()),
});
export type LocalityShare = Infer<typeof share>;

const subset = struct({
  name: required(dnsLabel),
  labels: defaulted(labels, {}),
  ready: required(integer()),
  localities: defaulted(list(share), []),
});
export type ExportedSubset = Infer<typeof subset>;

const gateway = struct({
  /** IP address or DNS name. */
  address: required(text({ max: 253 })),
  port: required(portNumber),
  network: defaulted(text({ max: 63 }), ''),
  locality: defaulted(text({ max: 253 }), ''),
});
export type ExportedGateway = Infer<typeof gateway>;

const spec = struct(
  {
    cluster: required(text(CLUSTER_NAME)),
    /** RFC 3339: since when it is exported; of two clusters the one that exported first decides. */
    exportedAt: required(
      text({ pattern: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/, what: 'a time, as 2026-01-31T12:00:00Z' }),
    ),
    type: required(choice(['ClusterSetIP', 'Headless'])),
    ports: required(list(port, { min: 1 })),
    /** Endpoints that take requests. */
    ready: required(integer()),
    localities: defaulted(list(share), []),
    subsets: defaulted(list(subset), []),
    gateways: defaulted(list(gateway), []),
    /** SPIFFE IDs of those who may answer for it, sorted; none: not known. */
    subjectAltNames: defaulted(list(text({ max: 2_048 })), []),
    /** How the clusters that have it share the requests: the annotation isthmus.io/traffic. */
    traffic: optional(text({ max: 1_000 })),
  },
  'What a cluster tells the others of a service that it exports.',
);
export type ExportedServiceSpec = Infer<typeof spec>;
export type ExportedService = MeshObject<ExportedServiceSpec>;

export const EXPORTED_SERVICE: Kind<ExportedServiceSpec> = {
  group: 'isthmus.io',
  kind: 'ExportedService',
  plural: 'exportedservices',
  singular: 'exportedservice',
  shortNames: ['exsvc'],
  versions: ['v1alpha1'],
  description: 'What this cluster tells the others of a service that it exports; written by the control plane.',
  columns: [
    { name: 'Cluster', type: 'string', jsonPath: '.spec.cluster', description: 'The cluster that exports it' },
    { name: 'Ready', type: 'integer', jsonPath: '.spec.ready', description: 'Endpoints that take requests' },
    { name: 'Gateway', type: 'string', jsonPath: '.spec.gateways[0].address', description: 'Where others reach it' },
    {
      name: 'Conflict',
      type: 'string',
      jsonPath: '.status.conditions[?(@.type=="Conflict")].reason',
      description: 'Whether clusters disagree about it',
    },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since it was created' },
  ],
  spec,
};
