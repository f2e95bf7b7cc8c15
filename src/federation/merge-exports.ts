// SPDX-License-Identifier: Apache-2.0
// One service that several clusters export: what it is to those who import it, and on what the clusters disagree.
// https://github.com/kubernetes/enhancements/tree/master/keps/sig-multicluster/1645-multi-cluster-services-api#constraints-and-conflict-resolution
import type { ExportedPort, ExportedServiceSpec } from '../api/exported-service.ts';
import { compare } from './digest.ts';
import type { Condition, Export, Labels } from './types.ts';

export interface MergedService {
  /** The oldest first: where they disagree, it decides. */
  readonly exports: readonly Export[];
  readonly type: ExportedServiceSpec['type'];
  /** Of all clusters, by number. */
  readonly ports: readonly ExportedPort[];
  readonly traffic: string | undefined;
  /** Who may answer; none where no cluster says it. */
  readonly subjectAltNames: readonly string[];
  /** By name; `labels` as they are to be on endpoints. */
  readonly subsets: readonly { readonly name: string; readonly labels: Labels }[];
  readonly conflict: Condition;
}

/** `exports`: at least one. */
export function mergeExports(all: readonly Export[]): MergedService {
  const exports = [...all].sort(compareAge);
  const [oldest] = exports as [Export, ...Export[]];
  return {
    exports,
    type: oldest.spec.type,
    ports: mergePorts(exports),
    traffic: oldest.spec.traffic,
    subjectAltNames: mergeNames(exports),
    subsets: mergeSubsets(exports),
    conflict: conflictOf(exports),
  };
}

function compareAge(a: Export, b: Export): number {
  return Date.parse(a.spec.exportedAt) - Date.parse(b.spec.exportedAt) || compare(a.cluster, b.cluster);
}

/** The union, for a client may call what only some of the clusters have; about one number the oldest decides. */
function mergePorts(exports: readonly Export[]): ExportedPort[] {
  const ports = new Map<number, ExportedPort>();
  const names = new Set<string>();
  for (const { spec } of exports) {
    for (const port of spec.ports) {
      if (ports.has(port.port)) continue;
      const name = names.has(port.name) ? `${port.name.slice(0, 57)}-${port.port}` : port.name;
      names.add(name);
      ports.set(port.port, { ...port, name });
    }
  }
  return [...ports.values()].sort((a, b) => a.port - b.port);
}

/** A cluster that names nobody has no say in it: else its word would take the proof of identity from the others' answers. */
function mergeNames(exports: readonly Export[]): string[] {
  return [...new Set(exports.flatMap(({ spec }) => spec.subjectAltNames))].sort(compare);
}

/**
 * All names of all clusters. The labels are those of the oldest: endpoints of the others get them too. One without labels is
 * all pods of the clusters that have it, so that it says which clusters these are, where it can.
 */
function mergeSubsets(exports: readonly Export[]): MergedService['subsets'] {
  const found = new Map<string, Labels>();
  for (const { spec } of exports) {
    for (const { name, labels } of spec.subsets) {
      if (!found.has(name)) found.set(name, labels);
    }
  }
  return [...found].sort(([a], [b]) => compare(a, b)).map(([name, labels]) => ({ name, labels }));
}

function conflictOf(exports: readonly Export[]): Condition {
  const [oldest, ...others] = exports as [Export, ...Export[]];
  const found = others.flatMap((other) => differencesOf(oldest, other));
  if (found.length === 0) {
    return { type: 'Conflict', status: 'False', reason: 'NoConflicts', message: 'the clusters that export it agree' };
  }
  const reasons = [...new Set(found.map(({ reason }) => reason))];
  const said = found.map(({ message: each }) => each);
  if (found.some(({ isDecided }) => isDecided)) {
    said.push(`${oldest.cluster} exports it since ${oldest.spec.exportedAt} and decides`);
  }
  const message = said.join('; ');
  return { type: 'Conflict', status: 'True', reason: reasons[0]!, message };
}

interface Difference {
  readonly reason: 'PortConflict' | 'TypeConflict' | 'TrafficConflict';
  readonly message: string;
  /** One of two things holds, and the oldest says which. */
  readonly isDecided: boolean;
}

function differencesOf(oldest: Export, other: Export): Difference[] {
  const differences: Difference[] = [];
  const [a, b] = [oldest.spec, other.spec];
  const numbers = new Set([...a.ports, ...b.ports].map(({ port }) => port));
  for (const number of [...numbers].sort((x, y) => x - y)) {
    const [mine, yours] = [a, b].map(({ ports }) => ports.find(({ port }) => port === number));
    if (mine === undefined || yours === undefined) {
      const [there, lacking] = mine === undefined ? [other, oldest] : [oldest, other];
      const port = describePort((mine ?? yours)!);
      const message = `port ${number}, ${port}, is in ${there.cluster} and not in ${lacking.cluster}, where no call to it goes`;
      differences.push({ reason: 'PortConflict', message, isDecided: false });
      continue;
    }
    const said = [describePort(mine), describePort(yours)];
    if (said[0] === said[1]) continue;
    const message = `port ${number} is ${said[0]} in ${oldest.cluster} and ${said[1]} in ${other.cluster}`;
    differences.push({ reason: 'PortConflict', message, isDecided: true });
  }
  if (a.type !== b.type) {
    const message = `it is ${a.type} in ${oldest.cluster} and ${b.type} in ${other.cluster}`;
    differences.push({ reason: 'TypeConflict', message, isDecided: true });
  }
  if (b.traffic !== undefined && a.traffic !== b.traffic) {
    const message = `isthmus.io/traffic is ${a.traffic ?? 'not said'} in ${oldest.cluster} and ${b.traffic} in ${other.cluster}`;
    differences.push({ reason: 'TrafficConflict', message, isDecided: true });
  }
  return differences;
}

function describePort(port: ExportedPort): string {
  return `${port.name} (${port.protocol ?? 'no protocol said'})`;
}
