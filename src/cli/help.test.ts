// SPDX-License-Identifier: Apache-2.0
import { Command, Option } from 'commander';
import { describe, expect, it } from 'vitest';
import { optionDescription, withoutVainHelp } from './help.ts';

describe('the default of an option in the help', () => {
  it.each([
    [[], 'a name'],
    [false, 'a name'],
    ['text', 'a name (default: "text")'],
    [0, 'a name (default: 0)'],
  ])('%j', (value, wanted) => {
    expect(optionDescription(new Option('--name <name>', 'a name').default(value))).toBe(wanted);
  });
});

describe('help of a command', () => {
  const program = new Command();
  program.command('mesh').alias('m').command('verify');
  program.command('explain').argument('<request>');

  it.each([
    ['verify --help', 'verify'],
    ['mesh console -h', 'mesh console'],
    ['m console --help', 'm console'],
    ['--help', '--help'],
    ['help mesh', 'help mesh'],
    ['mesh --help', 'mesh --help'],
    ['m verify --help', 'm verify --help'],
    ['explain http://web/ --help', 'explain http://web/ --help'],
  ])('%s', (line, wanted) => {
    expect(withoutVainHelp(program, line.split(' ')).join(' ')).toBe(wanted);
  });
});
