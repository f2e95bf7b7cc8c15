// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { parseYamlObjects } from '../api/yaml-documents.ts';
import { buildCopy } from '../federation/rules/copy.ts';
import type { KubeObject } from '../kube/types.ts';
import { compareClusters } from './across.ts';
import { readWorld } from './world.ts';

const objectsOf = (yaml: string): KubeObject[] => parseYamlObjects(yaml).objects.map(({ object }) => object);

function compare(one: readonly KubeObject[], two: readonly KubeObject[]): string[] {
  const cluster = (name: string, objects: readonly KubeObject[]) => ({
    context: name,
    name,
    world: readWorld(objects.map((object) => ({ object }))),
  });
  return compareClusters([cluster('one', one), cluster('two', two)]).map(
    ({ code, object, message }) =>
      `${code} ${object.cluster} ${object.kind} ${object.namespace}/${object.name}: ${message}`,
  );
}

const service = (spec: string, namespace = 'shop') =>
  objectsOf(`{ apiVersion: v1, kind: Service, metadata: { name: web, namespace: ${namespace} }, spec: ${spec} }`);
const http = '{ ports: [{ name: http, port: 80 }] }';

test('a service that is the same everywhere is nothing to remark on', () => {
  expect(compare(service(http), service(http))).toEqual([]);
  expect(compare(service(http), [])).toEqual([]);
});

test('one that differs is told of the later cluster, with what differs', () => {
  expect(compare(service(http), service('{ ports: [{ name: tcp, port: 80 }] }'))).toEqual([
    'ISM0318 two Service shop/web: it differs from that of one: ports 80/http there, 80/tcp here',
  ]);
  expect(compare(service(http), service('{ clusterIP: None, ports: [{ name: http, port: 80 }] }'))).toEqual([
    'ISM0318 two Service shop/web: it differs from that of one: one is headless, and the other is not',
  ]);
});

test('what each cluster has for itself is no service of several', () => {
  expect(compare(service(http, 'istio-system'), service('{ ports: [] }', 'istio-system'))).toEqual([]);
});

const NAMESPACE = objectsOf('{ apiVersion: v1, kind: Namespace, metadata: { name: shop } }');
const [rule] = objectsOf(`
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: web, namespace: shop, annotations: { isthmus.io/clusters: two } }
spec: { host: web, trafficPolicy: { connectionPool: { tcp: { maxConnections: 5 } } } }
`) as [KubeObject];

test('a copy that is missing or edited is told of the rule where it is written; one in step is not', () => {
  const copy = buildCopy(rule, 'one');
  expect(compare([rule, ...NAMESPACE], [copy, ...NAMESPACE])).toEqual([]);
  expect(compare([rule, ...NAMESPACE], NAMESPACE)).toEqual([
    expect.stringMatching(/^ISM0322 one DestinationRule shop\/web: in two: /),
  ]);
  expect(compare([rule, ...NAMESPACE], [{ ...copy, spec: { host: 'other' } }, ...NAMESPACE])).toEqual([
    expect.stringMatching(/^ISM0322 one DestinationRule shop\/web: in two: /),
  ]);
});
