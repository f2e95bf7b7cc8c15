// SPDX-License-Identifier: Apache-2.0
// The webhook of the recordings: answers each review as it did, and compares what it is asked.
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { generateKeyPair, issueCertificate, privateKeyPem } from '../../../src/pki/x509.ts';
import { type Difference, difference, type Matching } from './matching.ts';
import type { WebhookCall } from './recording.ts';

export interface WebhookStandIn {
  /** HOST:PORT. */
  readonly address: string;
  /** The CA's certificate, PEM in base64. */
  readonly caBundle: string;
  /** What was not asked as recorded, one list a recorded call. */
  differences(): Difference[][];
  close(): void;
}

interface Review {
  readonly request: { readonly uid: string };
}

export async function startWebhook(calls: readonly WebhookCall[], matching: Matching): Promise<WebhookStandIn> {
  const { caPem, certPem, keyPem } = issueChain();
  const differences: Difference[][] = [];
  let asked = 0;
  const server = createServer({ cert: certPem, key: keyPem }, async (request, response) => {
    const review = (await json(request)) as Review;
    const call = calls[asked++];
    if (!call) {
      differences.push([difference('webhook', review, undefined)]);
      response.writeHead(500).end();
      return;
    }
    differences.push([
      ...matching.compare(call.path, request.url, 'path'),
      ...matching.compare(call.request, review, 'review'),
    ]);
    const answer = structuredClone(call.response) as { response: { uid: string } };
    answer.response.uid = review.request.uid;
    response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    caBundle: Buffer.from(caPem).toString('base64'),
    differences: () => [
      ...differences,
      ...calls.slice(asked).map((call) => [difference('webhook', undefined, call.path)]),
    ],
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

function issueChain(): { caPem: string; certPem: string; keyPem: string } {
  const ca = generateKeyPair();
  const leaf = generateKeyPair();
  const validity = { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 3_600_000) };
  const caPem = issueCertificate({
    subject: { commonName: 'webhook-ca' },
    publicKey: ca.publicKey,
    selfKey: ca.privateKey,
    isCa: true,
    ...validity,
  });
  const certPem = issueCertificate({
    subject: { commonName: 'webhook' },
    publicKey: leaf.publicKey,
    issuer: { certPem: caPem, key: ca.privateKey },
    ipAddresses: ['127.0.0.1'],
    usages: ['serverAuth'],
    ...validity,
  });
  return { caPem, certPem, keyPem: privateKeyPem(leaf.privateKey) };
}
