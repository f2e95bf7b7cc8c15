// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import type { PodSpec } from './pod-template.ts';
import { validatePodSpec } from './pod-validation.ts';

type Resources = NonNullable<PodSpec['containers']>[number]['resources'];

function problems(resources: Resources): string[] {
  const spec = { containers: [{ name: 'a', image: 'busybox', resources }] } as PodSpec;
  return validatePodSpec(spec, 'spec').map(({ field, message }) => `${field}: ${message}`);
}

test('what a container asks for is not less than nothing, and not more than its limit', () => {
  expect(problems({ requests: { cpu: '0', memory: '1Gi' }, limits: { memory: '1024Mi' } })).toEqual([]);
  expect(problems({ requests: { cpu: '-5' }, limits: { memory: '-1Mi' } })).toEqual([
    'spec.containers[0].resources.limits[memory]: Invalid value: "-1Mi": must be greater than or equal to 0',
    'spec.containers[0].resources.requests[cpu]: Invalid value: "-5": must be greater than or equal to 0',
  ]);
  expect(problems({ requests: { cpu: '2' }, limits: { cpu: '1500m' } })).toEqual([
    'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1500m',
  ]);
});
