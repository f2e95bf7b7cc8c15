// SPDX-License-Identifier: Apache-2.0
// What people see of gunicorn, which httpbin's image runs under: its -b option, and its access log.
import type { IncomingMessage } from 'node:http';
import type { Answer } from './http-service.ts';

const DEFAULT_PORT = 80;
const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

/** The port of `-b ADDRESS:PORT` or `--bind=ADDRESS:PORT`; httpbin's own without one. */
export function portOf(words: readonly string[]): number {
  const at = words.findIndex((word) => word === '-b' || word === '--bind');
  const bound = at >= 0 ? words[at + 1] : words.find((word) => word.startsWith('--bind='));
  const port = Number(bound?.split(':').at(-1));
  return Number.isInteger(port) && port > 0 ? port : DEFAULT_PORT;
}

/** One line of gunicorn's access log in its default format (docs.gunicorn.org, access_log_format). */
export function accessLine(
  { method, url, httpVersion, headers, socket }: IncomingMessage,
  answer: Answer,
  at: Date,
): string {
  const two = (n: number): string => String(n).padStart(2, '0');
  const day = `${two(at.getUTCDate())}/${MONTHS[at.getUTCMonth()]}/${at.getUTCFullYear()}`;
  const time = [at.getUTCHours(), at.getUTCMinutes(), at.getUTCSeconds()].map(two).join(':');
  const request = `"${method} ${url} HTTP/${httpVersion}"`;
  const quoted = (header: string | undefined): string => `"${header ?? '-'}"`;
  const size = Buffer.byteLength(answer.body);
  const from = socket.remoteAddress?.replace(/^::ffff:/, '') ?? '-';
  return `${from} - - [${day}:${time} +0000] ${request} ${answer.status} ${size} ${quoted(headers.referer)} ${quoted(headers['user-agent'])}`;
}
