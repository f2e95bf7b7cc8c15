// SPDX-License-Identifier: Apache-2.0
import { serviceKey } from '../api/export-names.ts';
import { changesBetween } from '../incremental/derived-map.ts';
import type { EndpointSet, ServiceKey } from '../model/snapshot.ts';
import type { ServiceName } from './types.ts';

/** Kubernetes services whose endpoints may differ between two states of the mesh; `before` undefined: all. */
export function changedServices(
  before: ReadonlyMap<ServiceKey, EndpointSet> | undefined,
  after: ReadonlyMap<ServiceKey, EndpointSet>,
  dnsDomain: string,
): ServiceName[] {
  const keys = changesBetween(before, after) ?? after.keys();
  return [...keys].flatMap((key) => {
    const [namespace = '', host = '', entry] = key.split('/');
    const suffix = `.${namespace}.svc.${dnsDomain}`;
    // Of a ServiceEntry there is a third part.
    return entry === undefined && host.endsWith(suffix) ? [serviceKey(namespace, host.slice(0, -suffix.length))] : [];
  });
}
