// SPDX-License-Identifier: Apache-2.0
// "Does the live object already say what we want?" A server adds defaults, so equality is the wrong question.

/** True when every member of `wanted` is in `live` with the same value; lists must match element by element. */
export function covers(live: unknown, wanted: unknown): boolean {
  if (live === wanted) return true;
  if (Array.isArray(wanted)) {
    // As of members: a server leaves out what is empty.
    if (!Array.isArray(live)) return wanted.length === 0 && (live === undefined || live === null);
    if (live.length !== wanted.length) return false;
    return wanted.every((element, index) => covers(live[index], element));
  }
  if (isFields(wanted)) {
    if (!isFields(live)) return isEmpty(wanted) && (live === undefined || live === null);
    return Object.entries(wanted).every(([name, value]) => covers(live[name], value));
  }
  return wanted === null || wanted === undefined ? live === undefined || live === null : false;
}

/** The JSON merge patch (RFC 7386) that makes `live` cover `wanted`; undefined when it does already. */
export function mergePatchTowards(live: unknown, wanted: unknown): unknown {
  if (covers(live, wanted)) return undefined;
  if (!isFields(live) || !isFields(wanted)) return wanted;
  const patch: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(wanted)) {
    const member = mergePatchTowards(live[name], value);
    if (member !== undefined) patch[name] = member;
    else if (value === null && live[name] !== undefined) patch[name] = null;
  }
  return patch;
}

function isFields(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isEmpty(value: object): boolean {
  return Object.keys(value).length === 0;
}
