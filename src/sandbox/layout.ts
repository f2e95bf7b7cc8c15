// SPDX-License-Identifier: Apache-2.0
// Where a sandbox keeps what it keeps, and what its processes are told.
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { nodeName, pkiPaths } from './apiserver/pki.ts';
import { API_PORT, type ClusterAddresses, planCluster } from './network/addresses.ts';
import type { NetworkChoice } from './network/network-plan.ts';

/** A mistake or an obstacle that the user can mend; its message is one paragraph and ends with the cure. */
export class SandboxError extends Error {
  override readonly name: string = 'SandboxError';
}

/** What was asked for cannot be: the call is wrong, not the sandbox. */
export class SandboxUsageError extends SandboxError {
  override readonly name = 'SandboxUsageError';
}

/** The programs that the sandbox's processes and pods are made of; absolute paths. */
export interface Toolchain {
  readonly node: string;
  /** The script that understands `sandbox component ...`. */
  readonly entry: string;
  /** The folder with the bundle, mounted into pods. */
  readonly dist: string;
  /** Absent: pods of images that are an Envoy cannot start. */
  readonly envoy?: string;
}

/** Of the files in a state directory; another number is not read. */
export const STATE_FORMAT = 1;

/** What every process of a sandbox reads: `<state>/config.json`. */
export interface SandboxConfig {
  /** STATE_FORMAT of who wrote it; absent: 1. */
  readonly format?: number;
  readonly name: string;
  readonly version: string;
  readonly stateDir: string;
  readonly clusters: number;
  /** One per cluster; absent in what an older version wrote. */
  readonly networks?: readonly NetworkChoice[];
  readonly rootless: boolean;
  readonly toolchain: Toolchain;
  /** On 127.0.0.1 of the host. */
  readonly ports: HostPorts;
}

export interface HostPorts {
  /** The HTTP CONNECT proxy in front of the API servers. */
  readonly api: number;
  /** One per cluster: its istio-ingressgateway, port 80. */
  readonly gateways: readonly number[];
}

/** Folder of all sandboxes: $ISTHMUS_STATE_DIR, or isthmus/ in $XDG_STATE_HOME, or ~/.local/state/isthmus. */
function stateRoot(env: NodeJS.ProcessEnv = process.env): string {
  const explicit = env['ISTHMUS_STATE_DIR'];
  if (explicit) return resolve(explicit);
  return join(env['XDG_STATE_HOME'] || join(homedir(), '.local/state'), 'isthmus');
}

/** @throws SandboxError for a name that is not a DNS label of up to 32 characters. */
export function sandboxDir(name: string, env?: NodeJS.ProcessEnv): string {
  if (!/^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/.test(name)) {
    throw new SandboxUsageError(
      `"${name}" cannot be a sandbox's name: use up to 32 lower-case letters, digits and dashes, such as "default".`,
    );
  }
  return join(stateRoot(env), 'sandbox', name);
}

export const paths = {
  config: (stateDir: string) => join(stateDir, 'config.json'),
  /** What `up` asks of the keeper that it starts (keeper.ts). */
  request: (stateDir: string) => join(stateDir, `request-${process.pid}.json`),
  /** Who keeps the sandbox, by process id (host-record.ts). */
  host: (stateDir: string) => join(stateDir, 'host.json'),
  status: (stateDir: string) => join(stateDir, 'status.json'),
  /** The user's own images (images/own-images-file.ts). */
  images: (stateDir: string) => join(stateDir, 'images.json'),
  kubeconfig: (stateDir: string) => join(stateDir, 'kubeconfig'),
  logs: (stateDir: string) => join(stateDir, 'logs'),
  log: (stateDir: string, component: string) => join(stateDir, 'logs', `${component}.log`),
};

/** Relative to the state directory, which its users make their working directory: a socket's path has 108 bytes. */
export const sockets = {
  /** Where the supervisor takes orders (life/control.ts). */
  control: 'control.sock',
  api: 'api.sock',
  gateway: (clusterIndex: number) => `gateway-${clusterIndex}.sock`,
};

/** A cluster's addresses together with its files. */
export interface ClusterLayout extends ClusterAddresses {
  readonly server: string;
  readonly nodeName: string;
  readonly apiServerDir: string;
  readonly nodeDir: string;
  readonly pki: ReturnType<typeof pkiPaths>;
}

export function clusterLayout(config: LayoutInputs, index: number): ClusterLayout {
  const { stateDir, networks } = config;
  const addresses = planCluster(index, networks?.[index - 1]);
  const apiServerDir = join(stateDir, addresses.name, 'apiserver');
  return {
    ...addresses,
    server: `https://${addresses.nodeAddress}:${API_PORT}`,
    nodeName: nodeName(addresses.name),
    apiServerDir,
    nodeDir: join(stateDir, addresses.name, 'node'),
    pki: pkiPaths(apiServerDir),
  };
}

export function clusterLayouts(config: LayoutInputs & Pick<SandboxConfig, 'clusters'>): ClusterLayout[] {
  return Array.from({ length: config.clusters }, (_, i) => clusterLayout(config, i + 1));
}

type LayoutInputs = Pick<SandboxConfig, 'stateDir' | 'networks'>;

/** @throws SandboxError with the names there are. */
export function findCluster<T>(all: readonly T[], nameOf: (one: T) => string, name: string): T {
  const found = all.find((one) => nameOf(one) === name);
  if (found) return found;
  throw new SandboxError(`There is no cluster "${name}" in this sandbox. There are: ${all.map(nameOf).join(', ')}.`);
}

export function readConfig(file: string): SandboxConfig {
  return JSON.parse(readFileSync(file, 'utf8')) as SandboxConfig;
}
