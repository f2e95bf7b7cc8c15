// SPDX-License-Identifier: Apache-2.0
// What the log says of names that come, change and go.
import type { GlobalName, GlobalNames } from './global-names.ts';

export interface NameChange {
  readonly level: 'info' | 'warn';
  /** `httpbin.app2.global is 127.255.0.2` */
  readonly message: string;
  /** `namespace/name` of the ServiceEntry that gives the name, or gave it. */
  readonly serviceEntry?: string;
}

/** A summary stays readable; the names beyond are counted. */
const NAMED_AT_MOST = 10;

/** One sentence per name that changed, and then what there is now; nothing when all is as before. */
export function describeChanges(before: GlobalNames, after: GlobalNames): NameChange[] {
  const gone = [...before].filter(([name]) => !after.has(name));
  const changed = [...after].filter(([name, now]) => !isSame(before.get(name), now));
  if (gone.length === 0 && changed.length === 0) return [];
  return [
    ...gone.map(
      ([name, { serviceEntry }]): NameChange => ({ level: 'info', message: `${name} is gone`, serviceEntry }),
    ),
    ...changed.map(([name, now]) => describeName(name, now, before.get(name))),
    { level: 'info', message: summarize([...after.keys()]) },
  ];
}

function describeName(
  name: string,
  { addresses, serviceEntry }: GlobalName,
  before: GlobalName | undefined,
): NameChange {
  if (addresses.length === 0) {
    const message = `${name} has no single address: its ServiceEntry needs one in \`addresses\``;
    return { level: 'warn', message, serviceEntry };
  }
  const was = before === undefined || before.addresses.length === 0 ? '' : `, was ${before.addresses.join(', ')}`;
  return { level: 'info', message: `${name} is ${addresses.join(', ')}${was}`, serviceEntry };
}

function summarize(names: readonly string[]): string {
  if (names.length === 0) return 'no names';
  const shown = names.slice(0, NAMED_AT_MOST).join(', ');
  const more = names.length > NAMED_AT_MOST ? ` and ${names.length - NAMED_AT_MOST} more` : '';
  return `${names.length} ${names.length === 1 ? 'name' : 'names'}: ${shown}${more}`;
}

function isSame(a: GlobalName | undefined, b: GlobalName): boolean {
  return a?.serviceEntry === b.serviceEntry && a.addresses.join() === b.addresses.join();
}
