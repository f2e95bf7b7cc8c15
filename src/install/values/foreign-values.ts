// SPDX-License-Identifier: Apache-2.0
// Values of Istio's charts (1.0 to 1.4) that speak of parts which this mesh has not, or of what it does in one way only:
// they are accepted, so that users' lines and files run, and named in a notice.

/** Groups of values, each with what of Istio it is about: `this mesh has no ...`. */
const PARTS: Readonly<Record<string, string>> = {
  mixer: 'Mixer',
  'global.policy': 'Mixer',
  'global.telemetry': 'Mixer',
  'global.disablePolicyChecks': 'Mixer',
  'global.policyCheckFailOpen': 'Mixer',
  'global.remotePolicyAddress': 'Mixer',
  'global.remoteTelemetryAddress': 'Mixer',
  'global.proxy.autoInject': 'switch for injection beside the namespace’s label',
  galley: 'Galley',
  'global.useMCP': 'Galley',
  'global.configValidation': 'Galley',
  prometheus: 'Prometheus',
  grafana: 'Grafana',
  kiali: 'Kiali',
  servicegraph: 'Servicegraph',
  tracing: 'tracing',
  'global.enableTracing': 'tracing',
  'global.tracer': 'tracing',
  'global.proxy.tracer': 'tracing',
  'global.remoteZipkinAddress': 'tracing',
  'pilot.traceSampling': 'tracing',
  certmanager: 'cert-manager',
  nodeagent: 'node agent',
  'global.sds': 'node agent (keys come by SDS in every case)',
  istio_cni: 'CNI plugin',
  'istio-cni': 'CNI plugin',
  cni: 'CNI plugin',
  'global.k8sIngress': 'Kubernetes Ingress',
  'global.proxy_init': 'image of its own for the redirect rules',
  'global.oneNamespace': 'control plane for one namespace only',
  'global.arch': 'choice of nodes for its parts',
  'global.defaultNodeSelector': 'choice of nodes for its parts',
  'global.defaultTolerations': 'choice of nodes for its parts',
  'global.priorityClassName': 'priorities for its parts',
  'global.defaultResources': 'one setting of resources for all its parts',
  'global.defaultPodDisruptionBudget': 'disruption budgets',
  'global.imagePullSecrets': 'pull secrets',
  'global.monitoringPort': 'choice of ports',
  'global.localityLbSetting': 'mesh-wide locality setting (a DestinationRule has one)',
  'global.enableHelmTest': 'helm test',
  'global.logging': 'one log setting for all its parts',
  'global.meshExpansion.useILB':
    'internal load balancer of its own (gateways.istio-ingressgateway.serviceAnnotations asks for one)',
  'global.meshID': 'mesh ids',
  'global.certificates': 'certificates for DNS names',
  'global.trustDomainAliases': 'second trust domain',
  'global.istioNamespace': 'control plane in another namespace',
  'global.configNamespace': 'control plane in another namespace',
  'global.policyNamespace': 'Mixer',
  'global.telemetryNamespace': 'Mixer',
  'global.prometheusNamespace': 'Prometheus',
  'global.operatorManageWebhooks': 'operator',
  'global.omitSidecarInjectorConfigMap': 'injector that would do without its settings',
  'global.sidecarInjectorWebhook': 'such setting of the injector',
  sidecarInjectorWebhook: 'such setting of the injector',
  'gateways.istio-ilbgateway': 'second ingress gateway',
};

/** Members that only these groups have beyond those that this mesh knows: replicas, probes and the like. */
const DETAILS: readonly string[] = [
  ...detailsOf('pilot', [
    ...['autoscaleEnabled', 'autoscaleMin', 'autoscaleMax', 'configNamespace', 'configSource', 'cpu', 'enabled', 'env'],
    ...['enableProtocolSniffingForInbound', 'enableProtocolSniffingForOutbound', 'image', 'ingress'],
    ...['keepaliveMaxServerConnectionAge', 'memory', 'nodeSelector', 'podAnnotations', 'policy', 'replicaCount'],
    ...['rollingMaxSurge', 'rollingMaxUnavailable', 'sidecar', 'telemetry', 'tolerations', 'useMCP'],
  ]),
  ...detailsOf('security', [
    ...['citadelHealthCheck', 'createMeshPolicy', 'dnsCerts', 'enableNamespacesByDefault', 'enabled', 'env', 'image'],
    ...['nodeSelector', 'podAnnotations', 'replicaCount', 'resources', 'tolerations'],
  ]),
  ...detailsOf('istiocoredns', ['coreDNSImage', 'coreDNSPluginImage', 'coreDNSTag', 'nodeSelector', 'replicaCount']),
  ...['istio-ingressgateway', 'istio-egressgateway'].flatMap((name) =>
    detailsOf(`gateways.${name}`, [
      ...['applicationPorts', 'autoscaleEnabled', 'autoscaleMax', 'autoscaleMin', 'cpu', 'externalIPs', 'labels'],
      ...['externalTrafficPolicy', 'loadBalancerSourceRanges', 'memory', 'meshExpansionPorts', 'nodeSelector', 'ports'],
      ...['podAnnotations', 'podAntiAffinityLabelSelector', 'podAntiAffinityTermLabelSelector', 'rollingMaxSurge'],
      ...['rollingMaxUnavailable', 'sds', 'secretVolumes', 'tolerations', 'resources.limits'],
    ]),
  ),
  ...detailsOf('global.proxy', [
    ...['accessLogEncoding', 'accessLogFormat', 'componentLogLevel', 'dnsRefreshRate', 'enableCoreDump', 'envoyStatsd'],
    ...['enableCoreDumpImage', 'envoyAccessLogService', 'envoyMetricsService', 'excludeIPRanges', 'image', 'init'],
    ...['excludeInboundPorts', 'excludeOutboundPorts', 'includeIPRanges', 'includeInboundPorts', 'kubevirtInterfaces'],
    ...['privileged', 'protocolDetectionTimeout', 'readinessFailureThreshold', 'readinessInitialDelaySeconds'],
    ...['readinessPeriodSeconds', 'resources.limits', 'statusPort'],
  ]),
  'pilot.resources.limits',
];

/** Values that are always so here: saying so needs no notice, and saying the contrary changes nothing. */
const FIXED: Readonly<Record<string, unknown>> = {
  'global.controlPlaneSecurityEnabled': true,
  'global.mtls.enabled': true,
  'global.mtls.auto': true,
  'pilot.enabled': true,
  'security.enabled': true,
  'sidecarInjectorWebhook.enabled': true,
  'sidecarInjectorWebhook.rewriteAppHTTPProbe': true,
};

/** @returns why `path` has no effect, '' when there is nothing to say of it; undefined when it is none of Istio's either */
export function foreignReason(path: string, value: unknown): string | undefined {
  if (Object.hasOwn(FIXED, path)) {
    return value === FIXED[path] || value === null ? '' : `it is always ${String(FIXED[path])} in this mesh`;
  }
  const part = Object.keys(PARTS).find((group) => path === group || path.startsWith(`${group}.`));
  if (part !== undefined) {
    // What is switched off is as here.
    if (path === `${part}.enabled` && value === false) return '';
    return `this mesh has no ${PARTS[part]}`;
  }
  const isDetail = DETAILS.some((detail) => path === detail || path.startsWith(`${detail}.`));
  return isDetail ? 'this mesh has no such setting' : undefined;
}

/** True for a name on the way to one that is accepted: `global.mtls` of `global.mtls.enabled`. */
export function isForeignGroup(path: string): boolean {
  return foreignNames().some((name) => name.startsWith(`${path}.`));
}

/** All of them, for whoever looks for the nearest name. */
export function foreignNames(): readonly string[] {
  return [...Object.keys(PARTS), ...DETAILS, ...Object.keys(FIXED)];
}

function detailsOf(group: string, members: readonly string[]): string[] {
  return members.map((member) => `${group}.${member}`);
}
