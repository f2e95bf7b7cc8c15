// SPDX-License-Identifier: Apache-2.0
// What the connection manager makes of a path before routes, redirects and the server see it.
import {
  HttpConnectionManager_PathWithEscapedSlashesAction as EscapedSlashes,
  type HttpConnectionManager,
} from '#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';

export type NormalizedPath =
  | { readonly kind: 'path'; readonly path: string }
  /** Envoy answers: 400, or the path as it should be asked for. */
  | { readonly kind: 'refused' }
  | { readonly kind: 'redirect'; readonly path: string };

type PathOptions = Pick<HttpConnectionManager, 'normalizePath' | 'mergeSlashes' | 'pathWithEscapedSlashesAction'>;

export function normalizePath(asked: string, options: PathOptions): NormalizedPath {
  // Fragments are the client's own (RFC 9110, section 4.1).
  if (asked.includes('#')) return { kind: 'refused' };
  const [path = '', query] = asked.split(/\?(.*)/s);
  const joined = (result: string) => `${result}${query === undefined ? '' : `?${query}`}`;
  const { pathWithEscapedSlashesAction: action } = options;
  const unescaped = unescapesSlashes(action) ? path.replace(/%2f/gi, '/').replace(/%5c/gi, '\\') : path;
  const found = unescaped !== path;
  if (action === EscapedSlashes.REJECT_REQUEST && /%2f|%5c/i.test(path)) return { kind: 'refused' };
  const canonical = options.normalizePath === true ? canonicalPath(unescaped) : unescaped;
  if (canonical === undefined) return { kind: 'refused' };
  const merged = options.mergeSlashes ? canonical.replace(/\/{2,}/g, '/') : canonical;
  const redirects = action === EscapedSlashes.UNESCAPE_AND_REDIRECT && found;
  return { kind: redirects ? 'redirect' : 'path', path: joined(merged) };
}

function unescapesSlashes(action: EscapedSlashes): boolean {
  return action === EscapedSlashes.UNESCAPE_AND_FORWARD || action === EscapedSlashes.UNESCAPE_AND_REDIRECT;
}

/** RFC 3986, section 6.2.2; undefined where there is no such form. */
function canonicalPath(path: string): string | undefined {
  if (!path.startsWith('/') || path.includes('%00')) return undefined;
  const decoded = path
    .replace(/%([0-9a-f]{2})/gi, (escape_, hex: string) => {
      const char = String.fromCharCode(Number.parseInt(hex, 16));
      return /[A-Za-z0-9\-._~]/.test(char) ? char : escape_;
    })
    .replaceAll('\\', '/');
  const kept: string[] = [];
  const segments = decoded.split('/').slice(1);
  segments.forEach((segment, i) => {
    const last = i === segments.length - 1;
    if (segment === '..') kept.pop();
    else if (segment !== '.') kept.push(segment);
    if (last && (segment === '.' || segment === '..')) kept.push('');
  });
  return `/${kept.join('/')}`;
}
