// SPDX-License-Identifier: Apache-2.0
import { json, PORT, readBody, serve } from '../http-service.ts';

/** What POST /ratings/ID has set; the original keeps it in memory too. */
const posted = new Map<string, Record<string, number>>();

serve('ratings', PORT, async (request, path) => {
  if (path === '/health') return json(200, { status: 'Ratings is healthy' });
  const id = /^\/ratings\/(.+)$/.exec(path)?.[1];
  if (id === undefined) return json(404, { error: 'not found' });
  if (!/^\d+$/.test(id)) return json(400, { error: 'please provide numeric product ID' });
  if (request.method === 'POST') {
    const ratings = parseRatings(await readBody(request));
    if (!ratings) return json(400, { error: 'please provide valid ratings JSON' });
    posted.set(id, ratings);
    return json(200, { id: Number(id), ratings });
  }
  return json(200, { id: Number(id), ratings: posted.get(id) ?? { Reviewer1: 5, Reviewer2: 4 } });
});

function parseRatings(body: string): Record<string, number> | undefined {
  try {
    const value: unknown = JSON.parse(body);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    const entries = Object.entries(value);
    return entries.every(([, stars]) => typeof stars === 'number')
      ? (Object.fromEntries(entries) as Record<string, number>)
      : undefined;
  } catch {
    return undefined;
  }
}
