// SPDX-License-Identifier: Apache-2.0
// Bookinfo's page: asks details and reviews, and passes the signed-in user on as the header `end-user`.
import type { IncomingMessage } from 'node:http';
import { type Details, indexPage, productPage, type Review } from '../bookinfo/page.ts';
import { type Answer, fetchJson, forwardedHeaders, json, PORT, readBody, serve, serviceUrl } from '../http-service.ts';

const PRODUCT = {
  id: 0,
  title: 'The Comedy of Errors',
  descriptionHtml:
    'One of Shakespeare’s earliest and shortest comedies: two sets of identical twins, separated at birth, meet in one city by accident, and everybody is taken for somebody else.',
};
/** The original tries the reviews twice, three seconds each. */
const TIMEOUT_MS = 3_000;

serve('productpage', PORT, async (request, path): Promise<Answer> => {
  switch (path) {
    case '/':
    case '/index.html':
      return html(indexPage());
    case '/health':
      return { status: 200, headers: { 'content-type': 'text/plain' }, body: 'Product page is healthy' };
    case '/login':
      return request.method === 'POST' ? login(request) : { status: 405, body: 'sign in by POST' };
    case '/logout':
      return redirect(request, 'session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax');
    case '/productpage': {
      const headers = callHeaders(request);
      const [details, reviews] = await Promise.all([productDetails(0, headers), productReviews(0, headers)]);
      return html(productPage({ product: PRODUCT, details, reviews, user: signedInUser(request) }));
    }
    default:
      return api(request, path);
  }
});

async function api(request: IncomingMessage, path: string): Promise<Answer> {
  if (path === '/api/v1/products') return json(200, [PRODUCT]);
  const [, id, part] = /^\/api\/v1\/products\/(\d+)(?:\/(reviews|ratings))?$/.exec(path) ?? [];
  if (id === undefined) return { status: 404, headers: { 'content-type': 'text/plain' }, body: 'not found' };
  const headers = callHeaders(request);
  const url =
    part === 'reviews'
      ? `${serviceUrl('reviews')}/reviews/${id}`
      : part === 'ratings'
        ? `${serviceUrl('ratings')}/ratings/${id}`
        : `${serviceUrl('details')}/details/${id}`;
  const { status, value } = await fetchJson(url, headers, TIMEOUT_MS);
  return value === undefined
    ? json(status || 503, { error: `${part ?? 'details'} are currently unavailable` })
    : json(200, value);
}

async function productDetails(id: number, headers: Record<string, string>): Promise<Details | undefined> {
  return (await fetchJson(`${serviceUrl('details')}/details/${id}`, headers, TIMEOUT_MS)).value as Details | undefined;
}

async function productReviews(id: number, headers: Record<string, string>): Promise<readonly Review[] | undefined> {
  for (let attempt = 0; attempt < 2; attempt++) {
    const { value } = await fetchJson(`${serviceUrl('reviews')}/reviews/${id}`, headers, TIMEOUT_MS);
    if (value !== undefined) return (value as { reviews: readonly Review[] }).reviews;
  }
  return undefined;
}

function callHeaders(request: IncomingMessage): Record<string, string> {
  const headers = forwardedHeaders(request.headers);
  const user = signedInUser(request);
  if (user !== undefined) headers['end-user'] = user;
  return headers;
}

/** The session is the user's name in a cookie: a sample without passwords protects nothing. */
function signedInUser(request: IncomingMessage): string | undefined {
  const cookie = /(?:^|;\s*)session=([A-Za-z0-9_-]+)/.exec(request.headers.cookie ?? '')?.[1];
  return cookie === undefined ? undefined : Buffer.from(cookie, 'base64url').toString();
}

async function login(request: IncomingMessage): Promise<Answer> {
  const user = new URLSearchParams(await readBody(request)).get('username')?.trim() ?? '';
  // It becomes a header value on the way to reviews, so it must be one.
  if (!/^[\x21-\x7e]{1,64}$/.test(user))
    return { status: 400, body: 'a user name of 1 to 64 letters, digits or signs is needed' };
  return redirect(request, `session=${Buffer.from(user).toString('base64url')}; Path=/; HttpOnly; SameSite=Lax`);
}

function redirect(request: IncomingMessage, cookie: string): Answer {
  const referer = request.headers.referer;
  const target = referer && URL.canParse(referer) ? new URL(referer).pathname : '/productpage';
  return { status: 302, headers: { location: target, 'set-cookie': cookie }, body: '' };
}

function html(body: string): Answer {
  return { status: 200, headers: { 'content-type': 'text/html; charset=utf-8' }, body };
}
