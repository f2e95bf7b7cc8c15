// SPDX-License-Identifier: Apache-2.0
// A published document as a scenario on a sandbox: scenarios/seeds/<id> has its steps, errata.md and setup.sh.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { expect, test } from 'vitest';
import { linkProject } from '../../src/cli/demo/step-shell.ts';
import { type Finished, root, type TestSandbox } from '../fixture/sandbox.ts';
import { podsOfOtherDelivery, restartPods, setDelivery, wantedDelivery } from './delivery.ts';
import { comparePage, readErrata } from './errata.ts';
import { type PageShape, readSteps, type Step } from './page-lines.ts';

const seeds = process.env['ISTHMUS_SEEDS'] ?? join(root, '../shared/seeds');

/** Declares the test that the steps of `id` are its page's lines; it skips where the page is not at hand. */
export function testStepsAreThePage(id: string, shape: PageShape): void {
  const page = existsSync(seeds) ? readdirSync(seeds).find((file) => file.startsWith(`${id}-`)) : undefined;
  test.skipIf(page === undefined)('the steps are the page’s lines, but for the errata', () => {
    const dir = join(root, 'scenarios/seeds', id);
    const compared = comparePage(
      readFileSync(join(seeds, page!), 'utf8'),
      shape,
      readSteps(join(dir, 'steps')),
      readErrata(readFileSync(join(dir, 'errata.md'), 'utf8')),
    );
    expect(compared.page.length).toBeGreaterThan(0);
    expect(compared.steps).toEqual(compared.page);
  });
}

export class SeedScenario {
  readonly #dir: string;
  readonly #sandbox: TestSandbox;
  readonly #steps: readonly Step[];
  /** Where the steps run: what they write is gone with the sandbox, and what the project has is there as links. */
  readonly workDir: string;

  constructor(id: string, sandbox: TestSandbox) {
    this.#dir = join(root, 'scenarios/seeds', id);
    this.#sandbox = sandbox;
    this.#steps = readSteps(join(this.#dir, 'steps'));
    this.workDir = join(sandbox.dir, 'work');
    // Two documents may share a sandbox.
    if (existsSync(this.workDir)) return;
    linkProject(this.workDir, root);
    sandbox.env['PATH'] = `${join(this.workDir, 'bin')}${delimiter}${sandbox.env['PATH']}`;
  }

  /** What the document asks for before it starts. */
  async setup(): Promise<void> {
    await this.bash(readFileSync(join(this.#dir, 'setup.sh'), 'utf8'), 'setup.sh');
    const mode = wantedDelivery();
    if (mode === undefined) return;
    await setDelivery(this.#sandbox, mode);
    await restartPods(this.#sandbox);
  }

  /** Runs step `number`, of file `NN-name.sh`; what it printed to stdout. */
  async step(number: number): Promise<string> {
    const { script, file } = this.#find(number);
    const mode = wantedDelivery();
    if (mode !== undefined) await setDelivery(this.#sandbox, mode);
    return (await this.bash(script, file)).stdout;
  }

  /** Step `number` as text, for what the document says to do with it in words. */
  script(number: number): string {
    return this.#find(number).script;
  }

  #find(number: number): Step {
    const prefix = `${String(number).padStart(2, '0')}-`;
    const step = this.#steps.find(({ file }) => file.startsWith(prefix));
    if (!step) throw new Error(`there is no step ${prefix} in ${this.#dir}`);
    return step;
  }

  /** Runs a script where the steps run, with the variables that they set; fails the test when a line of it fails. */
  async bash(script: string, name = script): Promise<Finished> {
    const result = await this.#sandbox.bash(`cd '${this.workDir}'\nset -ea\n${script}`);
    expect(result, `${name}\n${result.stdout}${result.stderr}`).toMatchObject({ code: 0 });
    return result;
  }
}

/** Waits until all pods of the namespace are ready, and gives their READY columns. */
export async function waitForPods(sandbox: TestSandbox, context: string, namespace = 'default'): Promise<string[]> {
  const at = ['--context', context, '-n', namespace];
  await sandbox.kubectl(...at, 'wait', '--for=condition=Ready', 'pod', '--all', '--timeout=120s');
  const mode = wantedDelivery();
  if (mode !== undefined) expect(await podsOfOtherDelivery(sandbox, { context, namespace }, mode)).toEqual([]);
  const pods = await sandbox.kubectl(...at, 'get', 'pods', '--no-headers');
  return pods
    .trim()
    .split('\n')
    .map((line) => line.split(/ +/)[1]!);
}

/** The address of a cluster's ingress gateway on the external network. */
export function gatewayAddress(sandbox: TestSandbox, context: string): Promise<string> {
  const at = ['--context', context, '-n', 'istio-system'];
  return sandbox.kubectl(
    ...at,
    'get',
    'svc',
    'istio-ingressgateway',
    '-o',
    'jsonpath={.status.loadBalancer.ingress[0].ip}',
  );
}

/** Lines of a log that have all of the words. */
export function linesWith(text: string, ...words: string[]): string[] {
  return text.split('\n').filter((line) => words.every((word) => line.includes(word)));
}
