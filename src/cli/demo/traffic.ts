// SPDX-License-Identifier: Apache-2.0
// Requests to Bookinfo's page as a browser would send them: signed in by cookie, one after the other on a few connections.
import { Agent, request } from 'node:http';

export interface PageVisit {
  readonly status: number;
  /** What the page shows: no stars (v1), black ones (v2), red ones (v3); undefined when the reviews are missing. */
  readonly stars: 'none' | 'black' | 'red' | undefined;
}

/** Reads the stars off Bookinfo's page. */
export function readStars(html: string): PageVisit['stars'] {
  if (!html.includes('<blockquote>')) return undefined;
  if (html.includes('class="stars red"')) return 'red';
  if (html.includes('class="stars black"')) return 'black';
  return html.includes('Ratings service is currently unavailable') ? undefined : 'none';
}

/**
 * Visits `GATEWAY/productpage` `count` times, four at a time; `user` signs in first. Each request carries `userAgent`,
 * which Bookinfo passes on, so that the proxies' logs tell whose call it was. `onVisit` reports progress.
 */
export async function visitPage(
  gateway: URL,
  options: {
    readonly user?: string;
    readonly userAgent: string;
    readonly count: number;
    readonly onVisit?: (done: number) => void;
    readonly signal?: AbortSignal;
  },
): Promise<PageVisit[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  try {
    const headers: Record<string, string> = { 'user-agent': options.userAgent };
    if (options.user !== undefined) headers['cookie'] = await signIn(gateway, options.user, agent, options.signal);
    const visits: PageVisit[] = [];
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next++ < options.count) {
        const { status, body } = await send(new URL('/productpage', gateway), {
          headers,
          agent,
          signal: options.signal,
        });
        visits.push({ status, stars: status === 200 ? readStars(body) : undefined });
        options.onVisit?.(visits.length);
      }
    };
    await Promise.all([worker(), worker(), worker(), worker()]);
    return visits;
  } finally {
    agent.destroy();
  }
}

async function signIn(gateway: URL, user: string, agent: Agent, signal: AbortSignal | undefined): Promise<string> {
  const body = new URLSearchParams({ username: user, passwd: 'demo' }).toString();
  const headers = { 'content-type': 'application/x-www-form-urlencoded', 'content-length': String(body.length) };
  const response = await send(new URL('/login', gateway), { method: 'POST', headers, body, agent, signal });
  const cookie = response.cookie?.split(';')[0];
  if (!cookie)
    throw new Error(`signing in as ${user} at ${gateway.href}login gave no session (HTTP ${response.status})`);
  return cookie;
}

interface Sent {
  readonly method?: string;
  readonly headers: Record<string, string>;
  readonly body?: string;
  readonly agent: Agent;
  readonly signal: AbortSignal | undefined;
}

function send(url: URL, options: Sent): Promise<{ status: number; body: string; cookie: string | undefined }> {
  const { promise, resolve, reject } = Promise.withResolvers<{
    status: number;
    body: string;
    cookie: string | undefined;
  }>();
  const outgoing = request(url, {
    method: options.method ?? 'GET',
    headers: options.headers,
    agent: options.agent,
    timeout: 15_000,
    ...(options.signal ? { signal: options.signal } : {}),
  });
  outgoing.on('response', (response) => {
    let body = '';
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => {
      body += chunk;
    });
    response.on('end', () =>
      resolve({ status: response.statusCode ?? 0, body, cookie: response.headers['set-cookie']?.[0] }),
    );
    response.on('error', reject);
  });
  outgoing.on('timeout', () => outgoing.destroy(new Error(`${url.href} did not answer within 15 s`)));
  outgoing.on('error', reject);
  outgoing.end(options.body);
  return promise;
}
