// SPDX-License-Identifier: Apache-2.0
// Plays the acts of a document, one after the other.
import { setTimeout as sleep } from 'node:timers/promises';
import { UserError } from '../user-error.ts';
import { type Answer, agentOf } from './ask.ts';
import type { Act, Count, DemoDocument, Edit, GatewayAddresses } from './document.ts';
import { measureEffect } from './effect.ts';
import type { LoggedCall } from './evidence.ts';
import { type Outcome, summarize } from './outcome.ts';
import type { Stage } from './stage.ts';
import { SteadyTraffic } from './steady-traffic.ts';
import type { Steps } from './steps.ts';

type Detail = (text: string) => void;

const PATIENCE_MS = 30_000;
const LOG_INTERVAL_MS = 150;
const FIRST_ANSWERS = 10;

export class Performance {
  readonly #document: DemoDocument;
  readonly #stage: Stage;
  readonly #requests: number;
  #traffic: SteadyTraffic | undefined;

  constructor(document: DemoDocument, stage: Stage, requests: number) {
    this.#document = document;
    this.#stage = stage;
    this.#requests = requests;
  }

  /** @returns the rows of all counts. The traffic goes on until the last act is over. */
  async play(steps: Steps): Promise<Outcome[]> {
    const outcomes: Outcome[] = [];
    try {
      for (const act of this.#document.acts)
        outcomes.push(...(await steps.run(act.title, (detail) => this.#perform(act, detail, steps))));
    } finally {
      await this.#traffic?.stop();
    }
    return outcomes;
  }

  async #perform(act: Act, detail: Detail, steps: Steps): Promise<Outcome[]> {
    if (act.edit === undefined) await this.#change(act, detail);
    else await this.#changeAndMeasure(act.edit, act, detail);
    if (act.firstAnswers) await this.#startTraffic(act.firstAnswers, steps);
    return act.counts === undefined ? [] : this.#count(act.counts, detail);
  }

  async #change(act: Act, detail: Detail): Promise<void> {
    await act.work?.(this.#stage, detail);
    for (const line of act.lines ?? []) await this.#stage.shell.run(line, detail);
    for (const place of act.podsReady ?? []) {
      const [context, namespace] = place.split('/');
      const cluster = this.#stage.clusters.find((c) => c.context === context)!;
      await cluster.waitForPods(namespace!, detail, this.#stage.signal);
    }
    if (act.lines || act.podsReady) detail('');
  }

  async #changeAndMeasure(edit: Edit, act: Act, detail: Detail): Promise<void> {
    const { signal, clusters, figures } = this.#stage;
    const change = await clusters.find((c) => c.context === edit.context)!.watchChange(edit, signal);
    const seen = new AbortController();
    try {
      await this.#change(act, detail);
      const patience = AbortSignal.any([signal, seen.signal]);
      const editedAt = await Promise.race([change.at, giveUp(`${edit.name} was not changed`, patience)]);
      const ms = await this.#untilInForce(edit, editedAt);
      figures.effects.push({ what: edit.what, ms });
      detail(`in force after ${Math.round(ms)} ms`);
    } finally {
      // The timer would keep the process for as long as its patience lasts.
      seen.abort();
      change.stop();
    }
  }

  async #untilInForce(edit: Edit, editedAt: number): Promise<number> {
    const gateways = await this.#gateways();
    for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline; ) {
      const ms = measureEffect(edit.effect, await this.#calls(new Date(editedAt)), gateways, editedAt);
      if (ms !== undefined) return ms;
      await sleep(LOG_INTERVAL_MS, undefined, { signal: this.#stage.signal });
    }
    throw new UserError(`${edit.what}: not in force ${PATIENCE_MS / 1000} s after it was applied.`);
  }

  /** What the caller's proxy logged of calls to the callee; a request appears there within a second. */
  async #calls(since: Date): Promise<LoggedCall[]> {
    const { caller, callee } = this.#document.traffic;
    const calls = await this.#stage.clusters[0]!.loggedCalls(caller.namespace, caller.app, since);
    return calls.filter((call) => call.host.split('.')[0] === callee && call.userAgent.startsWith(agentOf('')));
  }

  async #startTraffic(versions: readonly string[], steps: Steps): Promise<void> {
    const { ask, figures, signal } = this.#stage;
    await this.#untilAnswered();
    figures.readySeconds = steps.elapsedSeconds();
    const { user, ratePerSecond } = this.#document.traffic;
    const onAnswer = (answer: Answer): void => figures.add(answer);
    const answers = await ask({ who: 'first', user, count: FIRST_ANSWERS, onAnswer, signal });
    const other = answers.find(({ version }) => version !== undefined && !versions.includes(version));
    if (other) throw new UserError(`${other.version} answered, and it should have been ${versions.join(' or ')}.`);
    this.#traffic = new SteadyTraffic(ask, { user, ratePerSecond, figures, signal });
  }

  /** A rule takes some milliseconds to reach the proxies. */
  async #untilAnswered(): Promise<void> {
    const { ask, signal } = this.#stage;
    let last = 'no answer';
    for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline; ) {
      try {
        const [answer] = await ask({ who: 'wait', count: 1, signal });
        if (answer?.version !== undefined) return;
        last = answer?.detail ?? last;
      } catch (error) {
        signal.throwIfAborted();
        last = error instanceof Error ? error.message : String(error);
      }
      await sleep(20, undefined, { signal });
    }
    throw new UserError(`there was no good answer within ${PATIENCE_MS / 1000} s; the last one was: ${last}.`);
  }

  async #count(counts: readonly Count[], detail: Detail): Promise<Outcome[]> {
    const since = new Date();
    const { ask, figures, signal } = this.#stage;
    const answers = new Map<string, Answer[]>();
    for (const { who, user } of counts) {
      const onAnswer = (answer: Answer, done: number): void => {
        figures.add(answer);
        detail(`${who}: ${done}`);
      };
      answers.set(who, await ask({ who, user, count: this.#requests, onAnswer, signal }));
    }
    detail('reading the proxies’ logs');
    const calls = await this.#callsOf(counts, since);
    const gateways = await this.#gateways();
    detail('');
    return counts.flatMap(({ who, expected }) =>
      summarize({
        who,
        expected,
        answers: answers.get(who)!,
        calls: calls.filter((call) => call.userAgent === agentOf(who)),
        gateways,
      }),
    );
  }

  async #callsOf(counts: readonly Count[], since: Date): Promise<LoggedCall[]> {
    const agents = new Set(counts.map(({ who }) => agentOf(who)));
    for (const deadline = Date.now() + 10_000; ; ) {
      const calls = (await this.#calls(since)).filter((call) => agents.has(call.userAgent));
      if (calls.length >= this.#requests * counts.length || Date.now() > deadline) return calls;
      await sleep(LOG_INTERVAL_MS, undefined, { signal: this.#stage.signal });
    }
  }

  async #gateways(): Promise<GatewayAddresses> {
    const [first, second] = this.#stage.clusters;
    return {
      'ingress of cluster2': await second?.ingressAddress(),
      'egress of cluster1': await first?.egressAddress(),
    };
  }
}

async function giveUp(what: string, signal: AbortSignal): Promise<never> {
  await sleep(PATIENCE_MS, undefined, { signal });
  throw new UserError(`${what} within ${PATIENCE_MS / 1000} s.`);
}
