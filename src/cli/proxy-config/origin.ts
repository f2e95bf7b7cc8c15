// SPDX-License-Identifier: Apache-2.0
import { inside, type Message, textOf } from './dump.ts';

/**
 * `NAME.NAMESPACE` of the object that made a resource, where the resource says so (metadata `istio`, member `config`), or a
 * route's virtual host says it for the routes that are of a rule (member `field`).
 */
export function writtenIn(resource: Message, host?: Message): string {
  const said = inside(resource, 'metadata', 'filter_metadata', 'istio');
  const usual = host === undefined || said['field'] === undefined ? '' : writtenPath(host);
  const config = textOf(said, 'config') || usual;
  // Istio's proxies have the object's path there, ours its namespace and name.
  const [, namespace, name] = /(?:^|\/namespaces\/)([^/]+)(?:\/[^/]+)?\/([^/]+)$/.exec(config) ?? [];
  return name === undefined ? '' : `${name}.${namespace}`;
}

function writtenPath(resource: Message): string {
  return textOf(inside(resource, 'metadata', 'filter_metadata', 'istio'), 'config');
}
