// SPDX-License-Identifier: Apache-2.0
// Services: ClusterIPs from the service CIDR and node ports from their range. What is taken is read from the stored
// services each time, so there is no second record that could disagree with them.
import { isIP } from 'node:net';
import type { KubeObject } from '../../../../kube/types.ts';
import type { TypeTable } from '../../schema/parse.ts';
import { invalid, type StatusCause } from '../../status.ts';
import { AGE, column, NAME } from '../../tables/table.ts';
import { duplicate, invalidValue, required, unsupported } from '../../validation/causes.ts';
import { dns1035Problem, dnsLabelProblem, portNameProblem, subdomainProblem } from '../../validation/names.ts';
import type { ResourceDefinition, StrategyContext } from '../definition.ts';
import { defineKind, member, textAt } from '../kind-builder.ts';
import { validateLabels } from '../metadata-validation.ts';
import { parseCidr, pickAddress } from '../service-address.ts';

export interface ServicePort {
  name?: string;
  protocol?: string;
  port: number;
  targetPort?: number | string;
  nodePort?: number;
}

export interface ServiceSpec {
  type?: string;
  selector?: Record<string, string>;
  ports?: ServicePort[];
  clusterIP?: string;
  clusterIPs?: string[];
  externalName?: string;
  externalIPs?: string[];
  sessionAffinity?: string;
  sessionAffinityConfig?: { clientIP?: { timeoutSeconds?: number } };
  externalTrafficPolicy?: string;
  internalTrafficPolicy?: string;
  allocateLoadBalancerNodePorts?: boolean;
  ipFamilies?: string[];
  ipFamilyPolicy?: string;
  healthCheckNodePort?: number;
}

const TYPES = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'];
const IP_ADVICE = 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)';

const specOf = (object: KubeObject): ServiceSpec => member<ServiceSpec>(object, 'spec') ?? {};
const usesNodePorts = (spec: ServiceSpec) =>
  spec.type === 'NodePort' || (spec.type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts !== false);

function defaults(object: KubeObject): void {
  const spec = specOf(object);
  object['spec'] = spec;
  spec.sessionAffinity ??= 'None';
  spec.type ??= 'ClusterIP';
  for (const port of spec.ports ?? []) {
    port.protocol ??= 'TCP';
    if (port.targetPort === undefined || port.targetPort === 0 || port.targetPort === '') port.targetPort = port.port;
  }
  if (spec.sessionAffinity === 'ClientIP') {
    spec.sessionAffinityConfig ??= {};
    spec.sessionAffinityConfig.clientIP ??= {};
    spec.sessionAffinityConfig.clientIP.timeoutSeconds ??= 10_800;
  }
  if (spec.type !== 'ExternalName') spec.internalTrafficPolicy ??= 'Cluster';
  if (spec.type === 'NodePort' || spec.type === 'LoadBalancer') spec.externalTrafficPolicy ??= 'Cluster';
  if (spec.type === 'LoadBalancer') spec.allocateLoadBalancerNodePorts ??= true;
}

/** clusterIP and clusterIPs[0] are one field under two names; the one that was changed wins. */
function unifyAddresses(spec: ServiceSpec, old: ServiceSpec | undefined): void {
  if (spec.type === 'ExternalName') {
    for (const field of ['clusterIP', 'clusterIPs', 'ipFamilies', 'ipFamilyPolicy'] as const) delete spec[field];
    return;
  }
  if (old && spec.clusterIP !== old.clusterIP && JSON.stringify(spec.clusterIPs) === JSON.stringify(old.clusterIPs)) {
    if (spec.clusterIP) spec.clusterIPs = [spec.clusterIP];
    else delete spec.clusterIPs;
  }
  if (!spec.clusterIPs?.length && spec.clusterIP) spec.clusterIPs = [spec.clusterIP];
  if (!spec.clusterIP && spec.clusterIPs?.[0]) spec.clusterIP = spec.clusterIPs[0];
  // A service that had an address keeps it when a client leaves the field out.
  if (!spec.clusterIP && old?.clusterIP && old.type !== 'ExternalName') {
    spec.clusterIP = old.clusterIP;
    spec.clusterIPs = [...(old.clusterIPs ?? [old.clusterIP])];
  }
}

function allocate(object: KubeObject, context: StrategyContext, old: KubeObject | undefined): void {
  const spec = specOf(object);
  unifyAddresses(spec, old ? specOf(old) : undefined);
  // What validation is going to refuse is not worth an address; and a bad one must not be searched for.
  if (validate(object).length > 0) return;
  const others = otherSpecs(object, context);
  if (spec.type !== 'ExternalName') allocateAddress(object, spec, others, context);
  allocateNodePorts(object, spec, others, context, old ? specOf(old) : undefined);
}

function allocateAddress(object: KubeObject, spec: ServiceSpec, others: ServiceSpec[], context: StrategyContext): void {
  spec.ipFamilies ??= ['IPv4'];
  spec.ipFamilyPolicy ??= 'SingleStack';
  if (spec.clusterIP === 'None') return;
  const taken = new Set(others.flatMap(({ clusterIPs = [] }) => clusterIPs));
  const range = parseCidr(context.serviceCidr);
  if (!spec.clusterIP) {
    const address = pickAddress(range, taken, context.random);
    if (!address) {
      throw refuse(object, invalidValue('spec.clusterIPs', [], 'failed to allocate a serviceIP: range is full'));
    }
    spec.clusterIP = address;
    spec.clusterIPs = [address];
    return;
  }
  const wrong = !range.contains(spec.clusterIP)
    ? 'the provided network does not match the current range'
    : taken.has(spec.clusterIP)
      ? 'provided IP is already allocated'
      : undefined;
  if (wrong) {
    throw refuse(
      object,
      invalidValue('spec.clusterIPs', spec.clusterIPs, `failed to allocate IP ${spec.clusterIP}: ${wrong}`),
    );
  }
}

function allocateNodePorts(
  object: KubeObject,
  spec: ServiceSpec,
  others: ServiceSpec[],
  context: StrategyContext,
  old: ServiceSpec | undefined,
): void {
  if (!usesNodePorts(spec)) {
    // Ports that only the former type had go with it.
    if (old && usesNodePorts(old)) for (const port of spec.ports ?? []) delete port.nodePort;
    return;
  }
  const { from, to } = context.nodePortRange;
  const taken = new Set(others.flatMap(({ ports = [] }) => ports.map((port) => portKey(port))));
  for (const [index, port] of (spec.ports ?? []).entries()) {
    const field = `spec.ports[${index}].nodePort`;
    if (!port.nodePort) {
      const before = old?.ports?.find((one) => one.port === port.port && one.protocol === port.protocol)?.nodePort;
      port.nodePort = before ?? pickPort(from, to, port, taken, context.random);
    } else if (port.nodePort < from || port.nodePort > to) {
      const why = `provided port is not in the valid range. The range of valid ports is ${from}-${to}`;
      throw refuse(object, invalidValue(field, port.nodePort, why));
    } else if (taken.has(portKey(port))) {
      throw refuse(object, invalidValue(field, port.nodePort, 'provided port is already allocated'));
    }
    taken.add(portKey(port));
  }
}

/** A type that has no use for a field loses it; defaults put back what the new type needs. */
function dropFieldsOfType(spec: ServiceSpec): void {
  const external = spec.type === 'NodePort' || spec.type === 'LoadBalancer';
  if (!external) for (const field of ['externalTrafficPolicy', 'healthCheckNodePort'] as const) delete spec[field];
  if (spec.type !== 'LoadBalancer') delete spec.allocateLoadBalancerNodePorts;
}

/** Webhooks may take seconds: another service may have got the address or the port by then. */
function stillFree(object: KubeObject, context: StrategyContext): boolean {
  const spec = specOf(object);
  const others = otherSpecs(object, context);
  const addresses = new Set(
    others.flatMap(({ clusterIPs = [] }) => clusterIPs.filter((address) => address !== 'None')),
  );
  const ports = new Set(others.flatMap((other) => (other.ports ?? []).filter(({ nodePort }) => nodePort).map(portKey)));
  return (
    !spec.clusterIPs?.some((address) => addresses.has(address)) &&
    !spec.ports?.some((port) => port.nodePort && ports.has(portKey(port)))
  );
}

function otherSpecs(object: KubeObject, context: StrategyContext): ServiceSpec[] {
  return context.store
    .list('services')
    .filter(({ object: other }) => other.metadata.uid !== object.metadata.uid)
    .map(({ object: other }) => specOf(other));
}

const portKey = (port: ServicePort) => `${port.protocol ?? 'TCP'}/${port.nodePort ?? 0}`;

function pickPort(from: number, to: number, port: ServicePort, taken: Set<string>, random: () => number): number {
  const size = to - from + 1;
  const start = Math.floor(random() * size);
  for (let step = 0; step < size; step++) {
    const nodePort = from + ((start + step) % size);
    if (!taken.has(portKey({ ...port, nodePort }))) return nodePort;
  }
  return 0;
}

function refuse(object: KubeObject, cause: StatusCause): Error {
  return invalid('', 'Service', object.metadata.name ?? '', [cause]);
}

function validate(object: KubeObject): StatusCause[] {
  const spec = specOf(object);
  const causes: StatusCause[] = [];
  const headless = spec.clusterIP === 'None';
  if (!spec.ports?.length && !headless && spec.type !== 'ExternalName') causes.push(required('spec.ports'));
  if (spec.type !== undefined && !TYPES.includes(spec.type)) causes.push(unsupported('spec.type', spec.type, TYPES));
  if (spec.type === 'ExternalName') {
    const name = (spec.externalName ?? '').replace(/\.$/, '');
    if (!name) causes.push(required('spec.externalName'));
    else if (subdomainProblem(name))
      causes.push(invalidValue('spec.externalName', spec.externalName, subdomainProblem(name)!));
  }
  if (headless && (spec.type === 'NodePort' || spec.type === 'LoadBalancer')) {
    causes.push(invalidValue('spec.clusterIPs[0]', 'None', `may not be set to 'None' for ${spec.type} services`));
  }
  for (const [index, address] of (spec.clusterIPs ?? []).entries()) {
    if (address !== 'None' && isIP(address) === 0)
      causes.push(invalidValue(`spec.clusterIPs[${index}]`, address, IP_ADVICE));
  }
  for (const [index, address] of (spec.externalIPs ?? []).entries()) {
    if (isIP(address) === 0) causes.push(invalidValue(`spec.externalIPs[${index}]`, address, IP_ADVICE));
  }
  validatePorts(spec.ports ?? [], causes);
  causes.push(...validateLabels(spec.selector, 'spec.selector'));
  return causes;
}

function validatePorts(ports: readonly ServicePort[], causes: StatusCause[]): void {
  const names = new Set<string>();
  const numbers = new Set<string>();
  for (const [index, port] of ports.entries()) {
    const here = `spec.ports[${index}]`;
    if (!port.name) {
      if (ports.length > 1) causes.push(required(`${here}.name`));
    } else if (dnsLabelProblem(port.name))
      causes.push(invalidValue(`${here}.name`, port.name, dnsLabelProblem(port.name)!));
    else if (names.has(port.name)) causes.push(duplicate(`${here}.name`, port.name));
    names.add(port.name ?? '');
    if (port.port < 1 || port.port > 65_535) {
      causes.push(invalidValue(`${here}.port`, port.port, 'must be between 1 and 65535, inclusive'));
    }
    if (port.protocol && !['SCTP', 'TCP', 'UDP'].includes(port.protocol)) {
      causes.push(unsupported(`${here}.protocol`, port.protocol, ['SCTP', 'TCP', 'UDP']));
    }
    if (typeof port.targetPort === 'string' && portNameProblem(port.targetPort)) {
      causes.push(invalidValue(`${here}.targetPort`, port.targetPort, portNameProblem(port.targetPort)!));
    }
    if (typeof port.targetPort === 'number' && (port.targetPort < 1 || port.targetPort > 65_535)) {
      causes.push(invalidValue(`${here}.targetPort`, port.targetPort, 'must be between 1 and 65535, inclusive'));
    }
    const key = `${port.protocol}/${port.port}`;
    if (numbers.has(key)) causes.push(duplicate(here, { ...port }));
    numbers.add(key);
  }
}

function validateUpdate(object: KubeObject, old: KubeObject): StatusCause[] {
  const [spec, before] = [specOf(object), specOf(old)];
  if (before.type === 'ExternalName' || spec.type === 'ExternalName' || !before.clusterIP) return [];
  if (spec.clusterIP === before.clusterIP) return [];
  return [invalidValue('spec.clusterIPs[0]', spec.clusterIPs, 'may not change once set')];
}

function externalAddress(object: KubeObject): string {
  const spec = specOf(object);
  const external = spec.externalIPs ?? [];
  if (spec.type === 'ExternalName') return spec.externalName ?? '<none>';
  if (spec.type !== 'LoadBalancer') return external.join(',') || '<none>';
  const ingress =
    member<{ loadBalancer?: { ingress?: { ip?: string; hostname?: string }[] } }>(object, 'status')?.loadBalancer
      ?.ingress ?? [];
  const addresses = [...ingress.map(({ ip, hostname }) => ip || hostname || ''), ...external];
  return addresses.filter((one) => one !== '').join(',') || '<pending>';
}

function portList(object: KubeObject): string {
  const ports = specOf(object).ports ?? [];
  const text = ports.map(({ port, nodePort, protocol }) => `${port}${nodePort ? `:${nodePort}` : ''}/${protocol}`);
  return text.join(',') || '<none>';
}

function selectorOf(object: KubeObject): string {
  const pairs = Object.entries(specOf(object).selector ?? {}).map(([key, value]) => `${key}=${value}`);
  return pairs.sort().join(',') || '<none>';
}

export function serviceKinds(types: TypeTable): ResourceDefinition[] {
  return [
    defineKind(types, {
      kind: 'Service',
      resource: 'services',
      versions: [{ group: '', version: 'v1', type: 'core.v1.Service', defaults }],
      shortNames: ['svc'],
      categories: ['all'],
      status: true,
      deleteReturnsObject: true,
      fields: {
        'spec.clusterIP': (object) => textAt(object, 'spec.clusterIP'),
        'spec.type': (object) => textAt(object, 'spec.type'),
      },
      columns: [
        NAME,
        column('Type', (object) => specOf(object).type ?? ''),
        column('Cluster-IP', (object) => specOf(object).clusterIP ?? '<none>'),
        column('External-IP', externalAddress),
        column('Port(s)', portList),
        AGE,
        column('Selector', selectorOf, { wide: true }),
      ],
      strategy: {
        nameRule: dns1035Problem,
        initialStatus: () => ({ loadBalancer: {} }),
        prepareCreate: (object, context) => allocate(object, context, undefined),
        prepareUpdate: (object, old, context) => {
          const [spec, before] = [specOf(object), specOf(old)];
          unifyAddresses(spec, before);
          if (spec.type !== before.type) dropFieldsOfType(spec);
          // A changed address is refused by validateUpdate; looking for it would give the wrong reason.
          if (validateUpdate(object, old).length === 0) allocate(object, context, old);
        },
        validate,
        validateUpdate,
        confirm: stillFree,
      },
    }),
  ];
}
