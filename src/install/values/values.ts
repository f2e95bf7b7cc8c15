// SPDX-License-Identifier: Apache-2.0
// What a user may say about an installation, under the names that Istio's users know.
import packageJson from '../../../package.json' with { type: 'json' };
import { CONFIG_DELIVERIES, DEFAULT_CONFIG_DELIVERY } from '../../api/config-delivery.ts';
import { DEFAULT_GATEWAY_SERVICES, GATEWAY_SERVICES } from '../../api/gateway-services.ts';
import type { RawTree } from './helm-set.ts';

export interface Resources {
  requests: { cpu: string; memory: string };
}

export interface GatewayValues {
  enabled: boolean;
  type: string;
  loadBalancerIP: string;
  /** Of the Service; '': as its cluster has it. */
  ipFamilyPolicy: string;
  /** Of the Service: how clouds are told which load balancer is wanted. */
  serviceAnnotations: Record<string, string>;
  /** Variables of its proxy; `ISTIO_META_X` becomes the node's metadata X. */
  env: Record<string, string>;
  resources: Resources;
}

export interface Values {
  global: {
    hub: string;
    tag: string;
    imagePullPolicy: string;
    /** '' where the mesh has one network only. */
    network: string;
    trustDomain: string;
    /** `enabled`: whatever has a name below the DNS zone is reached by mutual TLS. */
    multiCluster: { enabled: boolean; clusterName: string };
    /** As in Istio: network name -> { endpoints, gateways }. */
    meshNetworks: RawTree;
    /** Lets the proxies of other clusters reach this control plane by the ingress gateway, port 15011. */
    meshExpansion: { enabled: boolean };
    outboundTrafficPolicy: { mode: string };
    /** What sidecars are given before they need it: isthmus's own, see docs/on-demand.md. */
    configDelivery: string;
    /** What other clusters reach by the gateway: every service, or what is exported. See docs/failover.md. */
    gatewayServices: string;
    /** This cluster has CA, injector and gateways only, and its configuration from another cluster's control plane. */
    istioRemote: boolean;
    /** Of the other cluster's ingress gateway: an IP address or a host name. */
    remotePilotAddress: string;
    /** Either makes the Service istio-pilot that leads to `remotePilotAddress`. */
    createRemoteSvcEndpoints: boolean;
    remotePilotCreateSvcEndpoint: boolean;
    /** Further DNS suffixes of remote services for the pods' search domains. */
    podDNSSearchNamespaces: string[];
    proxy: {
      clusterDomain: string;
      accessLogFile: string;
      logLevel: string;
      concurrency: number;
      /** `auto` becomes `mark` on nodes where all users are one (a rootless sandbox), else `uid`. */
      excludeOutboundBy: string;
      /** `auto`: where the cluster has them, which is Kubernetes 1.30. */
      nativeSidecars: string;
      drainSeconds: number;
      resources: Resources;
    };
  };
  pilot: {
    logLevel: string;
    resources: Resources;
    /** A PersistentVolumeClaim of istio-system for what is known of other clusters; '': gone with the pod. */
    registryStateClaim: string;
  };
  security: {
    /** How long a workload's certificate lives: `24h`, `90m`, `30s`. Renewed at half of it. */
    workloadCertTtl: string;
    /** False: the control plane waits for Secret cacerts instead of making a root of its own. */
    selfSigned: boolean;
  };
  gateways: {
    enabled: boolean;
    'istio-ingressgateway': GatewayValues;
    'istio-egressgateway': GatewayValues;
  };
  istiocoredns: { enabled: boolean; zone: string; resources: Resources };
  /** Further settings of the mesh, in the form of Istio's MeshConfig: docs/mesh-config.md. */
  meshConfig: RawTree;
}

export const ISTIO_NAMESPACE = 'istio-system';
export const GATEWAY_NAMES = ['istio-ingressgateway', 'istio-egressgateway'] as const;

/** Of `install` and `manifest apply`; a chart's values.yaml lies over them. */
export const DEFAULTS: Values = {
  global: {
    hub: 'isthmus',
    tag: packageJson.version,
    imagePullPolicy: 'IfNotPresent',
    network: '',
    trustDomain: 'cluster.local',
    multiCluster: { enabled: true, clusterName: '' },
    meshNetworks: {},
    meshExpansion: { enabled: false },
    outboundTrafficPolicy: { mode: 'ALLOW_ANY' },
    configDelivery: DEFAULT_CONFIG_DELIVERY,
    gatewayServices: DEFAULT_GATEWAY_SERVICES,
    istioRemote: false,
    remotePilotAddress: '',
    createRemoteSvcEndpoints: false,
    remotePilotCreateSvcEndpoint: false,
    podDNSSearchNamespaces: [],
    proxy: {
      clusterDomain: 'cluster.local',
      accessLogFile: '/dev/stdout',
      logLevel: 'warning',
      concurrency: 1,
      excludeOutboundBy: 'auto',
      nativeSidecars: 'auto',
      drainSeconds: 3,
      resources: { requests: { cpu: '10m', memory: '64Mi' } },
    },
  },
  pilot: { logLevel: 'info', registryStateClaim: '', resources: { requests: { cpu: '50m', memory: '128Mi' } } },
  security: { workloadCertTtl: '24h', selfSigned: true },
  gateways: {
    enabled: true,
    'istio-ingressgateway': gatewayOf('LoadBalancer'),
    'istio-egressgateway': {
      ...gatewayOf('ClusterIP'),
      // It alone reaches what ServiceEntries put into the network `external`.
      env: { ISTIO_META_REQUESTED_NETWORK_VIEW: 'external' },
    },
  },
  istiocoredns: { enabled: true, zone: 'global', resources: { requests: { cpu: '10m', memory: '64Mi' } } },
  meshConfig: {},
};

/** Whatever is below these is the user's own, and has a structure that others know. */
export const STRUCTURED_GROUPS: ReadonlySet<string> = new Set(['global.meshNetworks', 'meshConfig']);

/** Whatever is below these is the user's own. */
export const OPEN_GROUPS: ReadonlySet<string> = new Set([
  ...STRUCTURED_GROUPS,
  ...GATEWAY_NAMES.flatMap((name) => [`gateways.${name}.env`, `gateways.${name}.serviceAnnotations`]),
]);

/** As in Istio's charts, an empty text here means the default. */
export const EMPTY_IS_DEFAULT: ReadonlySet<string> = new Set(['global.trustDomain', 'global.proxy.logLevel']);

export const CHOICES: Readonly<Record<string, readonly string[]>> = {
  'global.proxy.excludeOutboundBy': ['auto', 'uid', 'mark'],
  'global.proxy.nativeSidecars': ['auto', 'true', 'false'],
  'global.imagePullPolicy': ['Always', 'IfNotPresent', 'Never'],
  'global.outboundTrafficPolicy.mode': ['ALLOW_ANY', 'REGISTRY_ONLY', 'ALLOW_ANY_DYNAMIC_DNS'],
  'global.configDelivery': CONFIG_DELIVERIES,
  'global.gatewayServices': GATEWAY_SERVICES,
  'gateways.istio-ingressgateway.type': ['LoadBalancer', 'NodePort', 'ClusterIP'],
  'gateways.istio-egressgateway.type': ['LoadBalancer', 'NodePort', 'ClusterIP'],
};

function gatewayOf(type: string): GatewayValues {
  return {
    enabled: true,
    type,
    loadBalancerIP: '',
    ipFamilyPolicy: '',
    serviceAnnotations: {},
    env: {},
    resources: { requests: { cpu: '20m', memory: '64Mi' } },
  };
}
