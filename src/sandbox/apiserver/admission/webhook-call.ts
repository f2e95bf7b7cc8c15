// SPDX-License-Identifier: Apache-2.0
// One AdmissionReview to one webhook: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
import { randomUUID } from 'node:crypto';
import { request as httpsRequest } from 'node:https';
import { describeDialError } from '../proxy/kubelet-location.ts';
import type { WebhookEndpoint } from './webhook-endpoint.ts';
import type { AdmissionResponse, Webhook } from './webhook-types.ts';

const MAX_ANSWER_BYTES = 3 * 1024 * 1024;
const REVIEW = { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview' } as const;

/** The webhook could not be asked, or its answer makes no sense: `failurePolicy` decides what follows. */
export class WebhookCallError extends Error {}

/**
 * Sends `request` (an AdmissionRequest as JSON, without uid) and returns the answer, checked.
 * Throws WebhookCallError; its message names no webhook yet.
 */
export async function callWebhook(
  webhook: Webhook,
  endpoint: WebhookEndpoint,
  request: Record<string, unknown>,
  signal: AbortSignal,
): Promise<AdmissionResponse> {
  if (!webhook.admissionReviewVersions?.includes('v1')) {
    throw new WebhookCallError(
      `this server sends only v1 AdmissionReviews and the webhook accepts ${JSON.stringify(webhook.admissionReviewVersions ?? [])}: add v1 to its admissionReviewVersions`,
    );
  }
  const uid = randomUUID();
  const timeoutSeconds = webhook.timeoutSeconds ?? 10;
  const url = urlWithTimeout(endpoint, timeoutSeconds);
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(timeoutSeconds * 1000)]);
  const body = JSON.stringify({ ...REVIEW, request: { uid, ...request } });
  let text: string;
  try {
    text = await postToAny(webhook, endpoint, url, body, deadline);
  } catch (error) {
    if (error instanceof WebhookCallError) throw error;
    const why = deadline.aborted ? 'context deadline exceeded' : (error as Error).message;
    throw new WebhookCallError(`failed to call webhook: Post ${JSON.stringify(url)}: ${why}`);
  }
  return readAnswer(text, uid);
}

function urlWithTimeout({ url }: WebhookEndpoint, timeoutSeconds: number): string {
  const port = url.port || '443';
  const search = new URLSearchParams(url.search);
  search.set('timeout', `${timeoutSeconds}s`);
  return `https://${url.hostname}:${port}${url.pathname}?${search}`;
}

/** Tries the next address only when a connection was refused: then nobody has seen the request. */
async function postToAny(
  webhook: Webhook,
  endpoint: WebhookEndpoint,
  url: string,
  body: string,
  signal: AbortSignal,
): Promise<string> {
  let failure: unknown;
  for (const address of endpoint.addresses) {
    try {
      return await post(webhook, endpoint, address, url, body, signal);
    } catch (error) {
      if (error instanceof WebhookCallError) throw error;
      failure = new Error(describeFailure(error, address));
      if ((error as NodeJS.ErrnoException).code !== 'ECONNREFUSED') throw failure;
    }
  }
  throw failure;
}

function describeFailure(error: unknown, address: { host: string; port: number }): string {
  const { code, message } = error as NodeJS.ErrnoException;
  switch (code) {
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
      return 'tls: failed to verify certificate: x509: certificate signed by unknown authority';
    case 'CERT_HAS_EXPIRED':
      return 'tls: failed to verify certificate: x509: certificate has expired or is not yet valid';
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return `tls: failed to verify certificate: x509: ${message}`;
    case 'ECONNRESET':
      return 'EOF';
    default:
      return describeDialError(error, address);
  }
}

function post(
  webhook: Webhook,
  endpoint: WebhookEndpoint,
  address: { host: string; port: number },
  url: string,
  body: string,
  signal: AbortSignal,
): Promise<string> {
  const { caBundle } = webhook.clientConfig;
  const target = new URL(url);
  return new Promise((resolve, reject) => {
    const request = httpsRequest(
      {
        ...address,
        path: `${target.pathname}${target.search}`,
        method: 'POST',
        agent: false,
        signal,
        ...(endpoint.serverName ? { servername: endpoint.serverName } : {}),
        ...(caBundle ? { ca: Buffer.from(caBundle, 'base64') } : {}),
        headers: {
          Host: `${target.hostname}:${target.port || 443}`,
          Accept: 'application/json, */*',
          'Content-Type': 'application/json',
          'Content-Length': Buffer.byteLength(body),
        },
      },
      (response) => {
        const chunks: Buffer[] = [];
        let length = 0;
        response.on('data', (chunk: Buffer) => {
          length += chunk.length;
          if (length > MAX_ANSWER_BYTES) request.destroy(new Error('the answer is longer than 3 MiB'));
          else chunks.push(chunk);
        });
        response.once('error', reject);
        response.once('end', () => {
          const text = Buffer.concat(chunks).toString();
          if (response.statusCode === 200) resolve(text);
          else
            reject(new WebhookCallError(`failed to call webhook: ${describeStatus(response.statusCode ?? 0, text)}`));
        });
      },
    );
    request.once('error', reject);
    request.end(body);
  });
}

function describeStatus(code: number, text: string): string {
  if (code === 404) return 'the server could not find the requested resource';
  if (code >= 500) {
    return `an error on the server (${JSON.stringify(text.trim().slice(0, 1000))}) has prevented the request from succeeding`;
  }
  return `the server rejected our request for an unknown reason (HTTP ${code})`;
}

function readAnswer(text: string, uid: string): AdmissionResponse {
  const refuse = (why: string) => new WebhookCallError(`received invalid webhook response: ${why}`);
  let review: { apiVersion?: unknown; kind?: unknown; response?: Record<string, unknown> };
  try {
    review = JSON.parse(text);
  } catch {
    throw new WebhookCallError('failed to call webhook: the answer is not JSON');
  }
  if (review?.apiVersion !== REVIEW.apiVersion || review.kind !== REVIEW.kind) {
    throw refuse(
      `expected webhook response of ${REVIEW.apiVersion}, Kind=${REVIEW.kind}, got ${review?.apiVersion}, Kind=${review?.kind}`,
    );
  }
  const { response } = review;
  if (!response) throw refuse('webhook response was absent');
  if (response.uid !== uid)
    throw refuse(`expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(response.uid)}`);
  const { patch, patchType } = response;
  if (patch && !patchType) throw refuse('webhook returned response.patch but not response.patchType');
  if (patchType && !patch) throw refuse('webhook returned response.patchType but not response.patch');
  if (patchType && patchType !== 'JSONPatch')
    throw refuse(`invalid response.patchType of ${JSON.stringify(patchType)}`);
  return {
    allowed: response.allowed === true,
    ...(response.status ? { status: response.status as AdmissionResponse['status'] } : {}),
    ...(typeof patch === 'string' ? { patch: Buffer.from(patch, 'base64').toString() } : {}),
    warnings: Array.isArray(response.warnings) ? response.warnings.map(String) : [],
  };
}
