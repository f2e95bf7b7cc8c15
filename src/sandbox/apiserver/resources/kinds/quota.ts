// SPDX-License-Identifier: Apache-2.0
// Resource quotas and limit ranges: admission/quota.ts and admission/limit-range.ts act on them.
import type { KubeObject } from '../../../../kube/types.ts';
import type { TypeTable } from '../../schema/parse.ts';
import { quantityNano } from '../../schema/quantity.ts';
import type { StatusCause } from '../../status.ts';
import { AGE, column, NAME } from '../../tables/table.ts';
import { duplicate, invalidValue, required, unsupported } from '../../validation/causes.ts';
import { qualifiedNameProblem } from '../../validation/names.ts';
import type { ResourceDefinition } from '../definition.ts';
import { at, defineKind, member } from '../kind-builder.ts';

type Quantities = Record<string, string>;

const SCOPES = [
  'BestEffort',
  'CrossNamespacePodAffinity',
  'NotBestEffort',
  'NotTerminating',
  'PriorityClass',
  'Terminating',
];
const COUNTED = ['configmaps', 'persistentvolumeclaims', 'pods', 'replicationcontrollers', 'resourcequotas'].concat([
  'secrets',
  'services',
  'services.loadbalancers',
  'services.nodeports',
]);
const MEASURED = /^((requests\.|limits\.)?(cpu|memory|ephemeral-storage)|requests\.storage|(requests\.)?hugepages-.+)$/;
const LIMIT_TYPES = ['Container', 'PersistentVolumeClaim', 'Pod'];

const nano = (quantity: string | undefined) => quantityNano(quantity ?? '0') ?? 0n;

function validateQuota(object: KubeObject): StatusCause[] {
  const hard = (at(object, 'spec.hard') ?? {}) as Quantities;
  const causes: StatusCause[] = [];
  for (const [name, quantity] of Object.entries(hard)) {
    const problem = qualifiedNameProblem(name);
    if (problem) causes.push(invalidValue(`spec.hard[${name}]`, name, problem));
    else if (!name.includes('/') && !COUNTED.includes(name) && !MEASURED.test(name)) {
      causes.push(invalidValue(`spec.hard[${name}]`, name, 'must be a standard resource for quota'));
    }
    if (nano(quantity) < 0n) {
      causes.push(invalidValue(`spec.hard[${name}]`, quantity, 'must be greater than or equal to 0'));
    }
  }
  for (const [index, scope] of ((at(object, 'spec.scopes') ?? []) as string[]).entries()) {
    if (!SCOPES.includes(scope)) causes.push(unsupported(`spec.scopes[${index}]`, scope, SCOPES));
  }
  return causes;
}

interface LimitItem {
  type?: string;
  max?: Quantities;
  min?: Quantities;
  default?: Quantities;
  defaultRequest?: Quantities;
  maxLimitRequestRatio?: Quantities;
}

const limitsOf = (object: KubeObject) => (at(object, 'spec.limits') ?? []) as LimitItem[];

/** What a limit range leaves out follows from what it says: a maximum is a default, a default limit a default request. */
function defaultLimits(object: KubeObject): void {
  for (const item of limitsOf(object)) {
    if (item.type !== 'Container') continue;
    const limits: Quantities = { ...item.max, ...item.default };
    const requests: Quantities = { ...item.min, ...limits, ...item.defaultRequest };
    if (Object.keys(limits).length > 0) item.default = limits;
    if (Object.keys(requests).length > 0) item.defaultRequest = requests;
  }
}

function validateLimits(object: KubeObject): StatusCause[] {
  const causes: StatusCause[] = [];
  const seen = new Set<string>();
  for (const [index, item] of limitsOf(object).entries()) {
    const here = `spec.limits[${index}]`;
    const type = item.type ?? '';
    if (!type) causes.push(required(`${here}.type`));
    else if (!LIMIT_TYPES.includes(type) && !type.includes('/'))
      causes.push(unsupported(`${here}.type`, type, LIMIT_TYPES));
    if (seen.has(type)) causes.push(duplicate(`${here}.type`, type));
    seen.add(type);
    causes.push(...validateLimitItem(item, here));
  }
  return causes;
}

function validateLimitItem(item: LimitItem, here: string): StatusCause[] {
  const causes: StatusCause[] = [];
  const ordered = [
    ['min', 'max', 'min value'],
    ['defaultRequest', 'default', 'default request value'],
    ['defaultRequest', 'max', 'default request value'],
    ['default', 'max', 'default value'],
  ] as const;
  for (const [low, high, words] of ordered) {
    for (const [name, quantity] of Object.entries(item[low] ?? {})) {
      const top = item[high]?.[name];
      if (top === undefined || nano(quantity) <= nano(top)) continue;
      const field = `${here}.${low}[${name}]`;
      causes.push(invalidValue(field, quantity, `${words} ${quantity} is greater than ${high} value ${top}`));
    }
  }
  if (item.type === 'PersistentVolumeClaim' && !item.min?.['storage'] && !item.max?.['storage']) {
    causes.push(
      required(`${here}.limits`, 'either minimum or maximum storage value is required, but neither was provided'),
    );
  }
  return causes;
}

/** "configmaps: 1/2, pods: 0/1": limits.* in a column of their own. */
function usage(limits: boolean): (object: KubeObject) => string {
  return (object) => {
    const status = member<{ hard?: Quantities; used?: Quantities }>(object, 'status');
    return Object.keys(status?.hard ?? {})
      .filter((name) => name.startsWith('limits.') === limits)
      .sort()
      .map((name) => `${name}: ${status?.used?.[name] ?? '0'}/${status?.hard?.[name]}`)
      .join(', ');
  };
}

export function quotaKinds(types: TypeTable): ResourceDefinition[] {
  return [
    defineKind(types, {
      kind: 'ResourceQuota',
      resource: 'resourcequotas',
      versions: [{ group: '', version: 'v1', type: 'core.v1.ResourceQuota' }],
      shortNames: ['quota'],
      status: true,
      deleteReturnsObject: true,
      columns: [NAME, column('Request', usage(false)), column('Limit', usage(true)), AGE],
      strategy: { initialStatus: () => ({}), validate: validateQuota },
    }),
    defineKind(types, {
      kind: 'LimitRange',
      resource: 'limitranges',
      versions: [{ group: '', version: 'v1', type: 'core.v1.LimitRange', defaults: defaultLimits }],
      shortNames: ['limits'],
      columns: [
        NAME,
        column('Created At', (object) => object.metadata.creationTimestamp ?? '<unknown>', { type: 'date' }),
      ],
      strategy: { validate: validateLimits },
    }),
  ];
}
