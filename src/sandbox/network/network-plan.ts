// SPDX-License-Identifier: Apache-2.0
// Which clusters share a network, and which addresses their pods have: `sandbox up --network` and `--pod-cidr`.
import { closestNames } from '../closest-names.ts';
import { SandboxUsageError } from '../layout.ts';

/** Of one cluster. */
export interface NetworkChoice {
  /** Clusters of one name reach one another's pods. */
  readonly network: string;
  /** A /16. */
  readonly podCidr: string;
}

export interface NetworkWishes {
  /** `separate`, `flat`, or `cluster1=net1,cluster2=net1`; the clusters that are not named stay as they are. */
  readonly network?: string;
  /** `10.0.0.0/16` for every cluster, or `cluster1=10.8.0.0/16,...`. */
  readonly podCidr?: string;
}

/** What the sandbox has for itself: the external network and the service addresses. */
const TAKEN = ['172.31.0.0/16', '10.96.0.0/16'];

/**
 * @param previous what the clusters had, the first one's first; the rest get a network of their own and 10.N.0.0/16.
 * @throws SandboxUsageError naming the option, and what to write instead.
 */
export function planNetworks(
  clusters: number,
  wishes: NetworkWishes,
  previous: readonly NetworkChoice[] = [],
): NetworkChoice[] {
  const names = Array.from({ length: clusters }, (_, i) => `cluster${i + 1}`);
  const networks = readWish('--network', wishes.network, names, (value, cluster) => {
    // A word alone that is neither would put all clusters on one network: a misspelt `separate` must not.
    if (cluster === undefined) {
      throw new SandboxUsageError(
        `--network: "${value}" is neither "separate" nor "flat": write one of them, or name the clusters' networks: ` +
          `${names.map((name) => `${name}=${value}`).join(',')}.`,
      );
    }
    if (/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(value)) return value;
    throw new SandboxUsageError(
      `--network: "${value}" is not a network's name: use lower-case letters, digits and dashes.`,
    );
  });
  const podCidrs = readWish('--pod-cidr', wishes.podCidr, names, readPodCidr);
  const choices = names.map((name, i): NetworkChoice => {
    const before = previous[i] ?? { network: `network${i + 1}`, podCidr: `10.${i + 1}.0.0/16` };
    return {
      network: networks(name, { flat: 'network1', separate: `network${i + 1}` }) ?? before.network,
      podCidr: podCidrs(name, {}) ?? before.podCidr,
    };
  });
  refuseOverlaps(choices, names);
  return choices;
}

type Words = Readonly<Record<string, string>>;

function readWish(
  option: string,
  text: string | undefined,
  clusters: readonly string[],
  check: (value: string, cluster?: string) => string,
): (cluster: string, words: Words) => string | undefined {
  if (text === undefined) return () => undefined;
  if (!text.includes('=')) return (_, words) => words[text] ?? check(text);
  const values = new Map<string, string>();
  for (const part of text.split(',')) {
    const [cluster = '', value = '', ...rest] = part.split('=');
    if (value === '' || rest.length > 0) {
      throw new SandboxUsageError(
        `${option}: "${part}" is not of the form CLUSTER=VALUE, such as cluster1=...,cluster2=...`,
      );
    }
    if (!clusters.includes(cluster)) {
      throw new SandboxUsageError(
        `${option}: there is no cluster "${cluster}"; closest: ${closestNames(cluster, clusters, 1)[0]}. ` +
          `There are: ${clusters.join(', ')} (more by --clusters).`,
      );
    }
    values.set(cluster, check(value, cluster));
  }
  return (cluster) => values.get(cluster);
}

function readPodCidr(value: string): string {
  const match = /^(\d{1,3})\.(\d{1,3})\.0\.0\/16$/.exec(value);
  const [first, second] = [Number(match?.[1]), Number(match?.[2])];
  const isPrivate =
    first === 10 || (first === 172 && second >= 16 && second <= 31) || (first === 192 && second === 168);
  if (match === null || !isPrivate || second > 255) {
    throw new SandboxUsageError(
      `--pod-cidr: "${value}" is not a private network of 65536 addresses: write for example 10.8.0.0/16.`,
    );
  }
  if (TAKEN.includes(value)) {
    throw new SandboxUsageError(
      `--pod-cidr: the sandbox has ${value} for itself (load balancers or services): choose another, such as 10.8.0.0/16.`,
    );
  }
  return value;
}

function refuseOverlaps(choices: readonly NetworkChoice[], names: readonly string[]): void {
  for (const [i, choice] of choices.entries()) {
    const j = choices.findIndex(
      (other, at) => at > i && other.network === choice.network && other.podCidr === choice.podCidr,
    );
    if (j < 0) continue;
    throw new SandboxUsageError(
      `${names[i]} and ${names[j]} are on one network (${choice.network}), and the pods of both would have the addresses ` +
        `${choice.podCidr}: give them networks of their own (--network separate) or different addresses ` +
        `(--pod-cidr ${names[i]}=10.${i + 1}.0.0/16,${names[j]}=10.${j + 1}.0.0/16).`,
    );
  }
}
