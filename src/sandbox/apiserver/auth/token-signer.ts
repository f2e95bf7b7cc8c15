// SPDX-License-Identifier: Apache-2.0
// JSON Web Tokens as service accounts carry them: ES256 (RFC 7515, RFC 7518), signed with the cluster's own key.
import { createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';

/** The claims as JSON; which ones must be there is for the reader to say. */
export type TokenClaims = Readonly<Record<string, unknown>>;

/** Longer ones are refused unread: a real one is about 1 kB. */
const MAX_TOKEN_LENGTH = 16 * 1024;

export class TokenSigner {
  private readonly privateKey: KeyObject;
  private readonly publicKey: KeyObject;
  private readonly keyId: string;

  /** @param privateKey ECDSA P-256 */
  constructor(privateKey: KeyObject) {
    if (privateKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
      throw new Error('The service-account signing key must be ECDSA P-256; remove pki/sa.key to have it made anew.');
    }
    this.privateKey = privateKey;
    this.publicKey = createPublicKey(privateKey);
    this.keyId = createHash('sha256')
      .update(this.publicKey.export({ type: 'spki', format: 'der' }))
      .digest('base64url');
  }

  sign(claims: TokenClaims): string {
    const head = encodePart({ alg: 'ES256', kid: this.keyId });
    const signed = `${head}.${encodePart(claims)}`;
    const signature = sign('sha256', Buffer.from(signed), { key: this.privateKey, dsaEncoding: 'ieee-p1363' });
    return `${signed}.${signature.toString('base64url')}`;
  }

  /** The claims of a token that this cluster signed; undefined for anything else. Says nothing about time or audience. */
  verify(token: string): TokenClaims | undefined {
    if (token.length > MAX_TOKEN_LENGTH) return undefined;
    const [head, body, signature, ...rest] = token.split('.');
    if (!head || !body || !signature || rest.length > 0) return undefined;
    const header = decodePart(head);
    if (header?.alg !== 'ES256' || header.kid !== this.keyId) return undefined;
    const key = { key: this.publicKey, dsaEncoding: 'ieee-p1363' as const };
    if (!verify('sha256', Buffer.from(`${head}.${body}`), key, Buffer.from(signature, 'base64url'))) return undefined;
    return decodePart(body);
  }

  /** RFC 7517 key set, for whoever verifies tokens by himself. */
  keySet(): Record<string, unknown> {
    return { keys: [{ ...this.publicKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256', kid: this.keyId }] };
  }
}

function encodePart(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function decodePart(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64url').toString());
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
