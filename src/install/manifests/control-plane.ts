// SPDX-License-Identifier: Apache-2.0
import { stringify } from 'yaml';
import { DEFAULT_SETTINGS, INJECTOR_CONFIG_MAP, type StoredSettings } from '../../injector/settings.ts';
import type { KubeObject } from '../../kube/types.ts';
import { meshSettings } from '../values/mesh-settings.ts';
import { ISTIO_NAMESPACE, type Values } from '../values/values.ts';
import { CITADEL_ACCOUNT, CONTROL_PLANE_ACCOUNT, INJECTOR_ACCOUNT } from './access.ts';
import { namespaced, POD_SECURITY, RESTRICTED, service } from './metadata.ts';
import { REMOTE_PILOT_PORT } from './remote-pilot.ts';

const READY = { httpGet: { path: '/ready', port: 15_014 }, timeoutSeconds: 5 };
const WEBHOOK_PORT = { name: 'https-webhook', containerPort: 15_017, protocol: 'TCP' };
const XDS_PORT = { name: 'grpc-tls', containerPort: 15_012, protocol: 'TCP' };
/** The same as Services have them. */
const XDS = { name: 'grpc-tls', port: 15_012, targetPort: 15_012 };
/** Twice Node's young generation: a first sync copies less of what lives on (docs/decisions/0043). */
const NODE_OPTIONS = { name: 'NODE_OPTIONS', value: '--max-semi-space-size=32' };
const WEBHOOK = { name: 'https-webhook', port: 443, targetPort: 15_017 };

/** What the proxies of this cluster start with. */
export function injectorSettings(values: Values): StoredSettings {
  const { hub, tag, imagePullPolicy, network, multiCluster, podDNSSearchNamespaces, proxy } = values.global;
  const zone = values.istiocoredns.enabled ? [values.istiocoredns.zone] : [];
  return {
    proxyImage: `${hub}/proxyv2:${tag}`,
    imagePullPolicy,
    clusterId: multiCluster.clusterName,
    network,
    dnsDomain: proxy.clusterDomain,
    adsAddress: values.global.istioRemote
      ? `istio-pilot.${ISTIO_NAMESPACE}.svc:${REMOTE_PILOT_PORT}`
      : DEFAULT_SETTINGS.adsAddress,
    excludeOutboundBy: proxy.excludeOutboundBy as StoredSettings['excludeOutboundBy'],
    nativeSidecars: proxy.nativeSidecars === 'auto' ? 'auto' : proxy.nativeSidecars === 'true',
    drainSeconds: proxy.drainSeconds,
    concurrency: proxy.concurrency,
    logLevel: proxy.logLevel,
    resources: { requests: proxy.resources.requests },
    searchSuffixes: [...new Set([...zone, ...podDNSSearchNamespaces.map(suffixOf)])],
  };
}

/** Istio's lists have `{{ a template for the pod's namespace }}.global` beside `global`; the injector adds that itself. */
function suffixOf(entry: string): string {
  return entry.replace(/^(\{\{.*\}\}|\[\[.*\]\])\./, '');
}

export function buildConfig(values: Values): KubeObject[] {
  return [
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: namespaced('istio'),
      data: {
        mesh: stringify(meshSettings(values)),
        meshNetworks: stringify({ networks: values.global.meshNetworks }),
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

/** The whole control plane of this cluster: all Services lead to it, under the names that users' scripts know. */
export function buildControlPlane(values: Values): KubeObject[] {
  return [
    service('istio-pilot', 'pilot', 'istiod', [XDS, { name: 'http-monitoring', port: 15_014, targetPort: 15_014 }]),
    service('istio-citadel', 'citadel', 'istiod', [XDS]),
    service('istio-sidecar-injector', 'sidecar-injector', 'istiod', [WEBHOOK]),
    deployment(values, {
      ...{ name: 'istiod', role: 'pilot', account: CONTROL_PLANE_ACCOUNT, container: 'discovery' },
      ports: [XDS_PORT, WEBHOOK_PORT],
      stateDir: '/var/lib/isthmus',
    }),
  ];
}

/** What a cluster keeps for itself whose pilot is another cluster's: keys never leave it, and webhooks must be near. */
export function buildRemotePlane(values: Values): KubeObject[] {
  return [
    service('istio-citadel', 'citadel', 'istio-citadel', [XDS]),
    service('istio-sidecar-injector', 'sidecar-injector', 'istio-sidecar-injector', [WEBHOOK]),
    deployment(values, {
      ...{ name: 'istio-citadel', role: 'citadel', account: CITADEL_ACCOUNT, container: 'citadel' },
      ...{ roles: 'ca', ports: [XDS_PORT] },
    }),
    deployment(values, {
      ...{ name: 'istio-sidecar-injector', role: 'sidecar-injector', account: INJECTOR_ACCOUNT },
      ...{ container: 'sidecar-injector-webhook', roles: 'injector', ports: [WEBHOOK_PORT] },
    }),
  ];
}

interface PlanePart {
  readonly name: string;
  /** Its label `istio`. */
  readonly role: string;
  readonly account: string;
  readonly container: string;
  /** Default: all. */
  readonly roles?: string;
  readonly ports: readonly Record<string, unknown>[];
  /** Where what is known of other clusters outlives a container, and with a claim the pod. */
  readonly stateDir?: string;
}

function deployment(values: Values, part: PlanePart): KubeObject {
  const { name, role, account, container, roles, ports, stateDir } = part;
  const { hub, tag, imagePullPolicy, multiCluster, trustDomain, proxy } = values.global;
  const { workloadCertTtl, selfSigned } = values.security;
  const selector = { app: name };
  const claimName = stateDir === undefined ? '' : values.pilot.registryStateClaim;
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: namespaced(name, selector),
    spec: {
      replicas: 1,
      selector: { matchLabels: selector },
      template: {
        metadata: { labels: { ...selector, istio: role }, annotations: { 'sidecar.istio.io/inject': 'false' } },
        spec: {
          serviceAccountName: account,
          // The kubelet gives a claim's volume to that group.
          securityContext: claimName === '' ? POD_SECURITY : { ...POD_SECURITY, fsGroup: RESTRICTED.runAsGroup },
          containers: [
            {
              name: container,
              image: `${hub}/pilot:${tag}`,
              imagePullPolicy,
              args: [
                'control-plane',
                ...(multiCluster.clusterName === '' ? [] : ['--cluster-id', multiCluster.clusterName]),
                ...['--trust-domain', trustDomain],
                ...['--dns-domain', proxy.clusterDomain],
                ...(roles === undefined ? [] : ['--roles', roles]),
                ...(selfSigned ? [] : ['--require-cacerts']),
                ...['--workload-cert-ttl', workloadCertTtl],
                ...['--log-level', values.pilot.logLevel],
                ...(stateDir === undefined ? [] : ['--registry-state-dir', `${stateDir}/registries`]),
              ],
              env: [NODE_OPTIONS],
              ports: [...ports, { name: 'http-monitoring', containerPort: 15_014, protocol: 'TCP' }],
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
              ...(stateDir !== undefined && { volumeMounts: [{ name: 'state', mountPath: stateDir }] }),
            },
          ],
          ...(stateDir !== undefined && { volumes: [{ name: 'state', ...stateVolume(claimName) }] }),
        },
      },
    },
  };
}

function stateVolume(claimName: string): Record<string, unknown> {
  return claimName === '' ? { emptyDir: {} } : { persistentVolumeClaim: { claimName } };
}
