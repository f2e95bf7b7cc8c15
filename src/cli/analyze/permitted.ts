// SPDX-License-Identifier: Apache-2.0
import { KubeError } from '../../kube/client.ts';

/** What `look` gives; `none` where the user may not look there, which is noted as WHAT not looked at. */
export async function permitted<T, N>(what: string, none: N, look: () => Promise<T>, notes: string[]): Promise<T | N> {
  try {
    return await look();
  } catch (error) {
    if (!(error instanceof KubeError && error.code === 403)) throw error;
    notes.push(`${what} not looked at: ${error.message}`);
    return none;
  }
}
