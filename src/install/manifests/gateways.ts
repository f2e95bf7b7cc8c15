// SPDX-License-Identifier: Apache-2.0
// The mesh's doors: istio-ingressgateway for what comes from outside of the cluster, istio-egressgateway for what leaves.
import { buildProxyContainer, buildProxyVolumes } from '../../injector/proxy-container.ts';
import type { KubeObject } from '../../kube/types.ts';
import type { Values } from '../values.ts';
import { serviceAccount } from './access.ts';
import { injectorSettings } from './control-plane.ts';
import { namespaced, POD_SECURITY } from './metadata.ts';

/** Port of the Service -> port of the pod: Envoy runs without the right to open ports below 1024. */
const PORTS = [
  { name: 'http2', port: 80, targetPort: 8_080 },
  { name: 'https', port: 443, targetPort: 8_443 },
  { name: 'tls', port: 15_443, targetPort: 15_443 },
] as const;

/** Both in one list: neither needs the other, so they start side by side. */
export function buildGateways(values: Values): KubeObject[] {
  const { 'istio-ingressgateway': ingress, 'istio-egressgateway': egress } = values.gateways;
  return [
    ...(ingress.enabled
      ? buildGateway(values, 'ingressgateway', {
          type: ingress.type,
          ...(ingress.loadBalancerIP === '' ? {} : { loadBalancerIP: ingress.loadBalancerIP }),
        })
      : []),
    ...(egress.enabled ? buildGateway(values, 'egressgateway', { type: egress.type }) : []),
  ];
}

function buildGateway(
  values: Values,
  role: 'ingressgateway' | 'egressgateway',
  service: Readonly<Record<string, unknown>>,
): KubeObject[] {
  const name = `istio-${role}` as const;
  const selector = { app: name, istio: role };
  const account = `${name}-service-account`;
  const { env: given, resources } = values.gateways[name];
  // `--set` reads a figure as a number.
  const env = Object.fromEntries(Object.entries(given).map(([variable, value]) => [variable, String(value)]));
  const proxy = buildProxyContainer('gateway', injectorSettings(values), { env });
  const ownPorts = PORTS.map(({ targetPort }) => ({ containerPort: targetPort, protocol: 'TCP' }));
  return [
    serviceAccount(account),
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: namespaced(name, selector),
      spec: { ...service, selector, ports: PORTS.map((port) => ({ ...port, protocol: 'TCP' })) },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: namespaced(name, selector),
      spec: {
        replicas: 1,
        selector: { matchLabels: selector },
        template: {
          metadata: { labels: selector, annotations: { 'sidecar.istio.io/inject': 'false' } },
          spec: {
            serviceAccountName: account,
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
