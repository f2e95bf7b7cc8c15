// SPDX-License-Identifier: Apache-2.0
import { buildProxyContainer, buildProxyVolumes } from '../../injector/proxy-container.ts';
import type { KubeObject } from '../../kube/types.ts';
import type { Values } from '../values.ts';
import { GATEWAY_ACCOUNT, serviceAccount } from './access.ts';
import { injectorSettings } from './control-plane.ts';
import { namespaced, POD_SECURITY } from './metadata.ts';

const NAME = 'istio-ingressgateway';
const SELECTOR = { app: NAME, istio: 'ingressgateway' };

/** Port of the Service -> port of the pod: Envoy runs without the right to open ports below 1024. */
const PORTS = [
  { name: 'http2', port: 80, targetPort: 8_080 },
  { name: 'https', port: 443, targetPort: 8_443 },
  { name: 'tls', port: 15_443, targetPort: 15_443 },
] as const;

export function buildIngressGateway(values: Values): KubeObject[] {
  const { type, loadBalancerIP, resources } = values.gateways[NAME];
  const proxy = buildProxyContainer('gateway', injectorSettings(values));
  const ownPorts = PORTS.map(({ targetPort }) => ({ containerPort: targetPort, protocol: 'TCP' }));
  return [
    serviceAccount(GATEWAY_ACCOUNT),
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: namespaced(NAME, SELECTOR),
      spec: {
        type,
        ...(loadBalancerIP === '' ? {} : { loadBalancerIP }),
        selector: SELECTOR,
        ports: PORTS.map((port) => ({ ...port, protocol: 'TCP' })),
      },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: namespaced(NAME, SELECTOR),
      spec: {
        replicas: 1,
        selector: { matchLabels: SELECTOR },
        template: {
          metadata: { labels: SELECTOR, annotations: { 'sidecar.istio.io/inject': 'false' } },
          spec: {
            serviceAccountName: GATEWAY_ACCOUNT,
            // It speaks to the control plane with a token of that audience, and to the API server not at all.
            automountServiceAccountToken: false,
            securityContext: POD_SECURITY,
            containers: [
              { ...proxy, ports: [...ownPorts, ...(proxy.ports ?? [])], resources: { requests: resources.requests } },
            ],
            volumes: buildProxyVolumes(),
          },
        },
      },
    },
  ];
}
