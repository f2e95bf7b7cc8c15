// SPDX-License-Identifier: Apache-2.0
// networking.istio.io WorkloadEntry: https://istio.io/latest/docs/reference/config/networking/workload-entry/
import { isIP } from 'node:net';
import type { KubeObject } from '../kube/types.ts';
import type { Kind, MeshObject } from './kind.ts';
import { NETWORK_NAME } from './mesh-networks.ts';
import {
  type At,
  checked,
  defaulted,
  type Infer,
  integer,
  isRecord,
  mapOf,
  optional,
  struct,
  text,
  turned,
} from './shape.ts';
import { dnsLabel, labels, portNumber } from './values.ts';

const address = checked(text(), (raw, at) => {
  if (raw.startsWith('unix:')) {
    if (/^unix:\/\/(\/[^/].*[^/]|@.+)$/.test(raw) && raw.length <= 100) return;
    const cure = 'write unix:///PATH, or unix://@NAME for a name in Linux’ abstract namespace (up to 100 characters)';
    at.report.add('ISM0006', at.field, `${JSON.stringify(raw)} is no socket`, cure);
    return;
  }
  if (isNowhere(raw)) {
    const cure = 'write the address of the workload, or of the gateway in front of it';
    at.report.add('ISM0006', at.field, `${raw} is no address of anybody`, cure);
    return;
  }
  const isName = /^[a-z0-9_]([-a-z0-9_.]{0,251}[a-z0-9_])?\.?$/i.test(raw) && !/^[0-9.]+$/.test(raw);
  if (isIP(raw) !== 0 || isName) return;
  at.report.add('ISM0006', at.field, `${JSON.stringify(raw)} is no address`, 'write an IP address or a DNS name');
});

/** Unspecified, broadcast or multicast: nobody is there, and a listener there is refused or takes others' connections. */
export function isNowhere(raw: string): boolean {
  return isIP(raw) !== 0 && /^(0\.0\.0\.0$|255\.255\.255\.255$|22[4-9]\.|23\d\.|::$|ff)/i.test(raw);
}

/** '': as if nothing were said, as Istio's own examples have it. */
const networkOrNone = text({ ...NETWORK_NAME, pattern: new RegExp(`${NETWORK_NAME.pattern.source}|^$`) });

/** A Unix domain socket, in the files or the network namespace of whoever dials it. */
export function isSocket(address: string): boolean {
  return address.startsWith('unix:');
}

/** What is known of a workload, but for where it is. */
export const workload = {
  /** Name of a port -> number that it listens on. */
  ports: defaulted(mapOf(portNumber, dnsLabel), {}),
  labels: defaulted(labels, {}),
  /** `external`: only the egress gateway goes there; everybody else to the endpoints beside it. */
  network: optional(networkOrNone),
  locality: optional(text()),
  weight: optional(integer()),
  serviceAccount: optional(text()),
} as const;

/** An endpoint of a ServiceEntry, and the spec of a WorkloadEntry. */
export const workloadAddress = checked(struct({ address: defaulted(address, ''), ...workload }), (value, at) => {
  const field = `${at.field}.address`;
  if (isSocket(value.address) && Object.keys(value.ports).length > 0) {
    at.report.add('ISM0007', `${at.field}.ports`, 'a socket has no ports', `remove ${at.field}.ports`);
  }
  if (value.address !== '') return;
  if (!value.network) {
    at.report.add('ISM0001', field, '`address` is required', `add ${field}, or the network whose gateway leads there`);
  } else {
    const message = `it is reached by a gateway of ${value.network} only`;
    at.report.add('ISM0005', field, message, `add ${field} for those who are on the same network`);
  }
});
export type WorkloadAddress = Infer<typeof workloadAddress>;

export interface WorkloadEntrySpec extends WorkloadAddress {
  /** False: it is asked for its health, and has not said that it is well. */
  readonly healthy: boolean;
  /** A WorkloadGroup of its namespace, which says what it does not say itself. */
  readonly group: string | undefined;
}
export type WorkloadEntry = MeshObject<WorkloadEntrySpec>;

const spec = turned(workloadAddress, (value): WorkloadEntrySpec => ({ ...value, healthy: true, group: undefined }));

export const WORKLOAD_ENTRY: Kind<WorkloadEntrySpec> = {
  group: 'networking.istio.io',
  kind: 'WorkloadEntry',
  plural: 'workloadentries',
  singular: 'workloadentry',
  shortNames: ['we'],
  versions: ['v1alpha3', 'v1beta1', 'v1'],
  description:
    'A workload that is no pod, such as a virtual machine: an endpoint of whatever selects it by its labels.',
  columns: [
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since it was created' },
    { name: 'Address', type: 'string', jsonPath: '.spec.address', description: 'Where it is' },
  ],
  spec,
  check: checkLabels,
  complete: (value, raw) => ({
    ...value,
    // What somebody wrote over the object goes before what is in it.
    labels: sorted({ ...value.labels, ...raw.metadata.labels }),
    healthy: isHealthy(raw),
    group: raw.metadata.annotations?.['istio.io/autoRegistrationGroup'],
  }),
};

const LABEL = /^(([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?)$/;

export function checkLabels(value: { readonly labels: Readonly<Record<string, string>> }, at: At): void {
  for (const [name, label] of Object.entries(value.labels)) {
    if (label.length <= 63 && LABEL.test(label)) continue;
    const cure = 'use at most 63 letters, digits, dashes, dots and underscores';
    at.report.add(
      'ISM0006',
      `${at.field}.labels[${JSON.stringify(name)}]`,
      `${JSON.stringify(label)} is no label`,
      cure,
    );
  }
}

/** Asked for by an annotation, told by the condition `Healthy`: until the first word of it the workload is not well. */
function isHealthy(raw: KubeObject): boolean {
  const asked = raw.metadata.annotations?.['proxy.istio.io/health-checks-enabled'] ?? '';
  if (!['true', 't', '1'].includes(asked.toLowerCase())) return true;
  const status = raw['status'];
  const conditions =
    isRecord(status) && Array.isArray(status['conditions']) ? status['conditions'].filter(isRecord) : [];
  return conditions.some(({ type, status: said }) => type === 'Healthy' && said === 'True');
}

function sorted(all: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)));
}
