// SPDX-License-Identifier: Apache-2.0
// Ingresses, their classes and network policies. They are kept and shown; what the sandbox does not act on says so.
import { isIP } from 'node:net';
import type { KubeObject } from '../../../../kube/types.ts';
import type { TypeTable } from '../../schema/parse.ts';
import type { StatusCause } from '../../status.ts';
import { AGE, column, NAME } from '../../tables/table.ts';
import { forbiddenField, invalidValue, required, unsupported } from '../../validation/causes.ts';
import { dns1035Problem, subdomainProblem } from '../../validation/names.ts';
import type { ResourceDefinition } from '../definition.ts';
import { at, defineKind, member, textAt } from '../kind-builder.ts';
import { type SelectorSpec, selectorText, validateSelector } from '../label-selector-text.ts';

interface IngressBackend {
  service?: { name?: string; port?: { name?: string; number?: number } };
  resource?: { kind?: string; name?: string };
}

interface IngressSpec {
  ingressClassName?: string;
  defaultBackend?: IngressBackend;
  tls?: { hosts?: string[]; secretName?: string }[];
  rules?: { host?: string; http?: { paths?: { path?: string; pathType?: string; backend: IngressBackend }[] } }[];
}

interface NetworkPolicySpec {
  podSelector?: SelectorSpec;
  policyTypes?: string[];
  ingress?: { from?: NetworkPeer[]; ports?: NetworkPort[] }[];
  egress?: { to?: NetworkPeer[]; ports?: NetworkPort[] }[];
}

interface NetworkPeer {
  podSelector?: SelectorSpec;
  namespaceSelector?: SelectorSpec;
  ipBlock?: { cidr?: string; except?: string[] };
}

interface NetworkPort {
  protocol?: string;
  port?: number | string;
  endPort?: number;
}

const PATH_TYPES = ['Exact', 'ImplementationSpecific', 'Prefix'];
const PROTOCOLS = ['SCTP', 'TCP', 'UDP'];
const LEGACY_CLASS = 'kubernetes.io/ingress.class';

const ingressSpec = (object: KubeObject): IngressSpec => member<IngressSpec>(object, 'spec') ?? {};
const policySpec = (object: KubeObject): NetworkPolicySpec => member<NetworkPolicySpec>(object, 'spec') ?? {};

function validateIngress(object: KubeObject): StatusCause[] {
  const { rules = [], defaultBackend, ingressClassName } = ingressSpec(object);
  const causes: StatusCause[] = [];
  if (rules.length === 0 && !defaultBackend) {
    causes.push(invalidValue('spec', rules, 'either `defaultBackend` or `rules` must be specified'));
  }
  if (defaultBackend) causes.push(...validateBackend(defaultBackend, 'spec.defaultBackend'));
  if (ingressClassName !== undefined && subdomainProblem(ingressClassName)) {
    causes.push(invalidValue('spec.ingressClassName', ingressClassName, subdomainProblem(ingressClassName)!));
  }
  for (const [index, { host, http }] of rules.entries()) {
    const here = `spec.rules[${index}]`;
    if (host) causes.push(...validateHost(host, `${here}.host`));
    if (http && !http.paths?.length) causes.push(required(`${here}.http.paths`));
    for (const [place, { path = '', pathType, backend }] of (http?.paths ?? []).entries()) {
      const there = `${here}.http.paths[${place}]`;
      if (!pathType) causes.push(required(`${there}.pathType`, 'pathType must be specified'));
      else if (!PATH_TYPES.includes(pathType)) causes.push(unsupported(`${there}.pathType`, pathType, PATH_TYPES));
      else if (pathType !== 'ImplementationSpecific' && !path.startsWith('/')) {
        causes.push(invalidValue(`${there}.path`, path, 'must be an absolute path'));
      }
      causes.push(...validateBackend(backend ?? {}, `${there}.backend`));
    }
  }
  return causes;
}

function validateHost(host: string, field: string): StatusCause[] {
  if (isIP(host)) return [invalidValue(field, host, 'must be a DNS name, not an IP address')];
  const problem = subdomainProblem(host.replace(/^\*\./, ''));
  return problem ? [invalidValue(field, host, problem)] : [];
}

function validateBackend({ service, resource }: IngressBackend, field: string): StatusCause[] {
  if (service && resource) return [invalidValue(field, '', 'cannot set both resource and service backends')];
  if (resource) return [];
  if (!service) return [required(field, 'resource or service backend is required')];
  const causes: StatusCause[] = [];
  if (!service.name) causes.push(required(`${field}.service.name`));
  else if (dns1035Problem(service.name)) {
    causes.push(invalidValue(`${field}.service.name`, service.name, dns1035Problem(service.name)!));
  }
  const { name, number } = service.port ?? {};
  if (name && number) causes.push(invalidValue(field, '', 'cannot set both port name & port number'));
  else if (!name && !number) causes.push(required(field, 'port name or number is required'));
  else if (number !== undefined && (number < 1 || number > 65_535)) {
    causes.push(invalidValue(`${field}.service.port.number`, number, 'must be between 1 and 65535, inclusive'));
  }
  return causes;
}

function defaultPolicy(object: KubeObject): void {
  const spec = policySpec(object);
  for (const { ports } of [...(spec.ingress ?? []), ...(spec.egress ?? [])]) {
    for (const port of ports ?? []) port.protocol ??= 'TCP';
  }
  // A policy with rules for egress alone still isolates for ingress: https://kubernetes.io/docs/concepts/services-networking/network-policies/
  if (!spec.policyTypes?.length) spec.policyTypes = ['Ingress', ...(spec.egress?.length ? ['Egress'] : [])];
}

function validatePolicy(object: KubeObject): StatusCause[] {
  const spec = policySpec(object);
  const causes = validateSelector(spec.podSelector ?? {}, 'spec.podSelector');
  for (const [index, rule] of (spec.ingress ?? []).entries()) {
    causes.push(...validateRule(rule.from ?? [], 'from', rule.ports ?? [], `spec.ingress[${index}]`));
  }
  for (const [index, rule] of (spec.egress ?? []).entries()) {
    causes.push(...validateRule(rule.to ?? [], 'to', rule.ports ?? [], `spec.egress[${index}]`));
  }
  for (const [index, type] of (spec.policyTypes ?? []).entries()) {
    if (!['Egress', 'Ingress'].includes(type)) {
      causes.push(unsupported(`spec.policyTypes[${index}]`, type, ['Egress', 'Ingress']));
    }
  }
  return causes;
}

function validateRule(peers: NetworkPeer[], word: string, ports: NetworkPort[], field: string): StatusCause[] {
  const causes: StatusCause[] = [];
  for (const [index, { protocol, port, endPort }] of ports.entries()) {
    const here = `${field}.ports[${index}]`;
    if (protocol && !PROTOCOLS.includes(protocol)) causes.push(unsupported(`${here}.protocol`, protocol, PROTOCOLS));
    if (typeof port === 'number' && (port < 1 || port > 65_535)) {
      causes.push(invalidValue(`${here}.port`, port, 'must be between 1 and 65535, inclusive'));
    }
    if (endPort !== undefined && (typeof port !== 'number' || endPort < port)) {
      causes.push(invalidValue(`${here}.endPort`, endPort, 'must be greater than or equal to `port`, a number'));
    }
  }
  for (const [index, peer] of peers.entries()) {
    const here = `${field}.${word}[${index}]`;
    if (!peer.podSelector && !peer.namespaceSelector && !peer.ipBlock) {
      causes.push(required(here, 'must specify a peer'));
    }
    if (!peer.ipBlock) continue;
    if (peer.podSelector || peer.namespaceSelector) {
      causes.push(forbiddenField(here, 'may not specify both ipBlock and another peer'));
    }
    if (!isCidr(peer.ipBlock.cidr ?? '')) {
      causes.push(
        invalidValue(`${here}.ipBlock.cidr`, peer.ipBlock.cidr, 'must be a valid CIDR value, (e.g. 10.9.8.0/24)'),
      );
    }
  }
  return causes;
}

function isCidr(text: string): boolean {
  const [address = '', bits = ''] = text.split('/');
  const family = isIP(address);
  return family !== 0 && /^\d+$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128);
}

function hosts(object: KubeObject): string {
  const names = (ingressSpec(object).rules ?? []).flatMap(({ host }) => host ?? []);
  const shown = names.slice(0, 3).join(',');
  return names.length > 3 ? `${shown} + ${names.length - 3} more...` : shown || '*';
}

function ingressAddress(object: KubeObject): string {
  const entries = (at(object, 'status.loadBalancer.ingress') ?? []) as { ip?: string; hostname?: string }[];
  return entries.map(({ ip, hostname }) => ip || hostname || '').join(',');
}

function parameters(object: KubeObject): string {
  const ref = at(object, 'spec.parameters') as { apiGroup?: string; kind: string; name: string } | undefined;
  return ref ? `${ref.kind}${ref.apiGroup ? `.${ref.apiGroup}` : ''}/${ref.name}` : '<none>';
}

export function networkingKinds(types: TypeTable): ResourceDefinition[] {
  const version = (kind: string) => ({ group: 'networking.k8s.io', version: 'v1', type: `networking.v1.${kind}` });
  return [
    defineKind(types, {
      kind: 'Ingress',
      resource: 'ingresses',
      versions: [version('Ingress')],
      shortNames: ['ing'],
      status: true,
      columns: [
        NAME,
        column(
          'Class',
          (object) => ingressSpec(object).ingressClassName ?? object.metadata.annotations?.[LEGACY_CLASS] ?? '<none>',
        ),
        column('Hosts', hosts),
        column('Address', ingressAddress),
        column('Ports', (object) => (ingressSpec(object).tls?.length ? '80, 443' : '80')),
        AGE,
      ],
      strategy: {
        generation: true,
        initialStatus: () => ({ loadBalancer: {} }),
        prepareCreate: (_, { warn }) =>
          warn('the sandbox has no Ingress controller: nothing will answer at this Ingress'),
        validate: validateIngress,
      },
    }),
    defineKind(types, {
      kind: 'IngressClass',
      resource: 'ingressclasses',
      versions: [version('IngressClass')],
      namespaced: false,
      columns: [
        NAME,
        column('Controller', (object) => textAt(object, 'spec.controller')),
        column('Parameters', parameters),
        AGE,
      ],
      strategy: {
        generation: true,
        validate: (object) => (textAt(object, 'spec.controller') ? [] : [required('spec.controller')]),
      },
    }),
    defineKind(types, {
      kind: 'NetworkPolicy',
      resource: 'networkpolicies',
      versions: [{ ...version('NetworkPolicy'), defaults: defaultPolicy }],
      shortNames: ['netpol'],
      columns: [
        NAME,
        column('Pod-Selector', (object) => selectorText(policySpec(object).podSelector) || '<none>'),
        AGE,
      ],
      strategy: {
        generation: true,
        prepareCreate: (_, { warn }) =>
          warn('the sandbox does not enforce NetworkPolicies: what this one forbids stays possible'),
        validate: validatePolicy,
      },
    }),
  ];
}
