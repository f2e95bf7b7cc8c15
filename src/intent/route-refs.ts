// SPDX-License-Identifier: Apache-2.0
import type { DestinationRef } from './destination-types.ts';
import type { HttpRouteIntent } from './route-types.ts';

/** Every destination that the routes can send to, mirrors included. */
export function refsOf(routes: readonly HttpRouteIntent[]): DestinationRef[] {
  return routes.flatMap(({ action }) =>
    action.kind === 'forward' ? [...action.to.map((w) => w.to), ...action.mirrors.map((m) => m.to)] : [],
  );
}
