// SPDX-License-Identifier: Apache-2.0
export interface MeshSnapshot {
  readonly revision: number;
}
