// SPDX-License-Identifier: Apache-2.0
// The user's kubeconfig: one context per cluster, as administrator, through the sandbox's proxy on this machine.
import { readFileSync } from 'node:fs';
import { parse, stringify } from 'yaml';
import type { ClusterLayout } from '../layout.ts';

interface KubeconfigFile {
  clusters: { name: string; cluster: Record<string, unknown> }[];
  users: { name: string; user: Record<string, unknown> }[];
}

/**
 * `server` is the address that pods of every cluster can dial and that the certificate names; `proxy-url` is how kubectl
 * on the host reaches that same address.
 */
export function renderKubeconfig(
  clusters: readonly Pick<ClusterLayout, 'name' | 'pki'>[],
  apiProxyPort: number,
): string {
  const entries = clusters.map(({ name, pki }) => {
    const admin = parse(readFileSync(pki.kubeconfig.admin, 'utf8')) as KubeconfigFile;
    const cluster = { ...admin.clusters[0]!.cluster, 'proxy-url': `http://127.0.0.1:${apiProxyPort}` };
    return { name, cluster, user: admin.users[0]!.user, userName: `admin@${name}` };
  });
  return stringify(
    {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: entries.map(({ name, cluster }) => ({ name, cluster })),
      users: entries.map(({ userName, user }) => ({ name: userName, user })),
      contexts: entries.map(({ name, userName }) => ({
        name,
        context: { cluster: name, user: userName, namespace: 'default' },
      })),
      'current-context': entries[0]?.name ?? '',
    },
    { lineWidth: 0 },
  );
}
