// SPDX-License-Identifier: Apache-2.0
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The first of `names` that is not on PATH. */
export function findMissingProgram(
  names: readonly string[],
  path: string = process.env['PATH'] ?? '',
): string | undefined {
  return names.find((name) => !path.split(delimiter).some((dir) => isExecutable(join(dir, name))));
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
