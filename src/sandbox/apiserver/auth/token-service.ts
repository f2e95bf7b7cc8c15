// SPDX-License-Identifier: Apache-2.0
// Service-account tokens: made for TokenRequest and legacy Secrets, and judged when somebody shows one.
import { randomUUID } from 'node:crypto';
import type { KubeObject } from '../../../kube/types.ts';
import type { ClusterObjects, UserInfo } from '../seams.ts';
import type { GroupResource } from '../status.ts';
import type { TokenClaims, TokenSigner } from './token-signer.ts';

export const ISSUER = 'https://kubernetes.default.svc.cluster.local';
/** Audiences that mean this API server. */
export const API_AUDIENCES: readonly string[] = [ISSUER, 'https://kubernetes.default.svc'];
const LEGACY_ISSUER = 'kubernetes/serviceaccount';
const LEGACY = 'kubernetes.io/serviceaccount/';

export const SERVICE_ACCOUNTS: GroupResource = { group: '', resource: 'serviceaccounts' };
export const SECRETS: GroupResource = { group: '', resource: 'secrets' };
export const PODS: GroupResource = { group: '', resource: 'pods' };

export interface BoundObject {
  readonly kind: 'pod' | 'secret';
  readonly name: string;
  readonly uid: string;
}

/** A token's owner and the audiences that it and the asker have in common. */
export interface TokenIdentity {
  readonly user: UserInfo;
  readonly audiences: readonly string[];
}

/** Why a token is refused. The message names no part of the token. */
export class TokenRefused extends Error {}

export class TokenService {
  private readonly signer: TokenSigner;
  private readonly objects: ClusterObjects;
  private readonly now: () => Date;

  constructor(signer: TokenSigner, objects: ClusterObjects, now: () => Date) {
    this.signer = signer;
    this.objects = objects;
    this.now = now;
  }

  /** A token that ends with `expirationSeconds`, its service account, or the object it is bound to. */
  issue(
    serviceAccount: KubeObject,
    request: { audiences: readonly string[]; expirationSeconds: number; bound?: BoundObject; node?: KubeObject },
  ): { token: string; expires: Date } {
    const { name, namespace, uid } = serviceAccount.metadata;
    const issuedAt = Math.floor(this.now().getTime() / 1000);
    const expires = issuedAt + request.expirationSeconds;
    const { bound, node } = request;
    const token = this.signer.sign({
      aud: request.audiences,
      exp: expires,
      iat: issuedAt,
      iss: ISSUER,
      jti: randomUUID(),
      'kubernetes.io': {
        namespace,
        ...(node ? { node: { name: node.metadata.name, uid: node.metadata.uid } } : {}),
        ...(bound ? { [bound.kind]: { name: bound.name, uid: bound.uid } } : {}),
        serviceaccount: { name, uid },
      },
      nbf: issuedAt,
      sub: `system:serviceaccount:${namespace}:${name}`,
    });
    return { token, expires: new Date(expires * 1000) };
  }

  /** The token of a Secret of type kubernetes.io/service-account-token: no end but that of the Secret and the account. */
  issueLegacy(serviceAccount: KubeObject, secretName: string): string {
    const { name, namespace, uid } = serviceAccount.metadata;
    return this.signer.sign({
      iss: LEGACY_ISSUER,
      [`${LEGACY}namespace`]: namespace,
      [`${LEGACY}secret.name`]: secretName,
      [`${LEGACY}service-account.name`]: name,
      [`${LEGACY}service-account.uid`]: uid,
      sub: `system:serviceaccount:${namespace}:${name}`,
    });
  }

  /**
   * Who a token stands for, now. Throws TokenRefused when it is not of this cluster, has expired, is not for any of
   * `audiences`, or when its service account, pod or secret is no longer the one it was made for.
   */
  identify(token: string, audiences: readonly string[] = API_AUDIENCES): TokenIdentity {
    const claims = this.signer.verify(token);
    if (claims?.iss === ISSUER) return this.identifyBound(claims, audiences);
    if (claims?.iss === LEGACY_ISSUER) return this.identifyLegacy(claims, token, audiences);
    throw new TokenRefused('invalid bearer token');
  }

  private identifyBound(claims: TokenClaims, audiences: readonly string[]): TokenIdentity {
    const nowSeconds = this.now().getTime() / 1000;
    if (typeof claims.exp !== 'number' || nowSeconds >= claims.exp) {
      throw new TokenRefused('service account token has expired');
    }
    if (typeof claims.nbf === 'number' && nowSeconds < claims.nbf - 1) {
      throw new TokenRefused('service account token is not valid yet');
    }
    const own = Array.isArray(claims.aud) ? (claims.aud as unknown[]) : [];
    const common = audiences.filter((audience) => own.includes(audience));
    if (common.length === 0) {
      throw new TokenRefused(
        `token audiences ${JSON.stringify(own)} is invalid for the target audiences ${JSON.stringify(audiences)}`,
      );
    }
    const references = readReferences(claims['kubernetes.io']);
    this.checkServiceAccount(references.namespace, references.serviceaccount);
    if (references.pod) this.checkPresent(PODS, references.namespace, references.pod);
    if (references.secret) this.checkPresent(SECRETS, references.namespace, references.secret);
    const user = serviceAccountUser(references.namespace, references.serviceaccount, {
      'authentication.kubernetes.io/credential-id': [`JTI=${String(claims.jti)}`],
      ...(references.node && {
        'authentication.kubernetes.io/node-name': [references.node.name],
        'authentication.kubernetes.io/node-uid': [references.node.uid],
      }),
      ...(references.pod && {
        'authentication.kubernetes.io/pod-name': [references.pod.name],
        'authentication.kubernetes.io/pod-uid': [references.pod.uid],
      }),
    });
    return { user, audiences: common };
  }

  private identifyLegacy(claims: TokenClaims, token: string, audiences: readonly string[]): TokenIdentity {
    const common = audiences.filter((audience) => API_AUDIENCES.includes(audience));
    if (common.length === 0) {
      throw new TokenRefused(`a legacy service account token has no audience ${JSON.stringify(audiences)}`);
    }
    const namespace = String(claims[`${LEGACY}namespace`]);
    const account = {
      name: String(claims[`${LEGACY}service-account.name`]),
      uid: String(claims[`${LEGACY}service-account.uid`]),
    };
    this.checkServiceAccount(namespace, account);
    const secret = this.objects.get(SECRETS, namespace, String(claims[`${LEGACY}secret.name`]));
    const stored = (secret?.data as Record<string, string> | undefined)?.token;
    if (!secret || secret.metadata.deletionTimestamp || stored !== Buffer.from(token).toString('base64')) {
      throw new TokenRefused('service account token has been invalidated');
    }
    return { user: serviceAccountUser(namespace, account), audiences: common };
  }

  private checkServiceAccount(namespace: string, account: Reference): void {
    const found = this.objects.get(SERVICE_ACCOUNTS, namespace, account.name);
    if (!found || found.metadata.uid !== account.uid) {
      throw new TokenRefused('service account token has been invalidated');
    }
  }

  private checkPresent(type: GroupResource, namespace: string, reference: Reference): void {
    const found = this.objects.get(type, namespace, reference.name);
    if (!found || found.metadata.uid !== reference.uid) {
      throw new TokenRefused('service account token has been invalidated');
    }
  }
}

interface Reference {
  readonly name: string;
  readonly uid: string;
}

interface References {
  readonly namespace: string;
  readonly serviceaccount: Reference;
  readonly pod?: Reference;
  readonly secret?: Reference;
  readonly node?: Reference;
}

/** The private claims; ours by signature, so only their presence is checked. */
function readReferences(value: unknown): References {
  const references = value as Partial<References> | undefined;
  if (!references?.namespace || !references.serviceaccount) throw new TokenRefused('invalid bearer token');
  return references as References;
}

function serviceAccountUser(namespace: string, account: Reference, extra?: UserInfo['extra']): UserInfo {
  return {
    username: `system:serviceaccount:${namespace}:${account.name}`,
    uid: account.uid,
    groups: [...serviceAccountGroups(namespace), 'system:authenticated'],
    ...(extra ? { extra } : {}),
  };
}

/** The groups of every service account of a namespace, without system:authenticated. */
export function serviceAccountGroups(namespace: string): string[] {
  return ['system:serviceaccounts', `system:serviceaccounts:${namespace}`];
}
