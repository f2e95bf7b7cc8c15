// SPDX-License-Identifier: Apache-2.0
// Bookinfo's HTML: one column on a phone, two on a desk; no script, no foreign font, light and dark.

export type Details = Readonly<Record<string, string | number>>;

export interface Review {
  readonly reviewer: string;
  readonly text: string;
  readonly rating?: { readonly stars: number; readonly color: string } | { readonly error: string };
}

export interface ProductPage {
  readonly product: { readonly title: string; readonly descriptionHtml: string };
  /** undefined: the service did not answer. */
  readonly details: Details | undefined;
  readonly reviews: readonly Review[] | undefined;
  readonly user: string | undefined;
}

const STYLE = `
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5d6879; --line: #dfe4ea; --page: #f4f6f8; --card: #fff; --accent: #1f6f8b; --red: #d0312d; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf1; --soft: #9aa7b8; --line: #303a48; --page: #141a22; --card: #1c242f; --accent: #6bbbd6; --red: #ff6b63; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
header { background: var(--card); border-bottom: 1px solid var(--line); }
.bar { max-width: 60rem; margin: 0 auto; padding: .8rem 1.2rem; display: flex; flex-wrap: wrap; gap: .8rem; align-items: center; justify-content: space-between; }
.brand { font-weight: 650; text-decoration: none; color: inherit; }
form { display: flex; gap: .4rem; margin: 0; }
input, button, .button { font: inherit; padding: .35rem .7rem; border-radius: .4rem; border: 1px solid var(--line); background: var(--card); color: inherit; text-decoration: none; }
input { width: 9rem; }
button, .button { background: var(--accent); border-color: var(--accent); color: var(--card); cursor: pointer; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1.2rem 3rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .5rem; } h2 { font-size: 1.1rem; margin: 0 0 .8rem; }
.lead { color: var(--soft); max-width: 44rem; margin: 0 0 2rem; }
.columns { display: grid; gap: 1.2rem; } @media (min-width: 46rem) { .columns { grid-template-columns: 2fr 3fr; } }
section { background: var(--card); border: 1px solid var(--line); border-radius: .7rem; padding: 1.2rem 1.4rem; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .3rem 1rem; margin: 0; } dt { color: var(--soft); } dd { margin: 0; }
blockquote { margin: 0 0 1.2rem; padding: 0; } blockquote:last-child { margin: 0; } blockquote p { margin: 0 0 .2rem; } cite { color: var(--soft); font-style: normal; font-size: .9rem; }
.stars { letter-spacing: .12em; font-size: 1.25rem; } .stars.black { color: var(--ink); } .stars.red { color: var(--red); } .stars .off { opacity: .25; }
.failed { color: var(--soft); font-style: italic; }
`;

export function indexPage(): string {
  return layout(
    undefined,
    `<h1>Bookinfo</h1>
<p class="lead">A small bookstore of four services. The page asks <b>details</b> and <b>reviews</b>; some versions of
reviews ask <b>ratings</b>. Which version answers, and in which cluster, is the mesh’s decision.</p>
<p><a class="button" href="/productpage">Open the book</a></p>`,
  );
}

export function productPage(page: ProductPage): string {
  return layout(
    page.user,
    `<h1>${escapeHtml(page.product.title)}</h1>
<p class="lead">${page.product.descriptionHtml}</p>
<div class="columns">
<section><h2>Book details</h2>${renderDetails(page.details)}</section>
<section id="reviews"><h2>Book reviews</h2>${renderReviews(page.reviews)}</section>
</div>`,
  );
}

function layout(user: string | undefined, body: string): string {
  const session =
    user === undefined
      ? `<form method="post" action="/login"><input name="username" placeholder="user name" aria-label="User name" autocomplete="username" required><input type="password" name="passwd" placeholder="any password" aria-label="Password" autocomplete="current-password"><button id="sign-in">Sign in</button></form>`
      : `<form method="get" action="/logout"><span style="align-self:center">Signed in as <b id="user">${escapeHtml(user)}</b></span><button id="sign-out">Sign out</button></form>`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Simple Bookstore App</title><link rel="icon" href="data:,"><style>${STYLE}</style></head>
<body><header><div class="bar"><a class="brand" href="/">Bookinfo</a>${session}</div></header>
<main>${body}</main></body></html>
`;
}

function renderDetails(details: Details | undefined): string {
  if (details === undefined)
    return '<p class="failed">Product details are currently unavailable. Please try again later.</p>';
  const rows = Object.entries(details)
    .filter(([name]) => name !== 'id')
    .map(
      ([name, value]) =>
        `<dt>${escapeHtml(name[0]?.toUpperCase() + name.slice(1))}</dt><dd>${escapeHtml(String(value))}</dd>`,
    );
  return `<dl>${rows.join('')}</dl>`;
}

function renderReviews(reviews: readonly Review[] | undefined): string {
  if (reviews === undefined)
    return '<p class="failed">Product reviews are currently unavailable. Please try again later.</p>';
  return reviews
    .map(
      (r) =>
        `<blockquote><p>${escapeHtml(r.text)}</p>${renderRating(r.rating)}<cite>${escapeHtml(r.reviewer)}</cite></blockquote>`,
    )
    .join('');
}

function renderRating(rating: Review['rating']): string {
  if (rating === undefined) return '';
  if ('error' in rating) return `<p class="failed">${escapeHtml(rating.error)}</p>`;
  const stars = Math.max(0, Math.min(5, Math.round(rating.stars)));
  const colour = rating.color === 'red' ? 'red' : 'black';
  return `<div class="stars ${colour}" role="img" aria-label="${stars} of 5 stars, ${colour}">${'★'.repeat(stars)}<span class="off">${'★'.repeat(5 - stars)}</span></div>`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}
