// SPDX-License-Identifier: Apache-2.0
// Requests that do not arrive, in sketched clusters (test/fixture/explained-mesh.ts): who refuses them, and why.
import { describe, expect, test } from 'vitest';
import {
  askProductpage,
  BOOKINFO,
  GATEWAY2,
  JASON,
  onlyEnd,
  ownPlanes,
  planesWith,
  REVIEWS,
  ROUTED,
  route,
  rule,
  say,
  VIRTUAL_SERVICE,
} from '#test/fixture/explained-bookinfo.ts';
import { ask, sketchMesh } from '#test/fixture/explained-mesh.ts';
import type { Ending } from './path.ts';

describe('what keeps a request from arriving is named by its cause', () => {
  test('the subset is missing at the far side', () => {
    const mesh = ownPlanes({ second: { samples: ['bookinfo/multicluster/cluster2.yaml'] } });
    const { kind, status, text, cure, at } = askProductpage(mesh, REVIEWS, JASON).endings[0]!;
    expect([kind, status, at?.workload]).toEqual(['refused', 503, 'istio-ingressgateway']);
    expect(text).toContain('no DestinationRule of cluster2 is for reviews.default.svc.cluster.local');
    expect(cure).toBe('write subset v2 into a DestinationRule for reviews.default.svc.cluster.local in cluster2');
  });

  test('the service is missing at the far side', () => {
    const mesh = ownPlanes({ second: { samples: [] } });
    const { kind, text } = askProductpage(mesh, REVIEWS, JASON).endings[0]!;
    expect([kind, text]).toEqual([
      'refused',
      '503: the gateway of cluster2 closes the connection: cluster2 has no Service default/reviews',
    ]);
  });

  test('no such host, with the nearest one', () => {
    const end = onlyEnd(askProductpage(ownPlanes(), 'GET http://revews:9080/'));
    expect([end.kind, end.text, end.cure]).toEqual([
      'refused',
      'nobody knows the name revews in cluster1',
      'did you mean reviews?',
    ]);
  });

  test('a host that only the other cluster has', () => {
    const end = onlyEnd(askProductpage(ownPlanes(), 'GET http://ratings:9080/'));
    expect([end.kind, end.cure]).toEqual(['refused', expect.stringContaining('cluster2 has Service default/ratings')]);
  });

  test('the cluster’s DNS does not ask istiocoredns', () => {
    const mesh = ownPlanes({ first: { zones: [] } });
    const end = onlyEnd(askProductpage(mesh, 'GET http://reviews.default.global:9080/'));
    expect([end.kind, end.text]).toEqual([
      'refused',
      expect.stringContaining('nothing leads names below .global to istiocoredns in cluster1'),
    ]);
  });

  test('another port than the service has', () => {
    const end = onlyEnd(askProductpage(ownPlanes(), 'GET http://details/'));
    expect([end.kind, end.text]).toEqual(['refused', expect.stringContaining('has no port 80 (it has 9080)')]);
  });

  test('what no proxy has opened as HTTP is cut off, without a status', () => {
    for (const asked of ['GET http://details:9999/', 'GET https://details:9080/']) {
      const end = onlyEnd(askProductpage(ownPlanes(), asked));
      expect([end.kind, end.status, end.text]).toEqual(['refused', undefined, expect.not.stringMatching(/^\d{3}:/)]);
    }
  });

  test('bytes that are no HTTP, to a port that is', () => {
    const end = onlyEnd(askProductpage(ownPlanes(), 'tcp://details:9080'));
    expect([end.kind, end.cure]).toEqual(['refused', expect.stringContaining('name the Service’s port')]);
  });

  const imported = (address: string) => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: hello.default.global }
spec:
  hosts: [hello.default.global]
  location: MESH_INTERNAL
  ports: [{ name: http, number: 5000, protocol: HTTP }]
  resolution: DNS
  addresses: [${address}]
  endpoints: [{ address: ${GATEWAY2}, ports: { http: 15443 } }]`;

  test.each([
    [
      'another port than an imported service has',
      'GET http://hello.default.global:5001/',
      'has no port 5001 (it has 5000)',
    ],
    [
      'bytes that are no HTTP, to an imported port that is',
      'tcp://hello.default.global:5000',
      'port 5000 speaks http there',
    ],
  ])('%s: the address is nobody’s outside', (_, asked, text) => {
    for (const address of ['127.255.0.9', '240.0.0.9', '245.173.195.158']) {
      const mesh = ownPlanes({ first: { yaml: imported(address) } });
      const end = onlyEnd(askProductpage(mesh, asked));
      expect([end.kind, end.text, end.cure]).toEqual(['refused', expect.stringContaining(text), expect.any(String)]);
    }
  });

  test('a subset without pods', () => {
    const yaml = rule('subsets: [{ name: v9, labels: { version: v9 } }]') + route('v9');
    const mesh = planesWith(yaml);
    const end = onlyEnd(askProductpage(mesh, REVIEWS));
    expect([end.kind, end.status, end.text]).toEqual([
      'refused',
      503,
      '503: subset v9 of reviews.default.svc.cluster.local has no ready endpoint: none of the 1 of reviews.default.svc.cluster.local has version=v9',
    ]);
    expect(end.why.map(say)).toContain('cluster1 DestinationRule reviews spec.subsets[0]:7');
  });

  test('a subset that nobody wrote', () => {
    const yaml = rule('subsets: [{ name: v1, labels: { version: v1 } }]') + route('v9');
    const mesh = planesWith(yaml);
    const end = onlyEnd(askProductpage(mesh, REVIEWS));
    expect(end.text).toBe(
      '503: the rule leads to subset v9 of reviews.default.svc.cluster.local, and DestinationRule default/reviews has no such subset (it has v1)',
    );
  });

  test('a service without pods', () => {
    const yaml =
      'apiVersion: v1\nkind: Service\nmetadata: { name: empty }\nspec: { selector: { app: nobody }, ports: [{ name: http, port: 80 }] }\n';
    const mesh = ownPlanes({ first: { yaml } });
    const end = onlyEnd(askProductpage(mesh, 'GET http://empty/'));
    expect([end.kind, end.text]).toEqual(['refused', '503: empty.default.svc.cluster.local has no ready endpoint']);
  });

  test('a DestinationRule that takes the mesh’s TLS off', () => {
    const yaml = rule('trafficPolicy: { tls: { mode: DISABLE } }');
    const mesh = planesWith(yaml);
    const end = onlyEnd(askProductpage(mesh, REVIEWS));
    expect([end.kind, end.at?.workload, end.text]).toEqual([
      'refused',
      'reviews-v1',
      '503: reviews-v1 in cluster1 takes nothing but the mesh’s mutual TLS, and what comes is in the clear',
    ]);
    expect(end.cure).toBe('take mode DISABLE out of DestinationRule default/reviews, or write ISTIO_MUTUAL');
  });

  test('identities that a DestinationRule does not accept', () => {
    const yaml = rule(
      'trafficPolicy: { tls: { mode: ISTIO_MUTUAL, subjectAltNames: [spiffe://cluster.local/ns/x/sa/y] } }',
    );
    const mesh = planesWith(yaml);
    const end = onlyEnd(askProductpage(mesh, REVIEWS));
    expect(end.text).toBe(
      '503: reviews-v1 in cluster1 is spiffe://cluster.local/ns/default/sa/bookinfo-reviews, and productpage-v1 takes nobody but spiffe://cluster.local/ns/x/sa/y',
    );
  });

  test('clusters without a root in common', () => {
    const mesh = ownPlanes({ first: { roots: ['a'] }, second: { roots: ['b'] } });
    const { kind, text } = askProductpage(mesh, REVIEWS, JASON).endings[0]!;
    expect([kind, text]).toEqual(['refused', expect.stringContaining('have no root in common')]);
  });

  test('a host that is nobody’s, where the mesh lets nothing else out', () => {
    const mesh = ownPlanes({ first: { sets: ['global.outboundTrafficPolicy.mode=REGISTRY_ONLY'] } });
    const http = onlyEnd(askProductpage(mesh, 'GET http://example.com/'));
    expect([http.kind, http.status, http.text]).toEqual([
      'refused',
      502,
      expect.stringContaining('outboundTrafficPolicy lets nothing else out'),
    ]);
    const tls = onlyEnd(askProductpage(mesh, 'https://example.com/'));
    expect([tls.kind, tls.text]).toEqual([
      'refused',
      expect.stringContaining('outboundTrafficPolicy lets nothing else out'),
    ]);
  });

  test('a request that no route of the rule takes', () => {
    const yaml = `${VIRTUAL_SERVICE}  http: [{ match: [{ uri: { prefix: /v2 } }], route: [{ destination: { host: reviews } }] }]\n`;
    const mesh = planesWith(yaml);
    const end = onlyEnd(askProductpage(mesh, REVIEWS));
    expect([end.kind, end.status, end.text]).toEqual([
      'refused',
      404,
      '404: no route of reviews.default.svc.cluster.local:9080 takes the request',
    ]);
  });

  test('a gateway of a cluster that was not looked at is not known, and said to be', () => {
    const mesh = sketchMesh([{ id: 'cluster1', samples: [...BOOKINFO, ...ROUTED] }], { CLUSTER2_GW_ADDR: GATEWAY2 });
    const { endings, verdict } = ask(mesh, 'productpage-v1', REVIEWS, JASON);
    const [end] = endings as [Ending];
    expect(verdict).toBe(`NOT KNOWN: ${GATEWAY2}:15443 is nobody’s that was looked at`);
    expect([end.kind, end.address]).toEqual(['unknown', `${GATEWAY2}:15443`]);
  });
});
