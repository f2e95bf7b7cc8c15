// SPDX-License-Identifier: Apache-2.0
// When did a rule come into force? Read off the calls that the caller's proxy logged.
import type { Effect, GatewayAddresses } from './document.ts';
import type { LoggedCall } from './evidence.ts';

/** So many calls in a row without one of the old kind: of a share of one half, by chance less than once in a million. */
const CALLS_WITHOUT = 20;

/**
 * Milliseconds from the edit to the first call that went by the new rule; undefined while the calls do not tell.
 * Calls that began before `editedAt` say nothing. A rule can be in force before its author hears of it: 0 then.
 */
export function measureEffect(
  effect: Effect,
  calls: readonly LoggedCall[],
  gateways: GatewayAddresses,
  editedAt: number,
): number | undefined {
  const since = calls.filter((call) => call.startedAt >= editedAt).sort((a, b) => a.startedAt - b.startedAt);
  const shows = (call: LoggedCall): boolean => effect.shows(call, gateways);
  switch (effect.kind) {
    case 'begins': {
      const first = since.find(shows);
      return first && first.startedAt - editedAt;
    }
    case 'ends': {
      const after = since.slice(since.findLastIndex(shows) + 1);
      return after.length < CALLS_WITHOUT ? undefined : after[0]!.startedAt - editedAt;
    }
  }
}
