// SPDX-License-Identifier: Apache-2.0
// Requests by curl in a pod, as the documents have them, one after the other.
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { shellWord } from '../shell-word.ts';
import { type Answer, type Ask, agentOf } from './ask.ts';

export interface PodCaller {
  readonly kubeconfig: string;
  readonly context: string;
  readonly namespace: string;
  /** A Deployment, and the name of its container. */
  readonly app: string;
  readonly url: string;
  readonly versionOf: (body: string) => string | undefined;
}

/** curl starts slowly: so many requests each time. */
const BATCH = 200;
const TIMEOUT_SECONDS = 10;
const MARK = '@@';

export function askFromPod(caller: PodCaller): Ask {
  return async ({ who, user, count, ratePerSecond, until, onAnswer, signal }) => {
    signal.throwIfAborted();
    const headers = user === undefined ? [] : ['-H', `end-user: ${user}`];
    const script = renderLoop([...headers, '-A', agentOf(who)], caller.url, count, ratePerSecond);
    const target = ['--context', caller.context, '-n', caller.namespace, `deploy/${caller.app}`, '-c', caller.app];
    const child = spawn('kubectl', ['exec', ...target, '--', 'sh', '-c', script], {
      // What kubectl keeps goes with the sandbox.
      env: {
        ...process.env,
        KUBECONFIG: caller.kubeconfig,
        KUBECACHEDIR: join(dirname(caller.kubeconfig), '.kube-cache'),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true, // Ctrl-C is for the demo, which then ends this.
    });
    const stop = (): void => void child.kill('SIGTERM');
    for (const end of [until, signal]) end?.addEventListener('abort', stop, { once: true });
    if (until?.aborted) stop();
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-2_000);
    });
    const ended = new Promise<number | null>((resolve, reject) => {
      child.on('error', reject).on('close', resolve);
    });
    ended.catch(() => {});
    const answers: Answer[] = [];
    try {
      const read = answerReader(caller.versionOf);
      for await (const line of createInterface({ input: child.stdout })) {
        const answer = read(line);
        if (answer === undefined) continue;
        answers.push(answer);
        onAnswer?.(answer, answers.length);
      }
      const code = await ended;
      signal.throwIfAborted();
      if (code !== 0 && !until?.aborted)
        throw new Error(`asking ${caller.url} from ${caller.app} broke off: ${said.trim() || `code ${code}`}`);
      return answers;
    } finally {
      for (const end of [until, signal]) end?.removeEventListener('abort', stop);
      stop();
    }
  };
}

/**
 * A shell's loop: each answer is the body, and a line of its own with the status. curl ends at the first URL that fails:
 * then there are fewer answers than `count`, one of which is lost.
 */
export function renderLoop(flags: readonly string[], url: string, count: number, ratePerSecond?: number): string {
  const pace = ratePerSecond === undefined ? [] : ['--rate', `${ratePerSecond}/s`];
  const curl = ['curl', '-s', '-m', String(TIMEOUT_SECONDS), ...pace, '-w', `\\n${MARK}%{http_code}\\n`, ...flags];
  const ask = (times: number): string => [...curl, ...Array(times).fill(url)].map(shellWord).join(' ');
  if (count === Infinity) return `while :; do ${ask(BATCH)}; done`;
  const rest = count % BATCH === 0 ? 'true' : `${ask(count % BATCH)}; true`;
  return `i=0; while [ $i -lt ${Math.floor(count / BATCH)} ]; do ${ask(BATCH)}; i=$((i+1)); done; ${rest}`;
}

/** Takes lines, gives the answer that a line completes. */
export function answerReader(versionOf: PodCaller['versionOf']): (line: string) => Answer | undefined {
  let body: string[] = [];
  return (line) => {
    const status = line.startsWith(MARK) ? line.slice(MARK.length) : undefined;
    if (status === undefined) {
      body.push(line);
      return undefined;
    }
    const text = body.join('\n');
    body = [];
    const version = status === '200' ? versionOf(text) : undefined;
    if (version !== undefined) return { version, detail: '' };
    return { version: undefined, detail: `HTTP ${status} ${text.trim().slice(0, 100)}`.trim() };
  };
}
