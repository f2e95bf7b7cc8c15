// SPDX-License-Identifier: Apache-2.0
// The `mesh` of the ConfigMap `istio` (https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/): YAML inside
// of YAML, so its fields are named as `data.mesh: FIELD`.
import { parseDocument } from 'yaml';
import type { KubeObject } from '../kube/types.ts';
import { CONFIG_DELIVERIES, DEFAULT_CONFIG_DELIVERY } from './config-delivery.ts';
import type { Diagnostic } from './diagnostics.ts';
import { refOf } from './kind.ts';
import { localityLbSetting } from './locality.ts';
import { type Locate, Report } from './report.ts';
import {
  anything,
  bool,
  choice,
  defaulted,
  type Field,
  type Infer,
  isRecord,
  optional,
  struct,
  text,
} from './shape.ts';
import { durationMs } from './values.ts';

/** Fields that do no harm when they are there: they speak to parts of Istio that Isthmus does not have. */
const ignored: Field<unknown, 'optional'> = optional(anything);

export const meshConfig = struct({
  accessLogFile: defaulted(text(), '/dev/stdout'),
  accessLogEncoding: defaulted(choice(['TEXT']), 'TEXT'),
  connectTimeout: defaulted(durationMs(), 5_000),
  enableAutoMtls: defaulted(bool, true),
  trustDomain: optional(text()),
  rootNamespace: optional(text()),
  outboundTrafficPolicy: defaulted(struct({ mode: defaulted(choice(['ALLOW_ANY', 'REGISTRY_ONLY']), 'ALLOW_ANY') }), {
    mode: 'ALLOW_ANY',
  }),
  /** Milliseconds to wait for a client's first bytes where they tell the protocol; 0: as long as it takes. */
  protocolDetectionTimeout: defaulted(durationMs({ zero: true }), 0),
  /** Endpoints on a network without a gateway, as other networks see them: at their own address, or not at all. */
  networksWithoutGateway: defaulted(choice(['DIRECT', 'LEAVE_OUT']), 'DIRECT'),
  /** What sidecars are given before they need it, from when their pods are created. */
  configDelivery: defaulted(choice(CONFIG_DELIVERIES), DEFAULT_CONFIG_DELIVERY),
  /** For destinations whose rule says nothing of it. */
  localityLbSetting: optional(localityLbSetting),
  h2UpgradePolicy: defaulted(choice(['DO_NOT_UPGRADE', 'UPGRADE']), 'DO_NOT_UPGRADE'),
  ingressService: ignored,
  ingressControllerMode: ignored,
  ingressClass: ignored,
  defaultConfig: ignored,
  proxyListenPort: ignored,
  sdsUdsPath: ignored,
});
export type MeshConfig = Infer<typeof meshConfig>;

export const DEFAULT_MESH_CONFIG: MeshConfig = {
  accessLogFile: '/dev/stdout',
  accessLogEncoding: 'TEXT',
  connectTimeout: 5_000,
  enableAutoMtls: true,
  trustDomain: undefined,
  rootNamespace: undefined,
  outboundTrafficPolicy: { mode: 'ALLOW_ANY' },
  protocolDetectionTimeout: 0,
  networksWithoutGateway: 'DIRECT',
  configDelivery: DEFAULT_CONFIG_DELIVERY,
  localityLbSetting: undefined,
  h2UpgradePolicy: 'DO_NOT_UPGRADE',
  ingressService: undefined,
  ingressControllerMode: undefined,
  ingressClass: undefined,
  defaultConfig: undefined,
  proxyListenPort: undefined,
  sdsUdsPath: undefined,
};

/** Unknown fields are reported as warnings: a ConfigMap that Istio's users have should not stop the mesh. */
export function decodeMeshConfig(
  raw: KubeObject,
  options: { cluster?: string; locate?: Locate | undefined } = {},
): { value?: MeshConfig; diagnostics: readonly Diagnostic[] } {
  const report = new Report(refOf(raw, options.cluster), options.locate);
  const data = raw['data'];
  const source = isRecord(data) ? data['mesh'] : undefined;
  if (typeof source !== 'string') return { value: DEFAULT_MESH_CONFIG, diagnostics: [] };
  const document = parseDocument(source);
  if (document.errors.length > 0) {
    report.add('ISM0002', 'data.mesh', document.errors[0]!.message.split('\n')[0]!, 'write it as YAML');
    return { diagnostics: report.diagnostics };
  }
  const value = meshConfig.decode(document.toJS() ?? {}, { field: 'data.mesh', report });
  const diagnostics = report.diagnostics.map((d) =>
    d.code === 'ISM0003' ? { ...d, severity: 'warning' as const } : d,
  );
  return value === undefined ? { diagnostics } : { value, diagnostics };
}
