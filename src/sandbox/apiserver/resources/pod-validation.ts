// SPDX-License-Identifier: Apache-2.0
// Validation of pod specs: what would keep a pod from ever running, with the real server's field paths and words.
import { quantityNano } from '../schema/quantity.ts';
import type { StatusCause } from '../status.ts';
import {
  absentReference,
  duplicate,
  forbiddenField,
  invalidValue,
  required,
  unsupported,
} from '../validation/causes.ts';
import { dnsLabelProblem, portNameProblem, subdomainProblem } from '../validation/names.ts';
import type { Container, PodSpec, Probe, Volume } from './pod-template.ts';

const PROTOCOLS = ['SCTP', 'TCP', 'UDP'];
const PULL_POLICIES = ['Always', 'IfNotPresent', 'Never'];
const RESTART_POLICIES = ['Always', 'OnFailure', 'Never'];
const DNS_POLICIES = ['ClusterFirst', 'ClusterFirstWithHostNet', 'Default', 'None'];
const PORT_RANGE = 'must be between 1 and 65535, inclusive';
const CONTAINER_RESOURCES = ['cpu', 'memory', 'ephemeral-storage'];

/** `path` is "spec" or "spec.template.spec"; `claims` are volumes that the pod will have besides those of the spec. */
export function validatePodSpec(
  spec: PodSpec | undefined,
  path: string,
  claims: readonly string[] = [],
): StatusCause[] {
  const causes: StatusCause[] = [];
  const volumes = validateVolumes(spec?.volumes ?? [], `${path}.volumes`, causes);
  for (const claim of claims) volumes.add(claim);
  const names = new Set<string>();
  if (!spec?.containers?.length) causes.push(required(`${path}.containers`));
  for (const list of ['containers', 'initContainers'] as const) {
    for (const [index, container] of (spec?.[list] ?? []).entries()) {
      causes.push(...validateContainer(container, `${path}.${list}[${index}]`, volumes, names));
    }
  }
  if (!spec) return causes;
  checkChoice(spec.restartPolicy, RESTART_POLICIES, `${path}.restartPolicy`, causes);
  checkChoice(spec.dnsPolicy, DNS_POLICIES, `${path}.dnsPolicy`, causes);
  if ((spec.terminationGracePeriodSeconds ?? 0) < 0) {
    causes.push(
      invalidValue(
        `${path}.terminationGracePeriodSeconds`,
        spec.terminationGracePeriodSeconds,
        'must be greater than or equal to 0',
      ),
    );
  }
  if (spec.serviceAccountName) {
    const problem = subdomainProblem(spec.serviceAccountName);
    if (problem) causes.push(invalidValue(`${path}.serviceAccountName`, spec.serviceAccountName, problem));
  }
  const hostname = spec['hostname'];
  if (typeof hostname === 'string' && dnsLabelProblem(hostname)) {
    causes.push(invalidValue(`${path}.hostname`, hostname, dnsLabelProblem(hostname)!));
  }
  return causes;
}

function checkChoice(
  value: string | undefined,
  allowed: readonly string[],
  field: string,
  causes: StatusCause[],
): void {
  if (value !== undefined && !allowed.includes(value)) causes.push(unsupported(field, value, allowed));
}

/** Gives the names of the volumes. */
function validateVolumes(volumes: readonly Volume[], path: string, causes: StatusCause[]): Set<string> {
  const names = new Set<string>();
  for (const [index, volume] of volumes.entries()) {
    const here = `${path}[${index}]`;
    if (!volume.name) causes.push(required(`${here}.name`));
    else if (dnsLabelProblem(volume.name))
      causes.push(invalidValue(`${here}.name`, volume.name, dnsLabelProblem(volume.name)!));
    if (names.has(volume.name)) causes.push(duplicate(`${here}.name`, volume.name));
    names.add(volume.name);
    const sources = Object.keys(volume).filter((key) => key !== 'name');
    for (const source of sources.slice(1)) {
      causes.push(forbiddenField(`${here}.${source}`, 'may not specify more than 1 volume type'));
    }
    const secret = volume['secret'] as { secretName?: string } | undefined;
    if (secret && !secret.secretName) causes.push(required(`${here}.secret.secretName`));
    const configMap = volume['configMap'] as { name?: string } | undefined;
    if (configMap && !configMap.name) causes.push(required(`${here}.configMap.name`));
  }
  return names;
}

function validateContainer(
  container: Container,
  path: string,
  volumes: Set<string>,
  names: Set<string>,
): StatusCause[] {
  const causes: StatusCause[] = [];
  if (!container.name) causes.push(required(`${path}.name`));
  else if (dnsLabelProblem(container.name)) {
    causes.push(invalidValue(`${path}.name`, container.name, dnsLabelProblem(container.name)!));
  } else if (names.has(container.name)) causes.push(duplicate(`${path}.name`, container.name));
  names.add(container.name);
  if (!container.image) causes.push(required(`${path}.image`));
  else if (container.image.trim() !== container.image) {
    causes.push(invalidValue(`${path}.image`, container.image, 'must not have leading or trailing whitespace'));
  }
  validatePorts(container, path, causes);
  validateEnv(container, path, causes);
  validateMounts(container, path, volumes, causes);
  for (const probe of ['livenessProbe', 'readinessProbe', 'startupProbe'] as const) {
    if (container[probe]) validateProbe(container[probe], `${path}.${probe}`, causes);
  }
  for (const probe of ['livenessProbe', 'startupProbe'] as const) {
    const threshold = container[probe]?.successThreshold ?? 1;
    if (threshold !== 1) causes.push(invalidValue(`${path}.${probe}.successThreshold`, threshold, 'must be 1'));
  }
  checkChoice(container.imagePullPolicy, PULL_POLICIES, `${path}.imagePullPolicy`, causes);
  validateResources(container, `${path}.resources`, causes);
  return causes;
}

/** Less than nothing would give a quota room that it does not have. */
function validateResources({ resources }: Container, path: string, causes: StatusCause[]): void {
  for (const list of ['limits', 'requests'] as const) {
    for (const [name, amount] of Object.entries(resources?.[list] ?? {})) {
      if ((quantityNano(amount) ?? 0n) < 0n)
        causes.push(invalidValue(`${path}.${list}[${name}]`, amount, 'must be greater than or equal to 0'));
      if (!name.includes('/') && !name.startsWith('hugepages-') && !CONTAINER_RESOURCES.includes(name))
        causes.push(invalidValue(`${path}.${list}[${name}]`, name, 'must be a standard resource for containers'));
    }
  }
  for (const [name, amount] of Object.entries(resources?.requests ?? {})) {
    const limit = resources?.limits?.[name];
    if (limit === undefined || (quantityNano(amount) ?? 0n) <= (quantityNano(limit) ?? 0n)) continue;
    const why = `must be less than or equal to ${name} limit of ${limit}`;
    causes.push(invalidValue(`${path}.requests`, amount, why));
  }
}

function validatePorts(container: Container, path: string, causes: StatusCause[]): void {
  const seen = new Set<string>();
  for (const [index, port] of (container.ports ?? []).entries()) {
    const here = `${path}.ports[${index}]`;
    if (port.name) {
      const problem = portNameProblem(port.name);
      if (problem) causes.push(invalidValue(`${here}.name`, port.name, problem));
      else if (seen.has(port.name)) causes.push(duplicate(`${here}.name`, port.name));
      seen.add(port.name);
    }
    if (port.containerPort === 0) causes.push(required(`${here}.containerPort`));
    else if (!isPort(port.containerPort))
      causes.push(invalidValue(`${here}.containerPort`, port.containerPort, PORT_RANGE));
    if (port.hostPort !== undefined && !isPort(port.hostPort)) {
      causes.push(invalidValue(`${here}.hostPort`, port.hostPort, PORT_RANGE));
    }
    checkChoice(port.protocol, PROTOCOLS, `${here}.protocol`, causes);
  }
}

function isPort(port: number): boolean {
  return port >= 1 && port <= 65535;
}

function validateEnv(container: Container, path: string, causes: StatusCause[]): void {
  for (const [index, variable] of (container.env ?? []).entries()) {
    const here = `${path}.env[${index}]`;
    if (!variable.name) causes.push(required(`${here}.name`));
    else if (/[=\0]/.test(variable.name)) {
      causes.push(
        invalidValue(
          `${here}.name`,
          variable.name,
          "a valid environment variable name must consist only of printable ASCII characters other than '='",
        ),
      );
    }
    if (!variable.valueFrom) continue;
    if (variable.value) {
      causes.push(invalidValue(`${here}.valueFrom`, '', 'may not be specified when `value` is not empty'));
    }
    if (Object.keys(variable.valueFrom).length !== 1) {
      causes.push(invalidValue(`${here}.valueFrom`, '', 'must specify exactly one source'));
    }
  }
}

function validateMounts(container: Container, path: string, volumes: Set<string>, causes: StatusCause[]): void {
  const mounted = new Set<string>();
  for (const [index, mount] of (container.volumeMounts ?? []).entries()) {
    const here = `${path}.volumeMounts[${index}]`;
    if (!mount.name) causes.push(required(`${here}.name`));
    else if (!volumes.has(mount.name)) causes.push(absentReference(`${here}.name`, mount.name));
    if (!mount.mountPath) causes.push(required(`${here}.mountPath`));
    else if (mounted.has(mount.mountPath)) {
      causes.push(invalidValue(`${here}.mountPath`, mount.mountPath, 'must be unique'));
    }
    mounted.add(mount.mountPath);
    if (mount.subPath?.split('/').includes('..')) {
      causes.push(invalidValue(`${here}.subPath`, mount.subPath, "must not contain '..'"));
    }
  }
}

function validateProbe(probe: Probe, path: string, causes: StatusCause[]): void {
  const handlers = (['exec', 'httpGet', 'tcpSocket', 'grpc'] as const).filter((name) => probe[name]);
  if (handlers.length === 0) causes.push(required(path, 'must specify a handler type'));
  for (const extra of handlers.slice(1)) {
    causes.push(forbiddenField(`${path}.${extra}`, 'may not specify more than 1 handler type'));
  }
  for (const action of ['httpGet', 'tcpSocket', 'grpc'] as const) {
    const port = probe[action]?.port ?? 0;
    if (probe[action] && !(typeof port === 'number' ? isPort(port) : port)) {
      causes.push(invalidValue(`${path}.${action}.port`, port, PORT_RANGE));
    }
  }
  for (const count of ['timeoutSeconds', 'periodSeconds', 'successThreshold', 'failureThreshold'] as const) {
    const value = probe[count];
    if (value !== undefined && value < 1)
      causes.push(invalidValue(`${path}.${count}`, value, 'must be greater than 0'));
  }
}
