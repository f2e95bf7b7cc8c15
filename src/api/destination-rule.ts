// SPDX-License-Identifier: Apache-2.0
// networking.istio.io DestinationRule: https://istio.io/latest/docs/reference/config/networking/destination-rule/
import { clientTls } from './client-tls.ts';
import { connectionPool, notEmpty, outlierDetection, retryBudget } from './connection-pool.ts';
import { reportDuplicates } from './duplicates.ts';
import type { Kind, MeshObject } from './kind.ts';
import { loadBalancer } from './load-balancer.ts';
import { reportTargets } from './rule-targets.ts';
import { type At, checked, choice, defaulted, type Infer, list, optional, required, struct } from './shape.ts';
import {
  checkExportTo,
  dnsLabel,
  exportTo,
  fullHost,
  hostPattern,
  labels,
  portNumber,
  portSelector,
} from './values.ts';

export type { TlsSettings } from './client-tls.ts';
export type { ConnectionPool, OutlierDetection, RetryBudget } from './connection-pool.ts';
export type { ConsistentHash, LoadBalancer } from './load-balancer.ts';
export type { LocalityLbSetting } from './locality.ts';

const policyFields = {
  tls: optional(clientTls),
  loadBalancer: optional(loadBalancer),
  connectionPool: optional(connectionPool),
  outlierDetection: optional(outlierDetection),
};
const POLICY = 'at least one of tls, loadBalancer, connectionPool and outlierDetection';

const portPolicy = checked(struct({ ...policyFields, port: required(portSelector) }), (value, at) => {
  const { port: _, ...policy } = value;
  notEmpty(POLICY)(policy, at);
  checkFailover(value, at);
});
const tunnel = struct({
  protocol: defaulted(choice(['', 'CONNECT', 'POST']), 'CONNECT'),
  targetHost: required(fullHost),
  targetPort: required(portNumber),
});
const trafficPolicy = checked(
  struct({
    ...policyFields,
    portLevelSettings: defaulted(list(portPolicy), []),
    tunnel: optional(tunnel),
    proxyProtocol: optional(struct({ version: defaulted(choice(['V1', 'V2']), 'V1') })),
    retryBudget: optional(retryBudget),
  }),
  (value, at) => {
    notEmpty(POLICY)(value, at);
    if (value.tunnel !== undefined && value.proxyProtocol !== undefined) {
      at.report.add('ISM0007', at.field, 'tunnel and proxyProtocol exclude one another', 'keep one of them');
    }
    const ports = value.portLevelSettings.map(({ port }) => String(port.number));
    reportDuplicates(ports, `${at.field}.portLevelSettings`, at);
    checkFailover(value, at);
  },
);
export type TrafficPolicy = Infer<typeof trafficPolicy>;
export type PortPolicy = Infer<typeof portPolicy>;

function checkFailover(
  { loadBalancer, outlierDetection }: Pick<TrafficPolicy, 'loadBalancer' | 'outlierDetection'>,
  at: At,
) {
  const setting = loadBalancer?.localityLbSetting;
  const asked = (setting?.failover.length ?? 0) > 0 || (setting?.failoverPriority.length ?? 0) > 0;
  if (!asked) return;
  if (outlierDetection === undefined) {
    const message = 'failover has no effect without outlierDetection: no endpoint is ever found unhealthy';
    at.report.add('ISM0005', `${at.field}.loadBalancer.localityLbSetting`, message, 'add outlierDetection');
  } else if (!outlierDetection.maxEjectionPercent) {
    // Envoy once took out one endpoint whatever the share, and Istio's own task still counts on it.
    const message =
      'at the default of 10 % no endpoint of fewer than ten is taken out: traffic leaves only those that are gone or unready';
    const cure = 'set outlierDetection.maxEjectionPercent, to 100 for instance';
    at.report.add('ISM0005', `${at.field}.outlierDetection`, message, cure);
  }
}

const subset = struct({
  name: required(dnsLabel),
  labels: defaulted(labels, {}),
  trafficPolicy: optional(trafficPolicy),
});
export type Subset = Infer<typeof subset>;

const workloadSelector = checked(struct({ matchLabels: defaulted(labels, {}) }), ({ matchLabels }, at) => {
  const entries = Object.entries(matchLabels);
  if (entries.length === 0) {
    const cure = 'name labels of the clients, or remove it';
    at.report.add('ISM0005', at.field, 'it names no label, so it selects every client of the namespace', cure);
  }
  for (const [name, value] of entries) {
    if (name !== '' && !`${name}${value}`.includes('*')) continue;
    const cure = 'write labels and values in full';
    at.report.add('ISM0006', `${at.field}.matchLabels`, `${JSON.stringify(`${name}=${value}`)} is not a label`, cure);
  }
});

const spec = struct(
  {
    host: required(hostPattern),
    trafficPolicy: optional(trafficPolicy),
    subsets: defaulted(list(subset), []),
    exportTo,
    workloadSelector: optional(workloadSelector),
  },
  'What applies to traffic for a service after routing: versions, TLS, load balancing.',
);
export type DestinationRuleSpec = Infer<typeof spec>;
export type DestinationRule = MeshObject<DestinationRuleSpec>;

export const DESTINATION_RULE: Kind<DestinationRuleSpec> = {
  group: 'networking.istio.io',
  kind: 'DestinationRule',
  plural: 'destinationrules',
  singular: 'destinationrule',
  shortNames: ['dr'],
  versions: ['v1alpha3', 'v1beta1', 'v1'],
  description: 'What applies to traffic for a service after routing: versions, TLS, load balancing.',
  columns: [
    { name: 'Host', type: 'string', jsonPath: '.spec.host', description: 'The host that the rule is for' },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Time since it was created' },
  ],
  spec,
  check(value, at, { ref }) {
    const names = value.subsets.map((s) => s.name);
    reportDuplicates(names, `${at.field}.subsets`, at);
    checkExportTo(value.exportTo, ref.namespace, { ...at, field: `${at.field}.exportTo` });
    const others = value.exportTo.filter((scope) => !['*', '.', ref.namespace].includes(scope));
    if (value.workloadSelector === undefined) reportSecrets(value, at);
    else if (others.length > 0) {
      const message = 'a rule with a workloadSelector is for clients of its own namespace';
      at.report.add('ISM0007', `${at.field}.exportTo`, message, 'remove exportTo, or workloadSelector');
    }
  },
  complete(value, raw, report) {
    reportTargets(raw, report);
    return value;
  },
};

/** A Secret that all clients should have is one that none of them is given, so that not everybody's start waits for it. */
function reportSecrets({ trafficPolicy, subsets }: DestinationRuleSpec, at: At): void {
  const report = (policy: TrafficPolicy | undefined, field: string) => {
    const ports = policy?.portLevelSettings.map(({ tls }, i) => ({ tls, field: `${field}.portLevelSettings[${i}]` }));
    for (const part of [{ tls: policy?.tls, field }, ...(ports ?? [])]) {
      if (!part.tls?.credentialName || !['SIMPLE', 'MUTUAL'].includes(part.tls.mode)) continue;
      const message = 'only gateways use it: sidecars, which this rule does not select, speak plaintext';
      const cure = 'select the clients by workloadSelector, or name files';
      at.report.add('ISM0005', `${part.field}.tls.credentialName`, message, cure);
    }
  };
  report(trafficPolicy, `${at.field}.trafficPolicy`);
  subsets.forEach((subset, i) => {
    report(subset.trafficPolicy, `${at.field}.subsets[${i}].trafficPolicy`);
  });
}
