// SPDX-License-Identifier: Apache-2.0
// How one cluster's control plane reads another: a token of an account there that may do little (install/manifests: access
// and remote-pilot), in a kubeconfig, in a Secret here.
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { PEER_ACCOUNT, PEER_LABEL } from '../../api/export-names.ts';
import { READER_TOKEN } from '../../install/manifests/remote-pilot.ts';
import { ISTIO_NAMESPACE } from '../../install/values/values.ts';
import { REMOTE_SECRET_LABEL } from '../../kube/remote-kubeconfig.ts';
import { SECRETS } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';
import { UserError } from '../user-error.ts';
import type { Member } from './members.ts';
import { markMade } from './record.ts';
import { isLoopback } from './server-address.ts';

/** One token for each reader, so that one is taken back without the others. */
export function peerTokenName(reader: string): string {
  return `${PEER_ACCOUNT}-token-${reader}`;
}

/** In the cluster that is read. Kubernetes fills it in. */
export function buildPeerToken(mesh: string, reader: string): KubeObject {
  const metadata = markMade({ name: peerTokenName(reader), namespace: ISTIO_NAMESPACE }, mesh, reader);
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { ...metadata, annotations: { 'kubernetes.io/service-account.name': PEER_ACCOUNT } },
    type: 'kubernetes.io/service-account-token',
  };
}

/** Of the cluster `served`, for the control plane that rules its proxies: install makes it. */
export const SERVED_TOKEN = READER_TOKEN;

/** In the cluster that reads. */
export function buildPeerSecret(mesh: string, peer: string, kubeconfig: string): KubeObject {
  return buildKubeconfigSecret(mesh, peerSecretName(peer), peer, kubeconfig, { [PEER_LABEL]: 'true' });
}

export function buildRemoteSecret(mesh: string, served: string, kubeconfig: string): KubeObject {
  const [label = '', value = ''] = REMOTE_SECRET_LABEL.split('=');
  return buildKubeconfigSecret(mesh, remoteSecretName(served), served, kubeconfig, { [label]: value });
}

function peerSecretName(peer: string): string {
  return `isthmus-peer-${peer}`;
}

function remoteSecretName(served: string): string {
  return `isthmus-remote-${served}`;
}

function buildKubeconfigSecret(
  mesh: string,
  name: string,
  cluster: string,
  kubeconfig: string,
  labels: Record<string, string>,
): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: markMade({ name, namespace: ISTIO_NAMESPACE, labels }, mesh, cluster),
    type: 'Opaque',
    data: { [cluster]: Buffer.from(kubeconfig).toString('base64') },
  };
}

/**
 * A kubeconfig for other clusters, with nothing in it that is of use on this machine only.
 * @param token the Secret of the token, filled in or not
 * @returns undefined while it is not filled in
 * @throws UserError where the API server's address is of no use to others
 */
export function renderKubeconfig(member: Member, token: KubeObject | undefined): string | undefined {
  demandReachable(member);
  const data = (token?.['data'] ?? {}) as { token?: string; 'ca.crt'?: string };
  if (data.token === undefined || data.token === '') return undefined;
  const { name, apiServer, tlsServerName, caPem } = member;
  const ca = data['ca.crt'] ?? (caPem === undefined ? undefined : Buffer.from(caPem).toString('base64'));
  const cluster = {
    ...(ca !== undefined && { 'certificate-authority-data': ca }),
    server: apiServer,
    ...(tlsServerName !== undefined && { 'tls-server-name': tlsServerName }),
  };
  return stringify(
    {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name, cluster }],
      users: [{ name, user: { token: Buffer.from(data.token, 'base64').toString('utf8') } }],
      contexts: [{ name, context: { cluster: name, user: name } }],
      'current-context': name,
    },
    { lineWidth: 0 },
  );
}

/** @throws UserError with the field that is to say another address */
export function demandReachable({ name, apiServer }: Member): void {
  if (!isLoopback(apiServer)) return;
  throw new UserError(
    `cluster ${name}: the kubeconfig has its API server at ${apiServer}, which is this machine: name the address by which the other ` +
      `clusters’ pods reach it, as apiServer of that cluster`,
  );
}

const FILLED_MS = 15_000;

/** Waits until Kubernetes has filled the token in. @throws UserError when it does not */
export async function waitForKubeconfig(member: Member, tokenName: string, signal: AbortSignal): Promise<string> {
  const deadline = performance.now() + FILLED_MS;
  for (;;) {
    const kubeconfig = renderKubeconfig(member, await member.client.get(SECRETS, tokenName, ISTIO_NAMESPACE));
    if (kubeconfig !== undefined) return kubeconfig;
    if (performance.now() > deadline) {
      throw new UserError(
        `Secret ${ISTIO_NAMESPACE}/${tokenName} has no token after ${FILLED_MS / 1000} s: is the cluster’s controller manager running?`,
      );
    }
    await sleep(50, undefined, { signal });
  }
}
