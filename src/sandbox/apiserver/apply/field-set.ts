// SPDX-License-Identifier: Apache-2.0
// Sets of field paths, as managedFields keeps them. A path element is spelled as in fieldsV1: "f:name" for a member,
// k:{"name":"x"} for a list item by its keys, v:"x" for a list item by its value.
// https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management

export type Path = readonly string[];

export class FieldSet {
  readonly members: ReadonlySet<string>;
  readonly children: ReadonlyMap<string, FieldSet>;

  private constructor(members: ReadonlySet<string>, children: ReadonlyMap<string, FieldSet>) {
    this.members = members;
    this.children = children;
  }

  static readonly EMPTY = new FieldSet(new Set(), new Map());

  static of(members: Iterable<string>, children: Iterable<readonly [string, FieldSet]> = []): FieldSet {
    const kept = [...children].filter(([, child]) => !child.isEmpty);
    return new FieldSet(new Set(members), new Map(kept));
  }

  static fromPaths(paths: Iterable<Path>): FieldSet {
    const builder = new FieldSetBuilder();
    for (const path of paths) builder.insert(path);
    return builder.build();
  }

  get isEmpty(): boolean {
    return this.members.size === 0 && this.children.size === 0;
  }

  child(element: string): FieldSet {
    return this.children.get(element) ?? FieldSet.EMPTY;
  }

  union(other: FieldSet): FieldSet {
    const elements = new Set([...this.children.keys(), ...other.children.keys()]);
    return FieldSet.of(
      new Set([...this.members, ...other.members]),
      [...elements].map((element) => [element, this.child(element).union(other.child(element))] as const),
    );
  }

  intersection(other: FieldSet): FieldSet {
    return FieldSet.of(
      [...this.members].filter((element) => other.members.has(element)),
      [...this.children].map(([element, child]) => [element, child.intersection(other.child(element))] as const),
    );
  }

  difference(other: FieldSet): FieldSet {
    return FieldSet.of(
      [...this.members].filter((element) => !other.members.has(element)),
      [...this.children].map(([element, child]) => [element, child.difference(other.child(element))] as const),
    );
  }

  /** Without the members of `other` and everything below them. */
  recursiveDifference(other: FieldSet): FieldSet {
    return FieldSet.of(
      [...this.members].filter((element) => !other.members.has(element)),
      [...this.children]
        .filter(([element]) => !other.members.has(element))
        .map(([element, child]) => [element, child.recursiveDifference(other.child(element))] as const),
    );
  }

  equals(other: FieldSet): boolean {
    return this.difference(other).isEmpty && other.difference(this).isEmpty;
  }

  *paths(prefix: Path = []): Generator<Path> {
    for (const element of [...this.members].sort()) yield [...prefix, element];
    for (const [element, child] of this.children) yield* child.paths([...prefix, element]);
  }

  /** fieldsV1. */
  toJson(): Record<string, unknown> {
    const elements = [...new Set([...this.members, ...this.children.keys()])].sort(compareElements);
    return Object.fromEntries(
      elements.map((element) => {
        const child = this.children.get(element);
        if (!child) return [element, {}];
        return [element, this.members.has(element) ? { '.': {}, ...child.toJson() } : child.toJson()];
      }),
    );
  }

  /** Throws on anything that is no fieldsV1. */
  static fromJson(json: unknown): FieldSet {
    if (typeof json !== 'object' || json === null || Array.isArray(json)) throw new Error('fieldsV1 must be an object');
    const members: string[] = [];
    const children: [string, FieldSet][] = [];
    for (const [element, value] of Object.entries(json)) {
      if (element === '.') continue;
      if (!/^[fkvi]:/s.test(element)) throw new Error(`fieldsV1: ${element} is no path element`);
      const child = FieldSet.fromJson(value);
      if (child.isEmpty || '.' in (value as object)) members.push(element);
      if (!child.isEmpty) children.push([element, child]);
    }
    return FieldSet.of(members, children);
  }
}

function compareElements(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export class FieldSetBuilder {
  readonly #members = new Set<string>();
  readonly #children = new Map<string, FieldSetBuilder>();

  insert(path: Path): void {
    const [first, ...rest] = path;
    if (first === undefined) return;
    if (rest.length === 0) this.#members.add(first);
    else this.child(first).insert(rest);
  }

  child(element: string): FieldSetBuilder {
    const found = this.#children.get(element) ?? new FieldSetBuilder();
    this.#children.set(element, found);
    return found;
  }

  add(element: string): void {
    this.#members.add(element);
  }

  build(): FieldSet {
    return FieldSet.of(
      this.#members,
      [...this.#children].map(([element, child]) => [element, child.build()] as const),
    );
  }
}

/** `.spec.containers[name="main"].image`, as messages show paths. */
export function pathText(path: Path): string {
  return path
    .map((element) => {
      const value = element.slice(2);
      if (element.startsWith('f:')) return `.${value}`;
      if (element.startsWith('v:')) return `[=${value}]`;
      const keys = JSON.parse(value) as Record<string, unknown>;
      return `[${Object.entries(keys)
        .map(([key, one]) => `${key}=${JSON.stringify(one)}`)
        .join(',')}]`;
    })
    .join('');
}
