// SPDX-License-Identifier: Apache-2.0
// Ports of all services below a wildcard, for rules that are for it: counted, so that a service more changes nothing where others
// have its ports already.
import { isDeepStrictEqual } from 'node:util';
import { covers } from '../../api/names.ts';
import { isForMesh, type VirtualService } from '../../api/virtual-service.ts';
import { keysToCompare } from '../../incremental/derived-map.ts';
import { inPieces, type Steps } from '../../incremental/steps.ts';
import { VersionedMap } from '../../incremental/versioned-map.ts';
import type { MeshService, ServicePort } from '../snapshot.ts';
import type { HostIndex } from './known.ts';

export type PortFacts = Pick<ServicePort, 'number' | 'protocol'>;

/** The hosts of rules that are wildcards, where sidecars go by them. */
export function wildcardHosts(rules: readonly VirtualService[]): ReadonlySet<string> {
  return new Set(
    rules.flatMap(({ spec }) => (isForMesh(spec) ? spec.hosts.filter((host) => host.startsWith('*')) : [])),
  );
}

/** Each once, by number and protocol. */
export function portsBelow(pattern: string, hosts: HostIndex): readonly PortFacts[] {
  return portsOf(countBelow(pattern, hosts));
}

/** `portsBelow` of wildcards, kept up with the hosts. */
export class PortsBelow {
  readonly #counts = new Map<string, Count>();
  #result = new VersionedMap<string, readonly PortFacts[]>();

  /** From the hosts at the last call to those `after`. */
  *of(
    wanted: ReadonlySet<string>,
    before: HostIndex,
    after: HostIndex,
  ): Steps<VersionedMap<string, readonly PortFacts[]>> {
    const counts = this.#counts;
    const touched = new Set<string>();
    for (const pattern of counts.keys()) {
      if (wanted.has(pattern)) continue;
      counts.delete(pattern);
      touched.add(pattern);
    }
    if (counts.size > 0) {
      for (const piece of inPieces(keysToCompare<readonly MeshService[]>(before, after))) {
        for (const host of piece) {
          for (const pattern of patternsOver(host)) {
            const count = counts.get(pattern);
            if (count === undefined) continue;
            add(count, before.get(host), -1);
            add(count, after.get(host), 1);
            touched.add(pattern);
          }
        }
        yield;
      }
    }
    for (const pattern of wanted) {
      if (counts.has(pattern)) continue;
      counts.set(pattern, countBelow(pattern, after));
      touched.add(pattern);
      yield;
    }
    this.#result = this.#result.with([...touched].map((pattern) => [pattern, this.#portsOf(pattern)] as const));
    return this.#result;
  }

  /** The same list while it holds the same. */
  #portsOf(pattern: string): readonly PortFacts[] | undefined {
    const count = this.#counts.get(pattern);
    if (count === undefined) return undefined;
    const [before, now] = [this.#result.get(pattern), portsOf(count)];
    return isDeepStrictEqual(before, now) ? before : now;
  }
}

/** `NUMBER PROTOCOL` -> how many services have it. */
type Count = Map<string, number>;

function countBelow(pattern: string, hosts: HostIndex): Count {
  const count: Count = new Map();
  for (const [host, services] of hosts) if (covers(pattern, host)) add(count, services, 1);
  return count;
}

function add(count: Count, services: readonly MeshService[] | undefined, step: 1 | -1): void {
  for (const { number, protocol } of services?.flatMap(({ ports }) => ports) ?? []) {
    const key = `${number} ${protocol}`;
    const now = (count.get(key) ?? 0) + step;
    if (now === 0) count.delete(key);
    else count.set(key, now);
  }
}

function portsOf(count: Count): readonly PortFacts[] {
  const ports = [...count.keys()].map((key): PortFacts => {
    const [number, protocol] = key.split(' ') as [string, ServicePort['protocol']];
    return { number: Number(number), protocol };
  });
  return ports.sort((a, b) => a.number - b.number || (a.protocol < b.protocol ? -1 : 1));
}

/** All that cover it. */
function patternsOver(host: string): string[] {
  const patterns = ['*'];
  for (let dot = host.indexOf('.'); dot >= 0; dot = host.indexOf('.', dot + 1)) patterns.push(`*${host.slice(dot)}`);
  return patterns;
}
