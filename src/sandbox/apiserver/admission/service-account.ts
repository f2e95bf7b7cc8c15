// SPDX-License-Identifier: Apache-2.0
// Gives every pod a service account, and its token where pods expect it:
// https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#serviceaccount-admission-controller
import { setTimeout as delay } from 'node:timers/promises';
import type { KubeObject } from '../../../kube/types.ts';
import { SERVICE_ACCOUNTS } from '../auth/token-service.ts';
import type { AdmissionRequest, ClusterObjects } from '../seams.ts';
import { forbidden } from '../status.ts';
import type { Pod, PodSpec } from './pod-types.ts';

const MOUNT_PATH = '/var/run/secrets/kubernetes.io/serviceaccount';
const VOLUME_PREFIX = 'kube-api-access-';
/** Not 3600: a little more marks tokens that the cluster mounted by itself. */
const TOKEN_SECONDS = 3607;
/** No vowels and nothing that looks like one, as in generated names. */
const SUFFIX_ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';
const SUFFIX_LENGTH = 5;
const LOOKUP_ATTEMPTS = 10;
const LOOKUP_PAUSE_MS = 100;

interface ServiceAccount extends KubeObject {
  automountServiceAccountToken?: boolean;
  imagePullSecrets?: { name: string }[];
}

/** Changes `pod` in place. Throws ApiError 403 when its account does not exist. */
export async function assignServiceAccount(
  request: AdmissionRequest,
  pod: Pod,
  objects: ClusterObjects,
  random: () => number,
): Promise<void> {
  const { spec } = pod;
  spec.serviceAccountName ||= spec.serviceAccount || 'default';
  spec.serviceAccount = spec.serviceAccountName;
  const account = await findAccount(request, spec.serviceAccountName, objects);
  if (!spec.imagePullSecrets?.length && account.imagePullSecrets?.length) {
    spec.imagePullSecrets = structuredClone(account.imagePullSecrets);
  }
  if (spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true) mountToken(spec, random);
}

/** A namespace's `default` account is made by a controller, a moment after the namespace: it is waited for. */
async function findAccount(request: AdmissionRequest, name: string, objects: ClusterObjects): Promise<ServiceAccount> {
  const { namespace } = request;
  const attempts = name === 'default' ? LOOKUP_ATTEMPTS : 1;
  for (let attempt = 0; attempt < attempts && !request.signal.aborted; attempt++) {
    if (attempt > 0) await delay(LOOKUP_PAUSE_MS, undefined, { signal: request.signal }).catch(() => undefined);
    const account = objects.get(SERVICE_ACCOUNTS, namespace, name);
    if (account) return account as ServiceAccount;
  }
  throw forbidden(
    request.resource,
    request.name,
    `error looking up service account ${namespace}/${name}: serviceaccount ${JSON.stringify(name)} not found`,
  );
}

function mountToken(spec: PodSpec, random: () => number): void {
  const existing = spec.volumes?.find((volume) => volume.name.startsWith(VOLUME_PREFIX));
  const name = existing?.name ?? VOLUME_PREFIX + randomSuffix(random);
  let mounted = false;
  for (const container of [...(spec.containers ?? []), ...(spec.initContainers ?? [])]) {
    // A pod may bring a volume of its own for this place.
    if (container.volumeMounts?.some((mount) => mount.mountPath === MOUNT_PATH)) continue;
    container.volumeMounts = [...(container.volumeMounts ?? []), { name, readOnly: true, mountPath: MOUNT_PATH }];
    mounted = true;
  }
  if (mounted && !existing) spec.volumes = [...(spec.volumes ?? []), { name, projected: tokenVolume() }];
}

function tokenVolume(): Record<string, unknown> {
  return {
    defaultMode: 0o644,
    sources: [
      { serviceAccountToken: { expirationSeconds: TOKEN_SECONDS, path: 'token' } },
      { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
      {
        downwardAPI: {
          items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }],
        },
      },
    ],
  };
}

function randomSuffix(random: () => number): string {
  return Array.from(
    { length: SUFFIX_LENGTH },
    () => SUFFIX_ALPHABET[Math.floor(random() * SUFFIX_ALPHABET.length)],
  ).join('');
}
