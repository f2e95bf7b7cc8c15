// SPDX-License-Identifier: Apache-2.0
// `isthmus mesh status`: looks, and says what is wrong first.
import { nameMembers, reachMembers } from '../verify/members.ts';
import { gatherState } from './gather.ts';
import { renderStatus } from './render.ts';
import { reportStatus } from './report.ts';

export interface StatusOptions {
  readonly file?: string;
  readonly contexts: readonly string[];
  readonly kubeconfig?: string;
  readonly output: 'text' | 'json';
}

/** Prints to stdout; gives the exit code: 1 where something does not work. @throws UserError when it is called wrongly */
export async function meshStatus({ file, contexts, kubeconfig, output }: StatusOptions): Promise<0 | 1> {
  const members = await reachMembers(nameMembers(file, contexts), kubeconfig);
  try {
    const report = reportStatus(await gatherState(members), Date.now());
    process.stdout.write(output === 'json' ? `${JSON.stringify(report, undefined, 2)}\n` : renderStatus(report));
    return report.ok ? 0 : 1;
  } finally {
    for (const { target } of members) target.close();
  }
}
