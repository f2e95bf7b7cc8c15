// SPDX-License-Identifier: Apache-2.0
// Are the clusters' workloads of one trust domain. With one root they believe one another all the same, but rules that name
// identities, and callers that know whom to expect, mean somebody else.
import type { MeshSight } from '../evidence.ts';
import { nobody, type Suspicion } from '../finding.ts';
import { readReply } from '../probe/ask.ts';
import { callerOf } from '../verdict.ts';

export function checkTrustDomains({ clusters, pairs }: MeshSight): Suspicion[] {
  const identities = new Map<string, string>();
  for (const { from, answer } of pairs) {
    const reply = answer && readReply(answer.outcome);
    const identity = reply && callerOf(reply.clientCertificate);
    if (identity !== undefined) identities.set(from, identity);
  }
  const known = clusters.flatMap(({ name }) => {
    const identity = identities.get(name);
    return identity === undefined ? [] : [{ name, identity, domain: new URL(identity).host }];
  });
  const [usual] = [...Map.groupBy(known, ({ domain }) => domain)].sort(([, a], [, b]) => b.length - a.length)[0] ?? [];
  return known
    .filter(({ domain }) => domain !== usual)
    .map(({ name, identity, domain }) => ({
      cause: 'trust-domain-differs',
      severity: 'warning',
      cluster: name,
      object: '',
      message: `workloads of ${name} are of the trust domain ${domain}, those of the other clusters of ${usual}: rules and callers that name identities take them for strangers`,
      evidence: [`a probe of ${name} was seen as ${identity}`],
      cure: `isthmus mesh up (spec.trustDomain of mesh.yaml is that of all clusters), or isthmus install --context ${name} --set global.trustDomain=${usual}; then restart everything with a proxy there`,
      explains: nobody,
    }));
}
