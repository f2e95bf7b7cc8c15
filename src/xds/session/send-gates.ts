// SPDX-License-Identifier: Apache-2.0
// Make before break across the types of one stream: when something may be sent, given what the client has taken.
//
//  - Listeners and routes wait until the client has taken the clusters that they may name. (Envoy acknowledges clusters
//    when they are warm, so endpoints never wait: the clusters wait for them.)
//  - Virtual hosts wait until their tables are taken and all the rest is sent; they are removed together with what takes their domains.
//  - Clusters are removed once no listener or route that the client may still use can name them. A refused listener or
//    route means that an older one goes on being used: clusters stay until that is mended.
//  - Endpoints and routes are removed behind the clusters and listeners that use them; the client drops them by itself then.
//
// Nothing waits for ever: a response that is unanswered for `warmingLimitMs` holds nobody up any more.

import type { TypeState } from './type-state.ts';
import { CLUSTER_TYPE, ENDPOINT_TYPE, LISTENER_TYPE, ROUTE_TYPE, VIRTUAL_HOST_TYPE } from './type-urls.ts';

export interface Gates {
  stateOf(typeUrl: string): TypeState | undefined;
  readonly nowMs: number;
  readonly warmingLimitMs: number;
  /** When the client went on with what it had, before it asked for clusters; undefined when it did not. */
  readonly resumedAtMs: number | undefined;
  /** The client goes on with what it had, and is about to ask for this type again: what it still uses is not known. */
  isExpected(typeUrl: string): boolean;
}

export function mayUpsert(state: TypeState, gates: Gates): boolean {
  switch (state.typeUrl) {
    case LISTENER_TYPE:
      return isTaken(CLUSTER_TYPE, gates) && isSent(ENDPOINT_TYPE, gates);
    case ROUTE_TYPE:
      return isTaken(CLUSTER_TYPE, gates) && isSent(ENDPOINT_TYPE, gates) && isSent(LISTENER_TYPE, gates);
    case VIRTUAL_HOST_TYPE:
      // Envoy listens for them once it has taken their tables. Clusters need only be sent: those that it lacks it fetches
      // by itself (ODCDS), and a request may be waiting for this.
      return isSent(CLUSTER_TYPE, gates) && isSent(ENDPOINT_TYPE, gates) && isTaken(ROUTE_TYPE, gates);
    default:
      return true;
  }
}

export function mayRemove(state: TypeState, gates: Gates): boolean {
  switch (state.typeUrl) {
    case CLUSTER_TYPE:
      return [LISTENER_TYPE, ROUTE_TYPE, VIRTUAL_HOST_TYPE].every((typeUrl) => isInUseNowhereElse(typeUrl, gates));
    case ENDPOINT_TYPE:
      return isSettled(CLUSTER_TYPE, gates);
    case LISTENER_TYPE:
      // With the upserts of the same response: Envoy removes first, so a listener may take over another's address.
      return mayUpsert(state, gates);
    case ROUTE_TYPE:
      return isSettled(LISTENER_TYPE, gates);
    case VIRTUAL_HOST_TYPE:
      return mayUpsert(state, gates);
    default:
      return true;
  }
}

function isLate(state: TypeState, gates: Gates): boolean {
  return state.outstanding !== undefined && gates.nowMs - state.outstanding.sentAtMs >= gates.warmingLimitMs;
}

function areClustersOverdue(gates: Gates): boolean {
  return gates.resumedAtMs === undefined || gates.nowMs - gates.resumedAtMs >= gates.warmingLimitMs;
}

/** Everything new of the type has been sent. */
function isSent(typeUrl: string, gates: Gates): boolean {
  const state = gates.stateOf(typeUrl);
  return state === undefined || (state.upserts.size === 0 && state.trials.length === 0) || isLate(state, gates);
}

/** Everything new of the type has been sent, and answered. */
function isTaken(typeUrl: string, gates: Gates): boolean {
  const state = gates.stateOf(typeUrl);
  if (state === undefined) return typeUrl !== CLUSTER_TYPE || areClustersOverdue(gates);
  if (isLate(state, gates)) return true;
  return isSent(typeUrl, gates) && state.outstanding === undefined;
}

/** The client has what it should have of the type, removals included. */
function isSettled(typeUrl: string, gates: Gates): boolean {
  const state = gates.stateOf(typeUrl);
  return isTaken(typeUrl, gates) && (state?.removals.size ?? 0) === 0;
}

function isInUseNowhereElse(typeUrl: string, gates: Gates): boolean {
  const state = gates.stateOf(typeUrl);
  if (state === undefined) return !gates.isExpected(typeUrl);
  return isSettled(typeUrl, gates) && state.rejected.size === 0;
}
