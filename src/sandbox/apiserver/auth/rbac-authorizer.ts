// SPDX-License-Identifier: Apache-2.0
import type { KubeObject } from '../../../kube/types.ts';
import type { Attributes, Authorizer, ClusterObjects, Decision, UserInfo } from '../seams.ts';
import { type LabelSelector, selectorFromSpec } from '../selectors/label-selector.ts';
import type { GroupResource } from '../status.ts';
import { parseServiceAccount } from './impersonation.ts';
import { type PolicyRule, ruleAllows } from './rbac-rules.ts';

export const RBAC_GROUP = 'rbac.authorization.k8s.io';
const rbac = (resource: string): GroupResource => ({ group: RBAC_GROUP, resource });
export const CLUSTER_ROLES = rbac('clusterroles');
export const CLUSTER_ROLE_BINDINGS = rbac('clusterrolebindings');
export const ROLES = rbac('roles');
export const ROLE_BINDINGS = rbac('rolebindings');

export interface RoleRef {
  readonly apiGroup?: string;
  readonly kind: string;
  readonly name: string;
}

interface Subject {
  readonly kind: string;
  readonly apiGroup?: string;
  readonly name: string;
  readonly namespace?: string;
}

export interface RbacObject extends KubeObject {
  readonly rules?: readonly PolicyRule[];
  readonly aggregationRule?: { readonly clusterRoleSelectors?: readonly Parameters<typeof selectorFromSpec>[0][] };
  readonly roleRef?: RoleRef;
  readonly subjects?: readonly Subject[];
}

/** One rule that a user has, and the sentence that says through what. */
interface HeldRule {
  readonly rule: PolicyRule;
  readonly reason: () => string;
}

/** Role-based access control over the cluster's own roles and bindings; system:masters may do everything. */
export class RbacAuthorizer implements Authorizer {
  private readonly objects: ClusterObjects;

  constructor(objects: ClusterObjects) {
    this.objects = objects;
  }

  authorize(user: UserInfo, attributes: Attributes): Decision {
    if (isMaster(user)) return { allowed: true, reason: '' };
    const errors: string[] = [];
    // A path belongs to no namespace, so role bindings say nothing about it.
    const namespace = attributes.isResource ? attributes.namespace : '';
    for (const { rule, reason } of this.heldRules(user, namespace, errors)) {
      if (ruleAllows(rule, attributes)) return { allowed: true, reason: reason() };
    }
    return { allowed: false, reason: errors.length > 0 ? `RBAC: ${joinErrors(errors)}` : '' };
  }

  /** All rules that a user has in a namespace ('' for the cluster scope). */
  rulesFor(user: UserInfo, namespace: string): PolicyRule[] {
    if (isMaster(user)) {
      return [
        { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
        { verbs: ['*'], nonResourceURLs: ['*'] },
      ];
    }
    return [...this.heldRules(user, namespace, [])].map(({ rule }) => rule);
  }

  /** The rules of a role; undefined when there is no such role. A Role is looked for in `namespace`. */
  roleRules(reference: RoleRef, namespace: string): readonly PolicyRule[] | undefined {
    const isClusterRole = reference.kind === 'ClusterRole';
    const type = isClusterRole ? CLUSTER_ROLES : ROLES;
    const role = this.objects.get(type, isClusterRole ? '' : namespace, reference.name) as RbacObject | undefined;
    return role && [...(role.rules ?? []), ...this.aggregatedRules(role)];
  }

  /** An aggregating role has the rules of those it selects, whether or not a controller has copied them into it yet. */
  private aggregatedRules(role: RbacObject): readonly PolicyRule[] {
    const selectors: LabelSelector[] = (role.aggregationRule?.clusterRoleSelectors ?? []).map(selectorFromSpec);
    if (selectors.length === 0) return [];
    return (this.objects.list(CLUSTER_ROLES) as readonly RbacObject[])
      .filter((other) => other.metadata.name !== role.metadata.name)
      .filter((other) => selectors.some((selector) => selector.matches(other.metadata.labels)))
      .flatMap((other) => other.rules ?? []);
  }

  private *heldRules(user: UserInfo, namespace: string, errors: string[]): Generator<HeldRule> {
    const bindings = [
      ...this.objects.list(CLUSTER_ROLE_BINDINGS),
      ...(namespace ? this.objects.list(ROLE_BINDINGS, namespace) : []),
    ] as RbacObject[];
    for (const binding of bindings) {
      const subject = binding.subjects?.find((one) => subjectMatches(one, user, binding.metadata.namespace));
      if (!subject || !binding.roleRef) continue;
      const rules = this.roleRules(binding.roleRef, namespace);
      if (!rules) {
        const type = binding.roleRef.kind === 'ClusterRole' ? 'clusterrole' : 'role';
        errors.push(`${type}.${RBAC_GROUP} ${JSON.stringify(binding.roleRef.name)} not found`);
        continue;
      }
      const reason = () => describeBinding(binding, binding.roleRef!, subject);
      for (const rule of rules) yield { rule, reason };
    }
  }
}

export function isMaster(user: UserInfo): boolean {
  return user.groups.includes('system:masters');
}

function subjectMatches(subject: Subject, user: UserInfo, bindingNamespace: string | undefined): boolean {
  switch (subject.kind) {
    case 'User':
      return user.username === subject.name;
    case 'Group':
      return user.groups.includes(subject.name);
    case 'ServiceAccount': {
      const account = parseServiceAccount(user.username);
      return account?.name === subject.name && account.namespace === (subject.namespace ?? bindingNamespace);
    }
    default:
      return false;
  }
}

function describeBinding(binding: RbacObject, role: RoleRef, subject: Subject): string {
  const { name, namespace } = binding.metadata;
  const quoted = JSON.stringify(namespace ? `${name}/${namespace}` : name);
  const kind = namespace ? 'RoleBinding' : 'ClusterRoleBinding';
  const who = subject.kind === 'ServiceAccount' ? `${subject.name}/${subject.namespace}` : subject.name;
  const to = `${subject.kind} ${JSON.stringify(who)}`;
  return `RBAC: allowed by ${kind} ${quoted} of ${role.kind} ${JSON.stringify(role.name)} to ${to}`;
}

function joinErrors(errors: readonly string[]): string {
  const unique = [...new Set(errors)];
  return unique.length === 1 ? unique[0]! : `[${unique.join(', ')}]`;
}
