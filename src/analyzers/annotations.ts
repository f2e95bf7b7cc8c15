// SPDX-License-Identifier: Apache-2.0
// Annotations of the mesh that are misspelt, on the wrong kind of object, or say what nobody understands.
import { closestName } from '../api/closest-name.ts';
import { CONFIG_DELIVERIES, DELIVERY_ANNOTATION, isConfigDelivery } from '../api/config-delivery.ts';
import type { Diagnostic } from '../api/diagnostics.ts';
import { proxyWishes } from '../injector/proxy-wishes.ts';
import { readTrafficAnnotations } from '../injector/traffic-annotations.ts';
import { USER_VOLUME, USER_VOLUME_MOUNT } from '../injector/user-volumes.ts';
import { type Analyzed, type Labels, say, templateOf, type World } from './world.ts';

type Place = 'Namespace' | 'Pod' | 'Service';

/** What is read, and where it has to stand. */
const READ: Readonly<Record<string, readonly Place[]>> = {
  'sidecar.istio.io/inject': ['Pod'],
  'sidecar.istio.io/status': ['Pod'],
  'sidecar.istio.io/rewriteAppHTTPProbers': ['Pod'],
  [USER_VOLUME]: ['Pod'],
  [USER_VOLUME_MOUNT]: ['Pod'],
  'traffic.sidecar.istio.io/includeInboundPorts': ['Pod'],
  'traffic.sidecar.istio.io/excludeInboundPorts': ['Pod'],
  'traffic.sidecar.istio.io/excludeOutboundPorts': ['Pod'],
  'traffic.sidecar.istio.io/excludeOutboundIPRanges': ['Pod'],
  'traffic.sidecar.istio.io/includeOutboundIPRanges': ['Pod'],
  'traffic.sidecar.istio.io/includeOutboundPorts': ['Pod'],
  'traffic.sidecar.istio.io/kubevirtInterfaces': ['Pod'],
  'proxy.istio.io/config': ['Pod'],
  [DELIVERY_ANNOTATION]: ['Pod'],
  'networking.istio.io/exportTo': ['Service'],
  'networking.istio.io/traffic-distribution': ['Service'],
  'traffic.istio.io/nodeSelector': ['Service'],
  'alpha.istio.io/kubernetes-serviceaccounts': ['Service'],
  'alpha.istio.io/canonical-serviceaccounts': ['Service'],
};

/** Istio's, which the injector and the control plane here do not read. */
const UNREAD = new Set(
  [
    ...['agentLogLevel', 'bootstrapOverride', 'componentLogLevel', 'controlPlaneAuthPolicy', 'discoveryAddress'],
    ...[
      'enableCoreDump',
      'extraStatTags',
      'interceptionMode',
      'logLevel',
      'nativeSidecar',
      'proxyCPU',
      'proxyCPULimit',
    ],
    ...[
      'proxyImage',
      'proxyImageType',
      'proxyMemory',
      'proxyMemoryLimit',
      'statsInclusionPrefixes',
      'statsEvictionInterval',
    ],
    ...['statsInclusionRegexps', 'statsInclusionSuffixes', 'statsHistogramBuckets', 'statsCompression'],
    'statsHistogramBins',
  ]
    .map((name) => `sidecar.istio.io/${name}`)
    .concat([
      ...['readiness.status.sidecar.istio.io/applicationPorts', 'readiness.status.sidecar.istio.io/failureThreshold'],
      ...['readiness.status.sidecar.istio.io/initialDelaySeconds', 'readiness.status.sidecar.istio.io/periodSeconds'],
      ...[
        'status.sidecar.istio.io/port',
        'inject.istio.io/templates',
        'proxy.istio.io/overrides',
        'prometheus.istio.io/merge-metrics',
      ],
      ...[
        'istio.io/reroute-virtual-interfaces',
        'istio.io/dry-run',
        'ambient.istio.io/redirection',
        'ambient.istio.io/bypass-inbound-capture',
      ],
    ]),
);

/** What the mesh itself writes, and what others may. */
const OURS = /^([a-z0-9-]+\.)*isthmus\.io\//;
const ISTIO = /^([a-z0-9-]+\.)*istio\.io\//;
/** Not read from objects of these kinds, but written by tools of Istio. */
const IGNORED = /^(install\.operator|install|networking\.internal|internal|gateway|operator)\.istio\.io\//;

export function checkAnnotations({ namespaces, pods, templates, services }: World): Diagnostic[] {
  return [
    ...namespaces.flatMap((each) => check(each, 'Namespace', each.object.metadata.annotations, 'metadata')),
    ...services.flatMap((each) => check(each, 'Service', each.object.metadata.annotations, 'metadata')),
    // The pods of a Deployment have their annotations from it: told once.
    ...pods.filter(isOwnMaster).flatMap((each) => check(each, 'Pod', each.object.metadata.annotations, 'metadata')),
    ...templates
      .filter(isOwnMaster)
      .flatMap((each) => [
        ...check(each, 'Deployment', each.object.metadata.annotations, 'metadata'),
        ...check(each, 'Pod', templateOf(each.object).metadata.annotations, 'spec.template.metadata'),
      ]),
  ];
}

function isOwnMaster({ object: { metadata } }: Analyzed): boolean {
  return (metadata.ownerReferences ?? []).length === 0;
}

function check(each: Analyzed, place: Place | 'Deployment', annotations: Labels = {}, where: string): Diagnostic[] {
  const found = Object.keys(annotations)
    .filter((name) => ISTIO.test(name) && !OURS.test(name) && !IGNORED.test(name))
    .flatMap((name): Diagnostic[] => {
      const field = `${where}.annotations["${name}"]`;
      if (UNREAD.has(name)) return [say(each, 'ISM0408', field, 'Istio reads it, and Isthmus does not', 'remove it')];
      const places = READ[name];
      if (places === undefined) {
        const meant = closestName(name, [...Object.keys(READ), ...UNREAD]);
        const cure = meant === undefined ? 'remove it' : `did you mean ${meant}?`;
        return [say(each, 'ISM0406', field, 'nobody knows this annotation', cure)];
      }
      if (places.includes(place as Place)) return [];
      const cure =
        place === 'Deployment' ? 'write it into spec.template.metadata' : `move it to a ${places.join(' or a ')}`;
      return [say(each, 'ISM0405', field, `it counts on a ${places.join(' and a ')}, and not on a ${place}`, cure)];
    });
  return place === 'Pod' ? [...found, ...checkValues(each, annotations, where)] : found;
}

const BOOLEANS = ['sidecar.istio.io/inject', 'sidecar.istio.io/rewriteAppHTTPProbers'];

/** As the injector reads them. */
function checkValues(each: Analyzed, annotations: Labels, where: string): Diagnostic[] {
  const tell = (name: string, message: string, cure: string) =>
    say(each, 'ISM0407', `${where}.annotations["${name}"]`, message, cure);
  const found = BOOLEANS.flatMap((name) => {
    const value = annotations[name];
    return value === undefined || ['true', 'false'].includes(value)
      ? []
      : [tell(name, `"${value}" is neither true nor false`, 'write "true" or "false"')];
  });
  const delivery = annotations[DELIVERY_ANNOTATION];
  if (delivery !== undefined && !isConfigDelivery(delivery)) {
    found.push(
      tell(DELIVERY_ANNOTATION, `"${delivery}" is no way of delivery`, `use one of ${CONFIG_DELIVERIES.join(', ')}`),
    );
  }
  for (const read of [
    () => readTrafficAnnotations(annotations),
    () => proxyWishes({ annotations: { ...annotations } }, '', { mesh: undefined, configs: [], rootNamespace: '' }),
  ]) {
    try {
      read();
    } catch (error) {
      const { message } = error as Error;
      const [, name = 'proxy.istio.io/config', said = message] = /^annotation (\S+?):? (.*)$/s.exec(message) ?? [];
      found.push(tell(name, said, 'correct it: the injector refuses the pod'));
    }
  }
  return found;
}
