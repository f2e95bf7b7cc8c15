// SPDX-License-Identifier: Apache-2.0
// Who holds a service-account token: the API server that issued it says so (TokenReview).
// https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/
import { createHash } from 'node:crypto';
import { type KubeClient, KubeError } from '../../kube/client.ts';
import { TOKEN_REVIEWS } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';
import { PerAddressLimit, type RateLimit } from '../../xds/per-address-limit.ts';
import { type Authenticator, type PeerIdentity, type PeerTransport, XdsRefusal } from '../../xds/types.ts';

export interface TokenAuthenticatorOptions {
  readonly client: KubeClient;
  readonly audience: string;
  readonly trustDomain: string;
  /** The cluster whose API server this is: only its tokens are taken. */
  readonly clusterName: string;
  readonly nowMs?: () => number;
  /** Told of each review, for metrics. */
  readonly observe?: (outcome: 'accepted' | 'refused' | 'unavailable' | 'limited') => void;
  /** Of reviews for one address: a proxy needs one a minute, and must not keep the API server busy. */
  readonly limit?: RateLimit;
}

interface ReviewStatus {
  authenticated?: boolean;
  audiences?: string[];
  error?: string;
  user?: { username?: string; extra?: Record<string, string[]> };
}

/**
 * An Envoy opens several streams at once with one token, so an answer is kept; but no longer than this, so that the
 * token of a deleted pod soon proves nothing.
 */
const REMEMBER_MS = 60_000;
const MAX_REMEMBERED = 10_000;
/** One address may stand for many pods, see GrpcLimits: as many as restart together must get in. */
const DEFAULT_LIMIT: RateLimit = { burst: 500, perSecond: 50 };
const POD_NAME = 'authentication.kubernetes.io/pod-name';
const POD_UID = 'authentication.kubernetes.io/pod-uid';

/** Keys of its memory are hashes; the tokens themselves are in no log, message or map. */
export class TokenAuthenticator implements Authenticator {
  readonly #options: TokenAuthenticatorOptions;
  readonly #nowMs: () => number;
  readonly #limit: PerAddressLimit;
  readonly #remembered = new Map<string, { untilMs: number; identity: Promise<PeerIdentity> }>();

  constructor(options: TokenAuthenticatorOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? Date.now;
    this.#limit = new PerAddressLimit(options.limit ?? DEFAULT_LIMIT);
  }

  async authenticate(token: string | undefined, { address }: Pick<PeerTransport, 'address'>): Promise<PeerIdentity> {
    if (token === undefined || token === '') {
      throw unauthenticated('a service-account token is needed (authorization: Bearer ...)');
    }
    const claims = readClaims(token);
    const nowMs = this.#nowMs();
    if (claims.expiresAtMs <= nowMs) throw unauthenticated('the token has expired');
    // Known without asking; the API server would only say that the token is not valid.
    if (!claims.audiences.includes(this.#options.audience)) {
      throw unauthenticated(
        `the token is for ${claims.audiences.map((name) => `"${name}"`).join(', ') || 'no audience'}, ` +
          `but "${this.#options.audience}" is needed`,
      );
    }
    const key = createHash('sha256').update(token).digest('base64');
    const known = this.#remembered.get(key);
    if (known !== undefined && known.untilMs > nowMs) return await known.identity;
    if (!this.#limit.take(address)) {
      this.#options.observe?.('limited');
      throw new XdsRefusal('UNAVAILABLE', `${address} has too many tokens checked; try again later`);
    }
    this.#forgetOld(nowMs);
    const identity = this.#review(token, claims.expiresAtMs);
    this.#remembered.set(key, { untilMs: nowMs + REMEMBER_MS, identity });
    // Neither a refusal nor a failure is kept: the next attempt may come after the cure.
    identity.catch(() => this.#remembered.delete(key));
    return await identity;
  }

  async #review(token: string, expiresAtMs: number): Promise<PeerIdentity> {
    const { client, audience, trustDomain, clusterName, observe = () => {} } = this.#options;
    let status: ReviewStatus;
    try {
      const review: KubeObject = {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenReview',
        metadata: {},
        spec: { token, audiences: [audience] },
      };
      status = ((await client.create(TOKEN_REVIEWS, review))['status'] ?? {}) as ReviewStatus;
    } catch (error) {
      observe('unavailable');
      const why =
        error instanceof KubeError && error.code === 403
          ? 'the control plane may not create TokenReviews'
          : 'it cannot be reached';
      throw new XdsRefusal(
        'UNAVAILABLE',
        `the token could not be checked with the API server of ${clusterName}: ${why}`,
      );
    }
    const refuse = (reason: string): XdsRefusal => {
      observe('refused');
      return unauthenticated(reason);
    };
    if (status.authenticated !== true) {
      throw refuse(
        `the API server of cluster ${clusterName} does not accept the token (another cluster's, or its pod is gone)`,
      );
    }
    if (status.audiences?.includes(audience) !== true) throw refuse(`the token is not for audience "${audience}"`);
    const [, namespace, serviceAccount] =
      /^system:serviceaccount:([^:]+):([^:]+)$/.exec(status.user?.username ?? '') ?? [];
    if (namespace === undefined || serviceAccount === undefined) throw refuse('the token is not a service account’s');
    const podName = status.user?.extra?.[POD_NAME]?.[0];
    const podUid = status.user?.extra?.[POD_UID]?.[0];
    if (!podName || !podUid) throw refuse('the token is not bound to a pod');
    observe('accepted');
    return { trustDomain, clusterName, namespace, serviceAccount, podName, podUid, expiresAtMs };
  }

  #forgetOld(nowMs: number): void {
    for (const [key, { untilMs }] of this.#remembered) {
      // Insertion order is expiry order: all live equally long.
      if (untilMs > nowMs && this.#remembered.size < MAX_REMEMBERED) return;
      this.#remembered.delete(key);
    }
  }
}

/** The token's own words, not yet believed: only used to refuse early and to end the stream in time. */
function readClaims(token: string): { audiences: readonly string[]; expiresAtMs: number } {
  try {
    const payload = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8')) as {
      aud?: string | string[];
      exp?: number;
    };
    const audiences = Array.isArray(payload.aud) ? payload.aud : payload.aud === undefined ? [] : [payload.aud];
    if (typeof payload.exp !== 'number') throw unauthenticated('the token never expires: a bound one is needed');
    return { audiences, expiresAtMs: payload.exp * 1000 };
  } catch (error) {
    throw error instanceof XdsRefusal ? error : unauthenticated('this is no service-account token (not a JWT)');
  }
}

function unauthenticated(message: string): XdsRefusal {
  return new XdsRefusal('UNAUTHENTICATED', message);
}
