// SPDX-License-Identifier: Apache-2.0
// Calls for a proxy: made for one of its routes, and half of the time broken in one thing that the route asks for.
import type { Call, ClientTls, HttpRequest } from '../../src/envoy/simulate/outcome.ts';
import type { HttpRouteIntent, NamedMatch, TextMatch } from '../../src/intent/route-types.ts';
import { matchesText } from '../../src/intent/text-match.ts';
import type { ProxyIntent } from '../../src/intent/types.ts';
import { seeded } from '../fixture/random.ts';
import { REQUEST_WORDS } from '../scenarios/arbitrary-routes.ts';
import { ASK_HEADER } from './echo-server.ts';

/** One who throws: the same seed, the same throws. */
export class Dice {
  readonly #next: () => number;

  constructor(seed: number) {
    this.#next = seeded(seed);
    for (let i = 0; i < 5; i++) this.#next();
  }

  chance(probability: number): boolean {
    return this.#next() < probability;
  }

  one<T>(values: readonly T[]): T {
    return values[Math.floor(this.#next() * values.length)]!;
  }
}

type Direction = Call['direction'];

const STRANGERS = ['nobody.example.net', 'reviews', 'a.b.outer.example.com', 'x.anywhere.example'];
const ADDRESSES = ['203.0.113.1', '10.96.1.1', '10.96.1.2', '10.1.0.1'];
const PASSED = ['a.tls.example', 'b.tls.example', 'c.tls.example'];
const NAMES = [
  'a.tls.example',
  'b.tls.example',
  'c.tls.example',
  'www.example.com',
  'a.outer.example.com',
  'nobody.example',
];

export function makeCall(intent: ProxyIntent, direction: Direction, dice: Dice): Call {
  switch (direction) {
    case 'outbound':
      return dice.chance(0.3) ? bytesCall(intent, dice) : outboundCall(intent, dice);
    case 'gateway':
      return gatewayCall(intent, dice);
    case 'inbound':
      return inboundCall(intent, dice);
  }
}

function outboundCall({ outbound }: ProxyIntent, dice: Dice): Call {
  const places = [...(outbound?.httpPorts.values() ?? [])].filter(({ table }) => table.hosts.size > 0);
  const ruled = places.filter(({ port }) => port === 9080 || port === 8080);
  const { address, port, table } = dice.one(ruled.length > 0 && dice.chance(0.85) ? ruled : places);
  const request = requestFor([...table.hosts.values()], { dice, port });
  return { direction: 'outbound', connection: { address: address || dice.one(ADDRESSES), port }, request };
}

function bytesCall({ outbound }: ProxyIntent, dice: Dice): Call {
  const places = [...(outbound?.tcpPorts.values() ?? []), ...(outbound?.httpPorts.values() ?? [])];
  const ruled = places.filter(({ chains }) => chains.some(({ origin }) => origin.object.kind === 'VirtualService'));
  const { address, port } = dice.one(ruled.length > 0 && dice.chance(0.6) ? ruled : places);
  const tls: ClientTls = { serverName: dice.one(dice.chance(0.7) ? PASSED : NAMES), alpn: dice.one([[], ['h2']]) };
  const connection = {
    address: address || dice.one(ADDRESSES),
    port,
    ...(dice.chance(port === 8443 ? 0.95 : 0.4) && { tls }),
  };
  return { direction: 'outbound', connection };
}

function gatewayCall({ gateway }: ProxyIntent, dice: Dice): Call {
  const { httpPorts = [], tcpPorts = [] } = gateway ?? {};
  const address = dice.one(['10.9.9.9', '10.9.9.10']);
  if (httpPorts.length > 0 && (dice.chance(0.4) || tcpPorts.length === 0)) {
    const { port, table } = dice.one(httpPorts);
    return {
      direction: 'gateway',
      connection: { address, port },
      request: requestFor([...table.hosts.values()], { dice, port }),
    };
  }
  const { port, https, chains } = dice.one(tcpPorts);
  const hosts = https.flatMap(({ table }) => [...table.hosts.values()]);
  const names = [...https, ...chains].flatMap(({ serverNames }) => serverNames);
  const serverName = (dice.chance(0.8) ? dice.one([...names, ...NAMES]) : dice.one(NAMES)).replace(/^\*/, 'a');
  const tls: ClientTls = {
    serverName,
    alpn: dice.one([[], ['http/1.1'], ['h2']]),
    certificate: dice.chance(0.7),
    identity: dice.one(['spiffe://friend', 'spiffe://other', 'spiffe://stranger']),
    ...(dice.chance(0.2) && { version: dice.one(['1.1', '1.2'] as const) }),
  };
  const isPlain = dice.chance(https.length > 0 ? 0.05 : 0.3);
  const connection = { address, port, ...(!isPlain && { tls }) };
  if (hosts.length === 0 || dice.chance(0.05)) return { direction: 'gateway', connection };
  const request = requestFor(hosts, { dice, port, scheme: isPlain ? 'http' : 'https' });
  const authority = dice.chance(0.8) ? serverName : request.authority;
  return { direction: 'gateway', connection, request: { ...speaking(request, tls), authority } };
}

/** Who offers h2 speaks it, in which connections are not upgraded by headers. */
function speaking(request: HttpRequest, { alpn }: ClientTls): HttpRequest {
  if (!alpn.includes('h2')) return { ...request, protocol: 'http/1.1' };
  const { connection: _, upgrade: __, ...headers } = request.headers;
  return { ...request, headers, protocol: 'h2' };
}

function inboundCall({ inbound }: ProxyIntent, dice: Dice): Call {
  const ports = [
    ...(inbound?.ports ?? []),
    { port: 9999, protocol: 'tcp' as const },
    { port: 15006, protocol: 'tcp' as const },
  ];
  const { port, protocol } = dice.one(ports);
  const isPlain = dice.chance(0.1);
  const tls: ClientTls = {
    serverName: dice.one(['outbound_.9080_._.reviews.alpha.svc.cluster.local', 'x']),
    alpn: dice.one([[], ['http/1.1'], ['h2']]),
    certificate: !dice.chance(0.1),
    ...(dice.chance(0.15) && { version: dice.one(['1.1', '1.2'] as const) }),
  };
  const connection = { address: '10.1.0.1', port, ...(!isPlain && { tls }) };
  const isRead = protocol !== 'tcp' && (protocol !== 'auto' || tls.alpn.length > 0);
  if (!isRead) return { direction: 'inbound', connection };
  const request = speaking(anyRequest(dice, 'reviews'), tls);
  const told = dice.one(['http', 'https']);
  return {
    direction: 'inbound',
    connection,
    request: { ...request, scheme: told, headers: { ...request.headers, 'x-forwarded-proto': told } },
  };
}

interface RequestOptions {
  readonly dice: Dice;
  readonly port: number;
  readonly scheme?: string;
}

/** Of a table without any. */
const NOBODY: Host = { domains: ['nobody.example.net'], routes: [] };

type Host = { readonly domains: readonly string[]; readonly routes: readonly HttpRouteIntent[] };

function requestFor(hosts: readonly Host[], { dice, port, scheme = 'http' }: RequestOptions): HttpRequest {
  const ruled = hosts.filter(({ routes }) => routes.length > 1);
  const host = hosts.length === 0 ? NOBODY : dice.one(ruled.length > 0 && dice.chance(0.85) ? ruled : hosts);
  const name = dice.chance(0.05)
    ? dice.one(STRANGERS)
    : dice.one(host.domains).replace(/^\*$/, 'a.b').replace(/^\*/, 'a');
  const plain = anyRequest(dice, authorityOf(name, port, dice));
  // Those that ask for one thing alone stand first.
  const route = dice.one(dice.chance(0.5) ? host.routes.slice(0, 3) : host.routes);
  const made = route !== undefined && dice.chance(0.9) ? fitting(plain, route, dice) : plain;
  return oddities({ ...made, scheme: made.headers['x-forwarded-proto'] ?? scheme }, dice);
}

function authorityOf(name: string, port: number, dice: Dice): string {
  const cased = dice.chance(0.05) ? name.toUpperCase() : dice.chance(0.05) ? `${name}.` : name;
  return dice.chance(0.3) ? `${cased}:${dice.one([port, port, 81])}` : cased;
}

function anyRequest(dice: Dice, authority: string): HttpRequest {
  const names = REQUEST_WORDS.headers.filter(() => dice.chance(0.25));
  const headers = Object.fromEntries(names.map((name) => [name, dice.one(REQUEST_WORDS.values)]));
  return {
    method: dice.one(['GET', 'POST', 'PUT', 'DELETE']),
    scheme: 'http',
    authority,
    path: dice.one(REQUEST_WORDS.paths),
    headers,
  };
}

/** What else requests may be: CORS, upgrades, gRPC, other versions of HTTP, upstreams that fail. */
function oddities(request: HttpRequest, dice: Dice): HttpRequest {
  let { method, headers, protocol } = request;
  if (dice.chance(0.25))
    headers = { ...headers, origin: dice.one(['https://a.example', 'http://b.example', 'http://c.example', '*']) };
  if (headers['origin'] !== undefined && dice.chance(0.4)) {
    method = 'OPTIONS';
    const asked = { 'access-control-request-method': 'PUT', 'access-control-request-headers': 'x-user,x-any' };
    headers = { ...headers, ...asked };
  }
  if (dice.chance(0.06))
    headers = {
      ...headers,
      'content-type': dice.one(['application/grpc', 'application/grpc+proto', 'application/json']),
    };
  if (dice.chance(0.08)) headers = { ...headers, cookie: dice.one(['user=jason', 'other=1; user=anna']) };
  if (dice.chance(0.1)) headers = { ...headers, [ASK_HEADER]: dice.one(['503', '500', '404', '409', 'reset']) };
  if (dice.chance(0.1)) protocol = dice.one(['h2', 'h2', 'http/1.0'] as const);
  else if (dice.chance(0.05) && method === 'GET')
    headers = { ...headers, connection: 'upgrade', upgrade: dice.one(['websocket', 'other']) };
  return { ...request, method, headers, ...(protocol && { protocol }) };
}

/** All that the route asks for, but maybe one thing. */
function fitting(request: HttpRequest, { match }: HttpRouteIntent, dice: Dice): HttpRequest {
  const conditions = [...match.headers, ...match.query];
  const broken = dice.chance(0.45) ? dice.one([...conditions, 'path'] as const) : undefined;
  const path = broken === 'path' ? request.path : pathFor(match.path, match.ignoreCase, dice);
  let made: HttpRequest = { ...request, path: `${path}` };
  for (const condition of match.headers) made = withHeader(made, condition, broken === condition, dice);
  const [bare = '', query] = made.path.split(/\?(.*)/s);
  const pairs = match.query.flatMap((condition) => {
    const value = valueFor(condition, broken === condition, dice);
    return value === undefined ? [] : [`${condition.name}=${value}`];
  });
  const all =
    dice.chance(0.2) && query !== undefined ? [query, ...pairs] : [...pairs, ...(query === undefined ? [] : [query])];
  return { ...made, path: all.length === 0 ? bare : `${bare}?${all.join('&')}` };
}

function pathFor(path: TextMatch, ignoreCase: boolean, dice: Dice): string {
  const text = matching(path, ['', '/x', '?v=x', 'x', '/v1/z'], dice) ?? '/';
  const rooted = text.startsWith('/') ? text : `/${text}`;
  return ignoreCase && dice.chance(0.5) ? rooted.toUpperCase() : rooted;
}

function withHeader(request: HttpRequest, condition: NamedMatch, isBroken: boolean, dice: Dice): HttpRequest {
  const value = valueFor(condition, isBroken, dice);
  const { [condition.name]: _, ...rest } = request.headers;
  switch (condition.name) {
    case ':method':
      return { ...request, method: METHODS.includes(value ?? '') ? value! : 'DELETE' };
    case ':authority':
      return value === undefined || !/^[\w.:-]+$/.test(value) ? request : { ...request, authority: value };
    case ':scheme':
      return value !== 'http' && value !== 'https'
        ? request
        : { ...request, headers: { ...request.headers, 'x-forwarded-proto': value } };
    default:
      return { ...request, headers: value === undefined ? rest : { ...rest, [condition.name]: value } };
  }
}

const METHODS: readonly string[] = ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'];

const CANDIDATES = [
  ...REQUEST_WORDS.values,
  ...[
    'GET',
    'POST',
    'PUT',
    'OPTIONS',
    'http',
    'https',
    'reviews',
    'reviews:9080',
    'www.example.com',
    'reviews.alpha',
    'JASON',
  ],
];

/** Undefined: it is not there at all. */
function valueFor({ name, condition, invert }: NamedMatch, isBroken: boolean, dice: Dice): string | undefined {
  const shouldFit = isBroken === invert;
  if (condition.kind === 'present') return shouldFit ? dice.one(REQUEST_WORDS.values) : undefined;
  const hosts = name === ':authority' ? CANDIDATES.filter((text) => matchesText(condition, text)) : [];
  if (shouldFit && hosts.length > 0) return dice.one(hosts);
  if (shouldFit) return matching(condition, name === ':scheme' ? [''] : ['', 'more'], dice);
  const others = CANDIDATES.filter((text) => !matchesText(condition, text));
  return dice.chance(0.4) ? undefined : dice.one(others);
}

/** A text that the match takes. */
function matching(match: TextMatch, suffixes: readonly string[], dice: Dice): string | undefined {
  switch (match.kind) {
    case 'exact':
      return match.value;
    case 'prefix':
      return `${match.value}${dice.one(suffixes)}`;
    case 'regex': {
      const texts = [...CANDIDATES, ...REQUEST_WORDS.paths];
      const fits = texts.filter((text) => matchesText(match, text.replace(/\?.*/, '')));
      return fits.length === 0 ? undefined : dice.one(fits);
    }
  }
}
