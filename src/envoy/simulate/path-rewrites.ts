// SPDX-License-Identifier: Apache-2.0
import type { RedirectAction, RouteMatch } from '#gen/envoy/config/route/v3/route_components_pb.ts';
import type { RegexMatchAndSubstitute } from '#gen/envoy/type/matcher/v3/regex_pb.ts';
import { replaceText } from '../../intent/text-match.ts';
import type { HttpRequest } from './outcome.ts';

/** `to` in the place of what the match asks for: all of the path, where it asks for no prefix. The query stays. */
export function replacePrefix(path: string, match: RouteMatch | undefined, to: string): string {
  return onPath(path, (text) => {
    const specifier = match?.pathSpecifier;
    const isPrefix = specifier?.case === 'prefix' || specifier?.case === 'pathSeparatedPrefix';
    return `${to}${text.slice(isPrefix ? specifier.value.length : text.length)}`;
  });
}

export function replaceByPattern(path: string, { pattern, substitution }: RegexMatchAndSubstitute): string {
  return onPath(path, (text) => replaceText(text, pattern?.regex ?? '', substitution));
}

function onPath(whole: string, change: (path: string) => string): string {
  const [path = '', query] = whole.split(/\?(.*)/s);
  return `${change(path)}${query === undefined ? '' : `?${query}`}`;
}

export function locationOf(redirect: RedirectAction, match: RouteMatch | undefined, request: HttpRequest): string {
  const { hostRedirect, portRedirect, schemeRewriteSpecifier } = redirect;
  const scheme = schemeOf(schemeRewriteSpecifier, request.scheme);
  const [, host, asked] = /^(.*?)(?::(\d+))?$/.exec(request.authority)!;
  // A port that was only the old scheme's default would be wrong for the new one.
  const fellAway = scheme !== request.scheme && asked === (request.scheme === 'http' ? '80' : '443');
  const kept = hostRedirect === '' && !fellAway ? asked : undefined;
  const port = portRedirect > 0 ? `:${portRedirect}` : kept === undefined ? '' : `:${kept}`;
  return `${scheme}://${hostRedirect || host}${port}${redirectedPath(redirect, match, request.path)}`;
}

function schemeOf(specifier: RedirectAction['schemeRewriteSpecifier'], scheme: string): string {
  if (specifier.case === 'schemeRedirect') return specifier.value;
  return specifier.case === 'httpsRedirect' && specifier.value ? 'https' : scheme;
}

function redirectedPath(redirect: RedirectAction, match: RouteMatch | undefined, whole: string): string {
  const { pathRewriteSpecifier: to, stripQuery } = redirect;
  const [path = '', query] = whole.split(/\?(.*)/s);
  const asked = query === undefined || stripQuery ? path : whole;
  switch (to.case) {
    case 'pathRedirect':
      return to.value.includes('?') || asked === path ? to.value : `${to.value}?${query}`;
    case 'prefixRewrite':
      return replacePrefix(asked, match, to.value);
    case 'regexRewrite':
      return replaceByPattern(asked, to.value);
    default:
      return asked;
  }
}
