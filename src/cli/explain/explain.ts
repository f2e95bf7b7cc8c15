// SPDX-License-Identifier: Apache-2.0
// `isthmus explain`: asks, prints.
import { stringify } from 'yaml';
import { isRefused } from '../../api/diagnostics.ts';
import { readRequest } from '../../explain/asked.ts';
import { renderRemarks } from '../analyze/render.ts';
import { startLiveLine } from '../live-line.ts';
import { type Answers, answerQuestion, asking, type Question } from './answers.ts';
import { isSame, renderComparison } from './compare.ts';
import { describeDeviation } from './held.ts';
import { plainPath, renderHeld, renderPath } from './render.ts';
import { styleOf } from './wrap.ts';

export interface ExplainOptions extends Omit<Question, 'request' | 'onProgress'> {
  /** `['GET', 'http://reviews:9080/']` */
  readonly words: readonly string[];
  readonly headers: readonly string[];
  readonly output: 'text' | 'json' | 'yaml';
}

/** Prints to stdout; gives the exit code. @throws UserError for what cannot be read, reached or asked */
export async function runExplain(options: ExplainOptions): Promise<0 | 1> {
  const { words, headers, ...question } = options;
  const request = asking(() => readRequest(words, headers));
  const line = startLiveLine();
  const answers = await answerQuestion({ ...question, request, onProgress: line.show }).finally(line.clear);
  for (const note of answers.notes) process.stderr.write(`isthmus: ${note}\n`);
  if (answers.remarks.length > 0)
    process.stderr.write(`${renderRemarks(answers.remarks, 'log', process.stderr.isTTY === true)}\n`);
  print(answers, options);
  return answers.remarks.some(isRefused) ? 1 : 0;
}

function print({ before, after, held }: Answers, { headers, output }: ExplainOptions): void {
  if (output !== 'text') {
    const plain = {
      ...(before && after && { same: isSame(before, after) }),
      ...(before && { before: plainPath(before, headers) }),
      ...(after && { after: plainPath(after, headers) }),
      ...(held && {
        held: { ...held, deviations: held.deviations.map((each) => ({ ...each, text: describeDeviation(each) })) },
      }),
    };
    process.stdout.write(output === 'json' ? `${JSON.stringify(plain, undefined, 2)}\n` : stringify(plain));
    return;
  }
  const style = styleOf(process.stdout);
  const path = after ?? before!;
  const text = before && after ? renderComparison(before, after, headers, style) : renderPath(path, headers, style);
  process.stdout.write(`${text}${held === undefined ? '' : renderHeld(held, style)}`);
}
