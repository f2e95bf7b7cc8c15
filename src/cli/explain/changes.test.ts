// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { parseYamlObjects } from '../../api/yaml-documents.ts';
import { readRequest } from '../../explain/asked.ts';
import { findCaller } from '../../explain/callers.ts';
import { explain } from '../../explain/explain.ts';
import type { ClusterInput, SeenObject } from '../../explain/mesh.ts';
import { openMesh } from '../../explain/mesh.ts';
import { type Change, overlayChanges } from './changes.ts';
import { isSame, renderComparison } from './compare.ts';
import { offlineMesh } from './offline.ts';
import { renderPath } from './render.ts';
import { wrap } from './wrap.ts';

function read(text: string, file = 'change.yaml'): SeenObject[] {
  return parseYamlObjects(text).objects.map(({ object, locate }) => {
    const { metadata } = object;
    return {
      file,
      locate,
      object: { ...object, metadata: { ...metadata, namespace: metadata.namespace ?? 'default' } },
    };
  });
}

const change = (text: string, cluster?: string): Change => ({ cluster, objects: read(text), faults: [] });

const app = (name: string, version: string) => `---
apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name}-${version} }
spec: { template: { metadata: { labels: { app: ${name}, version: ${version} } }, spec: { containers: [{ name: c, image: i }] } } }
`;
const service = (name: string) => `---
apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec: { selector: { app: ${name} }, ports: [{ name: http, port: 80 }] }
`;
const SHOP = service('cart') + app('cart', 'v1') + app('web', 'v1');
const rule = (route: string) => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: cart }
spec:
  hosts: [cart]
  http:
    - ${route}
`;
const REDIRECT = rule('redirect: { uri: /closed }');

function answer(changes: readonly Change[]) {
  const mesh = openMesh(offlineMesh(changes).input);
  return explain(mesh, { from: findCaller(mesh, { from: 'web' }), request: readRequest(['http://cart/']) });
}

test('files alone are a mesh, with the pods that their Deployments would have', () => {
  expect(answer([change(SHOP)]).verdict).toBe('cart-v1 in cluster1 itself');
  expect(answer([change(SHOP), change(app('cart', 'v2'))]).verdict).toBe(
    '50% cart-v1 and 50% cart-v2 in cluster1 itself',
  );
});

test('of files that define one object the last one counts', () => {
  const open = rule('route: [{ destination: { host: cart } }]');
  expect(answer([change(SHOP), change(REDIRECT), change(open)]).verdict).toBe('cart-v1 in cluster1 itself');
  expect(answer([change(SHOP), change(open), change(REDIRECT)]).verdict).toContain('/closed');
});

test('a comparison marks what goes and what comes; of nothing it says so', () => {
  const [before, after] = [answer([change(SHOP)]), answer([change(SHOP), change(REDIRECT)])];
  expect(isSame(before, after)).toBe(false);
  const text = renderComparison(before, after, []);
  expect(text).toContain('now   cart-v1 in cluster1 itself\nthen  301: the client is sent to http://cart/closed');
  expect(text).toMatch(/^- +✔ cart-v1 in cluster1$/m);
  expect(text).toMatch(/^\+ +• 301/m);
  expect(isSame(before, answer([change(SHOP)]))).toBe(true);
  expect(renderComparison(before, before, [])).toContain('Nothing of its way changes.');
});

test('no line is longer than a hundred columns, and none has colour where no terminal is', () => {
  const text = renderPath(answer([change(SHOP)]), ['end-user: jason']);
  expect(text.split('\n').filter((line) => line.length > 100)).toEqual([]);
  expect(text).not.toContain('\x1b');
  expect(wrap('one two three', 7, '  ')).toEqual(['one two', '  three']);
});

const cluster = (id: string, text: string, more: Partial<ClusterInput> = {}): ClusterInput => ({
  id,
  objects: read(text),
  ...more,
});
const namesIn = (clusters: readonly ClusterInput[], id: string) =>
  clusters
    .find((each) => each.id === id)!
    .objects.flatMap(({ object }) => (object.kind === 'VirtualService' ? [object.spec] : []));

test('a change goes where the caller is, or to the cluster that it names; rules go to the one that rules it', () => {
  const input = {
    clusters: [cluster('one', ''), cluster('two', '', { ruledBy: 'one', name: 'n2' }), cluster('three', '')],
  };
  const put = (name: string | undefined, home: string) => {
    const { clusters } = overlayChanges(input, [change(REDIRECT, name)], home).input;
    return ['one', 'two', 'three'].filter((id) => namesIn(clusters, id).length > 0);
  };
  expect(put(undefined, 'three')).toEqual(['three']);
  expect(put('one', 'three')).toEqual(['one']);
  expect(put('n2', 'three')).toEqual(['one']);
  expect(() => put('four', 'three')).toThrow(
    'there is no cluster four among those that are looked at: one, two, three',
  );
});

test('what the webhook would refuse is told with its line, and what was in force stays', () => {
  const input = { clusters: [cluster('one', REDIRECT)] };
  const { input: after, remarks } = overlayChanges(input, [change(rule('rout: []'))], 'one');
  expect(namesIn(after.clusters, 'one')).toEqual([{ hosts: ['cart'], http: [{ redirect: { uri: '/closed' } }] }]);
  expect(remarks.map(({ code, file, line }) => [code, file, line])).toContainEqual(['ISM0003', 'change.yaml', 7]);
});
