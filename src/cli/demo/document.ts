// SPDX-License-Identifier: Apache-2.0
// What one demo is made of. The engine (run.ts) plays it; documents/ has one description for each published document.
import type { ObjectPlace } from './cluster.ts';
import type { LoggedCall } from './evidence.ts';
import type { Stage } from './stage.ts';

export interface DemoDocument {
  /** Of scenarios/seeds/. */
  readonly number: string;
  /** One line, for lists. */
  readonly title: string;
  readonly clusters: 1 | 2;
  /** Titles of the table's columns: who asked, and what was asked. */
  readonly columns: { readonly who: string; readonly what: string };
  readonly traffic: Traffic;
  readonly acts: readonly Act[];
  /** What `isthmus explain` is asked at the end: the request that was just seen. Absent: nothing. */
  readonly explained?: readonly string[];
  /** Lines to try, for somebody who looks at the sandbox; `bold` marks words on a terminal. */
  tips(stage: Stage, bold: (text: string) => string): string;
}

/** One line on the screen. Its parts come in this order. */
export interface Act {
  readonly title: string;
  /** What no line of the document does, through the Kubernetes API. */
  readonly work?: (stage: Stage, detail: (text: string) => void) => Promise<void>;
  /** What runs in bash: `setup.sh`, numbers of the document's steps, lines of our own. */
  readonly lines?: readonly (number | string)[];
  /** `CONTEXT/NAMESPACE`: all of its pods become ready. */
  readonly podsReady?: readonly string[];
  /** From the first answer on requests come in until the end, and none may be lost. The first ten are of these versions. */
  readonly firstAnswers?: readonly string[];
  /** `lines` changes an object: until the caller's proxy has logged calls that show it. */
  readonly edit?: Edit;
  /** Asks, and compares what was answered with what the rules say. */
  readonly counts?: readonly Count[];
}

export interface Edit extends ObjectPlace {
  readonly what: string;
  readonly context: string;
  readonly effect: Effect;
}

/** How a call tells by which rule it went: only the new one makes such, or the old one made them and the new one does not. */
export interface Effect {
  readonly kind: 'begins' | 'ends';
  readonly shows: (call: LoggedCall, gateways: GatewayAddresses) => boolean;
}

export interface Count {
  /** Different in each count. */
  readonly who: string;
  /** Signed in, or sent as the header `end-user`. */
  readonly user?: string;
  readonly expected: readonly ExpectedAnswer[];
}

/** What is not listed must not occur. */
export interface ExpectedAnswer {
  readonly version: string;
  readonly share: number;
  /** The cluster whose pod answers. */
  readonly cluster: 'cluster1' | 'cluster2';
  /** The gateway that the caller's proxy connects to; absent: it stays at home. */
  readonly via?: GatewayName;
  /** The subset in the name of the caller's Envoy cluster; absent: none. */
  readonly subset?: string;
}

export type GatewayName = 'ingress of cluster2' | 'egress of cluster1';

/** Without ports; undefined where there is none. */
export type GatewayAddresses = Readonly<Record<GatewayName, string | undefined>>;

interface TrafficBase {
  /** Whose proxy logs the calls, in cluster1. */
  readonly caller: { readonly namespace: string; readonly app: string };
  /** The first part of the host that is called: `reviews`. */
  readonly callee: string;
  readonly ratePerSecond: number;
  /** Who asks while nothing is counted. */
  readonly user?: string;
}

export type Traffic =
  /** Bookinfo's page at cluster1's gateway. */
  | (TrafficBase & { readonly kind: 'page' })
  /** curl in the caller's pod. */
  | (TrafficBase & {
      readonly kind: 'pod';
      readonly url: string;
      /** undefined: no answer that this service gives. */
      readonly versionOf: (body: string) => string | undefined;
    });
