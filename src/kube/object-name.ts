// SPDX-License-Identifier: Apache-2.0
import type { KubeObject } from './types.ts';

/** `VirtualService shop/web`: which object it is, in whatever version of its API it was read. */
export function objectName({ kind, metadata }: Pick<KubeObject, 'kind' | 'metadata'>): string {
  return `${kind} ${metadata.namespace ?? ''}/${metadata.name ?? ''}`;
}
