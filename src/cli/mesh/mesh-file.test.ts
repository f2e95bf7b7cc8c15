// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { renderMeshFile } from './init.ts';
import { parseMesh } from './mesh-file.ts';

const HEAD = 'apiVersion: isthmus.io/v1alpha1\nkind: Mesh\nmetadata: {name: shop}\nspec:\n';

function mistakeIn(spec: string, head = HEAD): string {
  try {
    parseMesh(head + spec, 'mesh.yaml', '/tmp');
  } catch (error) {
    return (error as Error).message;
  }
  return 'none';
}

describe('mesh.yaml', () => {
  it('has defaults for all but the clusters’ names', () => {
    const { spec, name } = parseMesh(
      `${HEAD}  clusters: [{name: east}, {name: west, context: w}]\n`,
      'mesh.yaml',
      '/tmp',
    );
    expect(name).toBe('shop');
    expect(spec.trust).toEqual({ ca: 'made', organization: 'Isthmus', days: 3650 });
    expect(spec.clusters.map(({ controlPlane, dns }) => [controlPlane, dns])).toEqual([
      [{ kind: 'own' }, 'auto'],
      [{ kind: 'own' }, 'auto'],
    ]);
  });

  it.each([
    [
      '  clusters:\n    - name: a\n      contxt: b\n',
      'mesh.yaml:7: spec.clusters[0].contxt: there is no field `contxt` here: did you mean `context`?',
    ],
    ['  clusters: []\n', 'mesh.yaml:5: spec.clusters: the list is empty'],
    [
      '  clusters:\n  - {name: a}\n  - {name: a, context: b}\n',
      'mesh.yaml:7: spec.clusters[1].name: two clusters are named a: clusters[0] is, too',
    ],
    [
      '  clusters:\n  - {name: a, context: x}\n  - {name: b, context: x}\n',
      'spec.clusters[1].context: a and b are both behind context x: name the context of each',
    ],
    [
      '  clusters:\n  - {name: a}\n  - name: b\n    controlPlane: {servedBy: c}\n  - name: c\n    controlPlane: {servedBy: a}\n',
      'mesh.yaml:8: spec.clusters[1].controlPlane.servedBy: c has no control plane to serve b with: it is itself served by a: name a, or let c have its own',
    ],
    [
      '  clusters:\n  - {name: east}\n  - {name: b, controlPlane: {servedBy: esat}}\n',
      'there is no cluster esat in spec.clusters: did you mean east?',
    ],
    ['  clusters: [{name: a, controlPlane: {servedBy: a}}]\n', 'a cannot serve itself'],
    [
      '  clusters: [{name: a, controlPlane: owned}]\n',
      'spec.clusters[0].controlPlane: "owned" is no control plane: write `own`, or `{servedBy: CLUSTER}`',
    ],
    ['  clusters: [{name: A}]\n', 'spec.clusters[0].name: "A" is not a name of at most 40 lower-case letters'],
    ['  clusters: [{name: a, apiServer: "http://x"}]\n', 'spec.clusters[0].apiServer: "http://x" is no https address'],
    ['  trust: {ca: files}\n  clusters: [{name: a}]\n', '`directory` is required where `ca` is `files`'],
    [
      '  clusters: [{name: a}]\n  exports: [{name: x, namespaces: [n], clusters: [b]}]\n',
      'spec.exports[0].clusters[0]: there is no cluster b in spec.clusters',
    ],
    ['  clusters: [{name: a\n', 'mesh.yaml:6: '],
  ])('tells line, field and cure: %j', (spec, message) => {
    expect(mistakeIn(spec)).toContain(message);
  });

  it('tells of a file that is of another kind, version or form', () => {
    expect(mistakeIn('', 'kind: Mesh\n')).toContain('mesh.yaml:1: ');
    expect(mistakeIn('', '')).toContain('mesh init');
    expect(mistakeIn('', 'apiVersion: v1\nkind: Service\nmetadata: {name: a}\n')).toContain(
      'mesh.yaml:2: kind: Service is no Mesh',
    );
    expect(mistakeIn('', 'apiVersion: isthmus.io/v1\nkind: Mesh\nmetadata: {name: a}\n')).toContain(
      'use isthmus.io/v1alpha1',
    );
    expect(mistakeIn('  clusters: [{name: a}]\nclusters: []\n')).toContain('mesh.yaml:6: clusters: there is no field');
  });

  it('hands on values with the file’s own lines', () => {
    const text = `${HEAD}  values:\n    pilot:\n      logLevel: debug\n  clusters:\n  - name: a\n    values: {global: {hub: x}}\n`;
    const mesh = parseMesh(text, 'mesh.yaml', '/tmp');
    const files = mesh.valueFiles(mesh.spec.clusters[0]!);
    expect(files.map((file) => file.text.split('\n').findIndex((line) => line.trim() !== '') + 1)).toEqual([6, 10]);
    expect(files[1]!.text.trim()).toBe('{global: {hub: x}}');
  });
});

describe('mesh init', () => {
  it('writes what mesh up reads, whatever the contexts are called', () => {
    const contexts = [
      { name: 'cluster1', server: 'https://10.0.0.1:6443' },
      { name: 'arn:aws:eks:eu-west-1:123456789012:cluster/shop', server: 'https://eks' },
      { name: 'arn:aws:eks:us-east-1:123456789012:cluster/shop', server: 'https://eks' },
      { name: 'kind-one', server: 'https://127.0.0.1:33333' },
      { name: 'Admin@Home', server: undefined },
    ];
    const text = renderMeshFile('mesh', contexts);
    const { spec } = parseMesh(text, 'mesh.yaml', '/tmp');
    expect(spec.clusters.map(({ name, context }) => [name, context])).toEqual([
      ['cluster1', 'cluster1'],
      ['shop', 'arn:aws:eks:eu-west-1:123456789012:cluster/shop'],
      ['shop-2', 'arn:aws:eks:us-east-1:123456789012:cluster/shop'],
      ['kind-one', 'kind-one'],
      ['admin-home', 'Admin@Home'],
    ]);
    expect(text).toContain('https://127.0.0.1:33333 is this machine');
  });
});
