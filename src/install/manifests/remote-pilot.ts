// SPDX-License-Identifier: Apache-2.0
// One control plane for several clusters: how proxies of a cluster without one reach it, and what it may read there.
import { isIP } from 'node:net';
import type { KubeObject } from '../../kube/types.ts';
import { PILOT_NAMES } from '../../xds/envoy-client.ts';
import { ISTIO_NAMESPACE, type Values } from '../values/values.ts';
import { clusterRole, clusterRoleBinding, serviceAccount, WATCH } from './access.ts';
import { namespaced, service } from './metadata.ts';

/** The gateway of the control plane's cluster passes on what arrives there. */
export const REMOTE_PILOT_PORT = 15_011;
/** The account whose token the control plane reads this cluster with. */
const READER_ACCOUNT = 'istio-multi';
export const READER_TOKEN = `${READER_ACCOUNT}-token`;

const EXPANSION = 'istio-meshexpansion';

/** In the cluster without: a Service of the control plane's name that leads to the other cluster's gateway. */
export function buildRemotePilot({ global }: Values): KubeObject[] {
  const { remotePilotAddress: address, createRemoteSvcEndpoints, remotePilotCreateSvcEndpoint } = global;
  if (!createRemoteSvcEndpoints && !remotePilotCreateSvcEndpoint) return [];
  const metadata = {
    ...namespaced('istio-pilot', { istio: 'pilot' }),
    // For this cluster's proxies alone: the control plane must not take the other cluster's gateway for its own address.
    annotations: { 'networking.istio.io/exportTo': '~' },
  };
  const ports = [{ name: 'grpc-tls', port: REMOTE_PILOT_PORT, protocol: 'TCP' }];
  if (isIP(address) === 0) {
    const spec = { type: 'ExternalName', externalName: address, ports };
    return [{ apiVersion: 'v1', kind: 'Service', metadata, spec }];
  }
  return [
    { apiVersion: 'v1', kind: 'Service', metadata, spec: { ports } },
    {
      // Not Endpoints: those vanish with their Service, and then `kubectl delete -f` of this manifest fails.
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: namespaced('istio-pilot', { 'kubernetes.io/service-name': 'istio-pilot' }),
      addressType: isIP(address) === 6 ? 'IPv6' : 'IPv4',
      endpoints: [{ addresses: [address], conditions: { ready: true } }],
      ports,
    },
  ];
}

/** The control plane's way into a cluster: an account, what it may read, and a token that does not expire. */
export function buildReader(): KubeObject[] {
  return [
    // Listed, so that `.secrets[].name` finds it on a Kubernetes that makes no token by itself (1.24 and later).
    { ...serviceAccount(READER_ACCOUNT), secrets: [{ name: READER_TOKEN }] },
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: {
        ...namespaced(READER_TOKEN),
        annotations: { 'kubernetes.io/service-account.name': READER_ACCOUNT },
      },
      type: 'kubernetes.io/service-account-token',
    },
    clusterRole(READER_ACCOUNT, [
      { apiGroups: [''], resources: ['services', 'pods', 'nodes'], verbs: WATCH },
      { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: WATCH },
      // Public: does it trust the same root?
      { apiGroups: [''], resources: ['configmaps'], resourceNames: ['istio-ca-root-cert'], verbs: ['get'] },
      // The tokens of that cluster's proxies are checked by the API server which gave them.
      { apiGroups: ['authentication.k8s.io'], resources: ['tokenreviews'], verbs: ['create'] },
    ]),
    clusterRoleBinding(READER_ACCOUNT, READER_ACCOUNT),
  ];
}

/** In the control plane's cluster: what arrives at the gateway under the control plane's name goes to it, unopened. */
export function buildMeshExpansion({ global }: Values): KubeObject[] {
  const controlPlane = `istiod.${ISTIO_NAMESPACE}.svc.${global.proxy.clusterDomain}`;
  return [
    service('istiod', 'pilot', 'istiod', [{ name: 'grpc-tls', port: 15_012, targetPort: 15_012 }]),
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'Gateway',
      metadata: namespaced(`${EXPANSION}-gateway`),
      spec: {
        selector: { istio: 'ingressgateway' },
        servers: [
          {
            port: { number: REMOTE_PILOT_PORT, protocol: 'TLS', name: 'tls-pilot' },
            tls: { mode: 'PASSTHROUGH' },
            hosts: PILOT_NAMES,
          },
        ],
      },
    },
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata: namespaced(`${EXPANSION}-pilot`),
      spec: {
        hosts: PILOT_NAMES,
        gateways: [`${EXPANSION}-gateway`],
        tls: [
          {
            match: [{ port: REMOTE_PILOT_PORT, sniHosts: PILOT_NAMES }],
            // Not istio-pilot: in the other clusters that name leads to this gateway.
            route: [{ destination: { host: controlPlane, port: { number: 15_012 } } }],
          },
        ],
      },
    },
  ];
}
