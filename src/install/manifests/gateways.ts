// SPDX-License-Identifier: Apache-2.0
// The mesh's doors: istio-ingressgateway for what comes from outside of the cluster, istio-egressgateway for what leaves.
import { buildProxyContainer, buildProxyVolumes, SCRAPING } from '../../injector/proxy-container.ts';
import type { KubeObject } from '../../kube/types.ts';
import { workloadFacts } from '../../kube/workload-facts.ts';
import type { Values } from '../values/values.ts';
import { serviceAccount } from './access.ts';
import { injectorSettings } from './control-plane.ts';
import { namespaced, POD_SECURITY } from './metadata.ts';
import { REMOTE_PILOT_PORT } from './remote-pilot.ts';

/** Port of the Service -> port of the pod: Envoy runs without the right to open ports below 1024. */
const PORTS = [
  { name: 'http2', port: 80, targetPort: 8_080 },
  { name: 'https', port: 443, targetPort: 8_443 },
  { name: 'tls', port: 15_443, targetPort: 15_443 },
] as const;

/** What Istio's ingress gateway has for TCP; nothing listens until a Gateway says so. */
const TCP = { name: 'tcp', port: 31_400, targetPort: 31_400 } as const;

/** Of proxies in other clusters that have their configuration from here. */
const REMOTE_PILOT = { name: 'tls-pilot', port: REMOTE_PILOT_PORT, targetPort: REMOTE_PILOT_PORT } as const;

/** Both in one list: neither needs the other, so they start side by side. */
export function buildGateways(values: Values): KubeObject[] {
  const { enabled, 'istio-ingressgateway': ingress, 'istio-egressgateway': egress } = values.gateways;
  if (!enabled) return [];
  return [
    ...(ingress.enabled ? buildGateway(values, 'ingressgateway') : []),
    ...(egress.enabled ? buildGateway(values, 'egressgateway') : []),
  ];
}

function buildGateway(values: Values, role: 'ingressgateway' | 'egressgateway'): KubeObject[] {
  const name = `istio-${role}` as const;
  const selector = { app: name, istio: role };
  const account = `${name}-service-account`;
  const { type, loadBalancerIP, ipFamilyPolicy, serviceAnnotations, env, resources } = values.gateways[name];
  const isWayToPilot = role === 'ingressgateway' && values.global.meshExpansion.enabled && !values.global.istioRemote;
  const ports = [...PORTS, ...(role === 'ingressgateway' ? [TCP] : []), ...(isWayToPilot ? [REMOTE_PILOT] : [])];
  // What concerns redirect rules and applications is nothing to a gateway.
  const settings = { ...injectorSettings(values), excludeOutboundBy: 'uid', nativeSidecars: false } as const;
  const proxy = buildProxyContainer('gateway', settings, {
    env,
    facts: workloadFacts({ name, labels: selector }, settings.clusterId),
  });
  const ownPorts = ports.map(({ targetPort }) => ({ containerPort: targetPort, protocol: 'TCP' }));
  const annotations = Object.keys(serviceAnnotations).length === 0 ? {} : { annotations: serviceAnnotations };
  return [
    serviceAccount(account),
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { ...namespaced(name, selector), ...annotations },
      spec: {
        type,
        ...(loadBalancerIP === '' ? {} : { loadBalancerIP }),
        ...(ipFamilyPolicy === '' ? {} : { ipFamilyPolicy }),
        selector,
        ports: ports.map((port) => ({ ...port, protocol: 'TCP' })),
      },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: namespaced(name, selector),
      spec: {
        replicas: 1,
        selector: { matchLabels: selector },
        template: {
          metadata: { labels: selector, annotations: { 'sidecar.istio.io/inject': 'false', ...SCRAPING } },
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
