// SPDX-License-Identifier: Apache-2.0
// Random routes of VirtualServices, with every field there is, out of few words: so that requests of the same words meet
// them, and miss them, again and again.
import fc from 'fast-check';

export const VERSIONS = ['v1', 'v2', 'v3'] as const;
const WORDS = ['jason', 'anna', 'x', 'beta/1'] as const;
const PREFIXES = ['/', '/api', '/api/v1', '/Shop', ''] as const;

/** What requests are made of: some meet the words that routes ask for, some just miss them. */
export const REQUEST_WORDS = {
  paths: [
    ...['/', '/api', '/API/v1/x', '/api/v1/x', '/api/v12/y?v=jason&q=x', '/login', '/login?v=x', '/LOGIN', '/x.png'],
    ...[
      '/a/../api/v1/z',
      '/a//b',
      '/%61pi',
      '/api?q=anna&q=jason',
      '/x?v=',
      '/shop/1?w',
      '/Shop/%2e%2e/api',
      '/a/b/a/',
    ],
    ...[
      '/api%2fv1/x',
      '/api\\v1',
      '/api/v1/../../login',
      '/%',
      '/api?v=%6Aason',
      '/login/',
      '//api',
      '/api/v1?x#y',
      '/%00',
    ],
  ],
  values: ['jason', 'anna', 'x', 'beta/1', 'beta/12', 'annabel', '123', ''],
  headers: ['end-user', 'x-canary', 'x-debug', 'x-other', 'x-old', 'x-user'],
} as const;

const word = fc.constantFrom(...WORDS);
export const textMatch = fc.oneof(
  word.map((exact) => ({ exact })),
  word.map((prefix) => ({ prefix })),
  fc.constantFrom('a.*', '(jas|ann).+', '[0-9]{1,3}', '(?i)JASON').map((regex) => ({ regex })),
);
const uri = fc.oneof(
  fc.constantFrom(...PREFIXES).map((prefix) => ({ prefix })),
  fc.constantFrom('/', '/login', '/x.png').map((exact) => ({ exact })),
  fc.constantFrom('/api/v[0-9]+/.*', '.*\\.png', '/(api|shop).*').map((regex) => ({ regex })),
);
const present = fc.constant({});

type Arbitrary<T> = fc.Arbitrary<T>;
export type Fields = Record<string, unknown>;

export interface Places {
  readonly namespaces: readonly string[];
  readonly ports: readonly number[];
  /** As matches ask for them. */
  readonly gateways: readonly string[];
}

function arbitraryMatch({ namespaces, ports, gateways }: Places): Arbitrary<Fields> {
  const conditions = {
    scheme: fc.constantFrom({ exact: 'http' }, { exact: 'https' }, { prefix: 'https' }, { regex: 'https?' }),
    method: fc.constantFrom({ exact: 'GET' }, { regex: 'P(OS|U)T' }, { prefix: 'P' }, { exact: 'OPTIONS' }),
    authority: fc.oneof(
      textMatch,
      fc.constantFrom({ prefix: 'reviews' }, { regex: '.*:9080' }, { prefix: 'www.' }, { exact: 'reviews' }),
    ),
    headers: named(['end-user', 'x-canary', 'X-Other']),
    withoutHeaders: named(['end-user', 'x-debug']),
    queryParams: named(['v', 'q', 'w']),
    port: fc.constantFrom(...ports),
    sourceLabels: fc.constantFrom({ app: 'reviews' }, { version: 'v1' }, { version: 'v2' }),
    sourceNamespace: fc.constantFrom(...namespaces),
    gateways: fc.subarray([...gateways], { minLength: 1 }),
  };
  // Whoever asks for everything at once is asked for nothing.
  const some = fc.tuple(fc.record(conditions), fc.subarray(Object.keys(conditions), { maxLength: 2 }));
  const rest = fc.record({ name: word, uri, ignoreUriCase: fc.boolean(), statPrefix: word }, { requiredKeys: [] });
  return fc.tuple(some, rest).map(([[all, keys], more]) => {
    const chosen = Object.entries(all).filter(([key]) => keys.includes(key));
    return { ...more, ...Object.fromEntries(chosen) };
  });
}

function named(names: readonly string[]): Arbitrary<Fields> {
  return fc.dictionary(fc.constantFrom(...names), fc.oneof(textMatch, present), { minKeys: 1, maxKeys: 2 });
}

const exactly = (kind: string) => textMatch.filter((match) => kind in match);

/** Matches that ask for one thing alone, each in another way. */
export function soleConditions({ namespaces, ports, gateways }: Places): readonly Arbitrary<Fields>[] {
  const texts = ['exact', 'prefix', 'regex'].map(exactly);
  const byName = (field: string, name: string) =>
    [...texts, present].map((condition) => condition.map((value): Fields => ({ [field]: { [name]: value } })));
  const fixed = (field: string, ...values: unknown[]) => values.map((value) => fc.constant<Fields>({ [field]: value }));
  return [
    ...fixed('uri', { exact: '/login' }, { prefix: '/api' }, { regex: '/api/v[0-9]+/.*' }),
    ...fixed('scheme', { exact: 'https' }, { prefix: 'https' }, { regex: 'ht+ps' }),
    ...fixed('method', { exact: 'GET' }, { prefix: 'P' }, { regex: 'P(OS|U)T' }),
    ...fixed('authority', { exact: 'www.example.com' }, { prefix: 'www.' }, { regex: '.*:9080' }),
    ...byName('headers', 'end-user'),
    ...byName('withoutHeaders', 'x-debug'),
    ...byName('queryParams', 'q'),
    ...[fc.constantFrom(...ports).map((port): Fields => ({ port }))],
    ...fixed('sourceLabels', { version: 'v1' }, { version: 'v2' }),
    ...[fc.constantFrom(...namespaces).map((sourceNamespace): Fields => ({ sourceNamespace }))],
    ...[fc.constantFrom(...gateways).map((gateway): Fields => ({ gateways: [gateway] }))],
    fc.constant<Fields>({ uri: { prefix: '/shop' }, ignoreUriCase: true }),
  ];
}

/** With values that Envoy computes, and some that it writes as they are. */
const operations = fc.record(
  {
    set: fc.constantFrom(
      { 'x-by': '%PROTOCOL% 100%%' },
      { 'x-route': '%ROUTE_NAME%', 'x-old': 'new' },
      { 'X-Path': '%REQ(:path)%-%REQ(x-none?x-user)%' },
    ),
    add: fc.constantFrom({ 'x-more': '1' }, { 'x-old': 'more', 'x-cluster': '%UPSTREAM_CLUSTER%' }),
    remove: fc.constantFrom(['x-old'], ['x-user', 'X-More'], ['server']),
  },
  { requiredKeys: [] },
);
const responses = operations.map(({ set, ...rest }) => ({
  ...rest,
  ...(set !== undefined && { set: { 'x-by': 'mesh' } }),
}));
const requests = fc
  .tuple(operations, fc.option(fc.constantFrom('new.example.com', 'other.example.com:81'), { nil: undefined }))
  .map(([edits, host]) => (host === undefined ? edits : { ...edits, set: { ...edits.set, Host: host } }));
/** They may set the authority, too. */
const ownHeaders = fc.record({ request: requests, response: responses }, { requiredKeys: [] });

const fault = fc.record(
  {
    delay: fc.constantFrom({ fixedDelay: '5ms', percentage: { value: 50 } }, { fixedDelay: '1ms', percent: 100 }),
    abort: fc.constantFrom(
      { httpStatus: 503, percentage: { value: 0.1 } },
      { httpStatus: 418, percentage: { value: 50 } },
      { httpStatus: 400, percentage: { value: 100 } },
      { grpcStatus: 'NOT_FOUND', percentage: { value: 100 } },
      { grpcStatus: 'UNAVAILABLE', percentage: { value: 50 } },
    ),
  },
  { requiredKeys: [] },
);
const corsPolicy = fc.record(
  {
    allowOrigins: fc.constantFrom([{ prefix: 'https://' }], [{ exact: '*' }], [{ regex: 'https?://b.*' }]),
    allowMethods: fc.constantFrom(['GET'], ['GET', 'PUT'], ['*']),
    allowHeaders: fc.constantFrom(['x-user', 'x-more'], ['*']),
    exposeHeaders: fc.constant(['x-by']),
    maxAge: fc.constantFrom('24h', '90s'),
    allowCredentials: fc.boolean(),
    unmatchedPreflights: fc.constantFrom('FORWARD', 'IGNORE'),
  },
  { requiredKeys: ['allowOrigins'] },
);
const retries = fc.constantFrom(
  { attempts: 0 },
  { attempts: 3, perTryTimeout: '1200ms', retryOn: '5xx,503,reset', backoff: '1ms' },
  { attempts: 2, retryOn: 'gateway-error', backoff: '1ms', retryIgnorePreviousHosts: false },
  { attempts: 1, retryOn: '503,retriable-4xx', retryRemoteLocalities: true, backoff: '1ms' },
  { attempts: 2, backoff: '2ms' },
);

/** What is done to requests besides, `destination`: where mirrors lead. */
function arbitraryExtras(destination: Arbitrary<object>): Arbitrary<Fields> {
  const mirror = fc
    .tuple(destination, fc.constantFrom(undefined, 100, 50))
    .map(([to, value]) => ({ destination: to, ...(value !== undefined && { percentage: { value } }) }));
  const mirrors = fc.oneof(
    destination.map((mirror) => ({ mirror })),
    destination.map((mirror) => ({ mirror, mirrorPercentage: { value: 50 } })),
    fc.array(mirror, { minLength: 1, maxLength: 2 }).map((all) => ({ mirrors: all })),
  );
  return fc
    .record(
      {
        timeout: fc.constantFrom('0s', '1.5s', '2s'),
        retries,
        fault: fault.filter(({ delay, abort }) => (delay ?? abort) !== undefined),
        corsPolicy,
        headers: ownHeaders,
        rewrite: fc.constantFrom(
          { uri: '/new' },
          { uri: '/' },
          { authority: 'new.example.com' },
          { uri: '/new/', authority: 'new.example.com' },
          { uriRegexRewrite: { match: '^/(a|api)/', rewrite: '/\\1-\\0' } },
          { uriRegexRewrite: { match: '(/?)x*', rewrite: '\\1y' } },
          { uriRegexRewrite: { match: '/v([0-9])', rewrite: '/\\\\\\1' } },
        ),
        mirrors,
      },
      { requiredKeys: [] },
    )
    .map(({ mirrors, ...rest }) => ({ ...rest, ...mirrors }))
    .map(withOneAuthority);
}

/** The authority can be set once. */
function withOneAuthority(route: Fields): Fields {
  const { rewrite, headers: said } = route as { rewrite?: { authority?: string }; headers?: { request?: Edits } };
  if (rewrite?.authority === undefined || said?.request?.set?.['Host'] === undefined) return route;
  const { Host: _, ...set } = said.request.set;
  return { ...route, headers: { ...said, request: { ...said.request, set } } };
}

interface Edits {
  readonly set?: Readonly<Record<string, string>>;
}

const weight = fc.integer({ min: 1, max: 99 });

function arbitraryAction(destination: Arbitrary<object>): Arbitrary<Fields> {
  const extras = arbitraryExtras(destination);
  const redirect = fc.constantFrom(
    { uri: '/there', redirectCode: 308, port: 8443 },
    { uri: '/there?with=query', scheme: 'https' },
    { authority: 'there.example.com', derivePort: 'FROM_REQUEST_PORT', redirectCode: 302 },
    { authority: 'there.example.com', uri: '/x', derivePort: 'FROM_PROTOCOL_DEFAULT', redirectCode: 303 },
    { scheme: 'https', redirectCode: 307 },
    { port: 80 },
  );
  const directResponse = fc.constantFrom(
    { status: 418, body: { string: 'tea' } },
    { status: 200, body: { bytes: 'AQID' } },
    { status: 503 },
  );
  return fc.oneof(
    {
      weight: 6,
      arbitrary: fc
        .tuple(destination, extras, fc.option(ownHeaders, { nil: undefined }))
        .map(([to, more, own]) => ({ ...more, route: [{ destination: to, ...(own && { headers: own }) }] })),
    },
    {
      weight: 4,
      arbitrary: fc
        .tuple(destination, destination, weight, ownHeaders, extras, fc.boolean())
        .map(([a, b, share, own, more, all]) => ({
          ...more,
          route: [
            { destination: a, weight: all ? 0 : share, headers: own },
            { destination: b, weight: all ? 1 : 100 - share },
          ],
        })),
    },
    { weight: 2, arbitrary: answer(redirect.map((redirect) => ({ redirect }))) },
    { weight: 1, arbitrary: answer(directResponse.map((directResponse) => ({ directResponse }))) },
  );
}

/** CORS and headers are of answers, too. */
function answer(what: Arbitrary<Fields>): Arbitrary<Fields> {
  return fc
    .tuple(what, fc.record({ headers: fc.record({ response: responses }), corsPolicy }, { requiredKeys: [] }))
    .map(([action, more]) => ({ ...action, ...more }));
}

export function arbitraryRoute(places: Places, destination: Arbitrary<object>): Arbitrary<Fields> {
  const matches = fc.array(arbitraryMatch(places), { maxLength: 2 });
  return fc.oneof(
    { weight: 12, arbitrary: joined(matches, arbitraryAction(destination)) },
    {
      weight: 1,
      arbitrary: joined(
        matches.map((all) => all.map(byPrefix)),
        prefixRedirect,
      ),
    },
  );
}

function joined(matches: Arbitrary<Fields[]>, action: Arbitrary<Fields>): Arbitrary<Fields> {
  return fc
    .tuple(matches, action, fc.option(word, { nil: undefined }))
    .map(([match, rest, name]) => ({ ...rest, ...(match.length > 0 && { match }), ...(name && { name }) }));
}

/** What is put in the place of a prefix needs one. */
const prefixRedirect: Arbitrary<Fields> = fc
  .constantFrom('/', '/new', '/new/')
  .map((prefixRewrite) => ({ redirect: { prefixRewrite } }));

function byPrefix(match: Fields): Fields {
  const { uri } = match as { uri?: { prefix?: string } };
  return uri === undefined || uri.prefix !== undefined ? match : { ...match, uri: { prefix: '/api' } };
}
