// SPDX-License-Identifier: Apache-2.0
// Which objects are derived from exports, and the one that tells the others of a service.
import {
  MANAGED_BY,
  MANAGED_BY_LABEL,
  SERVICE_LABEL,
  SERVICE_NAMESPACE_LABEL,
  serviceKey,
} from '../api/export-names.ts';
import { EXPORTED_SERVICE, type ExportedServiceSpec } from '../api/exported-service.ts';
import { type Kind, resourceOf } from '../api/kind.ts';
import { SERVICE_EXPORT } from '../api/service-export.ts';
import { apiVersionOf } from '../kube/resources.ts';
import type { KubeObject } from '../kube/types.ts';
import type { ServiceName } from './types.ts';

/** The service that a derived object is of; undefined for every other object, which nobody here may touch. */
export function serviceOfDerived({ metadata }: Pick<KubeObject, 'metadata'>): ServiceName | undefined {
  const { [SERVICE_LABEL]: name, [SERVICE_NAMESPACE_LABEL]: namespace, [MANAGED_BY_LABEL]: by } = metadata.labels ?? {};
  return by !== MANAGED_BY || name === undefined || namespace === undefined ? undefined : serviceKey(namespace, name);
}

export function isDerived(object: Pick<KubeObject, 'metadata'>): boolean {
  return serviceOfDerived(object) !== undefined;
}

/** What this cluster tells the others. Of undefined only its name is of use. */
export function exportedObject(service: ServiceName, spec: ExportedServiceSpec | undefined): KubeObject {
  const [namespace = '', name = ''] = service.split('/');
  return {
    ...headOf(EXPORTED_SERVICE as Kind<unknown>),
    metadata: {
      name,
      namespace,
      labels: { [MANAGED_BY_LABEL]: MANAGED_BY, [SERVICE_LABEL]: name, [SERVICE_NAMESPACE_LABEL]: namespace },
    },
    // As it comes back from the API server: without what is not said.
    spec: spec === undefined ? {} : (JSON.parse(JSON.stringify(spec)) as Record<string, unknown>),
  };
}

/** The ServiceExport of the service, by its name. */
export function exportOf(service: ServiceName): Pick<KubeObject, 'apiVersion' | 'kind' | 'metadata'> {
  const [namespace = '', name = ''] = service.split('/');
  return { ...headOf(SERVICE_EXPORT as Kind<unknown>), metadata: { name, namespace } };
}

function headOf(kind: Kind<unknown>): { apiVersion: string; kind: string } {
  return { apiVersion: apiVersionOf(resourceOf(kind)), kind: kind.kind };
}
