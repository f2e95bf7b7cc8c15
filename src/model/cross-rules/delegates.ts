// SPDX-License-Identifier: Apache-2.0
// Rules that take routes from others, and those that nobody takes any from.
import { isDelegate, type VirtualService } from '../../api/virtual-service.ts';
import { type FoundDelegate, findDelegate, mergeRoutes, rulesByName } from '../delegation.ts';
import type { MeshIndex } from '../snapshot.ts';
import type { Say } from './known.ts';

export function checkDelegates(
  { writtenRules, settings }: Pick<MeshIndex, 'writtenRules' | 'settings'>,
  say: Say,
): void {
  if (!writtenRules.some(({ spec }) => isDelegate(spec) || spec.http.some((route) => route.delegate !== undefined)))
    return;
  const all = rulesByName(writtenRules);
  const used = new Set<VirtualService>();
  for (const root of writtenRules) {
    root.spec.http.forEach((route, i) => {
      const field = `spec.http[${i}].delegate`;
      const found = findDelegate(root, route, all);
      if (found === undefined) return;
      if ('fault' in found) {
        const [message, cure] = faultOf(found, root);
        say(root.ref, 'ISM0115', field, message, cure);
        return;
      }
      const { delegate } = found;
      used.add(delegate);
      for (const left of mergeRoutes(root, route, delegate, settings.dnsDomain).left) {
        const by = `${root.ref.namespace}/${root.ref.name}`;
        const message = `its match asks for what spec.http[${i}] of ${by} does not take, so the route is left out there`;
        const cure = `ask for a part of what that route takes: a longer prefix, the same method, no expressions`;
        say(delegate.ref, 'ISM0115', `spec.http[${left}].match`, message, cure);
      }
    });
  }
  for (const rule of writtenRules) {
    if (!isDelegate(rule.spec) || used.has(rule)) continue;
    const message = 'it has no hosts, and no other rule takes its routes';
    say(
      rule.ref,
      'ISM0115',
      'spec.hosts',
      message,
      'add spec.hosts, or name it as `delegate` of a route of another rule',
    );
  }
}

function faultOf({ fault, name }: Extract<FoundDelegate, { fault: string }>, root: VirtualService): [string, string] {
  switch (fault) {
    case 'missing':
      return [`there is no VirtualService ${name}`, `create it, or name its namespace if it is in another one`];
    case 'has hosts':
      return [
        `VirtualService ${name} has hosts of its own, so nobody takes its routes`,
        `remove its spec.hosts, or write the routes here`,
      ];
    case 'not exported':
      return [
        `VirtualService ${name} is not exported to namespace ${root.ref.namespace}`,
        `add ${root.ref.namespace} to its spec.exportTo`,
      ];
  }
}
