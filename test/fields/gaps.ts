// SPDX-License-Identifier: Apache-2.0
// The fields of Istio's API of which nothing is shown: neither a case nor a diagnostic.
import type { Declarations, Place, Status } from './declared.ts';
import type { Shown } from './shown.ts';

/** Settings that Isthmus has and Istio has not, each with its page. */
export const OWN_FIELDS: ReadonlyMap<string, string> = new Map([
  ['MeshConfig.networksWithoutGateway', 'networks.md'],
  ['MeshConfig.configDelivery', 'on-demand.md'],
  ['MeshConfig.gatewayServices', 'failover.md'],
  ['MeshConfig.defaultConfig.otlpMetrics', 'telemetry.md'],
]);

/** What Istio 1.4 had and today's has not, and documents of then still have. */
const EARLIER =
  /(append|remove)(Request|Response)?Headers$|\.mirror_percent$|\.abort\.percent$|\.websocketUpgrade$|\.sdsUdsPath$/;

function isEarlier(path: string): boolean {
  return EARLIER.test(path);
}

export interface Gap {
  /** Of the field, or a kind's name. */
  readonly key: string;
  readonly text: string;
}

export function findGaps(declarations: Declarations, shown: Shown): Gap[] {
  const gaps = new Map<string, Gap>();
  const add = (key: string, text: string) => gaps.set(`${key} ${text}`, { key, text });
  for (const kind of declarations.missingKinds) {
    add(kind, 'Istio has this kind: give it a shape in src/api, and put it among the kinds of src/api/kinds.ts');
  }
  for (const { path, key, status } of declarations.own) {
    const lack = lackOf(status, key, shown);
    if (!OWN_FIELDS.has(path) && !isEarlier(path)) {
      add(path, 'Istio does not have this: remove it from the shape, or name it in OWN_FIELDS of test/fields/gaps.ts');
    } else if (lack !== undefined) add(path, lack);
  }
  for (const [key, places] of byKey(declarations.places)) {
    for (const status of new Set(places.map((p) => p.status))) {
      const first = places.find((p) => p.status === status)!;
      const lack = lackOf(status, key, shown);
      if (lack !== undefined) add(key, `at ${first.path}: ${lack}`);
    }
  }
  return [...gaps.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
}

export function byKey(places: readonly Place[]): Map<string, Place[]> {
  const map = new Map<string, Place[]>();
  for (const place of places) map.set(place.key, [...(map.get(place.key) ?? []), place]);
  return map;
}

/** What is missing, and what to do about it. */
function lackOf(status: Status, key: string, shown: Shown): string | undefined {
  switch (status) {
    case 'unknown':
      return 'Istio has it and our shape does not: carry it out, or declare it as `refused` or `idle`';
    case 'unread':
      return 'the shape takes anything here and reads nothing: carry it out, or declare it as `refused` or `idle`';
    case 'carried':
      if (shown.used.has(key)) return undefined;
      return 'carried out, but no scenarios/**/input.yaml uses it: add it to a case, with calls or a golden that show it';
    case 'refused':
      if (shown.diagnosed.has(`ISM0004 ${key}`)) return undefined;
      return 'refused, but no case of scenarios/diagnostics shows the refusal: add it to one';
    case 'idle':
      if (shown.diagnosed.has(`ISM0005 ${key}`)) return undefined;
      return 'without effect, but no case of scenarios/diagnostics shows the warning: add it to one';
  }
}
