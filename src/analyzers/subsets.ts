// SPDX-License-Identifier: Apache-2.0
// Subsets that nobody is in.
import type { Diagnostic } from '../api/diagnostics.ts';
import { selects } from '../api/kubernetes.ts';
import { qualifyHost } from '../model/hosts.ts';
import { describeLabels, type Labels, say, type World, workloadsOf } from './world.ts';

/** @param elsewhere other clusters whose pods are endpoints of the same services */
export function checkSubsets(world: World, elsewhere: readonly World[]): Diagnostic[] {
  const { destinationRules, dnsDomain } = world;
  const worlds = [world, ...elsewhere];
  const routed = routedSubsets(world);
  return destinationRules.flatMap((rule) => {
    const host = qualifyHost(rule.spec.host, rule.namespace, dnsDomain);
    const pods = worlds.flatMap((each) => podsOf(host, each) ?? []);
    // Nobody knows who is behind it: it is another's, or has no pods at all, which is no subset's fault.
    if (pods.length === 0) return [];
    return rule.spec.subsets.flatMap(({ name, labels }, i) => {
      const wanted: Labels = labels ?? {};
      if (Object.keys(wanted).length === 0 || pods.some((pod) => selects(wanted, pod))) return [];
      const isRouted = routed.has(`${host} ${name}`);
      const message = `no pod of ${host} has ${describeLabels(wanted)}${isRouted ? ': what is routed to this subset gets a 503' : ''}`;
      return [
        say(rule, 'ISM0419', `spec.subsets[${i}].labels`, message, cureOf(wanted), isRouted ? 'error' : 'warning'),
      ];
    });
  });
}

/** Istio adds such labels to endpoints; here pods have those that they have. */
function cureOf(labels: Labels): string {
  const added = Object.keys(labels).filter((name) => /^(topology\.|kubernetes\.io\/hostname)/.test(name));
  if (added.length > 0) return `subsets go by the labels of pods alone: give the pods ${added.join(', ')}`;
  return 'correct the labels, or start such pods';
}

/** undefined where the cluster has no such Service, or it selects nothing. */
function podsOf(host: string, world: World): Labels[] | undefined {
  const found = world.services.find(
    ({ service: { ref } }) => `${ref.name}.${ref.namespace}.svc.${world.dnsDomain}` === host,
  )?.service;
  const { selector } = found ?? {};
  if (found === undefined || selector === undefined || Object.keys(selector).length === 0) return undefined;
  return workloadsOf(world)
    .filter(({ namespace, labels }) => namespace === found.ref.namespace && selects(selector, labels))
    .map(({ labels }) => labels);
}

/** `HOST SUBSET` of what some route leads to. */
function routedSubsets({ virtualServices, dnsDomain }: World): ReadonlySet<string> {
  const routes = virtualServices.flatMap(({ spec, namespace }) =>
    [...spec.http, ...spec.tls, ...spec.tcp].flatMap(({ route }) =>
      route.flatMap(({ destination, weight }) =>
        destination.subset === undefined || (weight === 0 && route.length > 1)
          ? []
          : [`${qualifyHost(destination.host, namespace, dnsDomain)} ${destination.subset}`],
      ),
    ),
  );
  return new Set(routes);
}
