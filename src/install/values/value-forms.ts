// SPDX-License-Identifier: Apache-2.0
// What texts look like that the cluster, or a proxy, would only refuse later and far from here.
import { NETWORK_NAME } from '../../api/mesh-networks.ts';

const DNS_NAME = '[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*';
const OCTET = '(25[0-5]|2[0-4]\\d|1?\\d?\\d)';

interface ValueForm {
  readonly pattern: RegExp;
  /** Behind "must be". */
  readonly what: string;
  /** By default a text has to have the form. */
  readonly mayBeEmpty?: boolean;
}

const dnsName: ValueForm = {
  pattern: new RegExp(`^${DNS_NAME}$`),
  what: 'a DNS name in small letters, such as cluster.local',
};
const loadBalancerIp: ValueForm = {
  pattern: new RegExp(`^((${OCTET}\\.){3}${OCTET}|[0-9a-f]*:[0-9a-f:.]+)?$`, 'i'),
  what: 'an IP address',
};

const ipFamilyPolicy: ValueForm = {
  pattern: /^(SingleStack|PreferDualStack|RequireDualStack)$/,
  what: 'one of SingleStack, PreferDualStack, RequireDualStack',
  mayBeEmpty: true,
};

export const FORMS: Readonly<Record<string, ValueForm>> = {
  'global.hub': {
    pattern: /^[a-z0-9][a-z0-9._-]*(:\d+)?(\/[a-z0-9][a-z0-9._-]*)*$/i,
    what: 'where images come from, such as docker.io/NAME',
  },
  'global.tag': { pattern: /^\w[\w.-]{0,127}$/, what: 'the tag of an image' },
  'global.network': { ...NETWORK_NAME, mayBeEmpty: true },
  'global.trustDomain': dnsName,
  'global.proxy.clusterDomain': dnsName,
  'global.proxy.logLevel': {
    pattern: /^(trace|debug|info|warn|warning|err|error|critical|off)$/,
    what: 'one of trace, debug, info, warning, error, critical, off',
  },
  'pilot.logLevel': { pattern: /^(error|warn|info|debug)$/, what: 'one of error, warn, info, debug' },
  'pilot.registryStateClaim': { ...dnsName, what: 'the name of a PersistentVolumeClaim', mayBeEmpty: true },
  'istiocoredns.zone': dnsName,
  'gateways.istio-ingressgateway.loadBalancerIP': loadBalancerIp,
  'gateways.istio-egressgateway.loadBalancerIP': loadBalancerIp,
  'gateways.istio-ingressgateway.ipFamilyPolicy': ipFamilyPolicy,
  'gateways.istio-egressgateway.ipFamilyPolicy': ipFamilyPolicy,
};
