// SPDX-License-Identifier: Apache-2.0
// LoopbackPlane as a process of its own, which can be killed: a child of whoever forks it, and told by messages.
import type { KubeObject } from '../../src/kube/types.ts';
import { LoopbackPlane } from './plane.ts';

/** All that the mesh is made of, or what of it changes. */
export type PlaneMessage =
  | { readonly kind: 'apply'; readonly objects: readonly KubeObject[] }
  | { readonly kind: 'remove'; readonly objects: readonly KubeObject[] }
  | { readonly kind: 'start' };

/** Answered to `start`. */
export const STARTED = 'started';

if (process.send !== undefined && import.meta.main) {
  const [port, strangerPort] = process.argv.slice(2).map(Number);
  const plane = new LoopbackPlane(port!, strangerPort!);
  process.on('disconnect', () => process.exit());
  process.on('message', (message: PlaneMessage) => {
    if (message.kind === 'apply') plane.apply(...message.objects);
    else if (message.kind === 'remove') plane.remove(...message.objects);
    else void plane.start().then(() => process.send?.(STARTED));
  });
}
