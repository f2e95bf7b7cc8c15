// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage, ServerResponse } from 'node:http';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import { pipeline } from 'node:stream/promises';
import type { ClusterObjects, SubresourceHandler, SubresourceRequest } from '../seams.ts';
import { ApiError, badRequest, internalError, invalid } from '../status.ts';
import {
  describeDialError,
  type KubeletTls,
  kubeletTlsOptions,
  locateKubelet,
  selectContainer,
} from './kubelet-location.ts';

const PASSED_ON = ['follow', 'previous', 'sinceSeconds', 'sinceTime', 'timestamps', 'tailLines', 'limitBytes'];
const MAX_ERROR_BYTES = 64 * 1024;

/** GET pods/NAME/log: what the kubelet's /containerLogs says, as it comes. */
export function podLogHandler(objects: ClusterObjects, tls: KubeletTls): SubresourceHandler {
  return {
    methods: { GET: 'get' },
    kind: { group: '', version: 'v1', kind: 'Pod' },
    async handle(request, response) {
      checkOptions(request.query, request.attributes.name);
      const container = selectContainer(request.parent, request.query.get('container') ?? undefined);
      const location = locateKubelet(objects, request.parent);
      if (!location) {
        // A pod without a node has no log yet; that is no error.
        response.writeHead(204).end();
        return undefined;
      }
      const path = logPath(request, container);
      const options = { ...kubeletTlsOptions(location, tls), path, agent: false, signal: request.signal };
      const answer = await get(options).catch((error: unknown) => {
        const url = `https://${location.host}:${location.port}${path}`;
        throw new ApiError(500, undefined, `Get ${JSON.stringify(url)}: ${describeDialError(error, location)}`);
      });
      if (answer.statusCode !== 200) throw await asStatus(answer);
      await stream(answer, response);
      return undefined;
    },
  };
}

function checkOptions(query: URLSearchParams, name: string): void {
  for (const field of ['tailLines', 'sinceSeconds', 'limitBytes']) {
    const value = query.get(field);
    if (value === null || value === '') continue;
    if (!/^-?\d+$/.test(value)) {
      throw badRequest(`invalid query parameter ${field}: ${JSON.stringify(value)} is not a whole number`);
    }
    const least = field === 'tailLines' ? 0 : 1;
    if (Number(value) >= least) continue;
    const why = `must be greater than ${least === 0 ? 'or equal to ' : ''}0`;
    throw invalid('', 'PodLogOptions', name, [
      { reason: 'FieldValueInvalid', field, message: `Invalid value: ${value}: ${why}` },
    ]);
  }
}

function logPath({ query, attributes, parent }: SubresourceRequest, container: string): string {
  const passed = new URLSearchParams();
  for (const name of PASSED_ON) {
    const value = query.get(name);
    if (value !== null && value !== '') passed.set(name, value);
  }
  const path = ['containerLogs', attributes.namespace, parent.metadata.name ?? '', container];
  const search = passed.toString();
  return `/${path.map(encodeURIComponent).join('/')}${search ? `?${search}` : ''}`;
}

function get(options: RequestOptions): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    httpsRequest(options, resolve).once('error', reject).end();
  });
}

/** A refusal of the kubelet is plain text; the client gets it as a Status. */
async function asStatus(answer: IncomingMessage): Promise<ApiError> {
  let text = '';
  for await (const chunk of answer) {
    text += String(chunk);
    if (text.length > MAX_ERROR_BYTES) break;
  }
  const message = text.trim();
  if (answer.statusCode === 400) return badRequest(message);
  if (answer.statusCode === 404) return new ApiError(404, 'NotFound', message || 'the kubelet knows no such log', {});
  return internalError(message || `the kubelet answered ${answer.statusCode}`);
}

async function stream(answer: IncomingMessage, response: ServerResponse): Promise<void> {
  response.writeHead(200, { 'Content-Type': 'text/plain' });
  // A follower must see that the log is open before its first line comes.
  response.flushHeaders();
  try {
    await pipeline(answer, response);
  } catch {
    // Either end went away in the middle; the other has been destroyed by the pipeline.
  }
}
