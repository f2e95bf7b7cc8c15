// SPDX-License-Identifier: Apache-2.0
// The part of fortio that circuit breakers are tried with: `server`, `curl URL` and `load -c 3 -n 30 -qps 0 URL`.
import { ask, parseLoad, renderCount, runLoad } from '../fortio-load.ts';
import { readBody, serve } from '../http-service.ts';

const [command, ...words] = process.argv.slice(2);
switch (command) {
  case 'server':
    // What it is sent comes back.
    serve('fortio', 8080, async (request) => ({ status: 200, body: await readBody(request) }));
    break;
  case 'curl':
  case 'load':
    process.exitCode = await load(command === 'curl' ? ['-curl', ...words] : words);
    break;
  default:
    console.error(`fortio (the sandbox’s own): ${command ?? 'nothing'} is none of its commands: server, curl, load`);
    process.exitCode = 1;
}

async function load(args: readonly string[]): Promise<number> {
  try {
    const plan = parseLoad(args);
    if (plan.showsAnswer) {
      const { status, text } = await ask(plan.url);
      process.stdout.write(text);
      return status >= 200 && status < 400 ? 0 : 1;
    }
    const rate = plan.perSecond > 0 ? plan.perSecond : 'max';
    process.stdout.write(
      `Fortio (the sandbox’s own) at ${rate} qps with ${plan.connections} connection(s): ${plan.url}\n`,
    );
    const count = await runLoad(plan, (status) => {
      if (!plan.isQuiet) process.stderr.write(`[W] Non ok http code ${status}\n`);
    });
    process.stdout.write(renderCount(count));
    return 0;
  } catch (error) {
    console.error(`fortio: ${error instanceof Error ? error.message : error}`);
    return 1;
  }
}
