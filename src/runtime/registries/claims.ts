// SPDX-License-Identifier: Apache-2.0
// Which clusters the secrets ask to be watched: each data key of a labelled secret is one, and the key is its name in the
// mesh. Pure.
import type { ClientConfig } from '../../kube/config.ts';
import { type KubeconfigFault, parseRemoteKubeconfig, REMOTE_SECRET_LABEL } from '../../kube/remote-kubeconfig.ts';
import type { KubeObject } from '../../kube/types.ts';

/** A key of a secret that names a cluster. */
export interface Claim {
  readonly cluster: string;
  readonly secret: string;
  readonly secretUid: string;
  /** Earlier claims come first; of two to one name or one cluster the earlier one counts. */
  readonly order: string;
  /** undefined: the kubeconfig is refused; what was in force under the name stays. */
  readonly config: ClientConfig | undefined;
  /** Of the kubeconfig's text. */
  readonly text: string;
}

/** What is wrong with a key of a secret. */
export interface RefusedKey {
  readonly trouble: 'RemoteSecret' | 'ClusterName';
  readonly secret: string;
  readonly secretUid: string;
  readonly key: string;
  readonly message: string;
  readonly cure: string;
}

export interface Claims {
  /** By the cluster's name. */
  readonly claims: ReadonlyMap<string, Claim>;
  readonly refused: readonly RefusedKey[];
}

/** `local`: the name of the control plane's own cluster, which no key may take. `label`: by which the secrets were found. */
export function readClaims(secrets: Iterable<KubeObject>, local: string, label: string = REMOTE_SECRET_LABEL): Claims {
  const byAge = [...secrets].sort((a, b) => (orderOf(a) < orderOf(b) ? -1 : 1));
  const claims = new Map<string, Claim>();
  const refused: RefusedKey[] = [];
  for (const secret of byAge) {
    const { name = '', uid = '' } = secret.metadata;
    const about = { secret: name, secretUid: uid };
    const data = Object.entries((secret['data'] ?? {}) as Record<string, string>);
    if (data.length === 0) {
      const message = `secret ${name} is labelled ${label} and holds no kubeconfig`;
      const cure = 'give it one key for each cluster: the key is the cluster’s name, the value its kubeconfig';
      refused.push({ trouble: 'RemoteSecret', ...about, key: '', message, cure });
    }
    for (const [key, encoded] of data.sort(([a], [b]) => (a < b ? -1 : 1))) {
      const text = Buffer.from(encoded, 'base64').toString('utf8');
      const parsed = parseRemoteKubeconfig(text);
      if ('faults' in parsed) refused.push(...parsed.faults.map((fault) => refusedKubeconfig(about, key, fault)));
      const config = 'config' in parsed ? parsed.config : undefined;
      const taken = key === local ? 'of the control plane’s own cluster' : nameOfClaim(claims.get(key));
      if (key === local || (taken !== undefined && !(claims.get(key)?.config === undefined && config !== undefined))) {
        const message = `secret ${name}, key ${key}: two clusters with one name: ${key} is the name ${taken}`;
        const cure =
          'give it another key: the key is the cluster’s name in the mesh (and fromRegistry in meshNetworks)';
        refused.push({ trouble: 'ClusterName', ...about, key, message, cure });
        continue;
      }
      claims.set(key, { cluster: key, ...about, order: `${orderOf(secret)} ${key}`, config, text });
    }
  }
  return { claims, refused };
}

function refusedKubeconfig(
  about: { secret: string; secretUid: string },
  key: string,
  { field, message, cure, line }: KubeconfigFault,
): RefusedKey {
  const where = `${field === '' ? '' : ` ${field}`}${line === undefined ? '' : ` (line ${line})`}`;
  const said = `secret ${about.secret}, key ${key}: the kubeconfig is not used:${where} ${message}`;
  return { trouble: 'RemoteSecret', ...about, key, message: said, cure };
}

function nameOfClaim(claim: Claim | undefined): string | undefined {
  return claim && `in secret ${claim.secret} already, which is older`;
}

function orderOf({ metadata }: KubeObject): string {
  return `${metadata.creationTimestamp ?? ''} ${metadata.name ?? ''}`;
}
