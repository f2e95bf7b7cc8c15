// SPDX-License-Identifier: Apache-2.0
import { delimiter, join } from 'node:path';
import { isExecutable } from '../../process/executable.ts';

/** The first of `names` that is not on PATH. */
export function findMissingProgram(
  names: readonly string[],
  path: string = process.env['PATH'] ?? '',
): string | undefined {
  return names.find((name) => !path.split(delimiter).some((dir) => isExecutable(join(dir, name))));
}
