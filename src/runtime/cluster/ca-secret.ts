// SPDX-License-Identifier: Apache-2.0
// Where the cluster's CA comes from: the Secret that the operator made, or one that we make and keep.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { Authority, type CaExpiry } from '../../identity/authority.ts';
import { CA_FILE_NAMES, CaError, type CaFiles, makeSelfSignedCa } from '../../identity/ca-material.ts';
import { type KubeClient, KubeError } from '../../kube/client.ts';
import { SECRETS } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';
import { ISTIO_NAMESPACE } from '../mesh-resources.ts';

export const GIVEN = 'cacerts';
export const OWN = 'istio-ca-secret';
const SELF_SIGNED_DAYS = 3_650;
const LOOK_MS = 10_000;
const SAY_MS = 60_000;
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
    warnOfPublicCa(authority, log);
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
 * Resolves once Secret cacerts is there: a mesh that was told not to sign for itself must not. Says what is missing, once a
 * minute, and goes on looking until `signal` aborts.
 */
export async function waitForGiven(
  client: KubeClient,
  log: Logger,
  signal: AbortSignal,
  lookMs = 1_000,
): Promise<void> {
  let sayAtMs = 0;
  while (!signal.aborted) {
    if ((await client.get(SECRETS, GIVEN, ISTIO_NAMESPACE)) !== undefined) return;
    if (performance.now() >= sayAtMs) {
      sayAtMs = performance.now() + SAY_MS;
      log.warn(
        { secret: GIVEN },
        `waiting for Secret ${GIVEN} in ${ISTIO_NAMESPACE}: security.selfSigned=false, so no CA is made here; create it ` +
          'with the four files of `isthmus certs` (docs/certificates.md)',
      );
    }
    await sleep(lookMs, undefined, { signal }).catch(() => {});
  }
}

export interface Supervision {
  readonly client: KubeClient;
  readonly log: Logger;
  readonly nowMs: () => number;
  /** Another intermediate below the same root: from now on it signs. */
  readonly renewed: (authority: Authority) => void;
  /** What each certificate of the CA in use has left, at every look. */
  readonly observe: (expiry: readonly CaExpiry[]) => void;
  readonly lookMs?: number;
}

/**
 * Follows the Secret until `signal` aborts. A new intermediate below the same roots comes into use at once. Whatever else
 * will break is said early: a certificate of the CA that ends soon, once a day; other roots, or a Secret that the next
 * start could not use, once for each change.
 */
export async function superviseAuthority(
  authority: Authority,
  { client, log, nowMs, renewed, observe, lookMs = LOOK_MS }: Supervision,
  signal: AbortSignal,
): Promise<void> {
  let inUse = authority;
  let remindAtMs = 0;
  let warned = '';
  let told = fingerprintOf(inUse);
  while (!signal.aborted) {
    const atMs = nowMs();
    const found = await readGiven(client, atMs);
    if (found !== undefined && found.identity !== told) {
      told = found.identity;
      if (found.authority === undefined) {
        log.error({ secret: GIVEN, reason: told }, 'the CA has been replaced by one that the next start refuses');
      } else if (found.authority.rootPem !== inUse.rootPem) {
        log.warn(
          { secret: GIVEN, fingerprint: inUse.fingerprint },
          'the CA has been replaced by one with other roots, and the one before is in use: restart the control plane, ' +
            'then everything with a proxy (kubectl rollout restart); until a proxy is restarted it trusts nobody new',
        );
      } else if (told !== fingerprintOf(inUse)) {
        inUse = found.authority;
        remindAtMs = 0;
        log.info({ secret: GIVEN, fingerprint: inUse.fingerprint }, 'the CA has been renewed below the same root');
        warnOfPublicCa(inUse, log);
        renewed(inUse);
      }
    }
    const expiry = inUse.expiry(atMs);
    observe(expiry);
    const states = expiry.map(({ state }) => state).join();
    if (atMs >= remindAtMs || states !== warned) {
      remindAtMs = atMs + REMIND_MS;
      warned = states;
      warnOfExpiry(expiry, atMs, log);
    }
    await sleep(lookMs, undefined, { signal, ref: false }).catch(() => {});
  }
}

function warnOfPublicCa({ publicCa }: Authority, log: Logger): void {
  if (publicCa === undefined) return;
  log.warn(
    { secret: GIVEN, certificate: publicCa },
    'the CA is publicly known: everybody can have its key and be any workload of this mesh; for anything but a trial make ' +
      'one of your own (isthmus certs)',
  );
}

function warnOfExpiry(expiry: readonly CaExpiry[], nowMs: number, log: Logger): void {
  for (const { what, notAfterMs, state } of expiry) {
    if (state === 'ok') continue;
    const details = {
      certificate: what,
      until: new Date(notAfterMs).toISOString(),
      daysLeft: daysLeft(notAfterMs, nowMs),
    };
    if (state === 'expired')
      log.error(details, 'a certificate of the CA has expired, and nothing is issued: renew it (isthmus certs)');
    else log.warn(details, 'a certificate of the CA ends soon: renew it (isthmus certs)');
  }
}

/** Whole days, rounded down; negative when it is over. */
export function daysLeft(notAfterMs: number, nowMs: number): number {
  return Math.floor((notAfterMs - nowMs) / (24 * 3_600_000));
}

/** Its identity, or what is wrong with it in its stead. undefined when there is none, or when that cannot be said now. */
async function readGiven(
  client: KubeClient,
  nowMs: number,
): Promise<{ identity: string; authority?: Authority } | undefined> {
  try {
    const given = await client.get(SECRETS, GIVEN, ISTIO_NAMESPACE);
    if (given === undefined) return undefined;
    const authority = readAuthority(given, nowMs);
    return { identity: fingerprintOf(authority), authority };
  } catch (error) {
    return error instanceof CaError ? { identity: error.message } : undefined;
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

/** @throws CaError naming Secret, file and cure */
export function readAuthority(secret: KubeObject, nowMs: number): Authority {
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
