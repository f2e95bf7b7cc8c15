// SPDX-License-Identifier: Apache-2.0
// `isthmus sandbox images`: the catalogue as a table.
import { CATALOGUE } from '../../sandbox/images/catalogue.ts';
import { printReport } from './report.ts';

export async function images(options: { output?: 'json' | 'yaml' }): Promise<void> {
  const rows = Object.entries(CATALOGUE).map(([image, { entrypoint, description }]) => ({
    image,
    description,
    entrypoint,
  }));
  if (options.output !== undefined) {
    printReport(rows, options.output);
    return;
  }
  const width = Math.max(...rows.map(({ image }) => image.length));
  process.stdout.write(`${'IMAGE'.padEnd(width)}   PROGRAM\n`);
  for (const { image, description } of rows) process.stdout.write(`${image.padEnd(width)}   ${description}\n`);
  process.stdout.write(
    '\nAny tag will do, and any registry in front. Pods pull nothing: each name leads to a program of the sandbox.\n',
  );
}
