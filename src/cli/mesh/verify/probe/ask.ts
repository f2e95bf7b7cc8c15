// SPDX-License-Identifier: Apache-2.0
// Asks as an application does: the name by the pod's DNS, the request into the pod's own sidecar.
import { request } from 'node:http';
import { isIP } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { dialledAddresses } from './dialled-addresses.ts';
import type { Answer, HttpOutcome, ProbeReply, Question } from './wire.ts';

const ATTEMPT_MS = 3_000;
const PAUSE_MS = 100;
/** Enough of a proxy's own words. */
const BODY_CHARS = 600;

/** @param wanted whose answer it has to be: anything else is asked again until the patience is over */
export async function ask(question: Question, wanted: string): Promise<Answer> {
  const podMs = Date.now();
  const deadline = performance.now() + question.patienceMs;
  for (let attempts = 1; ; attempts += 1) {
    const found = await resolve(question.host);
    const addresses = 'addresses' in found ? found.addresses : [question.address].filter((each) => each !== undefined);
    const outcome = addresses.length === 0 ? { error: 'there is no address to dial' } : await get(question, addresses);
    const isLast = performance.now() >= deadline;
    const isNamed = 'addresses' in found || !question.byName;
    if (isLast || (isNamed && isAnswerOf(outcome, wanted))) return { podMs, lookup: found, attempts, outcome };
    // A name that is still to come costs the patience too; what lies behind it need not be asked meanwhile.
    await sleep(PAUSE_MS);
  }
}

function isAnswerOf(outcome: Answer['outcome'], wanted: string): boolean {
  return readReply(outcome)?.cluster === wanted;
}

export function readReply(outcome: Answer['outcome']): ProbeReply | undefined {
  if ('error' in outcome || outcome.status !== 200) return undefined;
  try {
    const reply = JSON.parse(outcome.body) as Partial<ProbeReply> | null;
    return typeof reply?.cluster === 'string' ? (reply as ProbeReply) : undefined;
  } catch {
    return undefined;
  }
}

async function resolve(host: string): Promise<Answer['lookup']> {
  try {
    return { addresses: await dialledAddresses(host) };
  } catch (error) {
    return { error: (error as NodeJS.ErrnoException).code ?? (error as Error).message };
  }
}

/** Of several addresses one after another is tried (RFC 8305), as most clients do. */
function get({ host, port }: Question, addresses: readonly string[]): Promise<HttpOutcome | { error: string }> {
  const startedAt = performance.now();
  const all = addresses.map((address) => ({ address, family: isIP(address) }));
  return new Promise((settle) => {
    const asked = request(
      {
        ...{ host, port, path: '/', headers: { host: `${host}:${port}` }, agent: false, timeout: ATTEMPT_MS },
        lookup: (_name, _options, found) => found(null, all),
      },
      (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (text: string) => {
          body = (body + text).slice(0, BODY_CHARS);
        });
        response.on('error', (error) => settle({ error: error.message }));
        response.on('end', () => {
          settle({ status: response.statusCode ?? 0, body, tookMs: performance.now() - startedAt });
        });
      },
    );
    asked.on('timeout', () => asked.destroy(new Error(`no answer within ${ATTEMPT_MS / 1000} s`)));
    asked.on('error', (error) => settle({ error: error.message }));
    asked.end();
  });
}
