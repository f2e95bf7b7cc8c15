// SPDX-License-Identifier: Apache-2.0
// Nobody may give away rights that he does not have:
// https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping
import { isDeepStrictEqual } from 'node:util';
import type { KubeObject } from '../../../kube/types.ts';
import { isMaster, RBAC_GROUP, type RbacAuthorizer, type RbacObject } from '../auth/rbac-authorizer.ts';
import { formatRule, type PolicyRule, uncoveredRules } from '../auth/rbac-rules.ts';
import type { AdmissionRequest, UserInfo } from '../seams.ts';
import { forbidden, type GroupResource, notFound } from '../status.ts';

/** Throws ApiError 403 when a role or a binding would give more than its author has. */
export function checkEscalation(
  request: AdmissionRequest,
  object: KubeObject | undefined,
  authorizer: RbacAuthorizer,
): void {
  const { operation, resource, user } = request;
  if (resource.group !== RBAC_GROUP || (operation !== 'CREATE' && operation !== 'UPDATE')) return;
  if (!object || isMaster(user)) return;
  const [before, after] = [request.oldObject as RbacObject | undefined, object as RbacObject];
  if (resource.resource === 'roles' || resource.resource === 'clusterroles') {
    const unchanged =
      isDeepStrictEqual(before?.rules, after.rules) &&
      isDeepStrictEqual(before?.aggregationRule, after.aggregationRule);
    if (before && unchanged) return;
    if (mayDo(authorizer, request, 'escalate', resource, request.name)) return;
    if (after.aggregationRule) {
      const everything: PolicyRule[] = [
        { apiGroups: ['*'], resources: ['*'], verbs: ['*'] },
        { nonResourceURLs: ['*'], verbs: ['*'] },
      ];
      refuseUncovered(authorizer, request, everything);
    }
    refuseUncovered(authorizer, request, after.rules ?? []);
    return;
  }
  if (!after.roleRef) return;
  if (before && isDeepStrictEqual(before.roleRef, after.roleRef) && isDeepStrictEqual(before.subjects, after.subjects))
    return;
  const roles: GroupResource = {
    group: RBAC_GROUP,
    resource: after.roleRef.kind === 'ClusterRole' ? 'clusterroles' : 'roles',
  };
  if (mayDo(authorizer, request, 'bind', roles, after.roleRef.name)) return;
  const rules = authorizer.roleRules(after.roleRef, request.namespace);
  if (!rules) throw notFound(roles, after.roleRef.name);
  refuseUncovered(authorizer, request, rules);
}

function mayDo(
  authorizer: RbacAuthorizer,
  request: AdmissionRequest,
  verb: string,
  type: GroupResource,
  name: string,
): boolean {
  return authorizer.authorize(request.user, {
    verb,
    isResource: true,
    group: type.group,
    version: '*',
    resource: type.resource,
    subresource: '',
    namespace: request.namespace,
    name,
    path: '',
  }).allowed;
}

function refuseUncovered(authorizer: RbacAuthorizer, request: AdmissionRequest, wanted: readonly PolicyRule[]): void {
  const missing = uncoveredRules(authorizer.rulesFor(request.user, request.namespace), wanted);
  if (missing.length === 0) return;
  const who = describeUser(request.user);
  const rules = missing.map(formatRule).join('\n');
  throw forbidden(
    request.resource,
    request.name,
    `user ${who} is attempting to grant RBAC permissions not currently held:\n${rules}`,
  );
}

function describeUser({ username, groups }: UserInfo): string {
  return `${JSON.stringify(username)} (groups=[${groups.map((group) => JSON.stringify(group)).join(' ')}])`;
}
