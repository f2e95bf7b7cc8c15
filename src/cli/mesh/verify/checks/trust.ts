// SPDX-License-Identifier: Apache-2.0
// Do the clusters trust one another's workloads, and do they agree on what time it is.
import { X509Certificate } from 'node:crypto';
import { CLOCK_SKEW_MS } from '../../../../identity/ca-material.ts';
import { describeDifferentRoots, trustEachOther } from '../../../../identity/root-fingerprints.ts';
import { ROOTS_CURE } from '../../../analyze/roots.ts';
import type { CertificateSight, ClusterSight, MeshSight } from '../evidence.ts';
import { exactly, into, type PairName, type Suspicion, touching } from '../finding.ts';
import { certificatesOf } from '../observe-cluster.ts';
import { clusterNamed, failedPairs } from '../verdict.ts';

/** Below this, certificates and tokens take it. */
const SKEW_MS = 30_000;
const RENEW = 'make a new one (isthmus certs --force, or your own CA) and replace Secret cacerts';

export function checkExpiry({ clusters }: MeshSight): Suspicion[] {
  return clusters.flatMap(({ name, authority, aheadMs = 0 }): Suspicion[] => {
    if (authority === undefined) return [];
    const nowMs = Date.now() + aheadMs;
    const about = {
      severity: 'error',
      cluster: name,
      object: `Secret istio-system/${authority.secret}`,
      explains: touching(name),
    } as const;
    const told = (
      cause: 'root-expired' | 'intermediate-expired',
      what: string,
      { subject, ...dates }: CertificateSight,
    ) => {
      const until = new Date(dates.notAfterMs).toISOString();
      const restart = cause === 'root-expired' ? '; then restart the control plane and everything with a proxy' : '';
      return {
        ...about,
        cause,
        message: `the ${what} of ${name} expired on ${until}`,
        evidence: [`${subject}, SHA-256 ${dates.fingerprint}`, `${name}’s clock: ${new Date(nowMs).toISOString()}`],
        cure: `${RENEW}${restart}`,
      };
    };
    const over = (certificate: CertificateSight) => certificate.notAfterMs <= nowMs;
    const { intermediate, roots } = authority;
    const [root] = roots.every(over) ? roots : [];
    // What was issued by it is of no use either, however long it is valid.
    if (root !== undefined) return [told('root-expired', 'root', root)];
    return intermediate !== undefined && over(intermediate)
      ? [told('intermediate-expired', 'intermediate', intermediate)]
      : [];
  });
}

/** The cluster that agrees with fewest others is the one to be mended; the later one, where nobody knows. */
export function checkRoots(mesh: MeshSight): Suspicion[] {
  const known = mesh.clusters.flatMap((cluster) => {
    const prints = certificatesOf(cluster.authority?.trusted ?? '').map(({ fingerprint }) => fingerprint);
    return prints.length === 0 ? [] : [{ cluster, prints }];
  });
  const agree = (a: Trusting, b: Trusting) => trustEachOther(a.prints, b.prints);
  const friends = (one: Trusting) => known.filter((other) => agree(one, other)).length;
  const most = Math.max(0, ...known.map(friends));
  const usual = known.find((one) => friends(one) === most);
  if (usual === undefined) return [];
  return known
    .filter((one) => !agree(one, usual))
    .map(({ cluster, prints }): Suspicion => {
      const strangers = known.filter((other) => !agree({ cluster, prints }, other)).map((other) => other.cluster.name);
      const waiting = reloadCures(cluster, usual.prints) ? cluster : undefined;
      const message = describeDifferentRoots([cluster.name, prints], [usual.cluster.name, usual.prints]);
      return {
        cause: waiting === undefined ? 'different-roots' : 'ca-not-reloaded',
        severity: 'error',
        cluster: cluster.name,
        object: waiting === undefined ? 'ConfigMap istio-system/istio-ca-root-cert' : 'Secret istio-system/cacerts',
        message:
          waiting === undefined
            ? message
            : `${cluster.name}’s Secret cacerts has the root of the others, and its control plane still uses the one before`,
        evidence: waiting === undefined ? [] : [message],
        cure: waiting === undefined ? ROOTS_CURE : RESTART,
        explains: (pair) => touching(cluster.name)(pair) && touching(...strangers)(pair),
      };
    });
}

interface Trusting {
  readonly cluster: ClusterSight;
  readonly prints: readonly string[];
}

const RESTART =
  'restart the control plane (kubectl -n istio-system rollout restart deployment istiod, or istio-citadel in a cluster that ' +
  'another one’s control plane rules), then everything with a proxy';

function reloadCures({ authority }: ClusterSight, wanted: readonly string[]): boolean {
  return trustEachOther(authority?.roots.map(({ fingerprint }) => fingerprint) ?? [], wanted);
}

/** The Secret is another CA's than the one in use, which will be noticed at the next restart. */
export function checkReloaded({ clusters }: MeshSight): Suspicion[] {
  return clusters.flatMap(({ name, authority, remarks }): Suspicion[] => {
    const remark = remarks.find(({ code }) => code === 'ISM0308');
    if (remark === undefined || authority === undefined) return [];
    const inUse = certificatesOf(authority.trusted).map(({ fingerprint }) => fingerprint);
    const given = authority.roots.map(({ fingerprint }) => fingerprint);
    // Where the others have it already, the roots that differ tell it.
    const others = clusters.filter((other) => other.name !== name);
    const isNewElsewhere = others.some((other) => {
      return trustEachOther(
        given,
        certificatesOf(other.authority?.trusted ?? '').map(({ fingerprint }) => fingerprint),
      );
    });
    if (isNewElsewhere && !trustEachOther(given, inUse)) return [];
    return [
      {
        cause: 'ca-not-reloaded',
        severity: 'warning',
        cluster: name,
        object: 'Secret istio-system/cacerts',
        message: `${name}’s Secret cacerts was replaced by a CA with another root, and the one before is in use: after a restart of its control plane the clusters would not trust one another`,
        evidence: [`in use SHA-256 ${inUse.join(' and ')}`, `in the Secret SHA-256 ${given.join(' and ')}`],
        cure: `give the same root to all clusters, or put the one before back; then ${RESTART}`,
        explains: touching(name),
      },
    ];
  });
}

export function checkClocks(mesh: MeshSight): Suspicion[] {
  const known = mesh.clusters.flatMap(({ name, aheadMs }) => (aheadMs === undefined ? [] : [{ name, aheadMs }]));
  const sorted = known.map(({ aheadMs }) => aheadMs).sort((a, b) => a - b);
  const usual = sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
  const servers = known
    .filter(({ aheadMs }) => Math.abs(aheadMs - usual) >= SKEW_MS)
    .map(({ name, aheadMs }) => skewed(name, 'its API server’s clock', aheadMs - usual, [], touching(name)));
  const pods = new Map(
    mesh.pairs.flatMap(({ from, podAheadMs }) => (podAheadMs === undefined ? [] : [[from, podAheadMs] as const])),
  );
  const nodes = [...pods]
    .map(([name, aheadMs]) => ({ name, byMs: aheadMs - (clusterNamed(mesh, name)?.aheadMs ?? aheadMs) }))
    .filter(({ byMs }) => Math.abs(byMs) >= SKEW_MS)
    .map(({ name, byMs }) => skewed(name, 'the clock of a node', byMs, ['against its API server’s'], touching(name)));
  return [...servers, ...nodes, ...fromTheFuture(mesh)];
}

function skewed(
  cluster: string,
  whose: string,
  byMs: number,
  evidence: readonly string[],
  explains: (pair: PairName) => boolean,
): Suspicion {
  const seconds = Math.round(Math.abs(byMs) / 1000);
  return {
    cause: 'clock-skew',
    severity: 'error',
    cluster,
    object: '',
    message: `${whose} in ${cluster} is ${seconds} s ${byMs > 0 ? 'ahead' : 'behind'}: certificates are not valid yet, or no more, by the clocks of the others`,
    evidence,
    cure: `set the clocks of ${cluster}’s nodes (NTP)`,
    explains,
  };
}

/** A certificate that begins later than now was made by a control plane whose clock is ahead. */
function fromTheFuture(mesh: MeshSight): Suspicion[] {
  return failedPairs(mesh).flatMap(({ from, to, door }): Suspicion[] => {
    const [leaf] = leafOf(door?.tls?.kind === 'chain' ? door.tls.chain : []);
    if (leaf === undefined || door === undefined) return [];
    const aheadMs = leaf.validFromDate.getTime() + CLOCK_SKEW_MS - door.podMs;
    if (aheadMs <= CLOCK_SKEW_MS) return [];
    const evidence = [`seen from ${from}: the certificate shown begins on ${leaf.validFromDate.toISOString()}`];
    return [skewed(to, 'the clock of the control plane', aheadMs, evidence, touching(to))];
  });
}

export function leafOf(chain: readonly string[]): X509Certificate[] {
  try {
    return chain.slice(0, 1).map((pem) => new X509Certificate(pem));
  } catch {
    return [];
  }
}

/** What the far proxy shows is its own, and the caller's roots do not prove it, or no more. */
export function checkShown(mesh: MeshSight): Suspicion[] {
  return failedPairs(mesh).flatMap(({ from, to, door }): Suspicion[] => {
    const chain = door?.tls?.kind === 'chain' ? door.tls.chain : [];
    const [leaf] = leafOf(chain);
    if (door === undefined || leaf === undefined || !/URI:spiffe:/.test(leaf.subjectAltName ?? '')) return [];
    const shown = [`shown to ${from} at ${door.door.address}:${door.door.port}: ${describe(leaf)}`];
    if (leaf.validToDate.getTime() <= door.podMs) {
      return [
        {
          cause: 'workload-certificate-expired',
          severity: 'error',
          cluster: to,
          object: '',
          message: `a proxy of ${to} shows a certificate that expired on ${leaf.validToDate.toISOString()}: nobody has renewed it`,
          evidence: shown,
          cure: `see why the CA of ${to} issues nothing (kubectl --context ${to} -n istio-system logs deploy/istiod, or istio-citadel)`,
          explains: into(to),
        },
      ];
    }
    const roots = clusterNamed(mesh, from)?.authority?.trusted ?? '';
    if (roots === '' || leadsTo(chain, roots)) return [];
    return [
      {
        cause: 'wrong-certificate',
        severity: 'error',
        cluster: to,
        object: '',
        message: `a proxy of ${to} shows a certificate that the roots of ${from} do not prove`,
        evidence: [
          ...shown,
          ...certificatesOf(roots).map(
            ({ subject, fingerprint }) => `${from} trusts ${subject}, SHA-256 ${fingerprint}`,
          ),
        ],
        cure: ROOTS_CURE,
        explains: exactly({ from, to }),
      },
    ];
  });
}

function describe({ subjectAltName, issuer, validFromDate, validToDate }: X509Certificate): string {
  const dates = `${validFromDate.toISOString()} to ${validToDate.toISOString()}`;
  return `${subjectAltName}, issued by ${issuer.replaceAll('\n', ', ')}, ${dates}`;
}

/** Each certificate issued by the next, and the last by one of the roots, or one of them itself. */
function leadsTo(chain: readonly string[], rootsPem: string): boolean {
  const roots = rootsPem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  const known = [...chain.slice(1), ...roots].map((pem) => new X509Certificate(pem));
  const anchors = new Set(roots.map((pem) => new X509Certificate(pem).fingerprint256));
  let [at] = leafOf(chain);
  for (let steps = 0; at !== undefined && steps <= chain.length; steps += 1) {
    const current: X509Certificate = at;
    if (anchors.has(current.fingerprint256)) return true;
    at = known.find((each) => current.checkIssued(each) && current.verify(each.publicKey));
  }
  return false;
}
