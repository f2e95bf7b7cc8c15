// SPDX-License-Identifier: Apache-2.0
// Is the mesh there and at work in each cluster: what the installation tells of itself, read as causes.
import { type DiagnosticCode, refName } from '../../../../api/diagnostics.ts';
import type { Remark } from '../../../analyze/judge.ts';
import { type ClusterSight, cureIn, type MeshSight } from '../evidence.ts';
import { type Cause, nobody, type PairName, type Suspicion, touching } from '../finding.ts';
import { checkExpiry } from './trust.ts';

/** Of what `analyze` remarks: which cause it is. What is not here is told as it is. */
const CAUSE_OF: Partial<Record<DiagnosticCode, Cause>> = {
  ISM0302: 'control-plane-down',
  ISM0303: 'ends-soon',
  ISM0304: 'ca-unusable',
  ISM0305: 'clock-skew',
  ISM0309: 'secret-unusable',
  ISM0311: 'secret-unusable',
  ISM0315: 'wrong-gateway-address',
};
/** Found out here by other means, with more to show for it. */
const ELSEWHERE: ReadonlySet<string> = new Set(['ISM0301', 'ISM0308', 'ISM0310', 'ISM0312', 'ISM0313', 'ISM0314']);
const WARNINGS: ReadonlySet<Cause> = new Set(['ends-soon', 'told-by-the-mesh']);

export function checkReach({ clusters }: MeshSight): Suspicion[] {
  return clusters.flatMap((cluster): Suspicion[] => {
    const { name, unreachable } = cluster;
    if (unreachable !== undefined) {
      return [
        {
          cause: 'cluster-unreachable',
          severity: 'error',
          cluster: name,
          object: '',
          message: `the API server of ${name} cannot be asked from this machine, so nothing of it is known`,
          evidence: [unreachable],
          cure: `see that \`kubectl --context ${name} version\` works, then verify again`,
          explains: touching(name),
        },
      ];
    }
    if (cluster.role !== 'none') return [];
    return [
      {
        cause: 'mesh-not-installed',
        severity: 'error',
        cluster: name,
        object: 'Deployment istio-system/istiod',
        message: `${name} has neither a control plane nor the parts of a cluster that another one’s rules`,
        evidence: ['no Deployment istiod, istio-citadel or istio-sidecar-injector in istio-system'],
        cure: `isthmus mesh up, or isthmus install --context ${name}`,
        explains: touching(name),
      },
    ];
  });
}

export function checkRemarks(mesh: MeshSight): Suspicion[] {
  // That is told with the certificate and the clock.
  const expired = new Set(checkExpiry(mesh).map(({ cluster }) => cluster));
  return mesh.clusters.flatMap((cluster) =>
    cluster.remarks
      .filter(({ code }) => !ELSEWHERE.has(code) && !(code === 'ISM0304' && expired.has(cluster.name)))
      .map((remark) => suspect(cluster, remark, mesh)),
  );
}

function suspect(cluster: ClusterSight, remark: Remark, mesh: MeshSight): Suspicion {
  const cause = CAUSE_OF[remark.code] ?? 'told-by-the-mesh';
  return {
    cause,
    severity: WARNINGS.has(cause) ? 'warning' : 'error',
    cluster: cluster.name,
    object: refName(remark.object),
    message: remark.message,
    evidence: [],
    cure: cureIn(cluster.name, remark),
    explains: WARNINGS.has(cause) ? nobody : ruledBy(cluster.name, mesh),
  };
}

/** Pairs that a cluster's control plane has a hand in. */
function ruledBy(name: string, { clusters }: MeshSight): (pair: PairName) => boolean {
  return touching(name, ...clusters.filter(({ plane }) => plane === name).map((ruled) => ruled.name));
}

/** The control plane's webhook, or somebody's policy, refuses what the probes are named by. */
export function checkEntries(mesh: MeshSight): Suspicion[] {
  return mesh.clusters.flatMap(({ name, entryRefused }): Suspicion[] => {
    if (entryRefused === undefined) return [];
    return [
      {
        cause: 'probe-refused',
        severity: 'error',
        cluster: name,
        object: 'ServiceEntry',
        message: `${name} takes no ServiceEntry, so nothing in it can be given a name of another cluster`,
        evidence: [entryRefused],
        cure: `kubectl --context ${name} get crd serviceentries.networking.istio.io, validatingwebhookconfiguration istio-validator, and who is behind Service istiod, tell why`,
        explains: ({ from, to }) => ruledBy(name, mesh)({ from, to: from }) && !ruledBy(name, mesh)({ from: to, to }),
      },
    ];
  });
}

export function checkVersions({ clusters }: MeshSight): Suspicion[] {
  const seen = clusters.flatMap(({ name, parts }) => parts.map((part) => ({ cluster: name, ...part })));
  const counts = new Map<string, number>();
  for (const { version } of seen) counts.set(version, (counts.get(version) ?? 0) + 1);
  if (counts.size < 2) return [];
  const [[usual] = ['']] = [...counts].sort(([, a], [, b]) => b - a);
  const odd = seen.filter(({ version }) => version !== usual);
  return [...Map.groupBy(odd, ({ cluster }) => cluster)].map(([cluster, parts]) => ({
    cause: 'version-skew',
    severity: 'warning',
    cluster,
    object: `Deployment istio-system/${parts[0]?.name}`,
    message: `${parts.map(({ name, version }) => `${name} is ${version}`).join(', ')}; the other parts of the mesh are ${usual}`,
    evidence: [...counts].map(([version, count]) => `${version}: ${count} ${count === 1 ? 'part' : 'parts'}`),
    cure: `bring ${cluster} to the version of the others (isthmus mesh up, or isthmus install --context ${cluster})`,
    explains: nobody,
  }));
}

export function checkProbes(mesh: MeshSight): Suspicion[] {
  return mesh.clusters.flatMap((cluster): Suspicion[] => {
    const { name, probe, role, unreachable } = cluster;
    if (unreachable !== undefined || role === 'none') return [];
    const about = { severity: 'error', cluster: name, explains: touching(name) } as const;
    const object = 'MutatingWebhookConfiguration istio-sidecar-injector';
    if (probe.refused !== undefined) {
      const isWebhook = /webhook/i.test(probe.refused);
      return [
        {
          ...about,
          cause: isWebhook ? 'injection-off' : 'probe-refused',
          object: isWebhook ? object : '',
          message: isWebhook
            ? `no pod with a sidecar can be made in ${name}: the injector does not answer the API server`
            : `${name} does not let a probe be made`,
          evidence: [probe.refused],
          cure: isWebhook
            ? `kubectl --context ${name} -n istio-system get pods,endpoints shows whether anybody is behind Service istio-sidecar-injector`
            : 'who verifies needs the right to make namespaces, pods, services and ServiceEntries; policies and quotas may refuse them too',
        },
      ];
    }
    if (!probe.injected) {
      const why = {
        missing: `there is no ${object}`,
        'no-ca': `${object} has no caBundle, so the API server cannot call it`,
        there: `${object} is there, and leaves a pod of a namespace with istio-injection=enabled alone`,
      }[cluster.injector];
      return [
        {
          ...about,
          cause: 'injection-off',
          object,
          message: `pods of ${name} get no sidecar`,
          evidence: [why],
          cure: `isthmus install --context ${name} (or mesh up) writes it anew; then restart the pods that lack a sidecar`,
        },
      ];
    }
    if (probe.ready) return [];
    return [
      {
        ...about,
        cause: 'probe-not-ready',
        object: 'Pod probe',
        message: `a new pod of ${name} does not become ready`,
        evidence: [probe.state, ...probe.proxyErrors],
        cure: `the log of its istio-proxy says what it waits for; kubectl --context ${name} -n istio-system logs of ${cluster.plane === name ? 'istiod' : 'istio-citadel, and istiod of its control plane’s cluster,'} says whom it refused`,
      },
    ];
  });
}
