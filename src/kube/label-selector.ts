// SPDX-License-Identifier: Apache-2.0
// metav1.LabelSelector and plain label maps, matched as the API server matches them.

export type Labels = Readonly<Record<string, string>>;

export interface LabelSelectorRequirement {
  key: string;
  operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist' | string;
  values?: string[] | null;
}

export interface LabelSelector {
  matchLabels?: Labels | null;
  matchExpressions?: LabelSelectorRequirement[] | null;
}

/** An absent selector matches nothing, an empty one everything (metav1.LabelSelector). */
export function matchesSelector(selector: LabelSelector | undefined | null, labels: Labels | undefined): boolean {
  if (!selector) return false;
  const actual = labels ?? {};
  return (
    matchesLabels(selector.matchLabels ?? {}, actual) &&
    (selector.matchExpressions ?? []).every((requirement) => matchesRequirement(requirement, actual))
  );
}

/** True when `labels` has every pair of `wanted`. */
export function matchesLabels(wanted: Labels, labels: Labels | undefined): boolean {
  return Object.entries(wanted).every(([key, value]) => labels?.[key] === value);
}

/** An unknown operator matches nothing. NotIn and DoesNotExist match an absent key. */
export function matchesRequirement(requirement: LabelSelectorRequirement, labels: Labels): boolean {
  const value = labels[requirement.key];
  const values = requirement.values ?? [];
  switch (requirement.operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'Gt':
      return value !== undefined && Number(value) > Number(values[0]);
    case 'Lt':
      return value !== undefined && Number(value) < Number(values[0]);
    default:
      return false;
  }
}
