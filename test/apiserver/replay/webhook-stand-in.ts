// SPDX-License-Identifier: Apache-2.0
// The webhook of the recordings: answers each review as it did, and compares what it is asked.
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { TestAuthority } from '../../fixture/test-authority.ts';
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
  const authority = new TestAuthority();
  const { cert, key } = authority.issue('webhook', { ipAddresses: ['127.0.0.1'], usages: ['serverAuth'] });
  const differences: Difference[][] = [];
  let asked = 0;
  const server = createServer({ cert, key }, async (request, response) => {
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
    caBundle: Buffer.from(authority.rootPem).toString('base64'),
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
