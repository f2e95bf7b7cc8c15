// SPDX-License-Identifier: Apache-2.0
// Whole ways through sketched clusters (test/fixture/explained-mesh.ts): who gets the request, and what becomes of it.
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
  rule,
  say,
  VIRTUAL_SERVICE,
} from '#test/fixture/explained-bookinfo.ts';
import { ask, endsOf, sketchMesh } from '#test/fixture/explained-mesh.ts';
import { isEnding, type Leg, type Path, type Step } from './path.ts';

function stepsOf(leg: Leg): Step[] {
  return [
    ...leg.steps,
    ...leg.forks.flatMap(({ steps, next }) => [...steps, ...(isEnding(next) ? [] : stepsOf(next))]),
  ];
}

function legsOf(leg: Leg): string[] {
  const rest = leg.forks.flatMap(({ next }) => (isEnding(next) ? [] : legsOf(next)));
  return [`${leg.at.cluster} ${leg.at.workload}`, ...rest];
}

const whysOf = ({ leg }: Path, kind: Step['kind']) =>
  stepsOf(leg).flatMap((step) => (step.kind === kind ? step.why.map(say) : []));
const textsOf = ({ leg }: Path, kind: Step['kind']) =>
  stepsOf(leg).flatMap((step) => (step.kind === kind ? [step.text] : []));
describe('two clusters with a control plane each', () => {
  const mesh = ownPlanes();

  test('jason’s requests go to v2 and v3 in cluster2, half and half, by its gateway', () => {
    const path = askProductpage(mesh, REVIEWS, JASON);
    expect(endsOf(path)).toEqual(['50% served: reviews-v2 in cluster2', '50% served: reviews-v3 in cluster2']);
    expect(path.verdict).toBe(`50% reviews-v2 and 50% reviews-v3 in cluster2, by ${GATEWAY2}:15443`);
    const gateway = 'cluster2 istio-ingressgateway';
    expect(legsOf(path.leg)).toEqual([
      'cluster1 productpage-v1',
      gateway,
      'cluster2 reviews-v2',
      gateway,
      'cluster2 reviews-v3',
    ]);
  });

  test('each step names the object behind it, with its line', () => {
    const path = askProductpage(mesh, REVIEWS, JASON);
    expect(whysOf(path, 'name')).toEqual(['cluster1 Service reviews spec.clusterIP:106']);
    expect(whysOf(path, 'route')).toEqual(['cluster1 VirtualService reviews spec.http[0].match[0]:12']);
    expect(whysOf(path, 'cluster')).toEqual([
      'cluster1 DestinationRule reviews-global spec.subsets[0]:37',
      'cluster2 DestinationRule reviews spec.subsets[1]:16',
      'cluster1 DestinationRule reviews-global spec.subsets[1]:40',
      'cluster2 DestinationRule reviews spec.subsets[2]:19',
    ]);
    expect(path.endings.map(({ rule }) => rule && say(rule))).toEqual(
      Array(2).fill('cluster1 VirtualService reviews spec.http[0].match[0]:12'),
    );
  });

  test('everybody else’s stay with v1 at home', () => {
    const path = askProductpage(mesh, REVIEWS);
    expect(path.verdict).toBe('reviews-v1 in cluster1 itself');
    expect(whysOf(path, 'route')).toEqual(['cluster1 VirtualService reviews spec.http[1]:24']);
  });

  test('what it rests on is named by the hash of its content', () => {
    const { used } = askProductpage(mesh, REVIEWS, JASON);
    const names = used.map(
      ({ cluster, plane, typeUrl, name }) => `${cluster} ${plane} ${typeUrl.split('.').at(-1)} ${name}`,
    );
    expect(names).toContain('cluster1 cluster1 RouteConfiguration 9080');
    expect(names).toContain('cluster1 cluster1 Cluster outbound|9080|v2|reviews.default.global');
    expect(names).toContain('cluster2 cluster2 Listener virtualInbound');
    expect(used.every(({ version }) => version.length > 8)).toBe(true);
  });

  test('a name of the other cluster is found by the search domains of the pod', () => {
    const path = askProductpage(mesh, 'GET http://reviews.default.global:9080/');
    expect(textsOf(path, 'name')).toEqual(['reviews.default.global is 127.255.0.3']);
    // cluster2's Service has two versions, and its gateway passes on to both.
    expect(endsOf(path)).toEqual(['50% served: reviews-v2 in cluster2', '50% served: reviews-v3 in cluster2']);
  });

  test('probabilities add up to one', () => {
    const { endings } = askProductpage(mesh, REVIEWS, JASON);
    expect(endings.reduce((sum, { probability }) => sum + probability, 0)).toBeCloseTo(1, 12);
  });
});

describe('policies on the way', () => {
  const yaml = `${VIRTUAL_SERVICE}  http:
    - match: [{ headers: { end-user: { exact: jason } }, uri: { prefix: /reviews } }]
      fault: { abort: { percentage: { value: 25 }, httpStatus: 418 }, delay: { percentage: { value: 50 }, fixedDelay: 7s } }
      rewrite: { uri: /books, authority: other.example }
      headers: { request: { add: { x-a: b }, remove: [end-user] } }
      timeout: 3s
      retries: { attempts: 4, perTryTimeout: 1s, retryOn: 5xx }
      mirror: { host: details, port: { number: 9080 } }
      mirrorPercentage: { value: 10 }
      route: [{ destination: { host: reviews } }]
    - redirect: { uri: /elsewhere }
`;
  const mesh = planesWith(yaml);

  test('faults, rewrites, headers, time-outs, retries and copies are told', () => {
    const path = askProductpage(mesh, REVIEWS, JASON);
    expect(endsOf(path)).toEqual([
      '75% served: reviews-v1 in cluster1',
      '25% answered: 418: a fault that a rule asks for',
    ]);
    expect(textsOf(path, 'policy')).toEqual([
      '50% of the requests are held up for 7 s',
      '25% of the requests are answered 418 at once',
      'time-out 3 s, 4 retries, 1 s for each (after 5xx)',
    ]);
    expect(textsOf(path, 'mirror')).toEqual([expect.stringContaining('a copy of 10% goes to outbound|9080||details')]);
    expect(textsOf(path, 'change')).toEqual([
      'path /reviews/0 becomes /books/0',
      'host reviews:9080 becomes other.example',
      'header end-user is removed',
      'header x-a: b is added',
    ]);
    expect(whysOf(path, 'policy').slice(0, 2)).toEqual(
      Array(2).fill('cluster1 VirtualService reviews spec.http[0].fault:9'),
    );
  });

  test('a redirect is an answer', () => {
    const end = onlyEnd(askProductpage(mesh, REVIEWS));
    expect([end.kind, end.status, end.text]).toEqual([
      'answered',
      301,
      '301: the client is sent to http://reviews:9080/elsewhere',
    ]);
  });

  test('what a DestinationRule limits', () => {
    const limits =
      'trafficPolicy: { connectionPool: { tcp: { maxConnections: 5 } }, outlierDetection: { consecutive5xxErrors: 3, baseEjectionTime: 2m } }';
    const limited = planesWith(rule(limits));
    expect(textsOf(askProductpage(limited, REVIEWS), 'policy')).toEqual([
      expect.stringContaining('no time-out'),
      'at most 5 connections',
      'an endpoint is left out for 2 min after 3 failures in a row',
    ]);
  });
});

test('a served cluster: one control plane, pods of one service in both, each by its network', () => {
  const networks = [
    'global.meshNetworks.network1.endpoints[0].fromRegistry=Kubernetes',
    'global.meshNetworks.network1.gateways[0].address=172.31.0.110',
    'global.meshNetworks.network1.gateways[0].port=15443',
  ];
  const others = [
    'global.meshNetworks.network2.endpoints[0].fromRegistry=n2',
    `global.meshNetworks.network2.gateways[0].address=${GATEWAY2}`,
    'global.meshNetworks.network2.gateways[0].port=15443',
  ];
  const service =
    'apiVersion: v1\nkind: Service\nmetadata: { name: hello }\nspec: { selector: { app: hello }, ports: [{ name: http, port: 5000 }] }\n';
  const workload = (version: string, replicas: number) =>
    `---\napiVersion: apps/v1\nkind: Deployment\nmetadata: { name: hello-${version} }\nspec: { replicas: ${replicas}, template: { metadata: { labels: { app: hello, version: ${version} } }, spec: { containers: [{ name: c, image: i }] } } }\n`;
  const sleep =
    '---\napiVersion: apps/v1\nkind: Deployment\nmetadata: { name: sleep }\nspec: { template: { metadata: { labels: { app: sleep } }, spec: { containers: [{ name: c, image: i }] } } }\n';
  const mesh = sketchMesh([
    {
      id: 'one',
      name: 'cluster1',
      gateway: '172.31.0.110',
      sets: [...networks, ...others, 'global.network=network1'],
      yaml: service + workload('v1', 1) + sleep,
    },
    {
      id: 'two',
      name: 'n2',
      ruledBy: 'one',
      gateway: GATEWAY2,
      sets: ['global.network=network2'],
      yaml: service + workload('v2', 3),
    },
  ]);
  const path = ask(mesh, 'sleep', 'GET http://hello:5000/', [], 'one');
  expect(endsOf(path)).toEqual(['75% served: hello-v2 in two', '25% served: hello-v1 in one']);
  expect(path.endings[0]!.via).toEqual([`${GATEWAY2}:15443`]);
  // Its own proxy tells that it is ruled from the other cluster.
  expect(path.used.filter(({ cluster }) => cluster === 'two').map(({ plane }) => plane)).toContain('one');
});

describe('gateways', () => {
  const mesh = ownPlanes({ first: { samples: [...BOOKINFO, ...ROUTED, 'bookinfo/networking/bookinfo-gateway.yaml'] } });

  test('what comes from outside, by the port of the Service', () => {
    const path = ask(mesh, 'istio-ingressgateway', 'GET http://anything/productpage', [], 'cluster1');
    expect(path.verdict).toBe('productpage-v1 in cluster1 itself');
    expect(whysOf(path, 'route')).toEqual(['cluster1 VirtualService bookinfo spec.http[0].match[1]:31']);
  });

  test('what it serves no host for', () => {
    const end = onlyEnd(ask(mesh, 'istio-ingressgateway', 'GET http://anything/nothing', [], 'cluster1'));
    expect([end.kind, end.status]).toEqual(['refused', 404]);
  });

  test('a gateway without a Gateway takes nothing', () => {
    const end = onlyEnd(ask(ownPlanes(), 'istio-ingressgateway', 'GET http://anything/', [], 'cluster1'));
    expect([end.kind, end.cure]).toEqual(['refused', expect.stringContaining('write a Gateway')]);
  });

  test('a port that no server of a Gateway has: the connection is refused, and there is no status', () => {
    const end = onlyEnd(ask(mesh, 'istio-ingressgateway', 'GET https://anything/productpage', [], 'cluster1'));
    expect([end.kind, end.status, end.text, end.cure]).toEqual([
      'refused',
      undefined,
      'istio-ingressgateway in cluster1: nothing listens on 8443',
      expect.stringContaining('write a Gateway'),
    ]);
  });

  test('an egress gateway stands between the caller and the other cluster', () => {
    const exit = 'gateways.istio-egressgateway.enabled=true';
    const entry = (address: string) => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: reviews-default }
spec:
  hosts: [reviews.default.global]
  location: MESH_INTERNAL
  ports: [{ name: http1, number: 9080, protocol: http }]
  resolution: STATIC
  addresses: [240.0.0.3]
  endpoints:
    - { address: ${GATEWAY2}, network: external, ports: { http1: 15443 } }
    - { address: ${address}, ports: { http1: 15443 } }
`;
    const service =
      '---\napiVersion: v1\nkind: Service\nmetadata: { name: istio-egressgateway, namespace: istio-system }\nspec: { clusterIP: 10.96.0.77, selector: { app: istio-egressgateway, istio: egressgateway }, ports: [{ name: tls, port: 15443, targetPort: 15443 }] }\n';
    const env = 'gateways.istio-egressgateway.env.ISTIO_META_REQUESTED_NETWORK_VIEW=external';
    const far = ownPlanes({
      first: {
        sets: [exit, env],
        samples: ['bookinfo/multicluster/cluster1.yaml'],
        yaml: entry('10.96.0.77') + service,
      },
    });
    const path = askProductpage(far, 'GET http://reviews.default.global:9080/');
    expect(legsOf(path.leg).slice(0, 3)).toEqual([
      'cluster1 productpage-v1',
      'cluster1 istio-egressgateway',
      'cluster2 istio-ingressgateway',
    ]);
    expect(path.endings.map(({ at }) => at?.workload)).toEqual(['reviews-v2', 'reviews-v3']);
  });
});

describe('callers', () => {
  test('without a sidecar nothing of the mesh is on the way, and sidecars take nothing from it', () => {
    const yaml =
      'apiVersion: v1\nkind: Namespace\nmetadata: { name: plain }\n---\napiVersion: v1\nkind: Namespace\nmetadata: { name: plain, labels: { istio-injection: disabled } }\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: { name: curl, namespace: plain }\nspec: { template: { metadata: { labels: { app: curl, sidecar.istio.io/inject: "false" } }, spec: { containers: [{ name: c, image: i }] } } }\n';
    const mesh = ownPlanes({ first: { yaml } });
    const path = ask(mesh, 'curl', 'GET http://details.default:9080/', [], 'cluster1');
    const end = onlyEnd(path);
    expect(textsOf(path, 'redirect')).toEqual(['the pod has no sidecar: the mesh does not see what it asks for']);
    expect([end.kind, end.cure]).toEqual(['refused', expect.stringContaining('the caller needs a sidecar')]);
  });

  test('ports that the pod leaves alone', () => {
    const yaml =
      'apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: curl }\nspec: { template: { metadata: { labels: { app: curl }, annotations: { traffic.sidecar.istio.io/excludeOutboundPorts: "9080" } }, spec: { containers: [{ name: c, image: i }] } } }\n';
    const path = ask(ownPlanes({ first: { yaml } }), 'curl', REVIEWS, [], 'cluster1');
    expect(textsOf(path, 'redirect')).toEqual([
      'annotation traffic.sidecar.istio.io/excludeOutboundPorts leaves port 9080 alone',
    ]);
  });

  test.each([
    'productpage-v1',
    'deploy/productpage-v1',
    'productpage',
    'pod/productpage-v1-0',
    'productpage-v1.default',
  ])('%s', (from) => {
    expect(ask(ownPlanes(), from, REVIEWS, [], 'cluster1').from.pod).toBe('productpage-v1-0');
  });

  test('who is not there, with who is', () => {
    const call = (from: string, cluster?: string) => () => ask(ownPlanes(), from, REVIEWS, [], cluster);
    expect(call('productpag-v1', 'cluster1')).toThrow('there is no pod, workload or app productpag-v1');
    expect(call('productpage-v1', 'cluster9')).toThrow('there is no cluster cluster9');
    expect(call('productpage-v1', 'cluster2')).toThrow('in cluster2');
  });
});
