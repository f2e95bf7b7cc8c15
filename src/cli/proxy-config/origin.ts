// SPDX-License-Identifier: Apache-2.0
import { inside, type Message, textOf } from './dump.ts';

/** `NAME.NAMESPACE` of the object that made a resource, where the resource says so (metadata `istio`, member `config`). */
export function writtenIn(resource: Message): string {
  const config = textOf(inside(resource, 'metadata', 'filter_metadata', 'istio'), 'config');
  const [, namespace, name] = /\/namespaces\/([^/]+)\/[^/]+\/([^/]+)$/.exec(config) ?? [];
  return name === undefined ? '' : `${name}.${namespace}`;
}
