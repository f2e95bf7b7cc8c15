// SPDX-License-Identifier: Apache-2.0
// The part of httpbin that people try a mesh with: what a request looked like on arrival, statuses and delays on demand.
// `httpbin go` is the one in Go; `gunicorn --access-logfile - -b 0.0.0.0:80 httpbin:app` is how its image starts the other.
import type { IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { accessLine, portOf } from '../gunicorn.ts';
import { type Answer, json, readBody, serve } from '../http-service.ts';

/** httpbin's own limit. */
const MAX_DELAY_S = 10;
const TEAPOT = '\n    -=[ teapot ]=-\n\n      I am short and stout\n';

const [flavour, ...words] = process.argv.slice(2);
const isGo = flavour === 'go';
const logsRequests = isGo || words.includes('--access-logfile');

serve('httpbin', isGo ? 8080 : portOf(words), async (request, path): Promise<Answer> => {
  const answer = await answerTo(request, path);
  if (logsRequests) console.log(accessLine(request, answer, new Date()));
  return answer;
});

async function answerTo(request: IncomingMessage, path: string): Promise<Answer> {
  const [, first = '', second = ''] = path.split('/');
  switch (first) {
    case '':
      return {
        status: 200,
        headers: { 'content-type': 'text/plain' },
        body: 'httpbin: /headers /get /post /anything /ip /user-agent /status/CODE /delay/SECONDS /html\n',
      };
    case 'html':
      return { status: 200, headers: { 'content-type': 'text/html' }, body: '<!DOCTYPE html>\n<h1>httpbin</h1>\n' };
    case 'headers':
      return pretty({ headers: headersOf(request) });
    case 'ip':
      return pretty({ origin: originOf(request) });
    case 'user-agent':
      return pretty({ 'user-agent': request.headers['user-agent'] ?? null });
    case 'status':
      return /^[1-5]\d\d$/.test(second) && Number(second) >= 200
        ? { status: Number(second), body: second === '418' ? TEAPOT : '' }
        : json(400, { error: 'a status from 200 to 599 is needed' });
    case 'delay': {
      const seconds = Number(second);
      if (!(seconds >= 0)) return json(400, { error: 'a number of seconds is needed' });
      await sleep(Math.min(seconds, MAX_DELAY_S) * 1000);
      return echo(request);
    }
    case 'get':
      return request.method === 'GET' || request.method === 'HEAD' ? echo(request) : json(405, { error: 'only GET' });
    case 'post':
      return request.method === 'POST' ? echo(request) : json(405, { error: 'only POST' });
    case 'anything':
      return echo(request);
    default:
      return json(404, { error: 'not found' });
  }
}

async function echo(request: IncomingMessage): Promise<Answer> {
  const url = new URL(request.url ?? '/', `http://${request.headers.host ?? 'httpbin'}`);
  return pretty({
    args: Object.fromEntries(url.searchParams),
    data: await readBody(request),
    headers: headersOf(request),
    method: request.method,
    origin: originOf(request),
    url: url.href,
  });
}

/** Names as httpbin writes them, `User-Agent`, sorted; the one in Go has lists of values. */
function headersOf(request: IncomingMessage): Record<string, string | string[]> {
  const named = Object.entries(request.headers).map(
    ([name, value]) =>
      [
        name.replace(/(^|-)[a-z]/g, (start) => start.toUpperCase()),
        isGo ? [value ?? ''].flat() : String(value),
      ] as const,
  );
  return Object.fromEntries(named.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function originOf(request: IncomingMessage): string {
  return String(request.headers['x-forwarded-for'] ?? request.socket.remoteAddress ?? '');
}

function pretty(value: unknown): Answer {
  return {
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: `${JSON.stringify(value, undefined, 2)}\n`,
  };
}
