// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import type { AdmissionRequest } from '../../injector/webhook.ts';
import { admitMeshObject } from './validation.ts';

function request(spec: unknown, change: Partial<AdmissionRequest> & { metadata?: object } = {}): AdmissionRequest {
  const { metadata, ...rest } = change;
  return {
    uid: 'u',
    operation: 'CREATE',
    namespace: 'default',
    object: {
      apiVersion: 'networking.istio.io/v1alpha3',
      kind: 'VirtualService',
      metadata: { name: 'reviews', namespace: 'default', ...metadata },
      spec,
    },
    ...rest,
  };
}

const route = (weight: number) => ({ destination: { host: 'reviews' }, weight });

test('a good object comes in', () => {
  expect(
    admitMeshObject(request({ hosts: ['reviews'], http: [{ route: [{ destination: { host: 'reviews' } }] }] })),
  ).toEqual({
    allowed: true,
    warnings: [],
  });
});

test('a bad one is refused with object, field and cure', () => {
  const answer = admitMeshObject(request({ hosts: ['reviews'], http: [{ route: [route(-1), { weight: 'x' }] }] }));
  expect(answer.allowed).toBe(false);
  expect(answer.message).toMatch(/^VirtualService default\/reviews: /);
  // All that is wrong at once, each with its field, what to do, and a code to look up.
  expect(answer.message).toMatch(/spec\.http\[0\]\.route\[0\]\.weight: .+: .+ \(IST\d{4}, ISM\d{4}\)/);
  expect(answer.message).toMatch(/spec\.http\[0\]\.route\[1\]\.weight/);
});

test('a rule that names clusters in words that cannot be read comes in, with a warning', () => {
  const spec = { hosts: ['reviews'], http: [{ route: [{ destination: { host: 'reviews' } }] }] };
  const warned = (clusters: string) =>
    admitMeshObject(request(spec, { metadata: { annotations: { 'isthmus.io/clusters': clusters } } })).warnings;
  expect([warned('*'), warned('cluster2, cluster3')]).toEqual([[], []]);
  const [warning, ...more] = warned('cluster2;cluster3') ?? [];
  expect(more).toEqual([]);
  expect(warning).toBe(
    'metadata.annotations["isthmus.io/clusters"]: isthmus.io/clusters: "cluster2;cluster3" cannot be a cluster’s name, so ' +
      'that the rule is in force here alone: write isthmus.io/clusters: "cluster2,cluster3", or "*" for every peer ' +
      '(IST0133, ISM0006)',
  );
});

test('nothing stands in the way of removal', () => {
  expect(admitMeshObject(request({}, { operation: 'DELETE' })).allowed).toBe(true);
  expect(
    admitMeshObject(request({}, { operation: 'UPDATE', metadata: { deletionTimestamp: '2020-01-01T00:00:00Z' } }))
      .allowed,
  ).toBe(true);
});

test('a kind of the mesh that is not supported is refused rather than ignored', () => {
  const object = { apiVersion: 'networking.istio.io/v1', kind: 'EnvoyFilter', metadata: { name: 'f' }, spec: {} };
  expect(admitMeshObject({ ...request({}), object })).toMatchObject({
    allowed: false,
    message: expect.stringContaining('EnvoyFilter'),
  });
});

test('settings of the mesh are refused with field and line; other ConfigMaps are nobody’s business', () => {
  const settings = (name: string, data: Record<string, string>) =>
    admitMeshObject({
      uid: 'u',
      operation: 'UPDATE',
      namespace: 'istio-system',
      object: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'istio-system' }, data },
    });
  const meshNetworks = 'networks:\n  n1:\n    gateways:\n    - address: 1.2.3.4\n      port: many\n';
  const answer = settings('istio', { meshNetworks });
  expect(answer.allowed).toBe(false);
  expect(answer.message).toMatch(
    /^ConfigMap istio-system\/istio: data\.meshNetworks\.networks\.n1\.gateways\[0\]\.port: line 5 of meshNetworks: .*\(IST0106, ISM0002\)/,
  );
  expect(settings('istio', { mesh: 'accessLogFile: [1' }).allowed).toBe(false);
  expect(settings('istio', { meshNetworks: meshNetworks.replace('many', '443') }).allowed).toBe(true);
  expect(settings('other', { meshNetworks }).allowed).toBe(true);
});
