// SPDX-License-Identifier: Apache-2.0
// Exports that are not done as somebody asked.

import type { Diagnostic } from '../api/diagnostics.ts';
import { complaintsOf } from '../api/export-conditions.ts';
import { EXPORTED_SERVICE } from '../api/exported-service.ts';
import { SERVICE_EXPORT } from '../api/service-export.ts';
import { type Analyzed, nameOf, say, type World } from './world.ts';

const KINDS: readonly string[] = [SERVICE_EXPORT.kind, EXPORTED_SERVICE.kind];

export function checkExports({ all, services }: World): Diagnostic[] {
  const known = new Set(services.map(({ service: { ref } }) => `${ref.namespace}/${ref.name}`));
  const exports = all.filter(({ object }) => KINDS.includes(object.kind));
  const asked = new Set(
    exports.filter(({ object }) => object.kind === SERVICE_EXPORT.kind).map(({ object }) => keyOf(object)),
  );
  return exports.flatMap((each) => {
    const { object } = each;
    const key = keyOf(object);
    if (object.kind === SERVICE_EXPORT.kind && !known.has(key)) {
      const message = `there is no Service ${key}, so nothing is exported`;
      return [say(each, 'ISM0319', 'metadata.name', message, 'call it as the Service, in its namespace')];
    }
    // What somebody asked for by an object of its own is told there.
    if (object.kind === EXPORTED_SERVICE.kind && asked.has(key)) return [];
    return complaintsOf(each.object).map(({ type, reason, message }) =>
      say(each, 'ISM0319', 'status.conditions', `${type} (${reason}): ${message}`, cureOf(type)),
    );
  });
}

function cureOf(type: string): string {
  if (type === 'Conflict')
    return 'have the clusters say the same of the service, or keep one home by isthmus.io/export: "false"';
  return 'what the condition says; isthmus describe service tells what the others have of it';
}

function keyOf(object: Analyzed['object']): string {
  const { namespace, name } = nameOf(object);
  return `${namespace}/${name}`;
}
