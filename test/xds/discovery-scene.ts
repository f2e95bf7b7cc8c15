// SPDX-License-Identifier: Apache-2.0
// A discovery server on loopback, and who calls it by @grpc/grpc-js.
import type { Client } from '@grpc/grpc-js';
import { generateKeyPair, issueCertificate, privateKeyPem } from '../../src/pki/x509.ts';
import { startXdsServer, trustLoopback, type XdsServer, type XdsServerOptions } from '../../src/xds/server.ts';
import { CLUSTER_TYPE, ENDPOINT_TYPE } from '../../src/xds/session/type-urls.ts';
import type { XdsEvent } from '../../src/xds/stream.ts';
import { type Authenticator, type PeerIdentity, XdsRefusal } from '../../src/xds/types.ts';
import { connectClient } from './discovery-client.ts';
import { resource } from './memory-backend.ts';

export const peer: PeerIdentity = {
  trustDomain: 'cluster.local',
  clusterName: 'cluster1',
  namespace: 'default',
  serviceAccount: 'sleep',
  podName: 'sleep-1',
  podUid: 'u1',
  expiresAtMs: Number.POSITIVE_INFINITY,
};
export const node = {
  id: 'sidecar~10.0.0.1~sleep-1.default~default.svc.cluster.local',
  metadata: { NAMESPACE: 'default', N: 1 },
};
export const cluster = (name: string, text = name) => resource(CLUSTER_TYPE, name, Buffer.from(text));
export const endpoint = (name: string, text = name) => resource(ENDPOINT_TYPE, name, Buffer.from(text));
export const SERVER_NAME = 'istio-pilot.istio-system.svc';

export function tokens(known: Record<string, Partial<PeerIdentity>>): Authenticator {
  return {
    async authenticate(token) {
      const found = token === undefined ? undefined : known[token];
      if (found === undefined) throw new XdsRefusal('UNAUTHENTICATED', 'the token proves nobody');
      return { ...peer, ...found };
    },
  };
}

export interface Issued {
  certPem: string;
  keyPem: string;
  rootPem: string;
  /** A client certificate below the same root. */
  issueClient(uri: string): { certPem: string; keyPem: string };
}

export function serverIdentity(): Issued {
  const root = generateKeyPair();
  const key = generateKeyPair();
  const validity = { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 3600_000) };
  const subject = { commonName: 'test root' };
  const rootPem = issueCertificate({
    subject,
    publicKey: root.publicKey,
    selfKey: root.privateKey,
    isCa: true,
    ...validity,
  });
  const issuer = { certPem: rootPem, key: root.privateKey };
  const names = { subject: {}, dnsNames: [SERVER_NAME], usages: ['serverAuth' as const] };
  const certPem = issueCertificate({ ...names, publicKey: key.publicKey, issuer, ...validity });
  const issueClient = (uri: string) => {
    const own = generateKeyPair();
    const wanted = { subject: {}, uris: [uri], usages: ['clientAuth' as const], publicKey: own.publicKey };
    return { certPem: issueCertificate({ ...wanted, issuer, ...validity }), keyPem: privateKeyPem(own.privateKey) };
  };
  return { certPem, keyPem: privateKeyPem(key.privateKey), rootPem, issueClient };
}

export const names = (response: { resources: { name: string }[] }) => response.resources.map((each) => each.name);

/** Of one test: what it starts ends with it. */
export class DiscoveryScene {
  /** What the servers have told. */
  readonly events: XdsEvent[] = [];
  /** Shuts the servers down. */
  readonly controller = new AbortController();
  readonly #clients: Client[] = [];
  readonly #servers: XdsServer[] = [];

  async start(options: Partial<XdsServerOptions> = {}): Promise<XdsServer> {
    const server = await startXdsServer(
      {
        listen: { host: '127.0.0.1', port: 0 },
        authenticator: trustLoopback(peer),
        observe: (event) => this.events.push(event),
        limits: { shutdownGraceMs: 300 },
        ...options,
      },
      this.controller.signal,
    );
    this.#servers.push(server);
    return server;
  }

  client(server: XdsServer, options: Parameters<typeof connectClient>[1] = {}): Client {
    const made = connectClient(server.port, options);
    this.#clients.push(made);
    return made;
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.close();
    this.controller.abort();
    await Promise.all(this.#servers.map((server) => server.close()));
  }
}
