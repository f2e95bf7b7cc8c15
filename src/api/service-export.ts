// SPDX-License-Identifier: Apache-2.0
// multicluster.x-k8s.io ServiceExport and ServiceImport, as the Multi-Cluster Services API has them:
// https://github.com/kubernetes-sigs/mcs-api
import type { Kind, MeshObject } from './kind.ts';
import { choice, defaulted, type Infer, idle, integer, list, optional, required, struct, text } from './shape.ts';
import { portNumber } from './values.ts';

const NOT_CARRIED = 'the imported service has the labels and annotations that the control plane gives it';

const exportSpec = struct(
  { exportedLabels: idle(NOT_CARRIED), exportedAnnotations: idle(NOT_CARRIED) },
  'The Service of the same name and namespace is for the other clusters of the mesh too.',
);
export type ServiceExport = MeshObject<Infer<typeof exportSpec>>;

const AGE = {
  name: 'Age',
  type: 'date',
  jsonPath: '.metadata.creationTimestamp',
  description: 'Time since it was created',
} as const;

export const SERVICE_EXPORT: Kind<Infer<typeof exportSpec>> = {
  group: 'multicluster.x-k8s.io',
  kind: 'ServiceExport',
  plural: 'serviceexports',
  singular: 'serviceexport',
  shortNames: ['svcex'],
  versions: ['v1alpha1'],
  description: 'The Service of the same name and namespace is for the other clusters of the mesh too.',
  columns: [
    {
      name: 'Valid',
      type: 'string',
      jsonPath: '.status.conditions[?(@.type=="Valid")].status',
      description: 'Whether the service can be exported',
    },
    {
      name: 'Ready',
      type: 'string',
      jsonPath: '.status.conditions[?(@.type=="Ready")].status',
      description: 'Whether the other clusters can read it',
    },
    {
      name: 'Conflict',
      type: 'string',
      jsonPath: '.status.conditions[?(@.type=="Conflict")].reason',
      description: 'Whether clusters disagree about it',
    },
    AGE,
  ],
  spec: exportSpec,
};

const importPort = struct({
  name: optional(text()),
  protocol: defaulted(choice(['TCP', 'UDP', 'SCTP']), 'TCP'),
  appProtocol: optional(text()),
  port: required(portNumber),
});

const importSpec = struct(
  {
    type: required(choice(['ClusterSetIP', 'Headless'])),
    ips: defaulted(list(text()), []),
    ports: required(list(importPort)),
    sessionAffinity: optional(choice(['None', 'ClientIP'])),
    sessionAffinityConfig: optional(
      struct({ clientIP: optional(struct({ timeoutSeconds: optional(integer({ min: 1, max: 86_400 })) })) }),
    ),
  },
  'A service that other clusters of the mesh export; written by the control plane.',
);
export type ServiceImport = MeshObject<Infer<typeof importSpec>>;

export const SERVICE_IMPORT: Kind<Infer<typeof importSpec>> = {
  group: 'multicluster.x-k8s.io',
  kind: 'ServiceImport',
  plural: 'serviceimports',
  singular: 'serviceimport',
  shortNames: ['svcim'],
  versions: ['v1alpha1'],
  description: 'A service that other clusters of the mesh export; written by the control plane.',
  columns: [
    { name: 'Type', type: 'string', jsonPath: '.spec.type', description: 'ClusterSetIP or Headless' },
    { name: 'IP', type: 'string', jsonPath: '.spec.ips[0]', description: 'What its name resolves to' },
    {
      name: 'Clusters',
      type: 'string',
      jsonPath: '.metadata.annotations.isthmus\\.io/exported-by',
      description: 'The clusters that export it',
    },
    AGE,
  ],
  spec: importSpec,
};
