// SPDX-License-Identifier: Apache-2.0
// Reviews in three versions: v1 calls nobody; v2 shows black stars, v3 red ones, both from the ratings service.
import { fetchJson, forwardedHeaders, json, PORT, serve, serviceUrl } from '../http-service.ts';

const version = process.argv[2] ?? process.env['SERVICE_VERSION'] ?? 'v1';
const colour = { v2: 'black', v3: 'red' }[version];
/** How long a page waits for its stars. */
const RATINGS_TIMEOUT_MS = 10_000;

const REVIEWS = [
  {
    reviewer: 'Reviewer1',
    text: 'Two pairs of twins, one city, and not a dull minute: I laughed out loud on the train.',
  },
  {
    reviewer: 'Reviewer2',
    text: 'Light and quick. It has less depth than the later plays, and I did not miss it once.',
  },
];

serve(`reviews-${version}`, PORT, async (request, path) => {
  if (path === '/health') return json(200, { status: 'Reviews is healthy' });
  const id = /^\/reviews\/(.+)$/.exec(path)?.[1];
  if (id === undefined) return json(404, { error: 'not found' });
  if (colour === undefined) return json(200, { id, reviews: REVIEWS });
  const { value } = await fetchJson(
    `${serviceUrl('ratings')}/ratings/${id}`,
    forwardedHeaders(request.headers),
    RATINGS_TIMEOUT_MS,
  );
  const stars = (value as { ratings?: Record<string, number> } | undefined)?.ratings;
  return json(200, {
    id,
    reviews: REVIEWS.map((review) => ({
      ...review,
      rating:
        stars?.[review.reviewer] === undefined
          ? { error: 'Ratings service is currently unavailable' }
          : { stars: stars[review.reviewer], color: colour },
    })),
  });
});
