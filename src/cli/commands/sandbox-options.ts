// SPDX-License-Identifier: Apache-2.0
// Options that several of the sandbox's commands have.
import { InvalidArgumentError, Option } from 'commander';

export function nameOption(): Option {
  return new Option('--name <name>', 'which sandbox: several may live side by side').default('default');
}

export function outputOption(): Option {
  return new Option('-o, --output <format>', 'print it in this form').choices(['json', 'yaml']);
}

export function parseNumber(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError('It must be a number.');
  return Number(text);
}

/** An option that may be repeated. */
export function collect(value: string, before: string[]): string[] {
  return [...before, value];
}
