// SPDX-License-Identifier: Apache-2.0
import { stringify } from 'yaml';
import { DEFAULT_SETTINGS, INJECTOR_CONFIG_MAP, type InjectorSettings } from '../../injector/settings.ts';
import type { KubeObject } from '../../kube/types.ts';
import type { Values } from '../values.ts';
import { CONTROL_PLANE_ACCOUNT } from './access.ts';
import { namespaced, POD_SECURITY, RESTRICTED } from './metadata.ts';

const SELECTOR = { app: 'istiod' };
const READY = { httpGet: { path: '/ready', port: 15_014 }, timeoutSeconds: 5 };

/** What the proxies of this cluster start with; `auto` has been decided before. */
export function injectorSettings(values: Values): InjectorSettings {
  const { hub, tag, imagePullPolicy, network, multiCluster, proxy } = values.global;
  return {
    proxyImage: `${hub}/proxyv2:${tag}`,
    imagePullPolicy,
    clusterId: multiCluster.clusterName,
    network,
    dnsDomain: proxy.clusterDomain,
    adsAddress: DEFAULT_SETTINGS.adsAddress,
    excludeOutboundBy: proxy.excludeOutboundBy === 'mark' ? 'mark' : 'uid',
    nativeSidecars: proxy.nativeSidecars !== 'false',
    drainSeconds: proxy.drainSeconds,
    concurrency: proxy.concurrency,
    logLevel: proxy.logLevel,
    resources: { requests: proxy.resources.requests },
    searchSuffixes: values.istiocoredns.enabled ? [values.istiocoredns.zone] : [],
  };
}

export function buildConfig(values: Values): KubeObject[] {
  const { trustDomain, proxy, meshNetworks } = values.global;
  return [
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: namespaced('istio'),
      data: {
        mesh: stringify({ accessLogFile: proxy.accessLogFile, trustDomain, rootNamespace: 'istio-system' }),
        meshNetworks: stringify({ networks: meshNetworks }),
      },
    },
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: namespaced(INJECTOR_CONFIG_MAP),
      data: { settings: JSON.stringify(injectorSettings(values), undefined, 2) },
    },
  ];
}

export function buildControlPlane(values: Values): KubeObject[] {
  const { hub, tag, imagePullPolicy, multiCluster, trustDomain, proxy } = values.global;
  return [
    service('istio-pilot', 'pilot', [
      { name: 'grpc-tls', port: 15_012, targetPort: 15_012 },
      { name: 'http-monitoring', port: 15_014, targetPort: 15_014 },
    ]),
    service('istio-citadel', 'citadel', [{ name: 'grpc-tls', port: 15_012, targetPort: 15_012 }]),
    service('istio-sidecar-injector', 'sidecar-injector', [{ name: 'https-webhook', port: 443, targetPort: 15_017 }]),
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: namespaced('istiod', SELECTOR),
      spec: {
        replicas: 1,
        selector: { matchLabels: SELECTOR },
        template: {
          metadata: {
            labels: { ...SELECTOR, istio: 'pilot' },
            annotations: { 'sidecar.istio.io/inject': 'false' },
          },
          spec: {
            serviceAccountName: CONTROL_PLANE_ACCOUNT,
            securityContext: POD_SECURITY,
            containers: [
              {
                name: 'discovery',
                image: `${hub}/pilot:${tag}`,
                imagePullPolicy,
                args: [
                  'control-plane',
                  ...['--cluster-id', multiCluster.clusterName],
                  ...['--trust-domain', trustDomain],
                  ...['--dns-domain', proxy.clusterDomain],
                  ...['--workload-cert-ttl', values.security.workloadCertTtl],
                  ...['--log-level', values.pilot.logLevel],
                ],
                ports: [
                  { name: 'grpc-tls', containerPort: 15_012, protocol: 'TCP' },
                  { name: 'http-monitoring', containerPort: 15_014, protocol: 'TCP' },
                  { name: 'https-webhook', containerPort: 15_017, protocol: 'TCP' },
                ],
                startupProbe: { ...READY, periodSeconds: 1, failureThreshold: 3600 },
                readinessProbe: { ...READY, periodSeconds: 5, failureThreshold: 2 },
                livenessProbe: {
                  httpGet: { path: '/live', port: 15_014 },
                  initialDelaySeconds: 15,
                  periodSeconds: 10,
                  timeoutSeconds: 5,
                  failureThreshold: 6,
                },
                resources: { requests: values.pilot.resources.requests },
                securityContext: RESTRICTED,
              },
            ],
          },
        },
      },
    },
  ];
}

/** All of them lead to the one control plane: the names are those that users' scripts know. */
function service(name: string, role: string, ports: readonly Record<string, unknown>[]): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: namespaced(name, { istio: role }),
    spec: { selector: SELECTOR, ports: ports.map((port) => ({ ...port, protocol: 'TCP' })) },
  };
}
