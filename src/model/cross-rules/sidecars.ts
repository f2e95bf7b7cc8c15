// SPDX-License-Identifier: Apache-2.0
// Sidecars that no pod has, because an older one is for the same pods.
import type { Sidecar } from '../../api/sidecar.ts';
import type { Say } from './known.ts';

export function checkSidecars(sidecars: readonly Sidecar[], say: Say): void {
  const first = new Map<string, Sidecar>();
  for (const sidecar of sidecars) {
    const { ref, spec } = sidecar;
    const selected = spec.workloadSelector && JSON.stringify(Object.entries(spec.workloadSelector.labels).sort());
    const key = `${ref.namespace} ${selected ?? ''}`;
    const older = first.get(key);
    if (older === undefined) {
      first.set(key, sidecar);
      continue;
    }
    const whom = selected === undefined ? `namespace ${ref.namespace}` : 'the same pods';
    const message = `Sidecar ${older.ref.name} is older and for ${whom} already, so this one is not used`;
    const field = selected === undefined ? 'spec' : 'spec.workloadSelector';
    say(
      ref,
      selected === undefined ? 'ISM0122' : 'ISM0123',
      field,
      message,
      `merge it into ${older.ref.name}, or select other pods`,
    );
  }
}
