// SPDX-License-Identifier: Apache-2.0
// What commander's help leaves to be wished: defaults that say nothing, and help for commands that nobody has.
import { type Command, Help, type Option } from 'commander';

/** An option in the help, without a default that says no more than that nothing was given: `[]`, `false`. */
export function optionDescription(option: Option): string {
  const { defaultValue } = option;
  const empty = defaultValue === false || (Array.isArray(defaultValue) && defaultValue.length === 0);
  return new Help().optionDescription(empty ? Object.create(option, { defaultValue: { value: undefined } }) : option);
}

/**
 * The words of a command line, without the wish for help where they name a command that there is not: commander would
 * print the help of the command above it and end with 0; so it says which word it does not know.
 */
export function withoutVainHelp(program: Command, words: readonly string[]): string[] {
  let command = program;
  for (const word of words) {
    if (word.startsWith('-')) break;
    const named = command.commands.find((child) => child.name() === word || child.aliases().includes(word));
    if (named !== undefined) command = named;
    else if (command.commands.length === 0 || word === 'help') break;
    else return words.filter((each) => each !== '--help' && each !== '-h');
  }
  return [...words];
}
