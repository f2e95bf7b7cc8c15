// SPDX-License-Identifier: Apache-2.0
import { type Command, Option } from 'commander';
import type { ImageListFormat } from '../sandbox/images-command.ts';
import { nameOption } from './sandbox-options.ts';

export function registerImages(sandbox: Command): void {
  const images = sandbox
    .command('images')
    .description('the image names that pods can use, and the programs behind them')
    .addOption(nameOption())
    .addOption(new Option('-o, --output <format>', 'print it in this form').choices(['json', 'yaml', 'wide']))
    .addHelpText(
      'after',
      `
Examples:
  isthmus sandbox images -o wide
  isthmus sandbox images add my-images.yaml    programs of your own, under image names
  isthmus sandbox images remove me/hello

A file of images, here one that serves a folder of this machine:
  images:
    me/hello:
      command: [python3, -m, http.server, "8080"]
      workingDir: /home/me/hello
      hostFolders: [/home/me/hello]`,
    )
    .action(async (options: { name: string; output?: ImageListFormat }) => {
      await (await import('../sandbox/images-command.ts')).listImages(options);
    });
  images
    .command('add')
    .description('programs of your own; containers that start from now on know them')
    .argument('<files...>', 'YAML: see `isthmus sandbox images --help`')
    .action(async (files: string[], _: unknown, command: Command) => {
      await (await import('../sandbox/images-command.ts')).addImages(command.optsWithGlobals().name as string, files);
    });
  images
    .command('remove')
    .description('forget programs of your own; what runs, goes on')
    .argument('<images...>')
    .action(async (names: string[], _: unknown, command: Command) => {
      await (await import('../sandbox/images-command.ts')).removeImages(
        command.optsWithGlobals().name as string,
        names,
      );
    });
}
