// SPDX-License-Identifier: Apache-2.0
import { EXPORTED_SERVICE, type ExportedServiceSpec } from '../api/exported-service.ts';
import { refOf } from '../api/kind.ts';
import { Report } from '../api/report.ts';
import type { KubeObject } from '../kube/types.ts';

/**
 * What another cluster tells. A newer control plane may tell more than this one understands, so that fields that are not
 * known are no fault; any other is, and the text says which.
 */
export function readExported(raw: KubeObject, cluster: string): ExportedServiceSpec | { readonly fault: string } {
  const report = new Report(refOf(raw, cluster));
  const spec = EXPORTED_SERVICE.spec.decode(raw['spec'] ?? {}, { field: 'spec', report });
  const fault = report.diagnostics.find(({ code, severity }) => severity === 'error' && code !== 'ISM0003');
  if (spec === undefined || fault !== undefined) {
    return { fault: fault === undefined ? 'it cannot be read' : `${fault.field}: ${fault.message}` };
  }
  if (spec.cluster !== cluster) {
    // Under two names it would count twice, and under this cluster's own its services would be others'.
    return {
      fault: `the cluster calls itself ${spec.cluster}: make that the key in the peer's secret, in place of ${cluster}`,
    };
  }
  return spec;
}
