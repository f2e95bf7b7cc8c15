// SPDX-License-Identifier: Apache-2.0
// A demo's life: run it, show it, stay while there is somebody to look, and leave nothing behind.
import { describeSandbox } from '../../sandbox/life/status.ts';
import { commandName } from '../command-name.ts';
import { shellWord } from '../shell-word.ts';
import { UserError } from '../user-error.ts';
import type { DemoDocument } from './document.ts';
import { DOCUMENTS, findDocument } from './documents.ts';
import { runIsthmus } from './isthmus-command.ts';
import { occupy, readOccupant, vacate } from './occupant.ts';
import { renderOutcomes } from './outcome.ts';
import { findMissingProgram } from './programs.ts';
import { type DemoResult, runDemo } from './run.ts';
import type { Stage } from './stage.ts';
import { Steps } from './steps.ts';

const WATCH_INTERVAL_MS = 5_000;

interface DemoCommandOptions {
  readonly name: string;
  readonly requests: number;
  readonly stay: boolean;
}

/** @throws UserError when one runs already, when a share is off beyond chance, or when a request was lost. */
export async function demo(number: string, options: DemoCommandOptions): Promise<void> {
  const document = findDocument(number);
  requirePrograms(document);
  const steps = new Steps(process.stdout);
  await takeOver(steps, options.name);
  const abort = new AbortController();
  const onSignal = (): void => abort.abort(new UserError('stopped'));
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, onSignal);
  occupy(options.name, document.number);
  const stays = options.stay && process.stdout.isTTY === true;
  try {
    const result = await runDemo(document, steps, { ...options, signal: abort.signal });
    show(steps, document, result);
    await explainSeen(steps, document, result.stage);
    if (stays) await stay(steps, options.name, document, result, abort.signal);
    else steps.say(`\n${describeOthers(document)}`);
  } catch (error) {
    // Whatever broke off because of it: it was the user who stopped.
    throw abort.signal.aborted ? abort.signal.reason : error;
  } finally {
    await steps.run('Take everything down', () => runIsthmus(['sandbox', 'down', '--name', options.name]));
    vacate(options.name);
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(name, onSignal);
  }
}

function requirePrograms(document: DemoDocument): void {
  const isTyped = document.acts.some((act) => act.lines !== undefined);
  const missing = isTyped ? findMissingProgram(['bash', 'kubectl']) : undefined;
  if (missing === undefined) return;
  const cure = missing === 'kubectl' ? 'Install it: https://kubernetes.io/docs/tasks/tools/' : 'Install it';
  throw new UserError(
    `demo ${document.number} types its document's own lines, and ${missing} is not on PATH. ${cure}, or see the one that needs neither: ${commandName()} demo 000`,
  );
}

/** What a demo left that was killed is in nobody's use; anything else of that name is. */
async function takeOver(steps: Steps, name: string): Promise<void> {
  const occupant = readOccupant(name);
  const { state } = await describeSandbox(name);
  const isUp = state === 'starting' || state === 'ready' || state === 'stopping';
  const down = `${commandName()} sandbox down --name ${name}`;
  const cure = `or run this one beside it: --name ${name}2`;
  if (occupant && !occupant.isDead) {
    const { number, process } = occupant;
    throw new UserError(
      `demo ${number} runs already (process ${process.pid}). End it with Ctrl-C where it runs, or with: ${down}\n${cure}`,
    );
  }
  if (!isUp) return;
  if (occupant === undefined)
    throw new UserError(`a sandbox "${name}" runs already, which no demo has started. End it with: ${down}\n${cure}`);
  await steps.run(`Take down what demo ${occupant.number} left, which was killed`, () =>
    runIsthmus(['sandbox', 'down', '--name', name]),
  );
}

function show(steps: Steps, document: DemoDocument, { outcomes, stage }: DemoResult): void {
  steps.say();
  steps.say(renderOutcomes(outcomes, document.columns));
  steps.say();
  steps.say(stage.figures.render());
  steps.say();
  if (outcomes.some((outcome) => outcome.fault !== undefined))
    throw new UserError('the shares are not what the rules say (see the table).');
  if (stage.figures.lost > 0) throw new UserError(`${stage.figures.lost} requests were lost (see above).`);
  steps.say(`From nothing to the table in ${steps.elapsedSeconds().toFixed(1)} s.`);
}

/** Where the requests that were just counted went, and why: read off what the proxies are given. */
async function explainSeen(steps: Steps, { explained }: DemoDocument, { kubeconfig, signal }: Stage): Promise<void> {
  if (explained === undefined) return;
  const said = await runIsthmus(['explain', '--kubeconfig', kubeconfig, ...explained], signal);
  steps.say(`\n$ ${commandName()} explain ${explained.map(shellWord).join(' ')}\n${said.trimEnd()}`);
}

async function stay(
  steps: Steps,
  name: string,
  document: DemoDocument,
  { stage }: DemoResult,
  signal: AbortSignal,
): Promise<void> {
  const bold = (text: string): string => steps.paint('1', text);
  steps.say(`
It stays up until you press Ctrl-C.

  ${bold('The clusters')}    export KUBECONFIG=${shellWord(stage.kubeconfig)}
${document.tips(stage, bold)}

${describeOthers(document)}
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

function describeOthers(document: DemoDocument): string {
  const others = DOCUMENTS.filter((other) => other !== document).map(
    ({ number, title }) => `  ${commandName()} demo ${number}   ${title}`,
  );
  return ['There are other demos:', ...others].join('\n');
}
