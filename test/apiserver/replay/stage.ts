// SPDX-License-Identifier: Apache-2.0
// A server of its own for each flow, with the controllers beside it, prepared as the recorder had it.
import { join } from 'node:path';
import { runControllers } from '../../../src/sandbox/controllers/main.ts';
import { startTestServer, type TestServer } from '../test-server.ts';
import { Matching } from './matching.ts';
import { type ExchangeResult, playFlow, type Stage, settle } from './player.ts';
import { Hands, PREPARATIONS, type Preparation } from './preparations.ts';
import type { Flow } from './recording.ts';
import { startWebhook } from './webhook-stand-in.ts';

export async function replayFlow(flow: Flow, isKnown: Stage['isKnown'], patienceMs: number): Promise<ExchangeResult[]> {
  const preparation = PREPARATIONS[flow.name] ?? {};
  const stop = new AbortController();
  const server = await startTestServer({
    bookmarkIntervalMs: preparation.bookmarkIntervalMs ?? 3_600_000,
    ...(preparation.keepEvents ? { keepEvents: preparation.keepEvents } : {}),
  });
  const controllers = preparation.bare ? Promise.resolve() : startControllers(server, stop.signal);
  const matching = new Matching();
  const webhook = flow.webhook_calls ? await startWebhook(flow.webhook_calls, matching) : undefined;
  try {
    if (webhook) {
      matching.bind('<webhook>', webhook.address);
      matching.bind('<base64-pem>', webhook.caBundle);
    }
    const wait = () => settle(server);
    const hands = new Hands(flow, server, matching, wait, stop.signal);
    if (!preparation.bare) await untilControllersWork(server);
    await makeNamespaces(hands, preparation);
    await wait();
    await preparation.make?.(hands);
    await wait();
    const results = await playFlow(flow, {
      server,
      matching,
      controllers: !preparation.bare,
      isKnown,
      patienceMs: preparation.patienceMs ?? patienceMs,
      beside: new Set(preparation.beside),
      beforeStep: async (step) => {
        const prepare = preparation.before?.[step];
        if (!prepare) return;
        await wait();
        await prepare(hands);
        await wait();
      },
    });
    const calls = (webhook?.differences() ?? []).map((differences, index) => ({
      step: flow.steps.length,
      request: `webhook call ${index}`,
      differences,
    }));
    return [...results, ...calls];
  } finally {
    stop.abort();
    await controllers;
    webhook?.close();
    await server.close();
  }
}

function startControllers(server: TestServer, signal: AbortSignal): Promise<void> {
  const log = { info: () => {}, warn: () => {}, debug: () => {} };
  return runControllers(
    {
      kubeconfig: server.kubeconfig,
      loadBalancerAddresses: [],
      clusterName: 'test',
      caPemPath: join(server.dataDir, 'pki', 'ca.crt'),
      diskDir: join(server.dataDir, 'disk'),
      without: ['default-scheduler'],
      log,
    },
    signal,
  );
}

/** The last that a new cluster's controllers make. */
async function untilControllersWork(server: TestServer): Promise<void> {
  for (const path of ['serviceaccounts/default', 'configmaps/kube-root-ca.crt']) {
    const deadline = performance.now() + 10_000;
    while ((await server.send('GET', `/api/v1/namespaces/default/${path}`)).status !== 200) {
      if (performance.now() > deadline) throw new Error(`the controllers never made ${path}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

async function makeNamespaces(hands: Hands, { namespaces, bare }: Preparation): Promise<void> {
  const paths = hands.flow.steps.flatMap(({ exchanges = [] }) => exchanges.map(({ request }) => request.path));
  const named = new Set(paths.flatMap((path) => /\/namespaces\/([^/?]+)\//.exec(path)?.[1] ?? []));
  named.delete('default');
  for (const name of namespaces ?? named) {
    await hands.namespace(name);
    if (bare) continue;
    await hands.settle();
  }
}
