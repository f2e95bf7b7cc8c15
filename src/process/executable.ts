// SPDX-License-Identifier: Apache-2.0
import { accessSync, constants } from 'node:fs';

/** Whether this process may run the file (access(2)); a folder that it may enter counts too, as it does for `[ -x ]`. */
export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
