// SPDX-License-Identifier: Apache-2.0
// A disagreement made small: objects, routes, conditions and headers are taken away while it stays.
import type { Call } from '../../src/envoy/simulate/outcome.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import type { Fields } from '../scenarios/arbitrary-routes.ts';
import { type Bench, compile, type ProxyName, tryCalls, type Verdict } from './trial.ts';

export interface SmallCase {
  readonly objects: readonly KubeObject[];
  readonly verdict: Verdict;
}

/** `patience`: how many Envoys it may cost. */
export async function shrink(
  bench: Bench,
  { objects, verdict }: SmallCase,
  proxy: ProxyName,
  patience: number,
): Promise<SmallCase> {
  let small: SmallCase = { objects, verdict };
  let left = patience;
  const attempt = async (next: readonly KubeObject[], call: Call): Promise<boolean> => {
    if (left-- <= 0) return false;
    const [found] = await tryCalls(bench, compile(next, proxy), proxy, [call]).catch(() => []);
    if (found?.fault === undefined) return false;
    small = { objects: next, verdict: found };
    return true;
  };
  for (const object of objects) {
    await attempt(
      small.objects.filter((other) => other !== object),
      small.verdict.call,
    );
  }
  for (const { path, index } of small.objects.flatMap(listsIn).reverse()) {
    await attempt(
      small.objects.map((object) => dropped(object, path, index)),
      small.verdict.call,
    );
  }
  for (const name of Object.keys(small.verdict.call.request?.headers ?? {})) {
    const { request, ...rest } = small.verdict.call;
    const { [name]: _, ...headers } = request!.headers;
    await attempt(small.objects, { ...rest, request: { ...request!, headers } });
  }
  return small;
}

interface Spot {
  /** Of the object, then of members. */
  readonly path: readonly [KubeObject, ...(string | number)[]];
  readonly index: string | number;
}

/** Routes, and what they say. */
function listsIn(object: KubeObject): Spot[] {
  if (object.kind !== 'VirtualService') return [];
  const routes = ((object['spec'] as Fields)['http'] ?? []) as Fields[];
  return routes.flatMap((route, i) => [
    { path: [object, 'spec', 'http'], index: i },
    ...Object.keys(route).map((name): Spot => ({ path: [object, 'spec', 'http', i], index: name })),
    ...((route['match'] ?? []) as Fields[]).flatMap((match, j) =>
      Object.keys(match).map((name): Spot => ({ path: [object, 'spec', 'http', i, 'match', j], index: name })),
    ),
  ]);
}

function dropped(object: KubeObject, [of, ...members]: Spot['path'], index: string | number): KubeObject {
  const { namespace, name } = of.metadata;
  if (object.kind !== of.kind || object.metadata.name !== name || object.metadata.namespace !== namespace)
    return object;
  const copy = structuredClone(object);
  const place = members.reduce<Fields | unknown[] | undefined>(
    (inner, member) => (inner as Record<string | number, Fields | unknown[]> | undefined)?.[member],
    copy as Fields,
  );
  if (Array.isArray(place)) place.splice(Number(index), 1);
  else if (place !== undefined) delete place[index];
  return copy;
}
