// SPDX-License-Identifier: Apache-2.0
// Can each cluster be read by those who have to read it.
import { REMOTE_SECRET_LABEL } from '../../../../kube/remote-kubeconfig.ts';
import type { ClusterSight, MeshSight, TokenSight } from '../evidence.ts';
import { nobody, type PairName, type Suspicion, touching } from '../finding.ts';

export function checkTokens(mesh: MeshSight): Suspicion[] {
  return mesh.clusters.flatMap((cluster) =>
    cluster.tokens.flatMap((token): Suspicion[] => {
      const fault = faultOf(token, cluster);
      if (fault === undefined) return [];
      const object = `Secret istio-system/${token.secret}`;
      const reported = reportOf(token, cluster);
      return [
        {
          severity: 'error',
          cluster: cluster.name,
          object,
          ...fault,
          evidence: [
            ...fault.evidence,
            ...(reported === undefined ? [] : [`${cluster.name}’s control plane says: ${reported}`]),
          ],
          explains: needing(token, cluster, mesh),
        },
      ];
    }),
  );
}

/** A remote secret is needed by all that happens in the cluster which it opens; a peer's, by the way there. */
function needing({ kind, target = '' }: TokenSight, { name }: ClusterSight, { clusters }: MeshSight) {
  if (kind === 'remote') return touching(target);
  const readers = new Set(
    clusters.filter((each) => each.name === name || each.plane === name).map((each) => each.name),
  );
  return ({ from, to }: PairName): boolean => to === target && readers.has(from);
}

type Fault = Pick<Suspicion, 'cause' | 'message' | 'evidence' | 'cure'>;

function faultOf(token: TokenSight, cluster: ClusterSight): Fault | undefined {
  const { kind, key, target = key, verdict, server, askedAt = server } = token;
  const account = kind === 'remote' ? 'istio-multi' : 'isthmus-peer';
  const remake = `isthmus mesh up makes it anew; by hand, put the kubeconfig of ServiceAccount ${account} of ${target} there again`;
  if (verdict.kind === 'unusable') {
    return {
      cause: 'secret-unusable',
      message: `the kubeconfig by which ${cluster.name} reads ${target} cannot be used`,
      evidence: [`data["${key}"]: ${verdict.message}`],
      cure: remake,
    };
  }
  if (verdict.kind === 'unauthorized') {
    return {
      cause: 'bad-token',
      message: `the token by which ${cluster.name} reads ${target} is refused: it has expired, was revoked, or is another cluster’s`,
      evidence: [`asked at ${askedAt}: ${verdict.message}`],
      cure: remake,
    };
  }
  if (verdict.kind === 'forbidden') {
    return {
      cause: 'powerless-token',
      message: `the token by which ${cluster.name} reads ${target} may not list ${verdict.lacking.join(', ')}`,
      evidence: [`asked at ${askedAt}: ${verdict.message}`],
      cure: `bind ServiceAccount ${account} of ${target} to its ClusterRole again: isthmus mesh up does, or isthmus install --context ${target}`,
    };
  }
  if (verdict.kind === 'elsewhere') {
    return {
      cause: 'wrong-server-address',
      message: `the kubeconfig by which ${cluster.name} reads ${target} is for another API server, or an older one`,
      evidence: [verdict.message, `it has ${server}; this machine reaches ${target} at ${askedAt}`],
      cure: remake,
    };
  }
  // From here it works; what the control plane meets on its own way there, only it knows. What it says of a token at the
  // address where it has just been taken is of before.
  const reported = verdict.kind === 'good' ? reportOf(token, cluster) : undefined;
  const isOfToken = /\b(401|403|unauthorized|forbidden)\b/i.test(reported ?? '');
  if (reported === undefined || (isOfToken && server === askedAt)) return undefined;
  return {
    cause: 'wrong-server-address',
    message: `${cluster.name}’s control plane does not reach the API server of ${target} at ${server}`,
    evidence: [`from this machine the same token is taken at ${askedAt}`],
    cure: `give the Secret the address by which pods of ${cluster.name} reach ${target}’s API server, or open the way there`,
  };
}

/** What its control plane tells of the Secret now. */
function reportOf({ secret, key }: TokenSight, { remarks }: ClusterSight): string | undefined {
  const found = remarks.find(({ code, object, message }) => {
    return code === 'ISM0310' && object.kind === 'Secret' && object.name === secret && message.includes(key);
  });
  return found?.message;
}

/** Its proxies are refused until somebody watches it. */
export function checkWatched({ clusters }: MeshSight): Suspicion[] {
  return clusters
    .filter((cluster) => cluster.role === 'remote' && !isWatched(cluster, clusters))
    .map(({ name, meshName = name, plane }): Suspicion => {
      const who = plane ?? 'the cluster that has its control plane';
      return {
        cause: 'cluster-not-watched',
        severity: 'error',
        cluster: plane ?? name,
        object: 'Secret istio-system (label istio/multiCluster)',
        message: `${name} has no control plane of its own, and that of ${who} does not watch it: its proxies are refused`,
        evidence: [
          `no Secret labelled ${REMOTE_SECRET_LABEL} in istio-system of ${who} holds a kubeconfig of ${name} under the key ${meshName}`,
        ],
        cure: `isthmus mesh up makes it; by hand, a Secret there with the key ${meshName} and the kubeconfig of ServiceAccount istio-multi of ${name}`,
        explains: touching(name),
      };
    });
}

function isWatched({ name, plane }: ClusterSight, clusters: readonly ClusterSight[]): boolean {
  const planes = clusters.filter(
    (cluster) => cluster.role === 'primary' && (plane === undefined || cluster.name === plane),
  );
  // What cannot be read is not known to be missing.
  if (planes.some(({ unreachable }) => unreachable !== undefined)) return true;
  return planes.some(({ tokens, remarks }) => {
    const isBroken = remarks.some(({ code }) => code === 'ISM0309' || code === 'ISM0311');
    return isBroken || tokens.some(({ kind, target }) => kind === 'remote' && target === name);
  });
}

/** Peers are known, and what they export does not come. */
export function checkImports({ clusters }: MeshSight): Suspicion[] {
  return clusters.flatMap(({ name, late, strangers }) => [
    ...strangers.map(
      (stranger): Suspicion => ({
        cause: 'peer-not-read',
        severity: 'error',
        cluster: name,
        object: 'Secret istio-system (label isthmus.io/peer)',
        message: `${name} does not read what ${stranger} exports: it has no kubeconfig of it`,
        evidence: [`no Secret of ${name} labelled isthmus.io/peer=true has a key for ${stranger}`],
        cure: 'isthmus mesh up makes it',
        explains: nobody,
      }),
    ),
    ...late.map(
      ({ target, reported }): Suspicion => ({
        cause: 'exports-not-arriving',
        severity: 'error',
        cluster: name,
        object: '',
        message: `a service that ${target} exports is not known in ${name}; what follows was tried with a ServiceEntry made by hand`,
        evidence: [`${name}’s control plane says: ${reported}`],
        cure: `kubectl --context ${target} get exportedservices -A shows what ${target} exports; /debug/federation of istiod in ${name}, what it reads`,
        // Whatever keeps the two apart keeps exports away, too.
        explains: (pair) => touching(name)(pair) && touching(target)(pair),
      }),
    ),
  ]);
}
