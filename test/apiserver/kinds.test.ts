// SPDX-License-Identifier: Apache-2.0
// Kinds beyond the mesh's own needs, through HTTP: what they are refused for, and what the server does about them.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './test-server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

type Json = Record<string, unknown>;
const place = (resource: string, group = '') =>
  `${group ? `/apis/${group}` : '/api/v1'}/namespaces/default/${resource}`;
const body = (kind: string, apiVersion: string, name: string, more: Json = {}) => ({
  apiVersion,
  kind,
  metadata: { name },
  ...more,
});
const create = (path: string, object: unknown) => server.send('POST', path, object);
const warning = (headers: Readonly<Record<string, unknown>>) => String(headers['warning'] ?? '');

async function until<T>(ask: () => Promise<T>, enough: (value: T) => boolean): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    const value = await ask();
    if (enough(value) || attempt === 100) return value;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('quotas', () => {
  test('twenty at once: no more than the quota allows, and the status says how many', async () => {
    const before = ((await server.send('GET', place('configmaps'))).json as { items: unknown[] }).items.length;
    await create(
      place('resourcequotas'),
      body('ResourceQuota', 'v1', 'q', { spec: { hard: { configmaps: String(before + 5) } } }),
    );
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) => create(place('configmaps'), body('ConfigMap', 'v1', `c${index}`))),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([...Array(5).fill(201), ...Array(15).fill(403)]);
    const used = (answer: { json: unknown }) =>
      (answer.json as { status: { used?: Json } }).status.used?.['configmaps'];
    const read = () => server.send('GET', place('resourcequotas/q'));
    expect(used(await until(read, (answer) => used(answer) === String(before + 5)))).toBe(String(before + 5));
    const made = answers.findIndex(({ status }) => status === 201);
    await server.send('DELETE', place(`configmaps/c${made}`));
    expect(used(await until(read, (answer) => used(answer) === String(before + 4)))).toBe(String(before + 4));
    expect((await create(`${place('configmaps')}?dryRun=All`, body('ConfigMap', 'v1', 'dry'))).status).toBe(201);
    await server.send('DELETE', place('resourcequotas/q'));
  });
});

describe('what could never be', () => {
  // Pods are refused without one, before anybody reads them.
  beforeAll(() => create(place('serviceaccounts'), body('ServiceAccount', 'v1', 'default')));
  afterAll(() => server.send('DELETE', place('serviceaccounts/default')));
  const POD = (container: Json) =>
    [
      place('pods'),
      body('Pod', 'v1', 'never', { spec: { containers: [{ name: 'c', image: 'i', ...container }] } }),
    ] as const;
  const CASES: readonly (readonly [string, readonly [string, Json]])[] = [
    [
      'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
      POD({ resources: { requests: { cpu: '2' }, limits: { cpu: '1' } } }),
    ],
    [
      'spec.containers[0].resources.limits[cpus]: Invalid value: "cpus": must be a standard resource for containers',
      POD({ resources: { limits: { cpus: '1' } } }),
    ],
    [
      'spec.containers[0].resources.limits[memory]: Invalid value: "-1": must be greater than or equal to 0',
      POD({ resources: { limits: { memory: '-1' } } }),
    ],
    [
      'spec.containers[0].livenessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive',
      POD({ livenessProbe: { httpGet: { path: '/' } } }),
    ],
    [
      'spec.containers[0].startupProbe.successThreshold: Invalid value: 2: must be 1',
      POD({ startupProbe: { exec: { command: ['true'] }, successThreshold: 2 } }),
    ],
    [
      'spec.hard[nope]: Invalid value: "nope": must be a standard resource for quota',
      [place('resourcequotas'), body('ResourceQuota', 'v1', 'never', { spec: { hard: { nope: '3' } } })],
    ],
  ];
  test.each(CASES)('%s', async (message, [path, object]) => {
    const { status, json } = await create(`${path}?dryRun=All`, object);
    expect({ status, message: (json as Json)['message'] }).toMatchObject({
      status: 422,
      message: expect.stringContaining(message),
    });
  });
});

describe('kinds that nothing acts upon', () => {
  const CASES: readonly (readonly [string, Json])[] = [
    [
      place('ingresses', 'networking.k8s.io/v1'),
      body('Ingress', 'networking.k8s.io/v1', 'x', {
        spec: { defaultBackend: { service: { name: 's', port: { number: 80 } } } },
      }),
    ],
    [
      place('networkpolicies', 'networking.k8s.io/v1'),
      body('NetworkPolicy', 'networking.k8s.io/v1', 'x', { spec: { podSelector: {} } }),
    ],
    [
      place('horizontalpodautoscalers', 'autoscaling/v2'),
      body('HorizontalPodAutoscaler', 'autoscaling/v2', 'x', {
        spec: { maxReplicas: 2, scaleTargetRef: { kind: 'Deployment', name: 'd' } },
      }),
    ],
    ['/apis/node.k8s.io/v1/runtimeclasses', body('RuntimeClass', 'node.k8s.io/v1', 'x', { handler: 'h' })],
  ];
  test.each(CASES)('%s: kept, and a warning says so', async (path, object) => {
    const { status, headers } = await create(path, object);
    expect(status).toBe(201);
    expect(warning(headers)).toMatch(/^299 - "the sandbox /);
    expect((await server.send('DELETE', `${path}/x`)).status).toBe(200);
  });
});

describe('what is wrong is named', () => {
  const CASES: readonly (readonly [string, string, Json, string])[] = [
    [
      'an ingress without rules',
      place('ingresses', 'networking.k8s.io/v1'),
      body('Ingress', 'networking.k8s.io/v1', 'w', { spec: {} }),
      'either `defaultBackend` or `rules` must be specified',
    ],
    [
      'an ingress to an address',
      place('ingresses', 'networking.k8s.io/v1'),
      body('Ingress', 'networking.k8s.io/v1', 'w', { spec: { rules: [{ host: '10.0.0.1' }] } }),
      'spec.rules[0].host',
    ],
    [
      'a peer that is nobody',
      place('networkpolicies', 'networking.k8s.io/v1'),
      body('NetworkPolicy', 'networking.k8s.io/v1', 'w', { spec: { podSelector: {}, ingress: [{ from: [{}] }] } }),
      'spec.ingress[0].from[0]: Required value: must specify a peer',
    ],
    [
      'a claim without a size',
      place('persistentvolumeclaims'),
      body('PersistentVolumeClaim', 'v1', 'w', { spec: { accessModes: ['ReadWriteOnce'] } }),
      'spec.resources[storage]: Required value',
    ],
    [
      'a volume of two sources',
      '/api/v1/persistentvolumes',
      body('PersistentVolume', 'v1', 'w', {
        spec: {
          capacity: { storage: '1Gi' },
          accessModes: ['ReadWriteOnce'],
          nfs: { server: 'a', path: '/' },
          hostPath: { path: '/' },
        },
      }),
      'may not specify more than 1 volume type',
    ],
    [
      'more replicas than the most',
      place('horizontalpodautoscalers', 'autoscaling/v2'),
      body('HorizontalPodAutoscaler', 'autoscaling/v2', 'w', {
        spec: { minReplicas: 3, maxReplicas: 2, scaleTargetRef: { kind: 'D', name: 'd' } },
      }),
      'must be greater than or equal to `minReplicas`',
    ],
    [
      'minute 60',
      place('cronjobs', 'batch/v1'),
      body('CronJob', 'batch/v1', 'w', {
        spec: {
          schedule: '60 * * * *',
          jobTemplate: {
            spec: { template: { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'x' }] } } },
          },
        },
      }),
      'end of range (60) above maximum (59): 60',
    ],
    [
      'a limit below its request',
      place('limitranges'),
      body('LimitRange', 'v1', 'w', {
        spec: { limits: [{ type: 'Container', min: { cpu: '2' }, max: { cpu: '1' } }] },
      }),
      'spec.limits[0].min[cpu]',
    ],
    [
      'CEL that is none',
      '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies',
      body('ValidatingAdmissionPolicy', 'admissionregistration.k8s.io/v1', 'w', {
        spec: {
          matchConstraints: {
            resourceRules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['*'], resources: ['pods'] }],
          },
          validations: [{ expression: 'object.a +' }],
        },
      }),
      'spec.validations[0].expression',
    ],
  ];
  test.each(CASES)('%s', async (_, path, object, message) => {
    const { status, json } = await create(path, object);
    expect(status).toBe(422);
    expect((json as { message: string }).message).toContain(message);
  });
});

test('an autoscaler is the same object in both versions', async () => {
  const v1 = place('horizontalpodautoscalers', 'autoscaling/v1');
  const v2 = place('horizontalpodautoscalers', 'autoscaling/v2');
  const memory = {
    type: 'Resource',
    resource: { name: 'memory', target: { type: 'AverageValue', averageValue: '1Gi' } },
  };
  const cpu = { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } } };
  await create(
    v2,
    body('HorizontalPodAutoscaler', 'autoscaling/v2', 'both', {
      spec: { maxReplicas: 4, scaleTargetRef: { kind: 'Deployment', name: 'd' }, metrics: [cpu, memory] },
    }),
  );
  const old = (await server.send('GET', `${v1}/both`)).json as { spec: Json; metadata: Json };
  expect(old.spec).toMatchObject({ minReplicas: 1, maxReplicas: 4, targetCPUUtilizationPercentage: 50 });
  await server.send('PUT', `${v1}/both`, { ...old, spec: { ...old.spec, targetCPUUtilizationPercentage: 70 } });
  const { spec, metadata } = (await server.send('GET', `${v2}/both`)).json as {
    spec: { metrics: unknown[] };
    metadata: Json;
  };
  expect(spec.metrics).toEqual([
    memory,
    { ...cpu, resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 70 } } },
  ]);
  expect(metadata).not.toHaveProperty('annotations');
});

test('ephemeral containers are added by their subresource alone, and stay as they are', async () => {
  await create(place('serviceaccounts'), body('ServiceAccount', 'v1', 'default'));
  const debug = { name: 'd', image: 'busybox' };
  const made = (
    await create(
      place('pods'),
      body('Pod', 'v1', 'p', { spec: { containers: [{ name: 'c', image: 'x' }], ephemeralContainers: [debug] } }),
    )
  ).json as { spec: Json };
  expect(made.spec).not.toHaveProperty('ephemeralContainers');
  const patch = (list: unknown[], path = 'pods/p/ephemeralcontainers') =>
    server.send(
      'PATCH',
      place(path),
      { spec: { ephemeralContainers: list, nodeName: 'elsewhere' } },
      { 'Content-Type': 'application/merge-patch+json' },
    );
  expect((await patch([debug], 'pods/p')).status).toBe(422);
  const { status, json } = await patch([debug]);
  expect(status).toBe(200);
  const { spec } = json as { spec: { ephemeralContainers: Json[]; nodeName?: string } };
  expect(spec.ephemeralContainers[0]).toMatchObject({ name: 'd', image: 'busybox', terminationMessagePolicy: 'File' });
  expect(spec.nodeName).toBeUndefined();
  for (const [list, why] of [
    [[], 'may not be removed'],
    [[{ ...debug, image: 'other' }], 'may not be changed'],
    [[debug, { name: 'c', image: 'x' }], 'Duplicate value'],
    [[debug, { name: 'e', image: 'x', ports: [{ containerPort: 1 }] }], 'cannot be set for an Ephemeral Container'],
    [[debug, { name: 'e', image: 'x', targetContainerName: 'nobody' }], 'Not found: "nobody"'],
  ] as const) {
    const refused = await patch([...list]);
    expect(refused.status, why).toBe(422);
    expect((refused.json as { message: string }).message).toContain(why);
  }
});

describe('computed kinds', () => {
  test('API services follow what is served', async () => {
    const names = async () =>
      (
        (await server.send('GET', '/apis/apiregistration.k8s.io/v1/apiservices')).json as {
          items: { metadata: { name: string } }[];
        }
      ).items.map(({ metadata }) => metadata.name);
    expect(await names()).toEqual(
      expect.arrayContaining(['v1.', 'v1.apps', 'v2.autoscaling', 'v1beta1.metrics.k8s.io']),
    );
    const schema = { openAPIV3Schema: { type: 'object' } };
    const crd = body('CustomResourceDefinition', 'apiextensions.k8s.io/v1', 'things.kinds.example.com', {
      spec: {
        group: 'kinds.example.com',
        scope: 'Namespaced',
        names: { plural: 'things', kind: 'Thing' },
        versions: [{ name: 'v1', served: true, storage: true, schema }],
      },
    });
    await create('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', crd);
    expect(await until(names, (list) => list.includes('v1.kinds.example.com'))).toContain('v1.kinds.example.com');
  });

  test('they can be read and nothing else', async () => {
    const path = '/apis/apiregistration.k8s.io/v1/apiservices';
    expect((await server.send('GET', `${path}/v9.nothing`)).status).toBe(404);
    expect((await create(path, body('APIService', 'apiregistration.k8s.io/v1', 'v1.x'))).status).toBe(405);
    expect((await server.send('DELETE', `${path}/v1.apps`)).status).toBe(405);
    expect((await server.send('GET', `${path}?watch=true`)).status).toBe(405);
  });

  test('metrics of a node that cannot be reached are a 503 that says which', async () => {
    await create(
      '/api/v1/nodes',
      body('Node', 'v1', 'gone', {
        status: {
          addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
          daemonEndpoints: { kubeletEndpoint: { Port: 9 } },
        },
      }),
    );
    const { status, json } = await server.send('GET', '/apis/metrics.k8s.io/v1beta1/nodes');
    expect(status).toBe(503);
    expect(json).toMatchObject({
      kind: 'Status',
      reason: 'ServiceUnavailable',
      message: expect.stringContaining('node gone: dial tcp 127.0.0.1:9'),
    });
    expect(
      ((await server.send('GET', '/apis/metrics.k8s.io/v1beta1/pods')).json as { items: unknown[] }).items,
    ).toEqual([]);
  });
});

describe('proxies', () => {
  test('nobody gets at the machine of the API server by writing its address into a service', async () => {
    await create(place('services'), body('Service', 'v1', 'own', { spec: { ports: [{ name: 'http', port: 80 }] } }));
    await create(place('endpointslices', 'discovery.k8s.io/v1'), {
      ...body('EndpointSlice', 'discovery.k8s.io/v1', 'own', {
        addressType: 'IPv4',
        endpoints: [{ addresses: ['127.0.0.1'] }],
        ports: [{ name: 'http', port: 22 }],
      }),
      metadata: { name: 'own', labels: { 'kubernetes.io/service-name': 'own' } },
    });
    for (const name of ['own', 'own:http', 'own:80', 'http:own:http']) {
      expect(await server.send('GET', place(`services/${name}/proxy/`)), name).toMatchObject({
        status: 400,
        text: expect.stringMatching(/address not allowed/),
      });
    }
    expect((await server.send('GET', place('services/own:nothing/proxy/'))).text).toContain(
      'no service port \\"nothing\\" found',
    );
  });

  test('what is not there is told as such', async () => {
    await create(place('services'), body('Service', 'v1', 'empty', { spec: { ports: [{ port: 80 }] } }));
    expect(await server.send('GET', place('services/empty/proxy/'))).toMatchObject({
      status: 503,
      text: expect.stringContaining('no endpoints available'),
    });
    expect((await server.send('GET', place('services/nobody/proxy/'))).status).toBe(404);
    expect((await server.send('GET', place('services/a:b:c:d/proxy/'))).status).toBe(400);
    expect(await server.send('GET', place('services/empty/proxy'))).toMatchObject({
      status: 301,
      headers: { location: `${place('services/empty/proxy')}/` },
    });
  });
});
