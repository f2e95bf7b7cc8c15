// SPDX-License-Identifier: Apache-2.0
// The pod-template-hash: a short name for a pod template. Ours differs from Kubernetes' own (which hashes a dump of Go
// structs); nobody may depend on its value, only on its being stable.
import { isDeepStrictEqual } from 'node:util';
import type { PodTemplate } from '../objects.ts';

export const HASH_LABEL = 'pod-template-hash';
/** No vowels, so no words. */
const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';

/** @param collisionCount counts the names that were taken by something else */
export function hashTemplate(template: PodTemplate, collisionCount: number): string {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(canonical(withoutHash(template)) + (collisionCount || ''))) {
    hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  return [...String(hash)].map((digit) => ALPHABET[digit.charCodeAt(0) % ALPHABET.length]).join('');
}

/** Equal but for the hash label. */
export function isSameTemplate(a: PodTemplate, b: PodTemplate): boolean {
  return isDeepStrictEqual(JSON.parse(canonical(withoutHash(a))), JSON.parse(canonical(withoutHash(b))));
}

function withoutHash(template: PodTemplate): PodTemplate {
  const { [HASH_LABEL]: _hash, ...labels } = template.metadata?.labels ?? {};
  return { ...template, metadata: { ...template.metadata, labels } };
}

/** JSON with sorted keys and without what is null. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) => {
    if (member === null) return undefined;
    if (typeof member !== 'object' || Array.isArray(member)) return member;
    return Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
