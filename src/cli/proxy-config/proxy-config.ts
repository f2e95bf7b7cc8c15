// SPDX-License-Identifier: Apache-2.0
// `isthmus proxy-config`: what a proxy has, in its own words.
import { UserError } from '../user-error.ts';
import { askProxy, type ProxyRef, readDumpFile, withAdmin } from './ask.ts';
import { type Filter, type Format, notesOn, type Part, renderPart } from './print.ts';

export interface ProxyConfigOptions extends ProxyRef {
  readonly part: Part;
  /** POD.NAMESPACE, deploy/NAME; undefined with a file. */
  readonly pod: string | undefined;
  readonly file?: string;
  readonly output: Format;
  readonly filter: Filter;
}

/** @throws UserError when there is no such proxy or file */
export async function proxyConfig({ part, pod, file, output, filter, ...ref }: ProxyConfigOptions): Promise<void> {
  if ((pod === undefined) === (file === undefined)) {
    throw new UserError('name a POD (POD.NAMESPACE, deploy/NAME), or a saved dump with -f FILE', 2);
  }
  const asked = file === undefined ? await askProxy(pod!, ref) : await readDumpFile(file);
  process.stdout.write(renderPart(part, asked, filter, output, Date.now()));
  for (const note of notesOn(asked)) process.stderr.write(`isthmus: ${note}\n`);
}

export interface ProxyLogOptions extends ProxyRef {
  readonly pod: string;
  /** `debug`, or `http:debug,router:trace`; undefined: as they are. */
  readonly level?: string;
  /** Back to what Envoy is started with. */
  readonly reset: boolean;
}

const LEVELS = ['trace', 'debug', 'info', 'warning', 'error', 'critical', 'off'];
const STARTED_WITH = 'warning';

/** Prints the level of each logger. @throws UserError on a level or a logger that Envoy does not have */
export async function proxyLog({ pod, level, reset, ...ref }: ProxyLogOptions): Promise<void> {
  const wanted = reset ? [{ level: STARTED_WITH }] : readLevels(level);
  const said = await withAdmin(pod, ref, async (admin) => {
    for (const { logger, level: to } of wanted) {
      await admin(`logging?${logger ?? 'level'}=${to}`, 'POST').catch((error: Error) => {
        if (!error.message.includes('unknown logger')) throw error;
        throw new UserError(`Envoy has no logger ${logger}: isthmus proxy-config log ${pod} lists them`, 2);
      });
    }
    return admin('logging', 'POST');
  });
  process.stdout.write(said);
}

function readLevels(text: string | undefined): { logger?: string; level: string }[] {
  return (text?.split(',') ?? []).map((part) => {
    const [first = '', second] = part.trim().split(':');
    const level = second ?? first;
    if (!LEVELS.includes(level)) throw new UserError(`${level} is no level: use one of ${LEVELS.join(', ')}`, 2);
    return second === undefined ? { level } : { logger: encodeURIComponent(first), level };
  });
}
