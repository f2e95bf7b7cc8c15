// SPDX-License-Identifier: Apache-2.0
// Where the cluster's CA comes from: the Secret that the operator made, or one that we make and keep.
import { setTimeout as sleep } from 'node:timers/promises';
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
const LOOK_MS = 5 * 60_000;
const REMIND_MS = 24 * 3_600_000;

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

/**
 * Says until `signal` aborts what will break, and says it early: a certificate of the CA that ends soon, once a day; a
 * Secret that is not the one in use any more, or that the next start could not use, once for each change.
 */
export async function superviseAuthority(
  client: KubeClient,
  authority: Authority,
  log: Logger,
  signal: AbortSignal,
  lookMs = LOOK_MS,
): Promise<void> {
  let remindAtMs = 0;
  let told = fingerprintOf(authority);
  while (!signal.aborted) {
    const nowMs = Date.now();
    if (nowMs >= remindAtMs) {
      remindAtMs = nowMs + REMIND_MS;
      warnOfExpiry(authority, nowMs, log);
    }
    const found = await describeGiven(client, nowMs);
    if (found !== undefined && found.identity !== told) {
      told = found.identity;
      if (found.problem !== undefined) {
        log.error(
          { secret: GIVEN, reason: found.problem },
          'the CA has been replaced by one that the next start refuses',
        );
      } else if (told !== fingerprintOf(authority)) {
        log.warn(
          { secret: GIVEN, fingerprint: authority.fingerprint },
          'the CA has been replaced, but the one before is in use: restart the control plane, and, if the root is ' +
            'another, everything with a proxy',
        );
      }
    }
    await sleep(lookMs, undefined, { signal, ref: false }).catch(() => {});
  }
}

function warnOfExpiry(authority: Authority, nowMs: number, log: Logger): void {
  for (const { what, notAfterMs, state } of authority.expiry(nowMs)) {
    const until = new Date(notAfterMs).toISOString();
    if (state !== 'ok')
      log.warn({ certificate: what, until }, 'a certificate of the CA ends soon: renew it (isthmus certs)');
  }
}

/** undefined when there is none, or when that cannot be said now. */
async function describeGiven(
  client: KubeClient,
  nowMs: number,
): Promise<{ identity: string; problem?: string } | undefined> {
  try {
    const given = await client.get(SECRETS, GIVEN, ISTIO_NAMESPACE);
    return given && { identity: fingerprintOf(readAuthority(given, nowMs)) };
  } catch (error) {
    return error instanceof CaError ? { identity: error.message, problem: error.message } : undefined;
  }
}

function fingerprintOf(authority: Authority): string {
  return `${authority.fingerprint} ${authority.rootPem}`;
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
