// SPDX-License-Identifier: Apache-2.0
// Puts the security modules together for the core: who may come in, what he may do, and what his objects become.
import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { createAdmission } from './admission/chain.ts';
import { startQuotaStatus } from './admission/quota-status.ts';
import { reviewResources } from './auth/access-review.ts';
import { createAuthenticator } from './auth/authentication.ts';
import { bootstrapRbac } from './auth/bootstrap-rbac.ts';
import { startLegacyTokenFiller } from './auth/legacy-token.ts';
import { RbacAuthorizer } from './auth/rbac-authorizer.ts';
import { tokenRequestHandler } from './auth/token-request.ts';
import { ISSUER, TokenService } from './auth/token-service.ts';
import { TokenSigner } from './auth/token-signer.ts';
import { pkiPaths } from './pki.ts';
import { proxyHandlers } from './proxy/http-proxy.ts';
import type { KubeletTls } from './proxy/kubelet-location.ts';
import { metricsSources } from './proxy/metrics.ts';
import { podLogHandler } from './proxy/pod-log.ts';
import { podStreamHandlers } from './proxy/pod-stream.ts';
import type { PathHandler, Security, SecurityInputs } from './seams.ts';

/** Reads the keys that ensureClusterPki wrote. Throws an Error that names the file when one is missing. */
export async function createSecurity(inputs: SecurityInputs): Promise<Security> {
  const { dataDir, objects, now } = inputs;
  const paths = pkiPaths(dataDir);
  const caPem = readFileSync(paths.caCert, 'utf8');
  const signer = new TokenSigner(createPrivateKey(readFileSync(paths.serviceAccountKey)));
  const tokens = new TokenService(signer, objects, now);
  const authorizer = new RbacAuthorizer(objects);
  const kubelet: KubeletTls = {
    caPem,
    certPem: readFileSync(paths.kubeletClientCert, 'utf8'),
    keyPem: readFileSync(paths.kubeletClientKey, 'utf8'),
  };
  startLegacyTokenFiller(inputs, tokens, caPem);
  startQuotaStatus(inputs);
  return {
    authenticator: createAuthenticator(tokens, authorizer),
    authorizer,
    admission: createAdmission(inputs, authorizer),
    subresources: new Map([
      ['serviceaccounts/token', tokenRequestHandler(tokens, objects)],
      ['pods/log', podLogHandler(objects, kubelet)],
      ...podStreamHandlers(objects, authorizer, kubelet),
      ...proxyHandlers(objects, kubelet),
    ]),
    computed: metricsSources(objects, kubelet, now),
    virtualResources: reviewResources(authorizer, tokens, now),
    paths: issuerDiscovery(inputs.server, signer),
    bootstrapObjects: bootstrapRbac,
  };
}

/** What a third party needs to verify tokens by itself (OpenID Connect discovery). */
function issuerDiscovery(server: string, signer: TokenSigner): PathHandler[] {
  const document = {
    issuer: ISSUER,
    jwks_uri: `${server}/openid/v1/jwks`,
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256'],
  };
  const answer = (path: string, type: string, body: unknown): PathHandler => ({
    path,
    async handle(_request, response: ServerResponse) {
      response.writeHead(200, { 'Content-Type': type, 'Cache-Control': 'public, max-age=3600' });
      response.end(JSON.stringify(body));
    },
  });
  return [
    answer('/.well-known/openid-configuration', 'application/json', document),
    answer('/openid/v1/jwks', 'application/jwk-set+json', signer.keySet()),
  ];
}
