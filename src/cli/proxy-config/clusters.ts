// SPDX-License-Identifier: Apache-2.0
import { type Held, inside, type Message, textOf } from './dump.ts';
import { writtenIn } from './origin.ts';

export interface ClusterFilter {
  /** A part of the service's name. */
  readonly fqdn?: string | undefined;
  readonly port?: number | undefined;
  readonly subset?: string | undefined;
  readonly direction?: string | undefined;
}

interface ClusterName {
  readonly direction: string;
  readonly port: string;
  readonly subset: string;
  readonly host: string;
}

/** `outbound|9080|v2|reviews.default.svc.cluster.local`, `outbound_.9080_.v2_.reviews...`; undefined for names of another form. */
function readClusterName(name: string): ClusterName | undefined {
  const parts = name.includes('|') ? name.split('|') : name.split('_.');
  if (parts.length < 4) return undefined;
  const [direction = '', port = '', subset = '', ...host] = parts;
  return { direction, port, subset, host: host.join(name.includes('|') ? '|' : '_.') };
}

export const CLUSTER_HEADER = ['SERVICE FQDN', 'PORT', 'SUBSET', 'DIRECTION', 'TYPE', 'DESTINATION RULE'];

export function selectClusters(all: readonly Held[], { fqdn, port, subset, direction }: ClusterFilter): Message[] {
  const isWanted = (name: string): boolean => {
    const parts = readClusterName(name);
    return (
      (fqdn === undefined || (parts?.host ?? name).includes(fqdn)) &&
      (port === undefined || parts?.port === String(port)) &&
      (subset === undefined || parts?.subset.includes(subset) === true) &&
      (direction === undefined || parts?.direction === direction.toLowerCase())
    );
  };
  return all
    .map(({ resource }) => resource)
    .filter((cluster) => isWanted(textOf(cluster, 'name')))
    .sort((a, b) => compareNames(textOf(a, 'name'), textOf(b, 'name')));
}

/** By host, then port, subset and direction. */
export function compareNames(a: string, b: string): number {
  const key = (name: string): readonly (string | number)[] => {
    const { host = name, port = '0', subset = '', direction = '' } = readClusterName(name) ?? {};
    return [host, subset, Number(port), direction];
  };
  const [left, right] = [key(a), key(b)];
  const at = left.findIndex((part, i) => part !== right[i]);
  return at < 0 ? 0 : left[at]! < right[at]! ? -1 : 1;
}

export function clusterRow(cluster: Message): string[] {
  const name = textOf(cluster, 'name');
  const { host, port, subset, direction } = readClusterName(name) ?? {
    host: name,
    port: '',
    subset: '',
    direction: '',
  };
  const type = textOf(cluster, 'type') || textOf(inside(cluster, 'cluster_type'), 'name') || 'STATIC';
  return [host || '-', port || '-', subset || '-', direction || '-', type, writtenIn(cluster)];
}
