// SPDX-License-Identifier: Apache-2.0
// Rules that select pods which are not there, or the same pods twice.

import type { Diagnostic } from '../api/diagnostics.ts';
import { selects } from '../api/kubernetes.ts';
import { type Analyzed, describeLabels, type Labels, say, type Workload, type World, workloadsOf } from './world.ts';

interface Selecting extends Analyzed {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Labels | undefined;
  /** Where the labels stand. */
  readonly field: string;
}

/** Nothing where no workload is known at all: then the files have rules alone. */
export function checkSelectors(world: World): Diagnostic[] {
  const workloads = workloadsOf(world);
  if (workloads.length === 0) return [];
  const { gateways, sidecars, telemetries, envoyFilters, proxyConfigs, destinationRules } = world;
  const selecting = <R extends Analyzed & { namespace: string; name: string }>(
    rules: readonly R[],
    labels: (rule: R) => Labels | undefined,
    field: string,
  ): Selecting[] => rules.map((rule) => ({ ...rule, labels: labels(rule), field }));
  const sidecarSelectors = selecting(
    sidecars,
    ({ spec }) => spec.workloadSelector?.labels,
    'spec.workloadSelector.labels',
  );
  const telemetrySelectors = selecting(
    telemetries,
    ({ spec }) => spec.selector?.matchLabels,
    'spec.selector.matchLabels',
  );
  const own = (rules: readonly Selecting[], code: 'ISM0413' | 'ISM0414') =>
    rules.flatMap((rule) =>
      checkOne(
        rule,
        code,
        workloads.filter(({ namespace }) => namespace === rule.namespace),
      ),
    );
  return [
    // A Gateway may select pods of any namespace.
    ...selecting(gateways, ({ spec }) => spec.selector, 'spec.selector').flatMap((rule) =>
      checkOne(rule, 'ISM0413', workloads),
    ),
    ...own(sidecarSelectors, 'ISM0413'),
    ...own(telemetrySelectors, 'ISM0413'),
    ...own(
      selecting(envoyFilters, ({ spec }) => spec.workloadSelector?.labels, 'spec.workloadSelector.labels'),
      'ISM0414',
    ),
    ...own(
      selecting(proxyConfigs, ({ spec }) => spec.selector?.matchLabels, 'spec.selector.matchLabels'),
      'ISM0414',
    ),
    ...own(
      selecting(
        destinationRules,
        ({ spec }) => spec.workloadSelector?.matchLabels,
        'spec.workloadSelector.matchLabels',
      ),
      'ISM0414',
    ),
    ...checkOverlap(sidecarSelectors, 'ISM0123', workloads),
    ...checkOverlap(telemetrySelectors, 'ISM0415', workloads),
  ];
}

function checkOne(rule: Selecting, code: 'ISM0413' | 'ISM0414', workloads: readonly Workload[]): Diagnostic[] {
  const { labels = {}, field } = rule;
  if (Object.keys(labels).length === 0 || workloads.some((each) => selects(labels, each.labels))) return [];
  const where = rule.object.kind === 'Gateway' ? '' : ` of namespace ${rule.namespace}`;
  return [
    say(rule, code, field, `no pod${where} has ${describeLabels(labels)}`, 'correct the labels, or remove the rule'),
  ];
}

/** Two of a namespace whose selectors differ, and select one pod: which of them counts is told by their age alone. */
function checkOverlap(
  rules: readonly Selecting[],
  code: 'ISM0123' | 'ISM0415',
  workloads: readonly Workload[],
): Diagnostic[] {
  const wanted = rules.filter(({ labels = {} }) => Object.keys(labels).length > 0);
  return wanted.flatMap((rule) => {
    const rivals = wanted.filter(
      (other) =>
        other !== rule &&
        other.namespace === rule.namespace &&
        (code === 'ISM0415' || !isSame(rule.labels, other.labels)),
    );
    for (const pod of workloads.filter(({ namespace }) => namespace === rule.namespace)) {
      const both = rivals.find(
        (other) => selects(rule.labels ?? {}, pod.labels) && selects(other.labels ?? {}, pod.labels),
      );
      if (both === undefined || !selects(rule.labels ?? {}, pod.labels)) continue;
      const message = `${rule.object.kind} ${both.name} selects ${pod.object.kind} ${pod.name} too: the older of the two counts there`;
      return [say(rule, code, rule.field, message, 'join the two, or have them select different pods')];
    }
    return [];
  });
}

function isSame(a: Labels = {}, b: Labels = {}): boolean {
  return JSON.stringify(Object.entries(a).sort()) === JSON.stringify(Object.entries(b).sort());
}
