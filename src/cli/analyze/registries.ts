// SPDX-License-Identifier: Apache-2.0
// meshNetworks speaks of clusters by the keys of their Secrets. One that no Secret has is on no network, and the control
// plane cannot tell it from one that comes later.
import { decodeMeshNetworks, NETWORKS_FIELD } from '../../api/mesh-networks.ts';
import { member } from '../../api/shape.ts';
import { REMOTE_SECRET_LABEL } from '../../kube/remote-kubeconfig.ts';
import { OWN_REGISTRY } from '../../model/networks.ts';
import { ISTIO_NAMESPACE } from '../../runtime/mesh-resources.ts';
import type { CollectedObject } from './collect.ts';
import type { Remark } from './judge.ts';

/** @param known names of the clusters of the mesh: the control plane's own, and the keys of the remote Secrets */
export function checkRegistries(objects: readonly CollectedObject[], known: readonly string[]): Remark[] {
  return settingsAmong(objects).flatMap(({ object, file, locate }): Remark[] => {
    const { value = {}, say } = decodeMeshNetworks(object, { locate });
    return Object.entries(value).flatMap(([network, { endpoints }]) =>
      endpoints.flatMap((endpoint, i): Remark[] => {
        if (endpoint.kind !== 'registry' || endpoint.name === OWN_REGISTRY || known.includes(endpoint.name)) return [];
        const field = `${member(`${NETWORKS_FIELD}.networks`, network)}.endpoints[${i}].fromRegistry`;
        const message = `no cluster of the mesh is called ${endpoint.name}: what should be on ${network} is on no network`;
        const names = [...new Set([OWN_REGISTRY, ...known])].join(', ');
        const cure =
          `give the Secret of its kubeconfig the key ${endpoint.name} and the label ${REMOTE_SECRET_LABEL}, ` +
          `or write the name of a cluster that is there: ${names}`;
        return [{ ...say('ISM0114', field, message, cure), ...(file === undefined ? {} : { file }) }];
      }),
    );
  });
}

/** The ConfigMap of the mesh's settings. */
export function settingsAmong(objects: readonly CollectedObject[]): CollectedObject[] {
  return objects.filter(
    ({ object: { kind, metadata } }) =>
      kind === 'ConfigMap' && metadata.name === 'istio' && metadata.namespace === ISTIO_NAMESPACE,
  );
}
