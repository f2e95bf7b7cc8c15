// SPDX-License-Identifier: Apache-2.0
// What `-o json` and `-o yaml` give, and the text is made of. Shares are of 1, and expected: weights are no dice.
import type { End } from './fates.ts';
import type { Reason } from './judge.ts';
import type { LogCounts } from './read-logs.ts';
import type { Example, Flow, Replayed, Untold } from './replay.ts';

export interface ReportedMove {
  readonly from: End;
  readonly to: End;
  /** Of the flow’s requests that can be told. */
  readonly share: number;
  readonly requests: number;
  readonly example: Example;
  /** `VirtualService default/reviews spec.http[0] (change.yaml:11)` */
  readonly why: readonly string[];
}

/** One workload’s requests to one host. */
export interface ReportedFlow {
  readonly cluster: string;
  readonly namespace: string;
  readonly workload: string;
  readonly host: string;
  readonly requests: number;
  /** Of them: their way depends on what is not in the log, and the change matters to it. */
  readonly untold: number;
  readonly changedShare: number;
  readonly failsNowShare: number;
  readonly failsAfterShare: number;
  readonly destinations: readonly { readonly end: End; readonly nowShare: number; readonly afterShare: number }[];
  readonly moves: readonly ReportedMove[];
}

export interface ImpactReport {
  readonly requests: {
    readonly replayed: number;
    /** Went where today’s configuration would not send them: it has changed since, or the log has what a rule rewrote. */
    readonly sinceMoved: number;
    readonly connections: number;
    readonly nobodys: number;
    readonly otherFormats: number;
  };
  readonly totals: {
    /** Of the requests that can be told. */
    readonly changedShare: number;
    /** That fail after the change and not now. */
    readonly newFailuresShare: number;
    readonly untold: number;
  };
  readonly flows: readonly ReportedFlow[];
  readonly untold: readonly Untold[];
}

export function reportOf({ flows, untold, sinceMoved }: Replayed, counts: LogCounts): ImpactReport {
  const untoldOf = ({ cluster, namespace, workload, host }: Flow): number => {
    const caller = `${workload}.${namespace} of ${cluster}`;
    return sumOf(untold.filter((each) => each.caller === caller && each.host === host).map((each) => each.requests));
  };
  const counted = flows.map((flow) => ({ flow, untold: untoldOf(flow) }));
  const all = sumOf(counted.map(({ flow, untold: open }) => flow.requests - open));
  const share = (count: number, of: number): number => (of === 0 ? 0 : rounded(count / of));
  const { requests: replayed, connections, nobodys, otherFormats } = counts;
  return {
    requests: { replayed, sinceMoved, connections, nobodys, otherFormats },
    totals: {
      changedShare: share(sumOf(flows.map(({ changed }) => changed)), all),
      newFailuresShare: share(sumOf(flows.map(newFailures)), all),
      untold: sumOf(untold.map(({ requests }) => requests)),
    },
    flows: counted.map(({ flow, untold: open }) => {
      const told = flow.requests - open;
      const { cluster, namespace, workload, host, requests } = flow;
      return {
        ...{ cluster, namespace, workload, host, requests },
        untold: open,
        changedShare: share(flow.changed, told),
        failsNowShare: share(flow.failsNow, told),
        failsAfterShare: share(flow.failsAfter, told),
        destinations: [...flow.ends.values()]
          .map(({ end, now, after }) => ({ end, nowShare: share(now, told), afterShare: share(after, told) }))
          .sort((a, b) => b.nowShare - a.nowShare || b.afterShare - a.afterShare),
        moves: [...flow.moves.values()]
          .map((move) => ({ ...move, share: share(move.requests, told), why: move.why.map(sayWhy) }))
          .sort((a, b) => b.requests - a.requests),
      };
    }),
    untold,
  };
}

/** What moves to a failure from where it did not fail. */
function newFailures({ moves }: Flow): number {
  const arising = [...moves.values()].filter(({ from, to }) => to.kind === 'failed' && from.kind !== 'failed');
  return sumOf(arising.map(({ requests }) => requests));
}

function sayWhy({ kind, namespace, name, field, file, line, isGone }: Reason): string {
  const place = file === undefined ? '' : ` (${file}${line === undefined ? '' : `:${line}`})`;
  const object = `${kind} ${namespace === '' ? name : `${namespace}/${name}`}`;
  return `${object}${isGone ? ', which would be gone' : field === undefined ? '' : ` ${field}`}${place}`;
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, each) => sum + each, 0);
}

/** What addition in another order makes different is no difference. */
function rounded(share: number): number {
  return Math.round(share * 1e6) / 1e6;
}
