// SPDX-License-Identifier: Apache-2.0
import type { Attributes, UserInfo } from '../seams.ts';
import { ApiError, qualifiedResource } from '../status.ts';

/** The 403 of a request that nobody allowed, in the real server's words. `reason` may be ''. */
export function accessDenied(user: UserInfo, attributes: Attributes, reason: string): ApiError {
  const who = `User ${JSON.stringify(user.username)}`;
  const because = reason ? `: ${reason}` : '';
  if (!attributes.isResource) {
    const message = `forbidden: ${who} cannot ${attributes.verb} path ${JSON.stringify(attributes.path)}${because}`;
    return new ApiError(403, 'Forbidden', message, {});
  }
  const { verb, group, resource, subresource, name, namespace } = attributes;
  const target = name ? `${qualifiedResource(attributes)} ${JSON.stringify(name)}` : qualifiedResource(attributes);
  const what = JSON.stringify(subresource ? `${resource}/${subresource}` : resource);
  const where = namespace ? `in the namespace ${JSON.stringify(namespace)}` : 'at the cluster scope';
  return new ApiError(
    403,
    'Forbidden',
    `${target} is forbidden: ${who} cannot ${verb} resource ${what} in API group ${JSON.stringify(group)} ${where}${because}`,
    { ...(name ? { name } : {}), ...(group ? { group } : {}), kind: resource },
  );
}
