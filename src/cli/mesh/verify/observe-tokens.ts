// SPDX-License-Identifier: Apache-2.0
// Does each kubeconfig by which one cluster reads another still open what it is for? Asked with its own token, at the address
// by which this machine reaches that cluster, for the one in the Secret may be for pods only.
import { type KubeClient as Client, KubeClient, KubeError } from '../../../kube/client.ts';
import { type ClientConfig, loadKubeconfig } from '../../../kube/config.ts';
import { parseRemoteKubeconfig, REMOTE_SECRET_LABEL } from '../../../kube/remote-kubeconfig.ts';
import { SECRETS } from '../../../kube/resources.ts';
import type { KubeObject } from '../../../kube/types.ts';
import { ISTIO_NAMESPACE } from '../../../runtime/mesh-resources.ts';
import type { TokenSight } from './evidence.ts';
import { clusterBehind, type PlacedCluster } from './topology.ts';

const PEER_SECRET_LABEL = 'isthmus.io/peer=true';
/** What a reader has to be able to list. */
const NEEDED: Readonly<Record<TokenSight['kind'], readonly string[]>> = {
  remote: ['/api/v1/services', '/api/v1/pods', '/apis/discovery.k8s.io/v1/endpointslices'],
  peer: [
    '/apis/isthmus.io/v1alpha1/exportedservices',
    '/apis/networking.istio.io/v1/virtualservices',
    '/apis/networking.istio.io/v1/destinationrules',
  ],
};

/** @param clusters whose kubeconfigs are looked for among this cluster's Secrets */
export async function observeTokens(
  client: Client,
  clusters: readonly PlacedCluster[],
  kubeconfig: string | undefined,
): Promise<TokenSight[]> {
  const kinds = [
    ['remote', REMOTE_SECRET_LABEL],
    ['peer', PEER_SECRET_LABEL],
  ] as const;
  const found = await Promise.all(
    kinds.map(async ([kind, labelSelector]) => {
      const secrets = await secretsWith(client, labelSelector);
      return secrets.flatMap((secret) => keysOf(secret).map(([key, text]) => ({ kind, secret, key, text })));
    }),
  );
  const sights = await Promise.all(
    found.flat().map(async ({ kind, secret, key, text }): Promise<TokenSight[]> => {
      const parsed = parseRemoteKubeconfig(text);
      if ('faults' in parsed) {
        // Of a remote one `analyze` tells that, with its line.
        const [fault] = parsed.faults;
        if (kind === 'remote' || fault === undefined) return [];
        const target = clusterBehind({ name: key, config: undefined }, clusters)?.name;
        const message = `${fault.field === '' ? '' : `${fault.field}: `}${fault.message}`;
        return [
          { kind, secret: secret.metadata.name ?? '', key, target, server: '', verdict: { kind: 'unusable', message } },
        ];
      }
      const target = clusterBehind({ name: key, config: parsed.config }, clusters);
      const about = {
        kind,
        secret: secret.metadata.name ?? '',
        key,
        target: target?.name,
        server: parsed.config.server,
      };
      if (target === undefined) return [];
      const config = loadKubeconfig(kubeconfig, target.name);
      return [{ ...about, askedAt: target.server, verdict: await tryToken(kind, parsed.config, config) }];
    }),
  );
  return sights.flat();
}

async function secretsWith(client: Client, labelSelector: string): Promise<KubeObject[]> {
  try {
    return (await client.list(SECRETS, { namespace: ISTIO_NAMESPACE, labelSelector })).items;
  } catch (error) {
    if (error instanceof KubeError && error.code === 403) return [];
    throw error;
  }
}

function keysOf(secret: KubeObject): [key: string, text: string][] {
  const data = (secret['data'] ?? {}) as Record<string, string>;
  return Object.entries(data).map(([key, encoded]) => [key, Buffer.from(encoded, 'base64').toString('utf8')]);
}

async function tryToken(
  kind: TokenSight['kind'],
  { caPem, ...own }: ClientConfig,
  way: ClientConfig,
): Promise<TokenSight['verdict']> {
  // Of another cluster's CA its own API server's certificate is none.
  if (caPem !== undefined && way.caPem !== undefined && caPem.trim() !== way.caPem.trim()) {
    return { kind: 'elsewhere', message: 'its certificate-authority-data is not that of the cluster’s API server' };
  }
  const { token, clientCertPem, clientKeyPem } = own;
  const client = new KubeClient({
    server: way.server,
    ...(way.caPem !== undefined && { caPem: way.caPem }),
    ...(way.proxyUrl !== undefined && { proxyUrl: way.proxyUrl }),
    ...(way.tlsServerName !== undefined && { tlsServerName: way.tlsServerName }),
    ...(way.insecureSkipTlsVerify !== undefined && { insecureSkipTlsVerify: way.insecureSkipTlsVerify }),
    ...(token !== undefined && { token }),
    ...(clientCertPem !== undefined && { clientCertPem }),
    ...(clientKeyPem !== undefined && { clientKeyPem }),
  });
  try {
    const refused: { path: string; message: string }[] = [];
    for (const path of NEEDED[kind]) {
      try {
        await client.request('GET', `${path}?limit=1`);
      } catch (error) {
        if (!(error instanceof KubeError)) throw error;
        if (error.code === 401) return { kind: 'unauthorized', message: error.message };
        if (error.code === 403) refused.push({ path, message: error.message });
      }
    }
    const [first] = refused;
    if (first === undefined) return { kind: 'good' };
    const lacking = refused.map(({ path }) => path.slice(path.lastIndexOf('/') + 1));
    return { kind: 'forbidden', message: first.message, lacking };
  } catch (error) {
    return { kind: 'unreachable', message: (error as Error).message };
  } finally {
    client.close();
  }
}
