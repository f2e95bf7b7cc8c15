// SPDX-License-Identifier: Apache-2.0

/** The object and the field behind a node. */
export interface Origin {
  readonly object: {
    readonly apiVersion: string;
    readonly kind: string;
    readonly namespace: string;
    readonly name: string;
    readonly cluster?: string;
  };
  readonly field: string;
}
