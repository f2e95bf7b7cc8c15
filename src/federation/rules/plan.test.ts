// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from 'node:util';
import { expect, test } from 'vitest';
import { rounds } from '../../../test/fixture/counts.ts';
import { seeded } from '../../../test/fixture/random.ts';
import { objectName } from '../../kube/object-name.ts';
import type { KubeObject } from '../../kube/types.ts';
import { compareRules, type RuleCluster } from './comparison.ts';
import { isEdited } from './copy.ts';
import { isCopy, isRule, readTargets, revisionOf } from './names.ts';
import { planCopies, type RuleView } from './plan.ts';

interface Written {
  readonly clusters?: string;
  readonly weight?: number;
  readonly created?: string;
  readonly namespace?: string;
}

function rule(name: string, { clusters, weight = 90, created = '2026-01-01', namespace = 'app' }: Written): KubeObject {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: {
      name,
      namespace,
      creationTimestamp: created,
      generation: 3,
      labels: { 'istio.io/rev': 'canary', 'argocd.argoproj.io/instance': 'shop' },
      annotations: {
        ...(clusters !== undefined && { 'isthmus.io/clusters': clusters }),
        'kubectl.kubernetes.io/last-applied-configuration': '{}',
      },
    },
    spec: { hosts: [name], http: [{ route: [{ destination: { host: name, subset: 'v1' }, weight }] }] },
  };
}

const view = (given: Partial<RuleView> & { peers: RuleView['peers'] }): RuleView => ({
  cluster: 'c2',
  own: [],
  namespaces: new Set(['app', 'other']),
  ...given,
});
const plan = (given: Partial<RuleView> & { peers: RuleView['peers'] }) => {
  const { wanted, held, remarks } = planCopies(view(given));
  return { wanted: [...wanted.values()], held: [...held], told: remarks.map(({ reason }) => reason), remarks };
};

test('a rule goes to the clusters that it names, says what it is a copy of, and takes no tool’s labels along', () => {
  const source = rule('reviews', { clusters: 'c2, c3' });
  const { wanted, told } = plan({ peers: new Map([['c1', [source]]]) });
  expect(told).toEqual([]);
  expect(wanted).toEqual([
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata: {
        name: 'reviews',
        namespace: 'app',
        labels: {
          'app.kubernetes.io/managed-by': 'isthmus',
          'isthmus.io/source-cluster': 'c1',
        },
        annotations: {
          'isthmus.io/source': 'c1/app/reviews',
          'isthmus.io/source-revision': revisionOf(source),
          'isthmus.io/source-generation': '3',
        },
      },
      spec: source['spec'],
    },
  ]);
  const peers = new Map([['c1', [source]]]);
  expect(planCopies(view({ cluster: 'c3', peers })).wanted.size).toBe(1);
  expect(planCopies(view({ cluster: 'c4', peers })).wanted.size).toBe(0);
});

test('a star names every peer; what names no cluster, or none that is known, is told its owner', () => {
  expect(plan({ peers: new Map([['c1', [rule('a', { clusters: '*' })]]]) }).wanted).toHaveLength(1);
  const peers = new Map([['c1', []]]);
  const mine = ['*', 'c1', 'c2', '', 'c1;c3', 'c9,c1'].map((clusters, i) => rule(`r${i}`, { clusters }));
  const { remarks } = plan({ own: mine, peers });
  expect(remarks.map(({ reason, about }) => `${about.metadata.name} ${reason}`)).toEqual([
    'r3 InvalidAnnotation',
    'r4 InvalidAnnotation',
    'r5 UnknownCluster',
  ]);
  expect(remarks.at(-1)?.message).toContain('names c9, which c2 does not know as a peer (they are c1)');
});

test('an object of a person wins, and both owners are told', () => {
  const [own, source] = [rule('reviews', { weight: 1 }), rule('reviews', { clusters: '*' })];
  const target = plan({ own: [own], peers: new Map([['c1', [source]]]) });
  expect(target.wanted).toEqual([]);
  expect(target.remarks).toMatchObject([{ reason: 'Occupied', about: own }]);
  const origin = plan({ cluster: 'c1', own: [source], peers: new Map([['c2', [own]]]) });
  expect(origin.remarks).toMatchObject([{ reason: 'Occupied', about: source }]);
  for (const { message } of [...target.remarks, ...origin.remarks]) expect(message).toMatch(/c2 .*app\/reviews.* c1/);
});

test('of two clusters with one rule the older wins, whoever is asked, and both are told', () => {
  const older = rule('reviews', { clusters: '*', created: '2026-01-01', weight: 1 });
  const newer = rule('reviews', { clusters: 'c2', created: '2026-01-02', weight: 2 });
  const entries: [string, KubeObject[]][] = [
    ['c1', [newer]],
    ['c3', [older]],
  ];
  for (const peers of [new Map(entries), new Map(entries.toReversed())]) {
    const { wanted, told } = plan({ peers });
    expect(wanted.map(({ metadata }) => metadata.annotations?.['isthmus.io/source'])).toEqual(['c3/app/reviews']);
    expect(told).toEqual(['Contested']);
  }
  const said = [
    ['c1', newer, 'c3', older],
    ['c3', older, 'c1', newer],
  ] as const;
  for (const [cluster, own, other, theirs] of said) {
    const peers = new Map([
      [other, [theirs]],
      ['c2', []],
    ]);
    const { remarks } = plan({ cluster, own: [own], peers });
    expect(remarks.find(({ reason }) => reason === 'Contested')?.message).toMatch(
      /that of c3 is in force .* of c1 is not/,
    );
  }
});

test('without its namespace it waits, and says so', () => {
  const peers = new Map([['c1', [rule('a', { clusters: '*', namespace: 'far' })]]]);
  expect(plan({ peers })).toMatchObject({ wanted: [], told: ['NoNamespace'] });
  expect(plan({ peers, namespaces: new Set(['far']) })).toMatchObject({ wanted: [{}], told: [] });
});

test('copies of a peer that has not been heard yet stay; those of one that is no peer any more go', () => {
  const [copy] = plan({ peers: new Map([['c1', [rule('a', { clusters: '*' })]]]) }).wanted;
  expect(plan({ own: [copy!], peers: new Map([['c1', undefined]]) }).held).toEqual(['VirtualService app/a']);
  expect(plan({ own: [copy!], peers: new Map([['c3', undefined]]) })).toMatchObject({ wanted: [], held: [] });
  // Only the silent one knows how old its rule is.
  const peers = new Map([
    ['c1', undefined],
    ['c3', [rule('a', { clusters: '*' })]],
  ]);
  expect(plan({ own: [copy!], peers }).held).toEqual(['VirtualService app/a']);
});

test('what a person applies over a copy, or takes the label from, is theirs', () => {
  const [copy] = plan({ peers: new Map([['c1', [rule('a', { clusters: '*' })]]]) }).wanted;
  const { metadata } = copy!;
  expect([isCopy(copy!), isEdited(copy!), isEdited({ ...copy!, spec: {} })]).toEqual([true, false, true]);
  const applied = { ...metadata.annotations, 'kubectl.kubernetes.io/last-applied-configuration': '{}' };
  expect(isCopy({ ...copy!, metadata: { ...metadata, annotations: applied } })).toBe(false);
  const fields = [{ manager: 'argocd-controller', operation: 'Apply', fieldsV1: { 'f:spec': {} } }];
  expect(isCopy({ ...copy!, metadata: { ...metadata, managedFields: fields } })).toBe(false);
  const { 'isthmus.io/source-cluster': _, ...labels } = metadata.labels!;
  expect(isCopy({ ...copy!, metadata: { ...metadata, labels } })).toBe(false);
});

test('the report names revision and state of each copy', () => {
  const source = rule('a', { clusters: 'c2,c3,c4,c5,c6,c7' });
  const copy = planCopies(view({ peers: new Map([['c1', [source]]]) }))
    .wanted.values()
    .next().value!;
  const older = planCopies(view({ peers: new Map([['c1', [rule('a', { clusters: '*', weight: 5 })]]]) }));
  const seen = (cluster: string, rules: KubeObject[] | undefined, ...namespaces: string[]): RuleCluster => ({
    cluster,
    rules,
    namespaces: new Set(['app', ...namespaces]),
  });
  const clusters = [
    seen('c1', [source]),
    seen('c2', [copy]),
    seen('c3', [...older.wanted.values()]),
    seen('c4', [{ ...copy, spec: { hosts: ['edited'] } }]),
    seen('c5', [rule('a', {})]),
    seen('c6', undefined),
  ];
  const [report, ...more] = compareRules(clusters);
  expect(more).toEqual([]);
  expect(report).toMatchObject({ source: 'c1', revision: revisionOf(source), generation: 3 });
  expect(report?.copies.map(({ cluster, state }) => `${cluster} ${state}`)).toEqual([
    'c2 in-step',
    'c3 behind',
    'c4 edited',
    'c5 occupied',
    'c6 unreachable',
    'c7 unknown-cluster',
  ]);
  // Neither the rule's own cluster nor one that it names already is what was meant.
  const mistyped = rule('a', { clusters: 'c2,east' });
  const [typo] = compareRules([seen('c1', [mistyped]), seen('c2', []), seen('eest', [])]);
  expect(typo?.copies.at(-1)?.message).toMatch(/looked at: did you mean eest\?$/);
  expect(report?.copies.at(-1)?.message).toMatch(/looked at$/);
  expect(compareRules([seen('c1', []), seen('c2', [copy])])).toMatchObject([
    { source: 'c1', revision: undefined, copies: [{ cluster: 'c2', state: 'left-over' }] },
  ]);
});

/** Clusters that follow one another as their leaders do, each event in an order of chance. */
class Mesh {
  readonly clusters = ['c1', 'c2', 'c3'];
  readonly objects = new Map(this.clusters.map((name) => [name, new Map<string, KubeObject>()]));
  readonly #pick: (count: number) => number;

  constructor(pick: (count: number) => number) {
    this.#pick = pick;
  }

  put(cluster: string, object: KubeObject): void {
    this.objects.get(cluster)!.set(objectName(object), object);
  }

  /** True when something was written. */
  reconcile(cluster: string): boolean {
    const mine = this.objects.get(cluster)!;
    const others = [...this.objects].filter(([name]) => name !== cluster);
    if (this.#pick(2) === 0) others.reverse();
    const peers = new Map(others.map(([name, objects]) => [name, [...objects.values()]] as const));
    const { wanted, held } = planCopies(view({ cluster, own: [...mine.values()], peers }));
    let hasWritten = false;
    for (const [key, object] of wanted) {
      const existing = mine.get(key);
      if (held.has(key) || isDeepStrictEqual(existing, object)) continue;
      mine.set(key, object);
      hasWritten = true;
    }
    for (const [key, object] of [...mine]) {
      if (!isCopy(object) || wanted.has(key) || held.has(key)) continue;
      mine.delete(key);
      hasWritten = true;
    }
    return hasWritten;
  }

  settle(): number {
    for (let turns = 0; turns < 200; turns++) {
      if (this.clusters.every((name) => !this.reconcile(name))) return turns;
      this.reconcile(this.clusters[this.#pick(3)]!);
    }
    return Number.POSITIVE_INFINITY;
  }

  text(): string {
    const all = [...this.objects].map(([name, objects]) => [name, [...objects].sort(([a], [b]) => (a < b ? -1 : 1))]);
    return JSON.stringify(all);
  }
}

test('any order of events gives the same copies, without a loop, and without the rules none is left', () => {
  const count = rounds(150, 5_000);
  for (let seed = 1; seed <= count; seed++) {
    const random = seeded(seed * 7_919);
    const pick = (n: number): number => Math.floor(random() * n);
    const written = Array.from({ length: 1 + pick(6) }, () => {
      const clusters = ['*', 'c1', 'c2', 'c3', 'c1,c3', 'c2,c3', undefined, ''][pick(8)];
      const made = {
        created: `2026-01-0${1 + pick(3)}`,
        weight: pick(100),
        ...(clusters !== undefined && { clusters }),
      };
      return { cluster: `c${1 + pick(3)}`, object: rule(`r${pick(3)}`, made) };
    });
    // One cluster has an object of a name once.
    const final = new Map(written.map((each) => [`${each.cluster} ${objectName(each.object)}`, each]));
    const run = (order: typeof written): string => {
      const mesh = new Mesh(pick);
      for (const { cluster, object } of order) {
        mesh.put(cluster, object);
        for (let i = pick(4); i > 0; i--) mesh.reconcile(mesh.clusters[pick(3)]!);
      }
      expect(mesh.settle(), `seed ${seed}`).toBeLessThan(10);
      const text = mesh.text();
      for (const { cluster, object } of final.values()) mesh.objects.get(cluster)!.delete(objectName(object));
      mesh.settle();
      expect(
        [...mesh.objects.values()].every(({ size }) => size === 0),
        `seed ${seed} leaves copies`,
      ).toBe(true);
      return text;
    };
    const each = [...final.values()];
    const shuffled = each.map((one) => ({ one, at: random() })).sort((a, b) => a.at - b.at);
    const texts = [each, each.toReversed(), shuffled.map(({ one }) => one)].map((order) => run(order));
    expect(new Set(texts).size, `seed ${seed}`).toBe(1);
    const told = JSON.parse(texts[0]!) as [string, [string, KubeObject][]][];
    // What a person wrote is there as it was, and every copy is of a rule that names its cluster.
    for (const { cluster, object } of each)
      expect(told.find(([c]) => c === cluster)![1]).toContainEqual([objectName(object), object]);
    for (const [cluster, objects] of told)
      for (const [key, copy] of objects.filter(([, object]) => isCopy(object))) {
        const from = copy.metadata.labels!['isthmus.io/source-cluster']!;
        const source = final.get(`${from} ${key}`)?.object;
        expect(source && isRule(source) && revisionOf(source), `seed ${seed} ${cluster}`).toBe(revisionOf(copy));
        expect(readTargets(copy)).toBeUndefined();
      }
  }
});
