// SPDX-License-Identifier: Apache-2.0
import type { KubeObject } from '../../kube/types.ts';
import type { Values } from '../values/values.ts';
import { namespaced } from './metadata.ts';

/**
 * Whatever has a name of another cluster is reached by mutual TLS, unless a rule of the user says otherwise: the other
 * cluster's gateway lets nothing else in.
 */
export function buildMulticlusterDefaults(values: Values): KubeObject[] {
  if (!values.global.multiCluster.enabled) return [];
  return [
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'DestinationRule',
      metadata: namespaced('istio-multicluster-destinationrule'),
      spec: { host: `*.${values.istiocoredns.zone}`, trafficPolicy: { tls: { mode: 'ISTIO_MUTUAL' } } },
    },
  ];
}
