// SPDX-License-Identifier: Apache-2.0
// All that is wrong, the cause before its symptoms: each check looks at the whole by itself, and what explains a failed pair
// first is its cause.
import { checkGateways, checkNetworks, checkPilots, checkWrittenAddresses } from './checks/gateways.ts';
import { checkEntries, checkProbes, checkReach, checkRemarks, checkVersions } from './checks/installation.ts';
import { checkImports, checkTokens, checkWatched } from './checks/secrets.ts';
import { checkClocks, checkExpiry, checkReloaded, checkRoots, checkShown } from './checks/trust.ts';
import { checkTrustDomains } from './checks/trust-domains.ts';
import {
  checkDestination,
  checkLayer,
  checkNames,
  checkOpen,
  checkPassedOn,
  checkRoutes,
  checkRules,
} from './checks/way.ts';
import type { MeshSight, PairSight } from './evidence.ts';
import { CAUSES, exactly, type Finding, type Suspicion } from './finding.ts';
import { failedPairs, judgePair } from './verdict.ts';

const CHECKS: readonly ((mesh: MeshSight) => Suspicion[])[] = [
  checkReach,
  checkRemarks,
  checkExpiry,
  checkClocks,
  checkTokens,
  checkWatched,
  checkImports,
  checkProbes,
  checkEntries,
  checkRoots,
  checkReloaded,
  checkGateways,
  checkNetworks,
  checkPilots,
  checkWrittenAddresses,
  checkOpen,
  checkLayer,
  checkPassedOn,
  checkShown,
  checkDestination,
  checkRules,
  checkRoutes,
  checkNames,
  checkTrustDomains,
  checkVersions,
];

/** Sorted: what explains failures first, the most fundamental cause before others. */
export function judgeMesh(mesh: MeshSight): Finding[] {
  const failed = failedPairs(mesh);
  const suspicions = CHECKS.flatMap((check) => check(mesh)).sort((a, b) => rankOf(a) - rankOf(b));
  const unexplained = failed.filter((pair) => !suspicions.some(({ explains }) => explains(pair)));
  const all = [...suspicions, ...unexplained.map(unknown)];
  const causes = new Map(failed.map((pair) => [pair, all.find(({ explains }) => explains(pair))]));
  const findings = all.map(({ explains: _, ...told }, i): Finding => {
    const pairs = failed.filter((pair) => causes.get(pair) === all[i]).map(({ from, to }) => ({ from, to }));
    return { ...told, pairs };
  });
  return joinTwins(findings.filter((finding, i) => finding.pairs.length > 0 || isNews(all[i]!, all, causes))).sort(
    (a, b) => Number(a.pairs.length === 0) - Number(b.pairs.length === 0),
  );
}

/** What is told in the same words of several pairs is one. */
function joinTwins(findings: readonly Finding[]): Finding[] {
  const key = ({ cause, cluster, object, message }: Finding) => [cause, cluster, object, message].join('\0');
  return [...Map.groupBy(findings, key).values()].map(([first, ...twins]) => ({
    ...first!,
    evidence: [...new Set([first!, ...twins].flatMap(({ evidence }) => evidence))],
    pairs: [first!, ...twins].flatMap(({ pairs }) => pairs),
  }));
}

/** What might explain only what something before it has explained is a symptom, and what is told twice is told once. */
function isNews(
  one: Suspicion,
  all: readonly Suspicion[],
  causes: ReadonlyMap<PairSight, Suspicion | undefined>,
): boolean {
  const twin = all.find((other) => other.cause === one.cause && other.cluster === one.cluster);
  if (twin !== one && twin?.object === one.object) return false;
  if (SYMPTOMS.has(one.cause)) return ![...causes.keys()].some((pair) => one.explains(pair));
  return true;
}

/** These tell of a pair, and not of an object that is wrong by itself. */
const SYMPTOMS: ReadonlySet<string> = new Set([
  'probe-refused',
  'exports-not-arriving',
  'injection-off',
  'probe-not-ready',
  'proxy-disconnected',
  'port-blocked',
  'gateway-unreachable',
  'nobody-listens',
  'not-passed-on',
  'no-endpoints',
  'wrong-certificate',
  'workload-certificate-expired',
  'wrong-destination',
  'name-unresolved',
]);

function rankOf({ cause }: Suspicion): number {
  return CAUSES.indexOf(cause);
}

function unknown(pair: PairSight): Suspicion {
  const { proven, seen } = judgePair(pair);
  const { from, to, host } = pair;
  return {
    cause: 'unknown',
    severity: 'error',
    cluster: from,
    object: '',
    message: `calls from ${from} to ${to} fail, and nothing that was looked at explains it`,
    evidence: [`${host}: ${seen}`, `proven: ${proven}`],
    cure: `isthmus analyze --context ${from} --context ${to}, and the logs of istio-proxy at both ends, may tell more`,
    explains: exactly({ from, to }),
  };
}
