// SPDX-License-Identifier: Apache-2.0
// What may go wrong between clusters, each with what has to be said of it.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeIntermediate, makeRoot } from '../../src/identity/ca-material.ts';
import { shiftedClock } from '../faults/shifted-clock.ts';
import { findProgram } from '../fixture/sandbox.ts';
import { until } from '../fixture/waiting.ts';
import { SYSTEM, type VerifyScene } from './scene.ts';

export interface Fault {
  readonly name: string;
  /** All that is told, as `causesOf` writes it; a function where the words differ from run to run. */
  readonly told: readonly string[] | ((causes: readonly string[]) => boolean);
  /** @returns what mends it */
  inject(scene: VerifyScene): Promise<() => Promise<unknown>>;
  readonly skip?: string | false;
}

const DAY_MS = 24 * 3_600_000;
const ca = (commonName: string, days: number, agoMs = 0) => {
  return { organization: 'test', commonName, days, nowMs: Date.now() - agoMs };
};
const otherCa = () => makeIntermediate(makeRoot(ca('other root', 365)), ca('other', 365));
const withoutNft = findProgram('nft') === undefined && 'nft is not on PATH';
const withoutCompiler = spawnSync('cc', ['--version']).status !== 0 && 'there is no C compiler';

const KUBE_DNS = ['configmap', 'kube-dns', '-n', 'kube-system'];
const GATEWAY = ['service', 'istio-ingressgateway', '-n', SYSTEM];

/** Exchanges an object for what `change` makes of it, and puts the one before back. */
function changed(
  cluster: 'cluster1' | 'cluster2' | 'cluster3',
  what: readonly string[],
  change: (object: Record<string, unknown>) => unknown,
) {
  return async (scene: VerifyScene) => {
    const before = await scene.read(cluster, ...what);
    await scene.apply(cluster, change(structuredClone(before)), 'replace');
    return () => scene.apply(cluster, before, 'replace');
  };
}

function removed(cluster: 'cluster1' | 'cluster2' | 'cluster3', ...what: string[]) {
  return async (scene: VerifyScene) => {
    const before = await scene.read(cluster, ...what);
    await scene.kubectl(cluster, 'delete', ...what);
    return () => scene.apply(cluster, before, 'create');
  };
}

function scaled(cluster: 'cluster1' | 'cluster2' | 'cluster3', name: string) {
  return async (scene: VerifyScene) => {
    await scene.inSystem(cluster, 'scale', `deployment/${name}`, '--replicas=0');
    const app = name === 'istiocoredns' ? 'istiocoredns' : name;
    await scene.inSystem(cluster, 'wait', '--for=delete', 'pod', '-l', `app=${app}`, '--timeout=60s');
    return async () => {
      await scene.inSystem(cluster, 'scale', `deployment/${name}`, '--replicas=1');
      await scene.rolledOut(cluster, name);
    };
  };
}

type Service = { spec: { ports: { port: number }[]; selector: Record<string, string>; type: string } };
const edited = (edit: (service: Service) => void) =>
  changed('cluster2', GATEWAY, (object) => {
    edit(object as unknown as Service);
    return object;
  });

const networks = (edit: (text: string) => string) =>
  changed('cluster1', ['configmap', 'istio', '-n', SYSTEM], (object) => {
    const data = object['data'] as Record<string, string>;
    return { ...object, data: { ...data, meshNetworks: edit(data['meshNetworks'] ?? '') } };
  });

/** The kubeconfig in a Secret of cluster1 or cluster2, with another text. */
const kubeconfig = (cluster: 'cluster1' | 'cluster2', secret: string, edit: (text: string) => string) =>
  changed(cluster, ['secret', secret, '-n', SYSTEM], (object) => {
    const data = Object.entries(object['data'] as Record<string, string>).map(([key, encoded]) => {
      return [key, Buffer.from(edit(Buffer.from(encoded, 'base64').toString('utf8'))).toString('base64')];
    });
    return { ...object, data: Object.fromEntries(data) };
  });

/** Something that speaks HTTP where the gateway should be. */
async function balancer(scene: VerifyScene): Promise<() => Promise<unknown>> {
  const image = (
    await scene.inSystem(
      'cluster2',
      'get',
      'deployment/istiod',
      '-o',
      'jsonpath={.spec.template.spec.containers[0].image}',
    )
  ).trim();
  await scene.apply('cluster2', {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'balancer', namespace: SYSTEM, labels: { app: 'balancer' } },
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [
        {
          name: 'balancer',
          image,
          command: ['isthmus', 'mesh-probe', 'serve'],
          args: ['--cluster', 'nobody', '--port', '15443'],
          readinessProbe: { tcpSocket: { port: 15_443 } },
        },
      ],
    },
  });
  await scene.inSystem('cluster2', 'wait', '--for=condition=Ready', 'pod/balancer', '--timeout=60s');
  const back = await edited((service) => {
    service.spec.selector = { app: 'balancer' };
  })(scene);
  return async () => {
    await back();
    await scene.inSystem('cluster2', 'delete', 'pod', 'balancer');
  };
}

async function withRoot(scene: VerifyScene, files: ReturnType<typeof otherCa>, restarts: boolean) {
  const before = await scene.read('cluster2', 'secret', 'cacerts', '-n', SYSTEM);
  await scene.giveCa('cluster2', files);
  const parts = ['istiod', 'istio-ingressgateway', 'istio-egressgateway'];
  if (restarts) await scene.restart('cluster2', ...parts);
  return async () => {
    await scene.apply('cluster2', before, 'replace');
    if (restarts) await scene.restart('cluster2', ...parts);
  };
}

const INTO_2 = '12 32';
const ALL_OF_2 = '12 21 23 32';
const ALL_OF_3 = '13 23 31 32';

/** Several at once, each somewhere else: what is told of one must not hide another. */
export const THREE_AT_ONCE: readonly Fault[] = [
  {
    name: 'no stub domain in cluster1',
    told: ['dns-stub-missing cluster1: 12'],
    inject: removed('cluster1', ...KUBE_DNS),
  },
  {
    name: 'meshNetworks has another address for cluster3',
    told: ['wrong-gateway-address cluster1: 13'],
    inject: networks(
      () => `networks:
  cluster1: {endpoints: [{fromRegistry: cluster1}], gateways: [{address: 172.31.0.100, port: 15443}]}
  cluster3: {endpoints: [{fromRegistry: cluster3}], gateways: [{address: 172.31.0.199, port: 15443}]}
`,
    ),
  },
  {
    name: 'cluster3 lets nobody of cluster2 in at 15443',
    told: ['port-blocked cluster3: 23'],
    skip: withoutNft,
    inject: async (scene) => {
      await scene.cut('cluster3', 15_443, 'cluster2');
      return () => scene.mend('cluster3');
    },
  },
];

/** Two more: what answers for the gateway, and who may read what. */
export const TWO_AT_ONCE: readonly Fault[] = [
  { name: 'a layer-7 balancer', told: [`layer-7-balancer cluster2: ${INTO_2}`], inject: balancer },
  {
    name: 'a peer’s token that is not known',
    told: ['bad-token cluster2:'],
    inject: kubeconfig('cluster2', 'isthmus-peer-cluster1', (text) =>
      text.replace(/token: .*/, 'token: nobody.knows.it'),
    ),
  },
];

/** One at a time. */
export const FAULTS: readonly Fault[] = [
  {
    name: 'the gateway’s Service has no 15443',
    told: [`gateway-port-missing cluster2: ${INTO_2}`],
    inject: edited(({ spec }) => {
      spec.ports = spec.ports.filter(({ port }) => port !== 15_443);
    }),
  },
  {
    name: 'the gateway’s Service selects nobody',
    told: [`gateway-no-endpoints cluster2: ${INTO_2}`],
    inject: edited(({ spec }) => {
      spec.selector = { app: 'nobody' };
    }),
  },
  {
    name: 'the gateway’s Service has no address',
    told: [`gateway-no-address cluster2: ${INTO_2}`],
    inject: edited(({ spec }) => {
      spec.type = 'ClusterIP';
    }),
  },
  {
    name: 'the gateway is scaled to 0',
    told: [`gateway-not-ready cluster2: ${INTO_2}`],
    inject: scaled('cluster2', 'istio-ingressgateway'),
  },
  {
    name: 'no gateway Service',
    told: [`gateway-missing cluster2: ${INTO_2}`],
    inject: removed('cluster2', ...GATEWAY),
  },
  {
    name: 'istiocoredns is scaled to 0',
    told: ['dns-server-down cluster1: 12'],
    inject: scaled('cluster1', 'istiocoredns'),
  },
  {
    name: 'no network for cluster3',
    told: ['network-missing cluster1: 13 23'],
    inject: networks((text) => text.replaceAll('cluster3', 'elsewhere')),
  },
  {
    name: 'cluster2 is cut off',
    told: [`gateway-unreachable cluster2: ${ALL_OF_2}`],
    inject: async ({ sandbox }) => {
      await sandbox.must('sandbox', 'network', 'disconnect', 'cluster2', '--name', sandbox.name);
      return () => sandbox.must('sandbox', 'network', 'connect', 'cluster2', '--name', sandbox.name);
    },
  },
  {
    name: 'one way of two is cut',
    told: ['gateway-unreachable cluster2: 12'],
    skip: withoutNft,
    inject: async (scene) => {
      await scene.cut('cluster2', undefined, 'cluster1');
      return () => scene.mend('cluster2');
    },
  },
  {
    name: 'the account of cluster3 has no rights',
    told: [`powerless-token cluster1: ${ALL_OF_3}`],
    inject: removed('cluster3', 'clusterrolebinding', 'istio-multi-istio-system'),
  },
  {
    name: 'the token of cluster3 is not known, while the one before is in use',
    told: ['bad-token cluster1:'],
    inject: kubeconfig('cluster1', 'isthmus-remote-cluster3', (text) =>
      text.replace(/token: .*/, 'token: nobody.knows.it'),
    ),
  },
  {
    name: 'the kubeconfig of cluster3 has another address',
    told: ['wrong-server-address cluster1:'],
    inject: async (scene) => {
      const edit = (text: string) => text.replace('172.31.0.13:6443', '172.31.0.12:6443');
      const back = await kubeconfig('cluster1', 'isthmus-remote-cluster3', edit)(scene);
      await until('the control plane’s word of it', async () =>
        (
          await scene.inSystem('cluster1', 'get', 'events', '-o', 'name', '--field-selector', 'reason=RemoteCluster')
        ).includes('event'),
      );
      return back;
    },
  },
  {
    name: 'names of other clusters are spoken to in plaintext',
    told: [`plaintext-rule cluster1: ${INTO_2}`],
    inject: changed('cluster1', ['destinationrule', 'istio-multicluster-destinationrule', '-n', SYSTEM], (object) => ({
      ...object,
      spec: { host: '*.global', trafficPolicy: { tls: { mode: 'DISABLE' } } },
    })),
  },
  {
    name: 'the control plane is down',
    told: [`control-plane-down cluster2: ${ALL_OF_2}`],
    inject: scaled('cluster2', 'istiod'),
  },
  {
    name: 'no injection',
    told: [`injection-off cluster2: ${ALL_OF_2}`],
    inject: async (scene) => {
      const back = await removed('cluster2', 'mutatingwebhookconfiguration', 'istio-sidecar-injector')(scene);
      return back;
    },
  },
  {
    name: 'the injector’s Service is gone',
    told: [`injection-off cluster2: ${ALL_OF_2}`],
    inject: removed('cluster2', 'service', 'istio-sidecar-injector', '-n', SYSTEM),
  },
  {
    name: 'a control plane of another version',
    told: ['! version-skew cluster2:'],
    inject: async (scene) => {
      const before = await scene.read('cluster2', 'deployment', 'istiod', '-n', SYSTEM);
      await scene.inSystem('cluster2', 'set', 'image', 'deployment/istiod', '*=isthmus/pilot:0.0.1');
      await scene.rolledOut('cluster2', 'istiod');
      return async () => {
        await scene.apply('cluster2', before, 'replace');
        await scene.rolledOut('cluster2', 'istiod');
      };
    },
  },
  {
    name: 'another root',
    told: (causes) => causes.includes(`different-roots cluster2: ${ALL_OF_2}`),
    inject: (scene) => withRoot(scene, otherCa(), true),
  },
  {
    name: 'another root in the Secret, not in use',
    told: ['! ca-not-reloaded cluster2:'],
    inject: (scene) => withRoot(scene, otherCa(), false),
  },
  {
    name: 'an expired root in the Secret',
    told: ['root-expired cluster2:'],
    inject: (scene) =>
      withRoot(scene, makeIntermediate(makeRoot(ca('old', 30, 100 * DAY_MS)), ca('old', 30, 100 * DAY_MS)), false),
  },
  {
    name: 'an expired intermediate in the Secret',
    told: ['intermediate-expired cluster2:'],
    inject: (scene) =>
      withRoot(scene, makeIntermediate(makeRoot(ca('old', 365, 100 * DAY_MS)), ca('old', 30, 100 * DAY_MS)), false),
  },
  {
    name: 'a control plane whose clock is two hours ahead',
    told: (causes) => causes.some((cause) => cause.startsWith('clock-skew cluster2:')),
    skip: withoutCompiler,
    inject: async (scene) => {
      const before = await scene.read('cluster2', 'deployment', 'istiod', '-n', SYSTEM);
      shiftedClock(scene.sandbox.dir, 7_200);
      const library = readFileSync(join(scene.sandbox.dir, 'shifted-clock.so')).toString('base64');
      const metadata = { name: 'shifted-clock', namespace: SYSTEM };
      await scene.apply('cluster2', {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata,
        binaryData: { 'clock.so': library },
      });
      const deployment = structuredClone(before) as { spec: { template: { spec: PodSpec } } };
      const { spec } = deployment.spec.template;
      spec.volumes.push({ name: 'clock', configMap: { name: 'shifted-clock' } });
      const [container] = spec.containers;
      container!.volumeMounts.push({ name: 'clock', mountPath: '/tmp/clock' });
      const shift = { LD_PRELOAD: '/tmp/clock/clock.so', CLOCK_SHIFT_SECONDS: '7200' };
      container!.env = [...(container!.env ?? []), ...Object.entries(shift).map(([name, value]) => ({ name, value }))];
      await scene.apply('cluster2', deployment, 'replace');
      await scene.rolledOut('cluster2', 'istiod');
      await until('the event of it', async () =>
        (
          await scene.inSystem('cluster2', 'get', 'events', '-o', 'name', '--field-selector', 'reason=ClockSkew')
        ).includes('event'),
      );
      return async () => {
        await scene.apply('cluster2', before, 'replace');
        await scene.rolledOut('cluster2', 'istiod');
      };
    },
  },
];

interface PodSpec {
  volumes: unknown[];
  containers: { volumeMounts: unknown[]; env?: unknown[] }[];
}
