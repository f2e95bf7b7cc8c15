// SPDX-License-Identifier: Apache-2.0
// What a user may say about an installation, under the names that Istio's users know.
import packageJson from '../../package.json' with { type: 'json' };
import { parseDuration } from '../api/values.ts';

export interface Resources {
  requests: { cpu: string; memory: string };
}

export interface Gateway {
  enabled: boolean;
  type: string;
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
    multiCluster: { clusterName: string };
    /** As in Istio: network name -> { endpoints, gateways }. */
    meshNetworks: Record<string, unknown>;
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
  pilot: { logLevel: string; resources: Resources };
  /** How long a workload's certificate lives: `24h`, `90m`, `30s`. Renewed at half of it. */
  security: { workloadCertTtl: string };
  gateways: {
    'istio-ingressgateway': Gateway & { loadBalancerIP: string };
    'istio-egressgateway': Gateway;
  };
  istiocoredns: { enabled: boolean; zone: string; resources: Resources };
}

/** A value that was set wrongly. */
export class ValuesError extends Error {}

export const ISTIO_NAMESPACE = 'istio-system';

const DEFAULTS: Values = {
  global: {
    hub: 'isthmus',
    tag: packageJson.version,
    imagePullPolicy: 'IfNotPresent',
    network: '',
    trustDomain: 'cluster.local',
    multiCluster: { clusterName: '' },
    meshNetworks: {},
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
  pilot: { logLevel: 'info', resources: { requests: { cpu: '50m', memory: '128Mi' } } },
  security: { workloadCertTtl: '24h' },
  gateways: {
    'istio-ingressgateway': {
      enabled: true,
      type: 'LoadBalancer',
      loadBalancerIP: '',
      env: {},
      resources: { requests: { cpu: '20m', memory: '64Mi' } },
    },
    'istio-egressgateway': {
      enabled: true,
      type: 'ClusterIP',
      // It alone reaches what ServiceEntries put into the network `external`.
      env: { ISTIO_META_REQUESTED_NETWORK_VIEW: 'external' },
      resources: { requests: { cpu: '20m', memory: '64Mi' } },
    },
  },
  istiocoredns: { enabled: true, zone: 'global', resources: { requests: { cpu: '10m', memory: '64Mi' } } },
};

const MIN_LIFETIME_MS = 10_000;
const MAX_LIFETIME_MS = 8_760 * 3_600_000;

/** Whatever is below these is the user's own. */
const OPEN: ReadonlySet<string> = new Set([
  'global.meshNetworks',
  'gateways.istio-ingressgateway.env',
  'gateways.istio-egressgateway.env',
]);

const CHOICES: Readonly<Record<string, readonly string[]>> = {
  'global.proxy.excludeOutboundBy': ['auto', 'uid', 'mark'],
  'global.proxy.nativeSidecars': ['auto', 'true', 'false'],
  'global.imagePullPolicy': ['Always', 'IfNotPresent', 'Never'],
  'gateways.istio-ingressgateway.type': ['LoadBalancer', 'NodePort', 'ClusterIP'],
  'gateways.istio-egressgateway.type': ['LoadBalancer', 'NodePort', 'ClusterIP'],
};

/**
 * The defaults with `sets` applied in order, each `global.proxy.logLevel=debug`.
 * @throws ValuesError naming the assignment, and what would be right
 */
export function readValues(sets: readonly string[], clusterName: string): Values {
  const values = structuredClone(DEFAULTS);
  values.global.multiCluster.clusterName = clusterName;
  for (const assignment of sets) assign(values, assignment);
  checkClusterName(values.global.multiCluster.clusterName);
  return values;
}

function assign(values: Values, assignment: string): void {
  const split = assignment.indexOf('=');
  if (split < 1) throw new ValuesError(`--set ${assignment}: write it as NAME=VALUE, as in global.tag=1.2.3`);
  const path = pathOf(assignment.slice(0, split));
  const text = assignment.slice(split + 1);
  let at = values as unknown as Record<string, unknown>;
  for (const [depth, step] of path.entries()) {
    const here = path.slice(0, depth).join('.');
    if ([...OPEN].some((open) => here === open || here.startsWith(`${open}.`))) {
      setOpen(at, path.slice(depth), text);
      return;
    }
    const current = at[step];
    const name = path.slice(0, depth + 1).join('.');
    if (current === undefined) throw unknownValue(assignment, here, Object.keys(at));
    if (depth < path.length - 1 || OPEN.has(name)) {
      if (typeof current !== 'object' || depth === path.length - 1) throw notALeaf(assignment, name, current);
      at = current as Record<string, unknown>;
    } else {
      at[step] = parseLike(current, text, assignment, name);
    }
  }
}

/** Dots separate, a backslash keeps one; `endpoints[0]` is a step and an index. */
function pathOf(name: string): string[] {
  return name
    .split(/(?<!\\)\./)
    .map((step) => step.replaceAll('\\.', '.'))
    .flatMap((step) => {
      const [, base = step, indexes = ''] = /^(.*?)((?:\[\d+\])*)$/.exec(step) ?? [];
      return [base, ...[...indexes.matchAll(/\[(\d+)\]/g)].map(([, index]) => `[${index}]`)];
    })
    .filter((step) => step !== '');
}

function setOpen(root: Record<string, unknown>, path: readonly string[], text: string): void {
  let at = root as Record<string, unknown>;
  for (const [depth, step] of path.entries()) {
    const key = step.replace(/^\[(\d+)\]$/, '$1');
    const next = path[depth + 1];
    if (next === undefined) at[key] = /^\d+$/.test(text) ? Number(text) : text;
    else {
      at[key] ??= next.startsWith('[') ? [] : {};
      at = at[key] as Record<string, unknown>;
    }
  }
}

function parseLike(current: unknown, text: string, assignment: string, name: string): unknown {
  if (typeof current === 'object') throw notALeaf(assignment, name, current);
  if (typeof current === 'boolean') {
    if (text === 'true' || text === 'false') return text === 'true';
    throw new ValuesError(`--set ${assignment}: ${name} must be true or false`);
  }
  if (typeof current === 'number') {
    if (/^\d+$/.test(text)) return Number(text);
    throw new ValuesError(`--set ${assignment}: ${name} must be a whole number`);
  }
  if (name === 'security.workloadCertTtl') checkLifetime(text, assignment, name);
  const choices = CHOICES[name];
  if (choices === undefined || choices.includes(text)) return text;
  throw new ValuesError(`--set ${assignment}: ${name} must be one of ${choices.join(', ')}`);
}

/** Shorter ones would be renewed all the time; longer ones are of no use to whoever wants to be rid of a stolen key. */
function checkLifetime(text: string, assignment: string, name: string): void {
  const ms = parseDuration(text);
  if (ms !== undefined && ms >= MIN_LIFETIME_MS && ms <= MAX_LIFETIME_MS) return;
  throw new ValuesError(`--set ${assignment}: ${name} must be a duration from 10s to 8760h, such as 24h or 90m`);
}

function unknownValue(assignment: string, parent: string, known: readonly string[]): ValuesError {
  const where = parent === '' ? 'there is no such value' : `${parent} has no such value`;
  return new ValuesError(`--set ${assignment}: ${where}; known here: ${known.join(', ')}`);
}

function notALeaf(assignment: string, name: string, value: unknown): ValuesError {
  const hint =
    typeof value === 'object' && value !== null
      ? `is a group; set one of its members (${Object.keys(value).join(', ') || 'any name'})`
      : 'has no members';
  return new ValuesError(`--set ${assignment}: ${name} ${hint}`);
}

/** It becomes part of node ids and metadata, and of users' scripts. */
function checkClusterName(name: string): void {
  if (/^[A-Za-z0-9]([A-Za-z0-9_.:@/-]{0,251}[A-Za-z0-9])?$/.test(name)) return;
  throw new ValuesError(
    `"${name}" cannot be a cluster's name in the mesh: give one of letters, digits and _.:@/- with ` +
      '--set global.multiCluster.clusterName=NAME',
  );
}
