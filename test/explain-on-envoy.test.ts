// SPDX-License-Identifier: Apache-2.0
// What `isthmus explain` says of requests from one cluster to another, beside what a row of real Envoys does with them: the
// caller's sidecar, the far cluster's gateway, which reads the server name and nothing else, and the callee's sidecar,
// with the mesh's mutual TLS from the first to the last. Rules, versions and requests are random; the seed is printed.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { findCaller } from '../src/explain/callers.ts';
import type { Mesh } from '../src/explain/mesh.ts';
import type { Ending, Path } from '../src/explain/path.ts';
import { isPod } from '../src/explain/pods.ts';
import type { KubeObject } from '../src/kube/types.ts';
import { findEnvoy } from '../src/runtime/toolchain.ts';
import { rounds } from './fixture/counts.ts';
import { ask, sketchMesh } from './fixture/explained-mesh.ts';
import { ProofAuthority } from './proof/authority.ts';
import { type Answer, send } from './proof/client.ts';
import { EchoServer, PAIR_HEADER } from './proof/echo-server.ts';
import { type HopTarget, Relay } from './proof/hops.ts';
import { ObservedEnvoy } from './proof/observed-envoy.ts';
import { type Fields, textMatch } from './scenarios/arbitrary-routes.ts';

const envoyPath = findEnvoy();
const SEED = Number(process.env['ISTHMUS_PROOF_SEED'] ?? 20261122);
const MESHES = rounds(5);
const REQUESTS = 60;
const GATEWAY = '172.31.0.120';
const VIRTUAL = '127.255.0.3';

/** One mesh of two clusters: what cluster1 says of the way, and which versions cluster2 has subsets for. */
interface Draft {
  readonly http: readonly Fields[];
  readonly subsets: readonly string[];
  readonly tls: string;
}

const far = fc.constantFrom('v2', 'v3', 'v9').map((subset) => ({ host: 'reviews.default.global', subset }));
const home = fc.constantFrom(
  { host: 'reviews.default.svc.cluster.local', subset: 'v1' },
  { host: 'reviews.default.svc.cluster.local' },
  { host: 'details.default.svc.cluster.local' },
);
const destination = fc.oneof({ weight: 3, arbitrary: far }, { weight: 1, arbitrary: home });
const match = fc.oneof(
  textMatch.map((condition) => ({ headers: { 'end-user': condition } })),
  fc.constantFrom({ uri: { prefix: '/api' } }, { uri: { exact: '/login' } }, { method: { exact: 'PUT' } }),
);
const route = fc
  .tuple(
    match,
    destination,
    destination,
    fc.integer({ min: 1, max: 99 }),
    fc.constantFrom({}, { rewrite: { uri: '/new' } }),
  )
  .map(([condition, a, b, weight, more]) => ({
    ...more,
    match: [condition],
    route: [
      { destination: a, weight },
      { destination: b, weight: 100 - weight },
    ],
  }));
const draft: fc.Arbitrary<Draft> = fc
  .record({
    routes: fc.array(route, { minLength: 1, maxLength: 4 }),
    rest: destination,
    subsets: fc.subarray(['v2', 'v3'], { minLength: 1 }),
    tls: fc.constantFrom('ISTIO_MUTUAL', 'ISTIO_MUTUAL', 'ISTIO_MUTUAL', 'DISABLE'),
  })
  .map(({ routes, rest, ...more }) => ({ ...more, http: [...routes, { route: [{ destination: rest }] }] }));

function object(kind: string, name: string, spec: object): string {
  return stringify({ apiVersion: 'networking.istio.io/v1', kind, metadata: { name }, spec });
}

function subsetsOf(names: readonly string[], label: (name: string) => object) {
  return names.map((name) => ({ name, labels: label(name) }));
}

function meshOf({ http, subsets, tls }: Draft): Mesh {
  const local = subsetsOf(['v1'], (version) => ({ version }));
  const first = [
    object('VirtualService', 'reviews', { hosts: ['reviews.default.svc.cluster.local'], http }),
    object('DestinationRule', 'reviews', { host: 'reviews.default.svc.cluster.local', subsets: local }),
    object('ServiceEntry', 'remote', {
      hosts: ['reviews.default.global'],
      location: 'MESH_INTERNAL',
      ports: [{ number: 9080, name: 'http1', protocol: 'HTTP' }],
      resolution: 'STATIC',
      addresses: [VIRTUAL],
      endpoints: [{ address: GATEWAY, labels: { cluster: 'cluster2' }, ports: { http1: 15443 } }],
    }),
    object('DestinationRule', 'remote', {
      host: 'reviews.default.global',
      trafficPolicy: { tls: { mode: tls } },
      subsets: subsetsOf(['v2', 'v3'], () => ({ cluster: 'cluster2' })),
    }),
  ];
  const second = object('DestinationRule', 'reviews', {
    host: 'reviews.default.svc.cluster.local',
    subsets: subsetsOf(subsets, (version) => ({ version })),
  });
  return sketchMesh([
    {
      id: 'cluster1',
      gateway: '172.31.0.110',
      samples: ['bookinfo/multicluster/cluster1.yaml'],
      yaml: first.join('---\n'),
    },
    { id: 'cluster2', gateway: GATEWAY, samples: ['bookinfo/multicluster/cluster2.yaml'], yaml: second },
  ]);
}

const request = fc.record({
  method: fc.constantFrom('GET', 'PUT', 'POST'),
  url: fc.constantFrom(
    ...['/', '/api/v1', '/login', '/reviews/0'].flatMap((path) => [
      `http://reviews:9080${path}`,
      `http://reviews.default.global:9080${path}`,
    ]),
  ),
  user: fc.option(fc.constantFrom('jason', 'anna', 'annabel', 'x', '123', 'beta/1')),
});

/** Every proxy of the pods that requests may come to, each a real Envoy. */
class Row {
  readonly #authority = new ProofAuthority();
  readonly #envoys: ObservedEnvoy[] = [];
  readonly #targets = new Map<string, HopTarget>();
  readonly #pods = new Map<ObservedEnvoy, string>();
  #echo!: EchoServer;
  #relay!: Relay;
  #caller!: ObservedEnvoy;

  static async start(mesh: Mesh): Promise<Row> {
    const row = new Row();
    row.#echo = await EchoServer.start(row.#authority.keysOf('spiffe://echo'));
    row.#relay = await Relay.start(() => ({
      echoPort: row.#echo.port,
      standIn: (address) => row.#envoyAt(address)?.standIn(address),
      target: ({ endpoint }) => row.#targets.get(endpoint),
    }));
    for (const cluster of mesh.clusters.values()) {
      const pods = cluster.objects.map((seen) => seen.object).filter(isPod);
      for (const pod of pods) await row.#add(mesh, cluster.id, pod);
    }
    return row;
  }

  /** Who got it, `CLUSTER/POD`, if anybody did. */
  async request(
    url: string,
    { method, headers, pair }: { method: string; headers: Record<string, string>; pair: string },
  ) {
    const { hostname, host, pathname, port } = new URL(url);
    const address = hostname === 'reviews' ? '10.96.0.77' : VIRTUAL;
    const call = {
      direction: 'outbound' as const,
      connection: { address, port: Number(port) },
      request: {
        method,
        scheme: 'http',
        authority: host,
        path: pathname,
        headers: { ...headers, [PAIR_HEADER]: pair },
      },
    };
    const keys = this.#authority.keysOf('spiffe://cluster.local/ns/default/sa/client');
    const answer: Answer = await send(call, { port: this.#caller.portOf('outbound'), keys, bytes: pair });
    const arrival = this.#echo.arrivals(pair).at(-1);
    const envoy = arrival && this.#envoyAt(arrival.address);
    return { answer, pod: envoy && this.#pods.get(envoy), path: arrival?.request?.path };
  }

  async stop(): Promise<void> {
    await Promise.all(this.#envoys.map((envoy) => envoy.stop()));
    this.#relay.stop();
    this.#echo.stop();
  }

  #envoyAt(address: string): ObservedEnvoy | undefined {
    return this.#envoys[Number(address.split('.')[1]) - FIRST_BLOCK];
  }

  async #add(mesh: Mesh, clusterId: string, pod: KubeObject): Promise<void> {
    const { name = '', labels = {} } = pod.metadata;
    const isGateway = labels['istio'] === 'ingressgateway' && clusterId === 'cluster2';
    const isCaller = name.startsWith('productpage');
    if (!isGateway && !isCaller && !/^(reviews|details)-/.test(name)) return;
    const resources = mesh.proxyOf(mesh.clusters.get(clusterId)!, pod);
    if (resources === undefined) throw new Error(`${name} has no proxy`);
    const { desired } = resources.compiled;
    const keys = this.#authority.keysOf(`spiffe://cluster.local/ns/default/sa/${resources.proxy.serviceAccount}`);
    const block = FIRST_BLOCK + this.#envoys.length;
    const envoy = await ObservedEnvoy.start(envoyPath!, { desired, keys, echoPort: this.#relay.port, block });
    this.#envoys.push(envoy);
    this.#pods.set(envoy, `${clusterId}/${name}`);
    const address = resources.proxy.ip;
    if (isCaller) this.#caller = envoy;
    else if (isGateway) this.#targets.set(`${GATEWAY}:15443`, { envoy, direction: 'gateway', address, port: 15443 });
    else this.#targets.set(`${address}:9080`, { envoy, direction: 'inbound', address, port: 9080 });
  }
}

const FIRST_BLOCK = 80;

/** Undefined: what was seen is among what was said, with a probability above 0. */
function faultOf({ endings }: Path, { answer, pod }: Awaited<ReturnType<Row['request']>>): string | undefined {
  const possible = endings.filter(({ probability }) => probability > 0);
  if (pod !== undefined && answer.status === 200) {
    return possible.some((end) => serves(end, pod)) ? undefined : `${pod} got it`;
  }
  const isRefused = possible.some(({ kind, status }) => kind === 'refused' && (status ?? 503) === answer.status);
  return isRefused ? undefined : `it ended by ${answer.status}`;
}

function serves({ kind, at, pods = [] }: Ending, pod: string): boolean {
  return kind === 'served' && pods.some((each) => `${at?.cluster}/${each.split('/').at(-1)}` === pod);
}

describe.skipIf(envoyPath === undefined)(
  'explain beside a row of real Envoys',
  { timeout: 240_000 * rounds(1) },
  () => {
    test(`seed ${SEED}`, async () => {
      let pairs = 0;
      const kinds = new Map<string, number>();
      for (const [index, sketch] of fc.sample(draft, { numRuns: MESHES, seed: SEED }).entries()) {
        const mesh = meshOf(sketch);
        findCaller(mesh, { from: 'productpage-v1', cluster: 'cluster1' });
        const row = await Row.start(mesh);
        try {
          const asked = fc.sample(request, { numRuns: REQUESTS, seed: SEED + index });
          await Promise.all(
            asked.map(async ({ method, url, user }, i) => {
              const headers: Record<string, string> = user === null ? {} : { 'end-user': user };
              const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
              const path = ask(mesh, 'productpage-v1', `${method} ${url}`, lines, 'cluster1');
              const seen = await row.request(url, { method, headers, pair: `pair-${i}` });
              const said = path.endings
                .map(({ kind, probability, text }) => `${probability} ${kind} ${text}`)
                .join('; ');
              const fault = faultOf(path, seen);
              expect(fault, `mesh ${index}: ${JSON.stringify(sketch)}\n${method} ${url} ${lines}: ${said}`).toBe(
                undefined,
              );
              pairs++;
              const kind = seen.pod ?? String(seen.answer.status);
              kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
            }),
          );
        } finally {
          await row.stop();
        }
      }
      console.info(`seed ${SEED}: ${pairs} requests across two clusters, no disagreement;`, Object.fromEntries(kinds));
      // Both versions over there, the one at home, and those that nobody gets.
      expect(kinds.size).toBeGreaterThanOrEqual(4);
    });
  },
);

test('there is an Envoy to ask (ENVOY_BIN, .tools/envoy or PATH)', (context) => {
  if (envoyPath === undefined) context.skip('no Envoy found: explain was not compared');
});
