// SPDX-License-Identifier: Apache-2.0
// Bookinfo from its files, as a cluster would make it; the live one is in test/analyze.test.ts.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describePod } from '../../describe/describe-pod.ts';
import { describeService } from '../../describe/describe-service.ts';
import type { PodFact, ServiceFact } from '../../describe/facts.ts';
import { findProblems } from '../../describe/problems.ts';
import { openMesh } from '../../explain/mesh.ts';
import { readChanges } from '../explain/changes.ts';
import { offlineMesh } from '../explain/offline.ts';
import { plainFact, renderPod, renderServices } from './render.ts';

const samples = fileURLToPath(new URL('../../../samples/bookinfo', import.meta.url));
const BOOKINFO = [
  'platform/kube/bookinfo.yaml',
  'networking/destination-rule-all-mtls.yaml',
  'networking/bookinfo-gateway.yaml',
  'networking/virtual-service-reviews-50-v3.yaml',
].map((file) => join(samples, file));
const INJECTED =
  '{ apiVersion: v1, kind: Namespace, metadata: { name: default, labels: { istio-injection: enabled } } }\n';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'isthmus-describe-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function see(yaml: string) {
  const file = join(folder, 'more.yaml');
  writeFileSync(file, yaml);
  const { input } = offlineMesh(await readChanges([...BOOKINFO, file], 'default'));
  const mesh = openMesh(input);
  const [cluster] = [...mesh.clusters.values()];
  const problems = findProblems(mesh, cluster!);
  const find = (kind: string, wanted: (name: string, labels: Record<string, string>) => boolean) => {
    const found = cluster!.objects.find(
      ({ object }) => object.kind === kind && wanted(object.metadata.name ?? '', { ...object.metadata.labels }),
    );
    if (found === undefined) throw new Error(`there is no such ${kind}`);
    return found.object;
  };
  return {
    pod: (app: string, version: string): PodFact =>
      describePod(
        mesh,
        cluster!,
        find('Pod', (_, labels) => labels['app'] === app && labels['version'] === version),
        problems,
      ),
    service: (name: string): ServiceFact =>
      describeService({ mesh, cluster: cluster!, service: find('Service', (own) => own === name), problems }),
  };
}

test('a pod: its proxy, its service, the subset that it is in, and the shares of its routes', async () => {
  const { pod } = await see(INJECTED);
  const reviews = pod('reviews', 'v3');
  expect(reviews).toMatchObject({
    proxy: 'sidecar',
    identity: 'spiffe://cluster.local/ns/default/sa/bookinfo-reviews',
    mtls: expect.stringMatching(/^STRICT/),
    services: [{ name: 'reviews', security: 'mutual TLS of the mesh', problems: [] }],
    problems: [],
  });
  const [service] = reviews.services;
  expect(service?.ports).toEqual([{ name: 'http', port: 9080, targetPort: '9080', protocol: 'http' }]);
  expect(service?.destinationRule?.subsets.map(({ name, hasPod, endpoints }) => [name, hasPod, endpoints])).toEqual([
    ['v1', false, 1],
    ['v2', false, 1],
    ['v3', true, 1],
  ]);
  expect(service?.routes).toEqual([
    {
      port: 9080,
      match: '',
      to: [
        { host: 'reviews.default.svc.cluster.local', port: 9080, subset: 'v1', percent: 50 },
        { host: 'reviews.default.svc.cluster.local', port: 9080, subset: 'v3', percent: 50 },
      ],
      policy: [],
      rule: { kind: 'VirtualService', namespace: 'default', name: 'reviews', field: 'spec.http[0]' },
    },
  ]);
  const text = renderPod(reviews);
  expect(text).toContain('subset v3 (version=v3): this pod is in it, 1 endpoint');
  expect(text).toContain(
    '9080: every request -> 50% reviews v1, 50% reviews v3   [VirtualService default/reviews spec.http[0]]',
  );
});

test('a service that a gateway leads to: for which hosts, and by which requests', async () => {
  const { service } = await see(INJECTED);
  const { entries } = service('productpage');
  expect(entries).toMatchObject([{ gateway: 'istio-system/istio-ingressgateway', hosts: ['*'], tls: false }]);
  expect(entries[0]?.routes.map(({ match }) => match)).toContain('path begins with /api/v1/products');
});

test('a pod without a sidecar: why, and what that means', async () => {
  const { pod } = await see(INJECTED.replace('enabled', 'disabled'));
  expect(pod('reviews', 'v3')).toMatchObject({
    proxy: 'none',
    because: 'namespace default is labelled istio-injection=disabled',
    mtls: expect.stringMatching(/plain text/),
  });
});

test('rules that are wrong are told with the service that they are for, under the code that is shown everywhere', async () => {
  const rule = `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ratings, namespace: default }
spec:
  hosts: [ratings]
  http:
    - match: [{ uri: { prefix: /v9 }, headers: { end-user: { exact: jason } } }]
      timeout: 2s
      route: [{ destination: { host: ratings, subset: v9 } }]
    - fault: { abort: { percentage: { value: 10 }, httpStatus: 503 } }
      route: [{ destination: { host: ratings } }]
`;
  const { service } = await see(`${INJECTED}${rule}`);
  const ratings = service('ratings');
  expect(ratings.problems.map(({ code, field }) => [code, field])).toEqual([
    ['ISM0102', 'spec.http[0].route[0].destination.subset'],
  ]);
  expect(plainFact(ratings)).toMatchObject({ problems: [{ code: 'IST0101', detail: 'ISM0102' }] });
  const text = renderServices([ratings]);
  expect(text).toMatch(/9080: path begins with \/v9, end-user = jason -> .*time-out 2s/);
  expect(text).toContain('10% are answered 503 at once');
  expect(text).toContain('Error [IST0101]');
});
