// SPDX-License-Identifier: Apache-2.0
// The demo's life: run it, show it, stay while there is somebody to look, and leave nothing behind.
import { describeSandbox } from '../../sandbox/life/status.ts';
import { commandName } from '../command-name.ts';
import { shellWord } from '../shell-word.ts';
import { UserError } from '../user-error.ts';
import { runIsthmus } from './isthmus-command.ts';
import { renderOutcomes } from './outcome.ts';
import { type DemoResult, runDemo } from './run.ts';
import { Steps } from './steps.ts';

const WATCH_INTERVAL_MS = 5_000;

/** @throws UserError when it runs already, or when a share is off beyond chance. */
export async function demo(options: { name: string; requests: number; stay: boolean }): Promise<void> {
  const { state } = await describeSandbox(options.name);
  if (state === 'starting' || state === 'ready') {
    const down = `${commandName()} sandbox down --name ${options.name}`;
    throw new UserError(`the demo runs already. End it with Ctrl-C where it runs, or with: ${down}`);
  }
  const steps = new Steps(process.stdout);
  const abort = new AbortController();
  const onSignal = (): void => abort.abort(new UserError('stopped'));
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, onSignal);
  try {
    const result = await runDemo(steps, { name: options.name, requests: options.requests, signal: abort.signal });
    steps.say();
    steps.say(renderOutcomes(result.outcomes));
    steps.say();
    const faults = result.outcomes.filter((outcome) => outcome.fault !== undefined);
    if (faults.length > 0) throw new UserError('the shares are not what the rules say (see the table).');
    steps.say(`From nothing to the table in ${steps.elapsedSeconds().toFixed(1)} s.`);
    if (options.stay && process.stdout.isTTY) await stay(steps, options.name, result, abort.signal);
  } catch (error) {
    // Whatever broke off because of it: it was the user who stopped.
    throw abort.signal.aborted ? abort.signal.reason : error;
  } finally {
    await steps.run('Take everything down', () => runIsthmus(['sandbox', 'down', '--name', options.name]));
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(name, onSignal);
  }
}

async function stay(steps: Steps, name: string, { page, kubeconfig }: DemoResult, signal: AbortSignal): Promise<void> {
  const bold = (text: string): string => steps.paint('1', text);
  steps.say(`
It stays up until you press Ctrl-C.

  ${bold('The page')}        ${page.href}
  ${bold('The clusters')}    export KUBECONFIG=${shellWord(kubeconfig)}

Three things to try:

  1. Open the page, sign in as ${bold('jason')} (any password) and reload: black and red stars come from cluster2.
  2. See who called whom, over which TLS:
     kubectl --context cluster1 logs deploy/productpage-v1 -c istio-proxy --tail 5
  3. Send jason to the red stars alone, and reload the page:
     kubectl --context cluster1 patch virtualservice reviews --type=json -p \\
       '[{"op":"replace","path":"/spec/http/0/route/0/weight","value":0},{"op":"replace","path":"/spec/http/0/route/1/weight","value":100}]'
`);
  if (signal.aborted) return;
  const ended = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => ended.resolve(), { once: true });
  // `sandbox down` in another terminal ends it as well.
  const watch = setInterval(async () => {
    const { state } = await describeSandbox(name);
    if (state === 'ready' || state === 'starting') return;
    steps.say(state === 'failed' ? 'The sandbox ended by itself.' : 'The sandbox was taken down.');
    ended.resolve();
  }, WATCH_INTERVAL_MS);
  await ended.promise;
  clearInterval(watch);
  steps.say();
}
