// SPDX-License-Identifier: Apache-2.0
// The environment of a container, and what commands and arguments take from it.
import type { ConfigMap, Container, EnvVar, Pod, Secret, Service } from '../pod-types.ts';
import { type PodPlace, readField, readResourceField } from './fields.ts';

export interface EnvironmentSources {
  readonly pod: Pod;
  readonly place: PodPlace;
  /** Those of the pod's namespace and, of namespace default, `kubernetes`. */
  readonly services: readonly Service[];
  /** Rejects with CreateContainerConfigError's message when it does not exist. */
  configMap(name: string): Promise<ConfigMap | undefined>;
  secret(name: string): Promise<Secret | undefined>;
}

/** A container that cannot be made as it is configured; tried again, since what is missing may come. */
export class ContainerConfigError extends Error {}

const DEFAULT_PATH = '/opt/isthmus/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * Later wins: the image, services, envFrom, env.
 * @throws ContainerConfigError
 */
export async function buildEnvironment(
  container: Container,
  imageEnvironment: Readonly<Record<string, string>>,
  hostname: string,
  home: string,
  sources: EnvironmentSources,
): Promise<Record<string, string>> {
  const environment: Record<string, string> = {
    PATH: DEFAULT_PATH,
    HOSTNAME: hostname,
    HOME: home,
    ...imageEnvironment,
    ...serviceEnvironment(sources.services, sources.pod),
  };
  for (const from of container.envFrom ?? []) {
    Object.assign(environment, await readWhole(from.prefix ?? '', from, sources));
  }
  for (const variable of container.env ?? []) {
    const value = await readVariable(variable, container, environment, sources);
    if (value !== undefined) environment[variable.name] = value;
  }
  return environment;
}

async function readWhole(
  prefix: string,
  from: NonNullable<Container['envFrom']>[number],
  sources: EnvironmentSources,
): Promise<Record<string, string>> {
  const ref = from.configMapRef ?? from.secretRef;
  if (!ref) return {};
  const kind = from.configMapRef ? 'configmap' : 'secret';
  const data = from.configMapRef
    ? (await sources.configMap(ref.name))?.data
    : decodeSecret(await sources.secret(ref.name));
  if (!data) {
    if (ref.optional || (from.configMapRef && (await sources.configMap(ref.name)))) return {};
    throw new ContainerConfigError(`${kind} "${ref.name}" not found`);
  }
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [prefix + key, value]));
}

async function readVariable(
  variable: EnvVar,
  container: Container,
  environment: Readonly<Record<string, string>>,
  sources: EnvironmentSources,
): Promise<string | undefined> {
  const from = variable.valueFrom;
  if (!from) return expandReferences(variable.value ?? '', environment);
  try {
    if (from.fieldRef) return readField(sources.pod, from.fieldRef.fieldPath, sources.place);
    if (from.resourceFieldRef) {
      const { containerName } = from.resourceFieldRef;
      const all = [...sources.pod.spec.containers, ...(sources.pod.spec.initContainers ?? [])];
      const named = containerName ? all.find(({ name }) => name === containerName) : container;
      return readResourceField(named ?? container, from.resourceFieldRef);
    }
  } catch (error) {
    throw new ContainerConfigError((error as Error).message);
  }
  if (from.configMapKeyRef) {
    const { name, key, optional } = from.configMapKeyRef;
    const object = await sources.configMap(name);
    return pickKey('configmap', name, key, optional, object && (object.data ?? {}), sources);
  }
  if (from.secretKeyRef) {
    const { name, key, optional } = from.secretKeyRef;
    return pickKey('secret', name, key, optional, decodeSecret(await sources.secret(name)), sources);
  }
  return '';
}

function pickKey(
  kind: string,
  name: string,
  key: string,
  optional: boolean | undefined,
  data: Readonly<Record<string, string>> | undefined,
  sources: EnvironmentSources,
): string | undefined {
  const value = data?.[key];
  if (value !== undefined || optional) return value;
  if (!data) throw new ContainerConfigError(`${kind} "${name}" not found`);
  const title = kind === 'secret' ? 'Secret' : 'ConfigMap';
  throw new ContainerConfigError(`couldn't find key ${key} in ${title} ${sources.pod.metadata.namespace}/${name}`);
}

function decodeSecret(secret: Secret | undefined): Record<string, string> | undefined {
  if (!secret) return undefined;
  return Object.fromEntries(
    Object.entries(secret.data ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64').toString('utf8')]),
  );
}

/**
 * `$(NAME)` becomes the variable's value, `$$` a dollar sign; a name that is not defined stays as it is.
 * https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
 */
export function expandReferences(text: string, environment: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$\$|\$\(([^()]*)\)/g, (match, name: string | undefined) =>
    match === '$$' ? '$' : Object.hasOwn(environment, name ?? '') ? (environment[name ?? ''] ?? '') : match,
  );
}

/** `REDIS_SERVICE_HOST`, `REDIS_PORT_6379_TCP_ADDR`...; of namespace default always those of `kubernetes`. */
function serviceEnvironment(services: readonly Service[], pod: Pod): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const service of services) {
    const { clusterIP, ports = [] } = service.spec;
    if (!clusterIP || clusterIP === 'None' || !service.metadata.name) continue;
    const isMaster = service.metadata.namespace === 'default' && service.metadata.name === 'kubernetes';
    const isOwn = service.metadata.namespace === pod.metadata.namespace && pod.spec.enableServiceLinks !== false;
    if (!isMaster && !isOwn) continue;
    Object.assign(environment, linksOf(envName(service.metadata.name), clusterIP, ports));
  }
  return environment;
}

function linksOf(name: string, ip: string, ports: NonNullable<Service['spec']['ports']>): Record<string, string> {
  const first = ports[0];
  if (!first) return {};
  const url = (port: (typeof ports)[number]) => `${(port.protocol ?? 'TCP').toLowerCase()}://${ip}:${port.port}`;
  const links: Record<string, string> = {
    [`${name}_SERVICE_HOST`]: ip,
    [`${name}_SERVICE_PORT`]: String(first.port),
    [`${name}_PORT`]: url(first),
  };
  for (const port of ports) {
    const protocol = port.protocol ?? 'TCP';
    if (port.name) links[`${name}_SERVICE_PORT_${envName(port.name)}`] = String(port.port);
    const prefix = `${name}_PORT_${port.port}_${protocol.toUpperCase()}`;
    links[prefix] = url(port);
    links[`${prefix}_PROTO`] = protocol.toLowerCase();
    links[`${prefix}_PORT`] = String(port.port);
    links[`${prefix}_ADDR`] = ip;
  }
  return links;
}

function envName(name: string): string {
  return name.toUpperCase().replaceAll('-', '_');
}
