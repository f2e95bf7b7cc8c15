// SPDX-License-Identifier: Apache-2.0
// Where the cluster's CA comes from: the Secret that the operator made, or one that we make and keep.
import type { Logger } from 'pino';
import { Authority } from '../identity/authority.ts';
import { CA_FILE_NAMES, CaError, type CaFiles, makeSelfSignedCa } from '../identity/ca-material.ts';
import { type KubeClient, KubeError } from '../kube/client.ts';
import { SECRETS } from '../kube/resources.ts';
import type { KubeObject } from '../kube/types.ts';
import { ISTIO_NAMESPACE } from './mesh-resources.ts';

const GIVEN = 'cacerts';
const OWN = 'istio-ca-secret';
const SELF_SIGNED_DAYS = 3_650;

/**
 * @throws CaError naming Secret, file and cure when what is there is no usable CA: a mesh must not silently get another
 */
export async function loadAuthority(
  client: KubeClient,
  trustDomain: string,
  nowMs: number,
  log: Logger,
): Promise<Authority> {
  const given = await client.get(SECRETS, GIVEN, ISTIO_NAMESPACE);
  if (given !== undefined) {
    const authority = readAuthority(given, nowMs);
    log.info({ secret: GIVEN, fingerprint: authority.fingerprint }, 'the CA is the one of the operator');
    return authority;
  }
  const own = (await client.get(SECRETS, OWN, ISTIO_NAMESPACE)) ?? (await createOwn(client, trustDomain, nowMs));
  const authority = readAuthority(own, nowMs);
  log.warn(
    { secret: OWN, fingerprint: authority.fingerprint },
    `there is no Secret ${GIVEN} in ${ISTIO_NAMESPACE}: the CA is self-signed, and no other cluster will trust this ` +
      'one’s workloads; for a mesh of several clusters make certificates under one root (isthmus certs), create the ' +
      'Secret in each, and restart the control plane and everything with a proxy',
  );
  return authority;
}

async function createOwn(client: KubeClient, trustDomain: string, nowMs: number): Promise<KubeObject> {
  const files = makeSelfSignedCa({
    organization: trustDomain,
    commonName: `Self-signed root of ${trustDomain}`,
    days: SELF_SIGNED_DAYS,
    nowMs,
  });
  const data = Object.fromEntries(
    Object.entries(files).map(([name, text]) => [name, Buffer.from(text).toString('base64')]),
  );
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: OWN, namespace: ISTIO_NAMESPACE },
    type: 'istio.io/ca-root',
    data,
  };
  try {
    return await client.create<KubeObject>(SECRETS, secret);
  } catch (error) {
    if (!(error instanceof KubeError && error.reason === 'AlreadyExists')) throw error;
    // Another replica was faster: there must be one CA only.
    const other = await client.get(SECRETS, OWN, ISTIO_NAMESPACE);
    if (other === undefined) throw error;
    return other;
  }
}

function readAuthority(secret: KubeObject, nowMs: number): Authority {
  const name = `Secret ${ISTIO_NAMESPACE}/${secret.metadata.name}`;
  const data = (secret['data'] ?? {}) as Record<string, string | undefined>;
  const missing = CA_FILE_NAMES.filter((file) => data[file] === undefined);
  if (missing.length > 0) {
    throw new CaError(
      `${name} lacks ${missing.join(', ')}: create it with --from-file for each of ${CA_FILE_NAMES.join(', ')}`,
    );
  }
  const files = Object.fromEntries(
    CA_FILE_NAMES.map((file) => [file, Buffer.from(data[file] ?? '', 'base64').toString('utf8')]),
  ) as unknown as CaFiles;
  try {
    return new Authority(files, nowMs);
  } catch (error) {
    throw error instanceof CaError ? new CaError(`${name}: ${error.message}`) : error;
  }
}
