// SPDX-License-Identifier: Apache-2.0
// What does not fit between clusters, whoever rules them.
import type { Diagnostic } from '../api/diagnostics.ts';
import { refOf } from '../api/kind.ts';
import { diagnose } from '../api/report.ts';
import { compareRules, type RuleReport } from '../federation/rules/comparison.ts';
import { type Analyzed, say, type World } from './world.ts';

export interface WorldOf {
  /** As the user calls it. */
  readonly context: string;
  /** As the mesh calls it. */
  readonly name: string;
  readonly world: World;
}

export function compareClusters(clusters: readonly WorldOf[]): Diagnostic[] {
  return [...compareServices(clusters), ...compareCopies(clusters)];
}

type ServiceOf = WorldOf & { readonly each: World['services'][number] };

/** A service that several clusters have is one service: its clients cannot tell whose ports they use. */
function compareServices(clusters: readonly WorldOf[]): Diagnostic[] {
  const all = clusters.flatMap((cluster) => cluster.world.services.map((each): ServiceOf => ({ ...cluster, each })));
  const shared = Map.groupBy(all, ({ each: { service } }) => `${service.ref.namespace}/${service.ref.name}`);
  return [...shared].flatMap(([key, [first, ...others]]) => {
    // Each cluster has its own control plane, DNS and gateways.
    if (first === undefined || /^(istio-system|kube-[a-z-]+)\/|^default\/kubernetes$/.test(key)) return [];
    return others.flatMap((other) => {
      const differences = differencesOf(first.each, other.each);
      if (differences.length === 0) return [];
      const message = `it differs from that of ${first.context}: ${differences.join('; ')}`;
      const found = say(
        other.each,
        'ISM0318',
        'spec',
        message,
        'have all clusters say the same of it, or call one of them otherwise',
      );
      return [{ ...found, object: { ...found.object, cluster: other.context } }];
    });
  });
}

function differencesOf(a: World['services'][number], b: World['services'][number]): string[] {
  const ports = ({ service }: World['services'][number]) =>
    service.ports
      .map(({ number, protocol }) => `${number}/${protocol}`)
      .sort()
      .join(', ') || 'none';
  const type = ({ object }: Analyzed) =>
    String((object['spec'] as { type?: unknown } | undefined)?.type ?? 'ClusterIP');
  return [
    ...(a.service.headless === b.service.headless ? [] : ['one is headless, and the other is not']),
    ...(type(a) === type(b) ? [] : [`type ${type(a)} there, ${type(b)} here`]),
    ...(ports(a) === ports(b) ? [] : [`ports ${ports(a)} there, ${ports(b)} here`]),
  ];
}

/** Rules that are written once, and copied to the clusters that they name. */
function compareCopies(clusters: readonly WorldOf[]): Diagnostic[] {
  const reports = compareRules(
    clusters.map(({ name, world }) => ({
      cluster: name,
      rules: world.all.map(({ object }) => object),
      namespaces: new Set(world.namespaces.map(({ object }) => object.metadata.name ?? '')),
    })),
  );
  return reports.flatMap((report) => driftOf(report, clusters));
}

function driftOf(report: RuleReport, clusters: readonly WorldOf[]): Diagnostic[] {
  const source = clusters.find(({ name }) => name === report.source);
  const written = source?.world.all.find(
    ({ object: { kind, metadata } }) =>
      kind === report.kind && metadata.namespace === report.namespace && metadata.name === report.name,
  );
  if (source === undefined || written === undefined) return [];
  const object = { ...refOf(written.object), cluster: source.context };
  // A cluster that is not looked at may have its copy all the same; one that is behind has it in a moment.
  const wrong = report.copies.filter(({ state }) => !['in-step', 'unknown-cluster', 'behind'].includes(state));
  return wrong.map(({ cluster, message }) =>
    diagnose(
      object,
      'ISM0322',
      'metadata.annotations["isthmus.io/clusters"]',
      `in ${cluster}: ${message}`,
      'isthmus rules shows every copy and its revision',
      {
        locate: written.locate,
      },
    ),
  );
}
