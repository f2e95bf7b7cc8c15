// SPDX-License-Identifier: Apache-2.0
// What JSON.parse does not say: members that stand twice, and Go's wording of a syntax error.

/** Paths ("data.a", "spec.list[0].b") in the order of the text, and those that stand twice. `text` is valid JSON. */
export function memberPaths(text: string): { duplicates: string[]; order: string[] } {
  const found: string[] = [];
  const order: string[] = [];
  let at = 0;

  const space = () => {
    while (at < text.length && text.charCodeAt(at) <= 32) at++;
  };
  const string = (): string => {
    const start = at++;
    while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
    at++;
    return text.slice(start, at);
  };
  const value = (path: string): void => {
    space();
    const open = text[at];
    if (open === '{') object(path);
    else if (open === '[') array(path);
    else if (open === '"') string();
    else while (at < text.length && !',]}'.includes(text[at]!) && text.charCodeAt(at) > 32) at++;
    space();
  };
  const object = (path: string): void => {
    const seen = new Set<string>();
    at++;
    space();
    while (text[at] !== '}') {
      space();
      const raw = string();
      const name = raw.includes('\\') ? (JSON.parse(raw) as string) : raw.slice(1, -1);
      const here = path ? `${path}.${name}` : name;
      if (seen.has(name)) found.push(here);
      order.push(here);
      seen.add(name);
      space();
      at++;
      value(here);
      if (text[at] === ',') at++;
    }
    at++;
  };
  const array = (path: string): void => {
    at++;
    space();
    for (let index = 0; text[at] !== ']'; index++) {
      value(`${path}[${index}]`);
      if (text[at] === ',') at++;
    }
    at++;
  };

  value('');
  return { duplicates: found, order };
}

/** For `text` that JSON.parse refuses: "unexpected end of JSON input", "invalid character 'x' looking for beginning of value". */
export function goSyntaxError(text: string): string {
  const trimmed = text.trimStart();
  if (trimmed === '') return 'unexpected end of JSON input';
  if (!/^[{["\-\dtfn]/.test(trimmed)) return `invalid character '${trimmed[0]}' looking for beginning of value`;
  const position = failurePosition(text);
  if (position === undefined || position >= text.trimEnd().length) return 'unexpected end of JSON input';
  const before = text.slice(0, position).trimEnd().at(-1) ?? '';
  const where =
    before === ',' || before === '{' ? 'looking for beginning of object key string' : 'looking for beginning of value';
  const after = before === ':' || before === '[' ? 'looking for beginning of value' : where;
  return `invalid character '${text[position]}' ${after}`;
}

function failurePosition(text: string): number | undefined {
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    const match = /position (\d+)/.exec((error as Error).message);
    return match ? Number(match[1]) : undefined;
  }
}
