// SPDX-License-Identifier: Apache-2.0
// Writes the goldens of scenarios/ and the files of definitions anew: `make golden`. Read the diff before you commit it; CI never runs this.
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FIELD_TABLE, fieldTable } from '../test/fields/table.ts';
import { findCases, goldensOf, isGolden, loadCase, SCENARIOS, showsTelemetry } from '../test/scenarios/goldens.ts';
import { DEFINITIONS, definitionFiles } from './definitions.ts';

let changed = 0;
for (const name of findCases()) {
  const folder = join(SCENARIOS, name);
  const files = goldensOf(loadCase(name), showsTelemetry(name));
  for (const file of readdirSync(folder)) {
    if (!isGolden(file) || files.has(file)) continue;
    rmSync(join(folder, file));
    process.stdout.write(`removed scenarios/${name}/${file}\n`);
    changed++;
  }
  for (const [file, text] of files) {
    const path = join(folder, file);
    if (read(path) === text) continue;
    writeFileSync(path, text);
    process.stdout.write(`wrote scenarios/${name}/${file}\n`);
    changed++;
  }
}
if (read(FIELD_TABLE) !== fieldTable()) {
  writeFileSync(FIELD_TABLE, fieldTable());
  process.stdout.write('wrote docs/fields.md\n');
  changed++;
}
for (const [file, text] of definitionFiles()) {
  if (read(join(DEFINITIONS, file)) === text) continue;
  writeFileSync(join(DEFINITIONS, file), text);
  process.stdout.write(`wrote ${file}\n`);
  changed++;
}
process.stdout.write(changed === 0 ? 'goldens: nothing to change\n' : `goldens: ${changed} files changed\n`);

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
