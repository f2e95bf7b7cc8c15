// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Authenticator, Authorizer, UserInfo } from '../seams.ts';
import { unauthorized } from '../status.ts';
import { impersonate } from './impersonation.ts';
import { TokenRefused, type TokenService } from './token-service.ts';

const ANONYMOUS: UserInfo = { username: 'system:anonymous', groups: ['system:unauthenticated'] };

/**
 * A client certificate of the cluster's CA (CN: user, O: groups) first, then a bearer token. A request with neither is
 * system:anonymous, who may do only what RBAC gives to system:unauthenticated: /healthz, /livez, /readyz, /version.
 * A certificate or token that does not hold, and nothing else that does, is a 401, never a fall back to anonymous.
 */
export function createAuthenticator(tokens: TokenService, authorizer: Authorizer): Authenticator {
  const certificateOf = readOncePerConnection();
  return {
    async authenticate(request: IncomingMessage): Promise<UserInfo> {
      const certificate = certificateOf(request.socket);
      const user = certificate?.user ?? identifyBearer(request, tokens);
      // A certificate of somebody else's CA may come along with a good token, but is worth nothing by itself.
      if (!user && certificate) throw unauthorized();
      return impersonate(request, user ?? ANONYMOUS, authorizer);
    },
  };
}

/** undefined without a certificate; without a user when it is not one of ours. */
type Presented = { readonly user?: UserInfo } | undefined;

/** A connection's certificate never changes. Read for each request, its native memory would outgrow the process. */
function readOncePerConnection(): (socket: Socket) => Presented {
  const read = new WeakMap<Socket, { readonly presented: Presented }>();
  return (socket) => {
    const known = read.get(socket) ?? { presented: presentedCertificate(socket) };
    read.set(socket, known);
    return known.presented;
  };
}

function presentedCertificate(socket: Socket): Presented {
  if (!(socket instanceof TLSSocket)) return undefined;
  const certificate = socket.getPeerCertificate();
  if (!certificate?.subject) return undefined;
  // The server asks for certificates without insisting, so that tokens work: the verdict has to be read here.
  if (!socket.authorized) return {};
  // At run time a repeated attribute is a list, and any attribute may be missing.
  const subject = certificate.subject as { CN?: string | string[]; O?: string | string[] };
  const username = [subject.CN ?? []].flat()[0];
  if (!username) return {};
  const digest = createHash('sha256').update(certificate.raw).digest('hex');
  const user: UserInfo = {
    username,
    groups: [...[subject.O ?? []].flat(), 'system:authenticated'],
    extra: { 'authentication.kubernetes.io/credential-id': [`X509SHA256=${digest}`] },
  };
  return { user };
}

function identifyBearer(request: IncomingMessage, tokens: TokenService): UserInfo | undefined {
  const header = request.headers.authorization;
  if (header === undefined) return undefined;
  const token = /^Bearer +(\S+)$/i.exec(header.trim())?.[1];
  // Basic and other schemes have no meaning here; the real server treats them as if nothing had been sent.
  if (token === undefined) return undefined;
  try {
    return tokens.identify(token).user;
  } catch (error) {
    if (error instanceof TokenRefused) throw unauthorized();
    throw error;
  }
}
