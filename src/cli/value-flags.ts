// SPDX-License-Identifier: Apache-2.0
// The flags by which values are given, the same for install and manifest. Light: what reads them is loaded with the action.
import { type Command, Option } from 'commander';

export interface ValueFlags {
  readonly set: readonly string[];
  readonly setString: readonly string[];
  readonly values: readonly string[];
  /** What istioctl calls --values. */
  readonly filename: readonly string[];
}

const collect = (value: string, previous: string[]): string[] => [...previous, value];
const collectFiles = (value: string, previous: string[]): string[] => [...previous, ...value.split(',')];

export function addValueFlags(command: Command): Command {
  return command
    .option(
      '-f, --values <file>',
      'a file of values, as Helm has them or as an IstioOperator; "-" is stdin; may be repeated',
      collectFiles,
      [],
    )
    .addOption(new Option('--filename <file>').argParser(collectFiles).default([]).hideHelp())
    .option('--set <name=value,...>', 'a value of the installation, in Helm’s syntax; may be repeated', collect, [])
    .option('--set-string <name=value,...>', 'as --set, and every value is a text', collect, []);
}
