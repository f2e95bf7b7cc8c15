// SPDX-License-Identifier: Apache-2.0
// Requests to Bookinfo's page as a browser would send them: signed in by cookie, one after the other on a few connections.
import { Agent, request } from 'node:http';
import { type Answer, type Ask, agentOf, paceAt } from './ask.ts';

export interface PageVisit {
  readonly status: number;
  /** What the page shows: no stars (v1), black ones (v2), red ones (v3); undefined when the reviews are missing. */
  readonly stars: 'none' | 'black' | 'red' | undefined;
}

const CONNECTIONS = 4;
const VERSION_OF_STARS = { none: 'v1', black: 'v2', red: 'v3' } as const;

/** Reads the stars off Bookinfo's page. */
function readStars(html: string): PageVisit['stars'] {
  if (!html.includes('<blockquote>')) return undefined;
  if (html.includes('class="stars red"')) return 'red';
  if (html.includes('class="stars black"')) return 'black';
  return html.includes('Ratings service is currently unavailable') ? undefined : 'none';
}

/** Asks for the page at `gateway`; its stars tell which version of the reviews answered. */
export function askForPage(gateway: URL): Ask {
  return async ({ who, user, count, ratePerSecond = Infinity, until, onAnswer, signal }) => {
    const session = await openSession(gateway, { userAgent: agentOf(who), user, signal });
    const answers: Answer[] = [];
    const pace = paceAt(ratePerSecond, signal);
    try {
      await inParallel(
        () => until?.aborted === true,
        count,
        async () => {
          await pace();
          const answer = await session.visit().then(judgeVisit, (error: Error): Answer => {
            signal.throwIfAborted();
            return { version: undefined, detail: error.message };
          });
          answers.push(answer);
          onAnswer?.(answer, answers.length);
        },
      );
      return answers;
    } finally {
      session.close();
    }
  };
}

function judgeVisit({ status, stars }: PageVisit): Answer {
  return stars === undefined
    ? { version: undefined, detail: status === 200 ? 'the page came without its reviews or stars' : `HTTP ${status}` }
    : { version: VERSION_OF_STARS[stars], detail: '' };
}

/**
 * Visits `GATEWAY/productpage` `count` times, four at a time; `user` signs in first. Each request carries `userAgent`,
 * which Bookinfo passes on, so that the proxies' logs tell whose call it was.
 */
export async function visitPage(
  gateway: URL,
  options: {
    readonly user?: string;
    readonly userAgent: string;
    readonly count: number;
    readonly signal?: AbortSignal;
  },
): Promise<PageVisit[]> {
  const session = await openSession(gateway, options);
  try {
    const visits: PageVisit[] = [];
    await inParallel(
      () => false,
      options.count,
      async () => {
        visits.push(await session.visit());
      },
    );
    return visits;
  } finally {
    session.close();
  }
}

/** `work`, `count` times in all or until it is over. */
async function inParallel(isOver: () => boolean, count: number, work: () => Promise<void>): Promise<void> {
  let begun = 0;
  const worker = async (): Promise<void> => {
    while (begun < count && !isOver()) {
      begun++;
      await work();
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
}

interface Session {
  visit(): Promise<PageVisit>;
  close(): void;
}

async function openSession(
  gateway: URL,
  options: { userAgent: string; user?: string | undefined; signal?: AbortSignal | undefined },
): Promise<Session> {
  const { signal } = options;
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const headers: Record<string, string> = { 'user-agent': options.userAgent };
  try {
    if (options.user !== undefined) headers['cookie'] = await signIn(gateway, options.user, agent, signal);
  } catch (error) {
    agent.destroy();
    throw error;
  }
  return {
    async visit() {
      const { status, body } = await send(new URL('/productpage', gateway), { headers, agent, signal });
      return { status, stars: status === 200 ? readStars(body) : undefined };
    },
    close: () => agent.destroy(),
  };
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
