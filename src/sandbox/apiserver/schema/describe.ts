// SPDX-License-Identifier: Apache-2.0
// Reads the descriptions of built-in types (descriptions/*.ts). The notation:
//   @core.v1                  what follows belongs to this package
//   Pod = text                of the type
//     spec: text              of a member
//   Other < Pod               has the members of another type too; "Other < apps.v1.Deployment" of another package
//   * = text                  the members below are described so wherever no type says better
import type { ObjectNode, SchemaNode } from './node.ts';

interface Entry {
  text: string;
  readonly like: string | undefined;
  readonly members: Map<string, string>;
}

const ANY_TYPE = '*';

export class Descriptions {
  readonly #entries = new Map<string, Entry>();

  constructor(texts: readonly string[]) {
    for (const text of texts) this.#read(text);
  }

  /** '' when nothing is known. */
  ofType(typeName: string): string {
    const entry = this.#entries.get(typeName);
    return entry?.text || (entry?.like ? this.ofType(entry.like) : '');
  }

  /** Of the member itself, of what it embeds, of its name, of its type, in this order; '' when nothing is known. */
  ofMember(owner: ObjectNode, name: string, node: SchemaNode): string {
    return (
      this.#own(owner, name) ?? this.#entries.get(ANY_TYPE)?.members.get(name) ?? this.ofType(objectType(node)) ?? ''
    );
  }

  /** "core.v1.Pod", "core.v1.Pod.spec": all that is described, to be checked against the types. */
  names(): { type: string; members: readonly string[] }[] {
    return [...this.#entries]
      .filter(([type]) => type !== ANY_TYPE)
      .map(([type, { members }]) => ({ type, members: [...members.keys()] }));
  }

  #own(owner: ObjectNode, name: string): string | undefined {
    let entry = this.#entries.get(owner.typeName);
    while (entry) {
      const text = entry.members.get(name);
      if (text !== undefined) return text;
      entry = entry.like ? this.#entries.get(entry.like) : undefined;
    }
    for (const { node } of owner.embedded) {
      const text = this.#own(node, name);
      if (text !== undefined) return text;
    }
    return undefined;
  }

  #read(text: string): void {
    let scope = '';
    let current: Entry | undefined;
    for (const line of text.split('\n')) {
      if (line === '') continue;
      if (line.startsWith('@')) {
        scope = line.slice(1);
        continue;
      }
      const member = /^ {2}([^:]+): (.+)$/.exec(line);
      if (member) {
        current?.members.set(member[1]!, member[2]!);
        continue;
      }
      const head = /^(\S+) ([=<]) (.+)$/.exec(line);
      if (!head) throw new Error(`descriptions: neither a type nor a member: ${line}`);
      const [, name = '', sign, rest = ''] = head;
      const like = sign === '<' ? (rest.includes('.') ? rest : `${scope}.${rest}`) : undefined;
      current = { text: sign === '=' ? rest : '', like, members: new Map() };
      this.#entries.set(name === ANY_TYPE ? ANY_TYPE : `${scope}.${name}`, current);
    }
  }
}

/** The object that a member consists of or that its items are; '' when it is none. */
export function objectType(node: SchemaNode): string {
  if (node.kind === 'list' || node.kind === 'map') return objectType(node.items);
  return node.kind === 'object' ? node.typeName : '';
}
