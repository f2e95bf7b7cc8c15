// SPDX-License-Identifier: Apache-2.0

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { rounds } from '#test/fixture/counts.ts';
import type { Endpoint, EndpointSlice } from '../objects.ts';
import { type EndpointGroup, planSlices, type SlicePlan } from './slice-plan.ts';

const metadata = { labels: { service: 's' }, annotations: {} };

function endpoint(id: number, ready = true): Endpoint {
  return {
    addresses: [`10.0.0.${id}`],
    conditions: { ready },
    targetRef: { kind: 'Pod', name: `p${id}`, uid: `u${id}` },
  };
}

function group(ports: number, ids: readonly number[]): EndpointGroup {
  return {
    addressType: 'IPv4',
    ports: [{ name: 'http', protocol: 'TCP', port: ports }],
    endpoints: ids.map((id) => endpoint(id)),
  };
}

let created = 0;
function execute(existing: EndpointSlice[], plan: SlicePlan): EndpointSlice[] {
  const made = plan.create.map(
    ({ addressType, ports, endpoints }): EndpointSlice => ({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: `slice-${created++}`, labels: metadata.labels, annotations: {} },
      addressType,
      ports: ports && [...ports],
      endpoints: [...endpoints],
    }),
  );
  const updated = new Map(plan.update.map((slice) => [slice.metadata.name, slice]));
  const kept = existing.filter((slice) => !plan.remove.includes(slice));
  return [...kept.map((slice) => updated.get(slice.metadata.name) ?? slice), ...made];
}

test('a Service without endpoints has one empty slice', () => {
  const nothing = [{ addressType: 'IPv4', ports: null, endpoints: [] }];
  const slices = execute([], planSlices(nothing, [], metadata));
  expect(slices).toMatchObject([{ endpoints: [], ports: null }]);
  expect(planSlices(nothing, slices, metadata)).toEqual({ create: [], update: [], remove: [] });
});

test('a change of one pod changes one slice', () => {
  const ids = Array.from({ length: 250 }, (_, index) => index);
  const slices = execute([], planSlices([group(80, ids)], [], metadata));
  expect(slices.map(({ endpoints }) => endpoints?.length)).toEqual([100, 100, 50]);
  const changed = group(80, ids);
  const plan = planSlices(
    [{ ...changed, endpoints: changed.endpoints.map((each, id) => (id === 120 ? endpoint(120, false) : each)) }],
    slices,
    metadata,
  );
  expect(plan.create).toEqual([]);
  expect(plan.remove).toEqual([]);
  expect(plan.update.map(({ metadata: { name } }) => name)).toEqual([slices[1]?.metadata.name]);
});

test('from any state to any other: exactly the wanted endpoints, none twice, no slice too large, then rest', () => {
  const wishes = fc.array(fc.uniqueArray(fc.integer({ min: 0, max: 220 }), { maxLength: 220 }), {
    minLength: 1,
    maxLength: 4,
  });
  fc.assert(
    fc.property(wishes, wishes, (http, https) => {
      let slices: EndpointSlice[] = [];
      for (let step = 0; step < Math.max(http.length, https.length); step++) {
        const groups = [group(80, http[step] ?? []), group(443, https[step] ?? [])];
        slices = execute(slices, planSlices(groups, slices, metadata));
        for (const { ports, endpoints } of groups) {
          const found = slices
            .filter((slice) => slice.ports?.[0]?.port === ports?.[0]?.port)
            .flatMap((slice) => slice.endpoints ?? []);
          const names = (list: readonly Endpoint[]) => list.map(({ targetRef }) => targetRef?.name).sort();
          expect(names(found)).toEqual(names(endpoints));
        }
        expect(Math.max(0, ...slices.map(({ endpoints }) => endpoints?.length ?? 0))).toBeLessThanOrEqual(100);
        expect(planSlices(groups, slices, metadata)).toEqual({ create: [], update: [], remove: [] });
      }
    }),
    { seed: 3, numRuns: rounds(100) },
  );
});
