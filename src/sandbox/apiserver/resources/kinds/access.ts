// SPDX-License-Identifier: Apache-2.0
// Service accounts and RBAC objects. Escalation and binding checks belong to admission.
import type { KubeObject } from '../../../../kube/types.ts';
import type { TypeTable } from '../../schema/parse.ts';
import type { StatusCause } from '../../status.ts';
import { AGE, column, NAME, type TableColumn } from '../../tables/table.ts';
import { invalidValue, required, unsupported } from '../../validation/causes.ts';
import { pathSegmentProblem } from '../../validation/names.ts';
import type { ResourceDefinition } from '../definition.ts';
import { defineKind, type KindSpec, member } from '../kind-builder.ts';

const GROUP = 'rbac.authorization.k8s.io';

interface Subject {
  kind: string;
  apiGroup?: string;
  name: string;
  namespace?: string;
}

interface RoleRef {
  apiGroup?: string;
  kind: string;
  name: string;
}

interface PolicyRule {
  verbs?: string[];
  apiGroups?: string[];
  resources?: string[];
  nonResourceURLs?: string[];
}

const subjects = (object: KubeObject): Subject[] => member<Subject[]>(object, 'subjects') ?? [];
const roleRef = (object: KubeObject): RoleRef => member<RoleRef>(object, 'roleRef') ?? { kind: '', name: '' };

function defaultBinding(object: KubeObject): void {
  const ref = roleRef(object);
  if (!ref.apiGroup) ref.apiGroup = GROUP;
  for (const subject of subjects(object)) {
    if (subject.apiGroup === undefined || subject.apiGroup === '') {
      if (subject.kind === 'ServiceAccount') delete subject.apiGroup;
      else subject.apiGroup = GROUP;
    }
  }
}

function validateRules(namespaced: boolean): (object: KubeObject) => StatusCause[] {
  return (object) => {
    const causes: StatusCause[] = [];
    for (const [index, rule] of (member<PolicyRule[]>(object, 'rules') ?? []).entries()) {
      const path = `rules[${index}]`;
      if (!rule.verbs?.length) causes.push(required(`${path}.verbs`, 'verbs must contain at least one value'));
      if (rule.nonResourceURLs?.length) {
        if (namespaced) {
          causes.push(
            invalidValue(
              `${path}.nonResourceURLs`,
              rule.nonResourceURLs,
              'namespaced rules cannot apply to non-resource URLs',
            ),
          );
        }
        continue;
      }
      if (!rule.apiGroups?.length)
        causes.push(required(`${path}.apiGroups`, 'resource rules must supply at least one api group'));
      if (!rule.resources?.length)
        causes.push(required(`${path}.resources`, 'resource rules must supply at least one resource'));
    }
    return causes;
  };
}

function validateBinding(kinds: readonly string[]): (object: KubeObject) => StatusCause[] {
  return (object) => {
    const causes: StatusCause[] = [];
    const ref = roleRef(object);
    if (ref.apiGroup !== GROUP) causes.push(unsupported('roleRef.apiGroup', ref.apiGroup, [GROUP]));
    if (!kinds.includes(ref.kind)) causes.push(unsupported('roleRef.kind', ref.kind, kinds));
    if (!ref.name) causes.push(required('roleRef.name'));
    for (const [index, subject] of subjects(object).entries()) {
      const path = `subjects[${index}]`;
      if (!subject.name) causes.push(required(`${path}.name`));
      if (!['ServiceAccount', 'User', 'Group'].includes(subject.kind)) {
        causes.push(unsupported(`${path}.kind`, subject.kind, ['ServiceAccount', 'User', 'Group']));
      } else if (subject.kind === 'ServiceAccount' && !subject.namespace) causes.push(required(`${path}.namespace`));
    }
    return causes;
  };
}

function roleUnchanged(object: KubeObject, old: KubeObject): StatusCause[] {
  const [ref, before] = [roleRef(object), roleRef(old)];
  const same = ref.kind === before.kind && ref.name === before.name && ref.apiGroup === before.apiGroup;
  return same
    ? []
    : [invalidValue('roleRef', { APIGroup: ref.apiGroup, Kind: ref.kind, Name: ref.name }, 'cannot change roleRef')];
}

function subjectNames(kind: string): (object: KubeObject) => string {
  return (object) =>
    subjects(object)
      .filter((subject) => subject.kind === kind)
      .map(({ namespace, name }) => (kind === 'ServiceAccount' ? `${namespace ?? ''}/${name}` : name))
      .join(', ');
}

/** Roles show when they were made rather than how old they are. */
const CREATED: TableColumn = column('Created At', (object) => object.metadata.creationTimestamp ?? '<unknown>');

const BINDING_COLUMNS: readonly TableColumn[] = [
  NAME,
  column('Role', (object) => `${roleRef(object).kind}/${roleRef(object).name}`),
  AGE,
  column('Users', subjectNames('User'), { wide: true }),
  column('Groups', subjectNames('Group'), { wide: true }),
  column('ServiceAccounts', subjectNames('ServiceAccount'), { wide: true }),
];

function rbacKind(
  kind: string,
  resource: string,
  namespaced: boolean,
  rest: Omit<KindSpec, 'kind' | 'resource' | 'versions'>,
): KindSpec {
  const binding = kind.endsWith('Binding');
  return {
    kind,
    resource,
    namespaced,
    versions: [
      { group: GROUP, version: 'v1', type: `rbac.v1.${kind}`, ...(binding ? { defaults: defaultBinding } : {}) },
    ],
    ...rest,
  };
}

export function accessKinds(types: TypeTable): ResourceDefinition[] {
  const nameRule = pathSegmentProblem;
  const specs: KindSpec[] = [
    {
      kind: 'ServiceAccount',
      resource: 'serviceaccounts',
      versions: [{ group: '', version: 'v1', type: 'core.v1.ServiceAccount' }],
      shortNames: ['sa'],
      deleteReturnsObject: true,
    },
    rbacKind('Role', 'roles', true, {
      columns: [NAME, CREATED],
      strategy: { nameRule, validate: validateRules(true) },
    }),
    rbacKind('ClusterRole', 'clusterroles', false, {
      columns: [NAME, CREATED],
      strategy: { nameRule, validate: validateRules(false) },
    }),
    rbacKind('RoleBinding', 'rolebindings', true, {
      columns: BINDING_COLUMNS,
      strategy: { nameRule, validate: validateBinding(['Role', 'ClusterRole']), validateUpdate: roleUnchanged },
    }),
    rbacKind('ClusterRoleBinding', 'clusterrolebindings', false, {
      columns: BINDING_COLUMNS,
      strategy: { nameRule, validate: validateBinding(['ClusterRole']), validateUpdate: roleUnchanged },
    }),
  ];
  return specs.map((spec) => defineKind(types, spec));
}
