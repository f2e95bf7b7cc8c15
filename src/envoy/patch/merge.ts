// SPDX-License-Identifier: Apache-2.0
// Merging as protobuf defines it: scalars are replaced, messages merged, lists continued, maps completed. Concatenated
// bytes are a merged message, so that the library's decoder does it (https://protobuf.dev/programming-guides/encoding/#last-one-wins).
import { type DescMessage, fromBinary, type Message, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect';
import type { Any } from '@bufbuild/protobuf/wkt';
import { envoyRegistry } from '#gen/registry.ts';

/** `replaceLists`: lists of the patch take the place of those that are there. */
export function merged<D extends DescMessage>(
  schema: D,
  into: MessageShape<D>,
  patch: Message,
  replaceLists: boolean,
): MessageShape<D> {
  makeRoom(reflect(schema, into), reflect(schema, patch as MessageShape<D>), replaceLists);
  const bytes = Buffer.concat([toBinary(schema, into), toBinary(schema, patch as MessageShape<D>)]);
  return fromBinary(schema, bytes);
}

/** What is inside of two Anys, merged; undefined when they are of different types. */
export function mergedAny(into: Any, patch: Any): Any | undefined {
  if (into.typeUrl !== patch.typeUrl) return undefined;
  const schema = envoyRegistry().getMessage(into.typeUrl.slice(into.typeUrl.lastIndexOf('/') + 1));
  if (schema === undefined) return undefined;
  const message = merged(schema, fromBinary(schema, into.value), fromBinary(schema, patch.value), false);
  return { ...into, value: toBinary(schema, message) };
}

/** Parts of a duration are no durations: 1.5s and 2s would be 2.5s. */
const WHOLE: ReadonlySet<string> = new Set(['google.protobuf.Duration', 'google.protobuf.Timestamp']);

/** Takes away what the patch is to take the place of, and would be added to. */
function makeRoom(into: ReflectMessage, patch: ReflectMessage, replaceLists: boolean): void {
  for (const field of patch.fields) {
    if (!patch.isSet(field) || !into.isSet(field)) continue;
    if (field.fieldKind === 'list') {
      if (replaceLists) into.clear(field);
    } else if (field.fieldKind === 'message') {
      if (WHOLE.has(field.message.typeName)) into.clear(field);
      else makeRoom(into.get(field), patch.get(field), replaceLists);
    }
  }
}
