// SPDX-License-Identifier: Apache-2.0
// The simple JSON paths of printer columns and scale subresources: .spec.a, .spec['a'], .items[0].b, .items[*].b,
// .conditions[?(@.type=="Ready")].status, .metadata.annotations.example\.com/a.

type Step =
  | { readonly kind: 'field'; readonly name: string }
  | { readonly kind: 'index'; readonly index: number }
  | { readonly kind: 'all' }
  | { readonly kind: 'filter'; readonly path: readonly Step[]; readonly operator: string; readonly value: string };

/** undefined when the path is not one. */
export function compileJsonPath(text: string): ((object: unknown) => unknown[]) | undefined {
  const steps = parse(text.trim().replace(/^\{(.*)\}$/, '$1'));
  return (
    steps &&
    ((object) => steps.reduce<unknown[]>((values, step) => values.flatMap((value) => take(value, step)), [object]))
  );
}

function parse(text: string): Step[] | undefined {
  const steps: Step[] = [];
  let rest = text.replace(/^\$/, '');
  const form =
    /^(?:\.([A-Za-z_$][\w$-]*(?![\\/\w$-])|\*)|\[(\d+)\]|\[(\*)\]|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]|\[\?\(@((?:\.[\w$-]+)+)\s*(==|!=)\s*(?:"([^"]*)"|'([^']*)'|([\w.-]+))\)\]|\.((?:[\w$-]|\\\.|\/)+))/;
  while (rest !== '') {
    const match = form.exec(rest);
    if (!match) return undefined;
    const [all, name, index, star, single, double, filterPath, operator, q1, q2, q3, odd] = match;
    if (name === '*' || star) steps.push({ kind: 'all' });
    else if (index !== undefined) steps.push({ kind: 'index', index: Number(index) });
    else if (filterPath) {
      const path = filterPath
        .slice(1)
        .split('.')
        .map((field) => ({ kind: 'field', name: field }) as const);
      steps.push({ kind: 'filter', path, operator: operator!, value: q1 ?? q2 ?? q3 ?? '' });
    } else steps.push({ kind: 'field', name: (name ?? single ?? double ?? odd ?? '').replace(/\\(.)/g, '$1') });
    rest = rest.slice(all.length);
  }
  return steps;
}

function take(value: unknown, step: Step): unknown[] {
  if (typeof value !== 'object' || value === null) return [];
  switch (step.kind) {
    case 'field': {
      const found = (value as Record<string, unknown>)[step.name];
      return found === undefined || found === null ? [] : [found];
    }
    case 'index':
      return Array.isArray(value) && value[step.index] !== undefined ? [value[step.index]] : [];
    case 'all':
      return Array.isArray(value) ? value : Object.values(value);
    case 'filter':
      return (Array.isArray(value) ? value : []).filter((item) => {
        const found = step.path.reduce<unknown[]>((values, inner) => values.flatMap((one) => take(one, inner)), [item]);
        const text = typeof found[0] === 'object' ? JSON.stringify(found[0]) : String(found[0] ?? '');
        return (text === step.value) === (step.operator === '==');
      });
  }
}
