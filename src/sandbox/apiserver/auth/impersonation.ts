// SPDX-License-Identifier: Apache-2.0
// Impersonate-User, -Group, -Uid, -Extra-KEY: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation
import type { IncomingMessage } from 'node:http';
import type { Attributes, Authorizer, UserInfo } from '../seams.ts';
import { badRequest } from '../status.ts';
import { accessDenied } from './access-denied.ts';
import { serviceAccountGroups } from './token-service.ts';

const EXTRA_PREFIX = 'impersonate-extra-';

/** The user that the request asks to act as, once `user` was found allowed to; else `user`. Throws ApiError 403 or 400. */
export async function impersonate(request: IncomingMessage, user: UserInfo, authorizer: Authorizer): Promise<UserInfo> {
  const wanted = readWanted(request);
  if (!wanted) return user;
  for (const attributes of requiredRights(wanted)) {
    const decision = await authorizer.authorize(user, attributes);
    if (!decision.allowed) throw accessDenied(user, attributes, decision.reason);
  }
  const account = parseServiceAccount(wanted.username);
  const groups = wanted.groups.length === 0 && account ? serviceAccountGroups(account.namespace) : wanted.groups;
  const everyone = wanted.username === 'system:anonymous' ? 'system:unauthenticated' : 'system:authenticated';
  return { ...wanted, groups: groups.includes(everyone) ? groups : [...groups, everyone] };
}

function readWanted(request: IncomingMessage): UserInfo | undefined {
  const headers = request.headersDistinct;
  const username = headers['impersonate-user']?.[0];
  const groups = headers['impersonate-group'] ?? [];
  const uid = headers['impersonate-uid']?.[0];
  const extra: Record<string, string[]> = {};
  for (const [name, values] of Object.entries(headers)) {
    if (!name.startsWith(EXTRA_PREFIX)) continue;
    extra[decodeKey(name.slice(EXTRA_PREFIX.length))] = values ?? [];
  }
  if (username === undefined || username === '') {
    if (groups.length > 0 || uid !== undefined || Object.keys(extra).length > 0) {
      throw badRequest('requested impersonation without a user: the header Impersonate-User is missing');
    }
    return undefined;
  }
  return {
    username,
    groups,
    ...(uid === undefined ? {} : { uid }),
    ...(Object.keys(extra).length > 0 ? { extra } : {}),
  };
}

function decodeKey(key: string): string {
  try {
    return decodeURIComponent(key);
  } catch {
    return key;
  }
}

function requiredRights(wanted: UserInfo): Attributes[] {
  const account = parseServiceAccount(wanted.username);
  const rights = [
    account ? right('', 'serviceaccounts', account.name, '', account.namespace) : right('', 'users', wanted.username),
    ...wanted.groups.map((group) => right('', 'groups', group)),
  ];
  const group = 'authentication.k8s.io';
  if (wanted.uid !== undefined) rights.push(right(group, 'uids', wanted.uid));
  for (const [key, values] of Object.entries(wanted.extra ?? {})) {
    for (const value of values) rights.push(right(group, 'userextras', value, key));
  }
  return rights;
}

function right(group: string, resource: string, name: string, subresource = '', namespace = ''): Attributes {
  return {
    verb: 'impersonate',
    isResource: true,
    group,
    version: 'v1',
    resource,
    subresource,
    namespace,
    name,
    path: '',
  };
}

/** system:serviceaccount:NAMESPACE:NAME */
export function parseServiceAccount(username: string): { namespace: string; name: string } | undefined {
  const match = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(username);
  return match ? { namespace: match[1]!, name: match[2]! } : undefined;
}
