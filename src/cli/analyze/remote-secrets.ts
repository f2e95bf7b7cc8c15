// SPDX-License-Identifier: Apache-2.0
// The Secrets by which one control plane watches other clusters: is each a kubeconfig that it can use, does each cluster
// have a name of its own, and which of the analyzed clusters is it.
import type { ObjectRef } from '../../api/diagnostics.ts';
import { refOf } from '../../api/kind.ts';
import { diagnose } from '../../api/report.ts';
import type { ClientConfig } from '../../kube/config.ts';
import { parseRemoteKubeconfig } from '../../kube/remote-kubeconfig.ts';
import type { KubeObject } from '../../kube/types.ts';
import { readClaims } from '../../runtime/registries/claims.ts';
import type { Remark } from './judge.ts';

/** A cluster that the control plane watches, or would if its Secret were right. */
export interface RemoteRegistry {
  /** The key of the Secret's data, which is the cluster's name in the mesh. */
  readonly name: string;
  readonly secret: ObjectRef;
  /** undefined: the Secret cannot be used. */
  readonly config: ClientConfig | undefined;
}

/** @param own the cluster's own name in the mesh, if it is known */
export function inspectRemoteSecrets(
  secrets: readonly KubeObject[],
  own: string | undefined,
): { registries: readonly RemoteRegistry[]; remarks: readonly Remark[] } {
  const remarks: Remark[] = [];
  const refs = new Map(secrets.map((secret) => [secret.metadata.name ?? '', refOf(secret)]));
  // No key is empty: a cluster whose name is not known takes no name from others.
  const { claims, refused } = readClaims(secrets, own ?? '');
  const registries = [...claims.values()].map(({ cluster, secret, config }): RemoteRegistry => {
    return { name: cluster, secret: refs.get(secret)!, config };
  });
  const owners = new Map(registries.map((registry) => [registry.name, registry]));
  for (const secret of secrets.toSorted(byAge)) {
    const ref = refOf(secret);
    const data = Object.entries((secret['data'] ?? {}) as Record<string, string>);
    if (data.length === 0) {
      const cure = 'create it with --from-file=KUBECONFIG: the file’s name becomes the cluster’s';
      remarks.push(diagnose(ref, 'ISM0309', 'data', 'it is labelled as a remote cluster’s, and holds nothing', cure));
    }
    for (const [name, encoded] of data.toSorted()) {
      const isTaken = refused.some((r) => r.trouble === 'ClusterName' && r.secret === ref.name && r.key === name);
      if (isTaken) remarks.push(sameName(ref, name, owners.get(name)));
      const parsed = parseRemoteKubeconfig(Buffer.from(encoded, 'base64').toString('utf8'));
      if ('faults' in parsed) remarks.push(...faultsOf(ref, name, parsed.faults));
      else remarks.push(...loopbackOf(ref, name, parsed.config));
    }
  }
  return { registries, remarks: [...remarks, ...sameCluster(registries)] };
}

function faultsOf(
  ref: ObjectRef,
  name: string,
  faults: readonly { field: string; message: string; cure: string; line?: number }[],
): Remark[] {
  return faults.map(({ field, message, cure, line }) => {
    const where = `data["${name}"]${field === '' ? '' : `: ${field}`}`;
    return diagnose(ref, 'ISM0309', where, line === undefined ? message : `${message} (line ${line})`, cure);
  });
}

/** As a laptop's own kubeconfig has them. */
function loopbackOf(ref: ObjectRef, name: string, { server, proxyUrl }: ClientConfig): Remark[] {
  return Object.entries({ server, 'proxy-url': proxyUrl }).flatMap(([field, url]): Remark[] => {
    if (url === undefined || !/^(localhost|127\..*|\[::1\]|0\.0\.0\.0)$/.test(new URL(url).hostname)) return [];
    const message = `${field} is ${url}, which in the control plane’s pod is the pod itself`;
    const cure = 'give an address by which pods of this cluster reach the other cluster’s API server';
    return [
      diagnose(ref, 'ISM0309', `data["${name}"]: clusters.cluster.${field}`, message, cure, { severity: 'warning' }),
    ];
  });
}

function sameName(ref: ObjectRef, name: string, twin: RemoteRegistry | undefined): Remark {
  const other = twin === undefined ? 'the control plane’s own cluster' : `Secret ${twin.secret.name}`;
  const message = `the name ${name} belongs to ${other} already, so this one is not watched`;
  return diagnose(ref, 'ISM0311', `data["${name}"]`, message, 'give each cluster a key of its own');
}

/** One cluster under two names would have each of its endpoints twice. */
function sameCluster(registries: readonly RemoteRegistry[]): Remark[] {
  return registries.flatMap(({ name, secret, config }, i) => {
    const twin = registries.slice(0, i).find((other) => config !== undefined && other.config?.server === config.server);
    if (twin === undefined) return [];
    const message = `${name} is ${config!.server}, as ${twin.name} of Secret ${twin.secret.name}: one cluster twice`;
    return [diagnose(secret, 'ISM0311', `data["${name}"]`, message, 'remove one of the two')];
  });
}

/** The analyzed cluster behind a registry: by its address, else by the CA of its API server where that is one's only. */
export function matchRegistry<T extends { readonly server: string; readonly caPem: string | undefined }>(
  { config }: RemoteRegistry,
  clusters: readonly T[],
): T | undefined {
  if (config === undefined) return undefined;
  const byAddress = clusters.filter(({ server }) => server === config.server);
  const byCa = clusters.filter(({ caPem }) => caPem !== undefined && caPem.trim() === config.caPem?.trim());
  if (byAddress.length === 1) return byAddress[0];
  return byCa.length === 1 ? byCa[0] : undefined;
}

function byAge(a: KubeObject, b: KubeObject): number {
  const key = ({ metadata: { creationTimestamp = '', name = '' } }: KubeObject) => `${creationTimestamp} ${name}`;
  return key(a) < key(b) ? -1 : 1;
}
