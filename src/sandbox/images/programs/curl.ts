// SPDX-License-Identifier: Apache-2.0
// The curl of the sandbox's images: the host may have none, and pods see only what the sandbox mounts.
import { setTimeout as sleep } from 'node:timers/promises';
import { CurlUsageError, parseCurlOptions } from '../curl/options.ts';
import { CurlError, transfer } from '../curl/transfer.ts';

process.exitCode = await run(process.argv.slice(2));

async function run(args: readonly string[]): Promise<number> {
  if (args.includes('--version')) {
    console.log(
      'curl 8.5.0 (the sandbox’s own, in TypeScript): -s -S -I -i -o -w -H -v -X -d -f -L -k -m -u -A -E --key --cacert --resolve --connect-timeout --rate',
    );
    return 0;
  }
  let complain = true;
  try {
    const options = parseCurlOptions(args);
    complain = !options.silent || options.showError;
    if (options.urls.length === 0) throw new CurlUsageError('no URL specified');
    for (const [i, url] of options.urls.entries()) {
      const startedAt = performance.now();
      await transfer(url, options);
      const pauseMs = startedAt + options.spacingMs - performance.now();
      if (pauseMs > 0 && i + 1 < options.urls.length) await sleep(pauseMs);
    }
    return 0;
  } catch (error) {
    const code = error instanceof CurlError ? error.exitCode : error instanceof CurlUsageError ? 2 : 1;
    const message = error instanceof Error ? error.message : String(error);
    if (complain)
      process.stderr.write(error instanceof CurlUsageError ? `curl: ${message}\n` : `curl: (${code}) ${message}\n`);
    return code;
  }
}
