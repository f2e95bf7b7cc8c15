// SPDX-License-Identifier: Apache-2.0
// Who holds a service-account token: the API server that issued it says so (TokenReview).
// https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/
import { createHash } from 'node:crypto';
import { spiffeId } from '../../identity/spiffe.ts';
import { type KubeClient, KubeError } from '../../kube/client.ts';
import { REMOTE_SECRET_LABEL } from '../../kube/remote-kubeconfig.ts';
import { resourcePath, TOKEN_REVIEWS } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';
import { PerAddressLimit, type RateLimit } from '../../xds/per-address-limit.ts';
import { type Authenticator, type PeerIdentity, type PeerTransport, XdsRefusal } from '../../xds/types.ts';

/** An API server that knows the tokens of one cluster. */
export interface TokenReviewer {
  /** The cluster's name in the mesh: what its tokens prove. */
  readonly cluster: string;
  readonly client: KubeClient;
}

export interface TokenAuthenticatorOptions {
  readonly client: KubeClient;
  readonly audience: string;
  readonly trustDomain: string;
  /** The cluster whose API server this is. */
  readonly clusterName: string;
  /** Other clusters whose tokens are taken, as they are watched now. Absent: none ever are. */
  readonly others?: () => readonly TokenReviewer[];
  /** Clusters whose tokens will be taken, and are not yet; undefined while that is not known. */
  readonly pending?: () => readonly string[] | undefined;
  readonly nowMs?: () => number;
  /** Told of each review, for metrics. */
  readonly observe?: (outcome: 'accepted' | 'refused' | 'unavailable' | 'limited') => void;
  /** Of reviews for one address: a proxy needs one a minute, and must not keep the API server busy. */
  readonly limit?: RateLimit;
  /** How long an API server may take to answer before the next one is asked. */
  readonly reviewMs?: number;
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
/** Keys that sign tokens: one or two in each cluster. */
const MAX_KEYS = 1_000;
/** A proxy gives its stream up after fifteen seconds, and more than one API server may be slow. */
const REVIEW_MS = 5_000;
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
  /** Id of the key that signed a token -> the cluster that has accepted one of it. */
  readonly #issuers = new Map<string, string>();

  constructor(options: TokenAuthenticatorOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? Date.now;
    this.#limit = new PerAddressLimit(options.limit ?? DEFAULT_LIMIT);
  }

  /** A cluster has left, or another has come under its name: what its API server said counts no more. */
  forget(cluster: string): void {
    this.#remembered.clear();
    for (const [keyId, issuer] of this.#issuers) if (issuer === cluster) this.#issuers.delete(keyId);
  }

  async authenticate(
    token: string | undefined,
    { address, certificate }: Pick<PeerTransport, 'address' | 'certificate'>,
  ): Promise<PeerIdentity> {
    // A gateway's address stands for all who come by it, strangers among them: whom a certificate proves has a share alone.
    const proven = certificate?.problem === '' ? certificate.uris.join(' ') : '';
    const identity = await this.#identify(token, proven === '' ? address : `${address} ${proven}`);
    if (certificate !== undefined) checkCertificate(certificate, spiffeId(identity));
    else if (identity.clusterName !== this.#options.clusterName) throw unauthenticated(CERTIFICATE_NEEDED);
    return identity;
  }

  async #identify(token: string | undefined, bucket: string): Promise<PeerIdentity> {
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
    this.#forgetOld(nowMs);
    const identity = this.#review(token, claims, bucket);
    this.#remembered.set(key, { untilMs: nowMs + REMEMBER_MS, identity });
    // Neither a refusal nor a failure is kept: the next attempt may come after the cure.
    identity.catch(() => this.#remembered.delete(key));
    return await identity;
  }

  /**
   * The own API server is asked first, so that no other ever sees a token of its own; then the one that has accepted a token
   * signed by the same key, then the others. What a token says of itself decides whom to ask, and never what the answer is:
   * another cluster's API server may accept whatever it likes, and proves by it its own cluster alone.
   */
  async #review(token: string, { expiresAtMs, keyId }: TokenClaims, bucket: string): Promise<PeerIdentity> {
    const { clusterName: own, client, others } = this.#options;
    const issuer = this.#issuers.get(keyId);
    const isIssuer = ({ cluster }: TokenReviewer): boolean => cluster === issuer;
    const away = [...(others?.() ?? [])].sort((a, b) => Number(isIssuer(b)) - Number(isIssuer(a)));
    const isKnown = issuer === own || away.some(isIssuer);
    let outage: XdsRefusal | undefined;
    for (const reviewer of [{ cluster: own, client }, ...away]) {
      if (!this.#limit.take(bucket)) {
        this.#options.observe?.('limited');
        throw new XdsRefusal('UNAVAILABLE', `${bucket} has too many tokens checked; try again later`);
      }
      const status = await this.#ask(reviewer, token);
      if (status instanceof XdsRefusal) {
        // It may be this one's token, which then is nobody else's to see.
        const isOthers = reviewer.cluster === own && isKnown && issuer !== own;
        if (!isOthers && (reviewer.cluster === own || isIssuer(reviewer))) throw status;
        if (!isOthers) outage ??= status;
      } else if (status.authenticated === true) {
        const identity = this.#identityOf(status, reviewer.cluster, expiresAtMs);
        this.#learn(keyId, reviewer.cluster, isKnown);
        return identity;
      }
    }
    // What the issuer has refused, nobody else could say more of; but two clusters that are copies sign with one key.
    if (outage !== undefined && !isKnown) throw outage;
    this.#options.observe?.('refused');
    // Envoy logs this at once; of what is only unavailable it says nothing for half a minute.
    if (others === undefined || isKnown) {
      const cluster = isKnown ? issuer : own;
      throw unauthenticated(
        `the API server of cluster ${cluster} does not accept the token (another cluster's, or its pod is gone)`,
      );
    }
    const pending = this.#options.pending === undefined ? [] : this.#options.pending();
    if (pending === undefined || pending.length > 0) {
      const whose = pending === undefined ? 'the other clusters' : `cluster ${pending.join(', ')}`;
      throw new XdsRefusal('UNAVAILABLE', `the token may be of ${whose}, which this control plane has not read yet`);
    }
    throw unauthenticated(
      'no cluster that this control plane watches accepts the token (or its pod is gone); to have the cluster of the ' +
        'proxy watched, make a secret of its kubeconfig in istio-system of the cluster of the control plane, ' +
        `labelled ${REMOTE_SECRET_LABEL}`,
    );
  }

  /**
   * Which cluster a key signs for is known when an API server has accepted a token of it: the own one's word is final, and of
   * the others the first one's, or any could claim the key of its neighbour and be shown the neighbour's tokens.
   */
  #learn(keyId: string, cluster: string, isKnown: boolean): void {
    if (isKnown && cluster !== this.#options.clusterName) return;
    this.#issuers.delete(keyId);
    this.#issuers.set(keyId, cluster);
    for (const oldest of this.#issuers.keys()) {
      if (this.#issuers.size <= MAX_KEYS) break;
      this.#issuers.delete(oldest);
    }
  }

  async #ask({ cluster, client }: TokenReviewer, token: string): Promise<ReviewStatus | XdsRefusal> {
    const { audience, observe = () => {}, reviewMs = REVIEW_MS } = this.#options;
    try {
      const body: KubeObject = {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenReview',
        metadata: {},
        spec: { token, audiences: [audience] },
      };
      const signal = AbortSignal.timeout(reviewMs);
      const review = (await client.request('POST', resourcePath(TOKEN_REVIEWS), { body, signal })) as KubeObject;
      return (review['status'] ?? {}) as ReviewStatus;
    } catch (error) {
      observe('unavailable');
      const code = error instanceof KubeError ? error.code : 0;
      const why =
        code === 403
          ? 'the control plane may not create TokenReviews there'
          : code === 401
            ? 'it does not know the control plane’s own token: make the kubeconfig in its secret anew'
            : 'it cannot be reached';
      return new XdsRefusal('UNAVAILABLE', `the token could not be checked with the API server of ${cluster}: ${why}`);
    }
  }

  #identityOf(status: ReviewStatus, clusterName: string, expiresAtMs: number): PeerIdentity {
    const { audience, trustDomain, observe = () => {} } = this.#options;
    const refuse = (reason: string): XdsRefusal => {
      observe('refused');
      return unauthenticated(reason);
    };
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

/** Keys of another cluster's workloads come from its own CA, at home: they are there before a proxy asks here. */
const CERTIFICATE_NEEDED =
  'a proxy of another cluster has to present its certificate beside its token: it gets one from its own cluster’s istio-citadel';

/** Of this cluster a proxy need not present one, since it gets its first from here; but one that it has must be its own. */
function checkCertificate({ uris, problem }: NonNullable<PeerTransport['certificate']>, id: string): void {
  if (problem !== '') {
    throw unauthenticated(
      `the proxy's certificate is not one of this mesh (${problem}): if the CA was replaced, restart the pod; if the ` +
        'proxy is of another cluster, give that one a CA below the same root (Secret cacerts)',
    );
  }
  if (uris.includes(id)) return;
  throw new XdsRefusal(
    'PERMISSION_DENIED',
    `the proxy's certificate is of ${uris.join(', ') || 'nobody'}, but its token proves ${id}`,
  );
}

interface TokenClaims {
  readonly audiences: readonly string[];
  readonly expiresAtMs: number;
  /** '' where the token does not say. */
  readonly keyId: string;
}

/** The token's own words, not yet believed: only used to refuse early, to end the stream in time, and to ask the right one. */
function readClaims(token: string): TokenClaims {
  try {
    const [header, payload] = token
      .split('.')
      .slice(0, 2)
      .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString('utf8'))) as [
      { kid?: unknown },
      { aud?: string | string[]; exp?: number },
    ];
    const audiences = Array.isArray(payload.aud) ? payload.aud : payload.aud === undefined ? [] : [payload.aud];
    if (typeof payload.exp !== 'number') throw unauthenticated('the token never expires: a bound one is needed');
    const keyId = typeof header.kid === 'string' ? header.kid.slice(0, 256) : '';
    return { audiences, expiresAtMs: payload.exp * 1000, keyId };
  } catch (error) {
    throw error instanceof XdsRefusal ? error : unauthenticated('this is no service-account token (not a JWT)');
  }
}

function unauthenticated(message: string): XdsRefusal {
  return new XdsRefusal('UNAUTHENTICATED', message);
}
