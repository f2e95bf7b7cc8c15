// SPDX-License-Identifier: Apache-2.0
// Whatever is sent, the server answers with a Status that is the sender's fault, and lives on.
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { rounds } from '../fixture/counts.ts';
import { startTestServer, type TestServer } from './test-server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
  await server.send('POST', '/api/v1/namespaces/default/serviceaccounts', {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'default' },
  });
});
afterAll(() => server.close());

const TEMPLATE = {
  metadata: { labels: { app: 'x' } },
  spec: {
    containers: [
      {
        name: 'c',
        image: 'i:1',
        env: [{ name: 'A', value: '1' }],
        ports: [{ containerPort: 80, name: 'http' }],
        volumeMounts: [{ name: 'v', mountPath: '/v' }],
        readinessProbe: { httpGet: { port: 80 } },
        resources: { limits: { cpu: '1' } },
      },
    ],
    volumes: [{ name: 'v', projected: { sources: [{ serviceAccountToken: { path: 't' } }] } }],
  },
};
const SELECTOR = { matchLabels: { app: 'x' } };
const meta = { name: 'x' };
const SAMPLES: readonly (readonly [path: string, object: Record<string, unknown>])[] = [
  ['/api/v1/namespaces/default/pods', { apiVersion: 'v1', kind: 'Pod', metadata: meta, spec: TEMPLATE.spec }],
  [
    '/api/v1/namespaces/default/services',
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: meta,
      spec: {
        type: 'NodePort',
        ports: [{ port: 80, nodePort: 30_001 }],
        selector: { app: 'x' },
        clusterIP: '10.96.3.3',
      },
    },
  ],
  [
    '/api/v1/namespaces/default/configmaps',
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: {
        ...meta,
        ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'p', uid: 'u' }],
        finalizers: ['a/b'],
      },
      data: { a: '1' },
      binaryData: { b: 'AA==' },
    },
  ],
  [
    '/api/v1/namespaces/default/secrets',
    { apiVersion: 'v1', kind: 'Secret', metadata: meta, type: 'Opaque', data: { a: 'AA==' }, stringData: { b: 'c' } },
  ],
  [
    '/api/v1/namespaces/default/endpoints',
    {
      apiVersion: 'v1',
      kind: 'Endpoints',
      metadata: meta,
      subsets: [{ addresses: [{ ip: '10.1.1.1' }], ports: [{ port: 1 }] }],
    },
  ],
  [
    '/api/v1/namespaces/default/events',
    {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: meta,
      involvedObject: { kind: 'Pod', namespace: 'default', name: 'p' },
      firstTimestamp: '2024-01-01T00:00:00Z',
      series: { count: 1, lastObservedTime: '2024-01-01T00:00:00.000000Z' },
    },
  ],
  ['/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: meta, spec: { finalizers: ['x/y'] } }],
  [
    '/api/v1/nodes',
    {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: meta,
      spec: { taints: [{ key: 'a', effect: 'NoSchedule' }] },
      status: { capacity: { cpu: '2' }, conditions: [{ type: 'Ready', status: 'True' }] },
    },
  ],
  [
    '/apis/apps/v1/namespaces/default/deployments',
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: meta,
      spec: { replicas: 1, selector: SELECTOR, template: TEMPLATE, strategy: { rollingUpdate: { maxSurge: '25%' } } },
    },
  ],
  [
    '/apis/extensions/v1beta1/namespaces/default/deployments',
    { apiVersion: 'extensions/v1beta1', kind: 'Deployment', metadata: { name: 'old' }, spec: { template: TEMPLATE } },
  ],
  [
    '/apis/apps/v1/namespaces/default/statefulsets',
    {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: meta,
      spec: {
        serviceName: 's',
        selector: SELECTOR,
        template: TEMPLATE,
        volumeClaimTemplates: [{ metadata: { name: 'd' }, spec: { resources: { requests: { storage: '1Gi' } } } }],
      },
    },
  ],
  [
    '/apis/apps/v1/namespaces/default/daemonsets',
    { apiVersion: 'apps/v1', kind: 'DaemonSet', metadata: meta, spec: { selector: SELECTOR, template: TEMPLATE } },
  ],
  [
    '/apis/batch/v1/namespaces/default/jobs',
    {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: meta,
      spec: { template: { spec: { ...TEMPLATE.spec, restartPolicy: 'Never' } } },
    },
  ],
  [
    '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices',
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: meta,
      addressType: 'IPv4',
      endpoints: [{ addresses: ['10.1.1.1'], conditions: { ready: true } }],
      ports: [{ port: 1 }],
    },
  ],
  [
    '/apis/rbac.authorization.k8s.io/v1/clusterroles',
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: meta,
      rules: [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }],
      aggregationRule: { clusterRoleSelectors: [SELECTOR] },
    },
  ],
  [
    '/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings',
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata: meta,
      roleRef: { kind: 'ClusterRole', name: 'view' },
      subjects: [{ kind: 'User', name: 'u' }],
    },
  ],
  [
    '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations',
    {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingWebhookConfiguration',
      metadata: meta,
      webhooks: [
        {
          name: 'a.b.c',
          sideEffects: 'None',
          failurePolicy: 'Ignore',
          timeoutSeconds: 1,
          admissionReviewVersions: ['v1'],
          clientConfig: { url: 'https://127.0.0.1:1/' },
          rules: [{ operations: ['CREATE'], apiGroups: ['no.such'], apiVersions: ['v1'], resources: ['things'] }],
        },
      ],
    },
  ],
  [
    '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
    {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'things.g.example.com' },
      spec: {
        group: 'g.example.com',
        scope: 'Namespaced',
        names: { plural: 'things', kind: 'Thing' },
        versions: [
          {
            name: 'v1',
            served: true,
            storage: true,
            schema: {
              openAPIV3Schema: {
                type: 'object',
                properties: {
                  spec: {
                    type: 'object',
                    properties: {
                      a: { type: 'integer', default: 1, minimum: 0 },
                      l: { type: 'array', items: { type: 'string', pattern: '^a' } },
                    },
                    'x-kubernetes-validations': [{ rule: 'self.a >= 0' }],
                  },
                },
              },
            },
            subresources: { status: {}, scale: { specReplicasPath: '.spec.a', statusReplicasPath: '.status.a' } },
            additionalPrinterColumns: [{ name: 'A', type: 'integer', jsonPath: '.spec.a' }],
          },
        ],
      },
    },
  ],
  [
    '/apis/coordination.k8s.io/v1/namespaces/default/leases',
    {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: meta,
      spec: { holderIdentity: 'h', leaseDurationSeconds: 1, renewTime: '2024-01-01T00:00:00.000000Z' },
    },
  ],
  [
    '/apis/policy/v1/namespaces/default/poddisruptionbudgets',
    {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata: meta,
      spec: { minAvailable: '50%', selector: SELECTOR },
    },
  ],
  [
    '/apis/authorization.k8s.io/v1/subjectaccessreviews',
    {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      metadata: {},
      spec: { user: 'u', groups: ['g'], extra: { a: ['b'] }, resourceAttributes: { verb: 'get', resource: 'pods' } },
    },
  ],
  [
    '/apis/authentication.k8s.io/v1/tokenreviews',
    { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', metadata: {}, spec: { token: 't' } },
  ],
];

const odd = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    '',
    0,
    -1,
    true,
    [],
    {},
    [null],
    [[]],
    { a: null },
    'x'.repeat(300),
    1e20,
    0.5,
    '__proto__',
    '10.96.0.1',
    'None',
    { $patch: 'replace' },
  ),
  fc.jsonValue({ maxDepth: 2 }),
);

/** Every place in an object, as a path. */
function places(value: unknown, path: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== 'object' || value === null) return [path];
  return [
    path,
    ...Object.entries(value).flatMap(([key, inner]) =>
      places(inner, [...path, Array.isArray(value) ? Number(key) : key]),
    ),
  ];
}

function replaced(value: unknown, [step, ...rest]: (string | number)[], by: unknown): unknown {
  if (step === undefined) return by;
  if (Array.isArray(value)) return value.map((item, index) => (index === step ? replaced(item, rest, by) : item));
  const record = value as Record<string, unknown>;
  return { ...record, [step]: replaced(record[String(step)], rest, by) };
}

const attempt = fc.constantFrom(...SAMPLES).chain(([path, object]) =>
  fc.tuple(
    fc.constant(path),
    fc
      .array(fc.tuple(fc.constantFrom(...places(object).filter((place) => place.length > 0)), odd), {
        minLength: 1,
        maxLength: 2,
      })
      .map((changes) =>
        changes.reduce<unknown>((value, [place, by]) => {
          try {
            return replaced(value, place, by);
          } catch {
            // A change above took this place away.
            return value;
          }
        }, object),
      ),
    fc.constantFrom('POST', 'PUT', 'merge', 'strategic', 'apply'),
  ),
);

const PATCH_TYPES: Readonly<Record<string, string>> = {
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
};
/** The real server too says 500 to patches that do not fit the schema (see the recordings). */
const KNOWN_500 =
  /does not contain declared merge key|unknown patch type|failed to create typed patch|list element is not a map/;

test("no object, however broken, is the server's fault", async () => {
  for (const [path, object] of SAMPLES) {
    const { status, text } = await server.send('POST', path, object);
    expect([200, 201], `${path}: ${text}`).toContain(status);
  }
  await fc.assert(
    fc.asyncProperty(attempt, async ([path, body, how]) => {
      const name = (body as { metadata?: { name?: unknown } }).metadata?.name;
      const target =
        how === 'POST'
          ? path
          : `${path}/${encodeURIComponent(typeof name === 'string' && name !== '' && name !== '.' ? name : 'x')}`;
      const type = PATCH_TYPES[how];
      const answer = type
        ? await server.send(
            'PATCH',
            `${target}?fieldManager=fuzz&force=${how === 'apply'}`.replace(/&force=false/, ''),
            body,
            { 'Content-Type': type },
          )
        : await server.send(how, target, body);
      if (answer.status >= 500 && !KNOWN_500.test(answer.text))
        throw new Error(`${how} ${target}: ${answer.text}\n${JSON.stringify(body)}`);
      if (answer.status >= 400 && answer.json !== undefined) expect(answer.json).toMatchObject({ kind: 'Status' });
      await server.send('DELETE', target.startsWith(path + '/') ? target : `${path}/x`);
    }),
    { seed: 31_337, numRuns: rounds(600) },
  );
  expect((await server.send('GET', '/readyz')).text).toBe('ok');
});

test.each(['__proto__', 'constructor', 'toString', 'a\\', '%00', '=', '!=', ',,,', '='.repeat(5000)])(
  'a selector of %s is refused or finds nothing',
  async (text) => {
    const value = encodeURIComponent(text);
    for (const query of [
      `fieldSelector=${value}%3Dx`,
      `fieldSelector=${value}`,
      `labelSelector=${value}`,
      `continue=${value}`,
      `limit=${value}`,
      `resourceVersion=${value}`,
    ]) {
      const { status } = await server.send('GET', `/api/v1/pods?${query}`);
      expect([200, 400, 414, 431], query).toContain(status);
    }
    const { status } = await server.send('GET', '/api/v1/pods', undefined, {
      Accept: `application/json;as=${text.slice(0, 20)};v=v1;g=meta.k8s.io`,
    });
    expect([200, 406]).toContain(status);
  },
);

test('every list and table can still be read afterwards', async () => {
  const groups = (await server.send('GET', '/apis')).json as {
    groups: { preferredVersion: { groupVersion: string } }[];
  };
  const versions = [
    '/api/v1',
    ...groups.groups.map(({ preferredVersion }) => `/apis/${preferredVersion.groupVersion}`),
  ];
  for (const version of versions) {
    const { resources } = (await server.send('GET', version)).json as {
      resources: { name: string; verbs: string[] }[];
    };
    for (const { name } of resources.filter(({ verbs }) => verbs.includes('list'))) {
      for (const accept of ['application/json', 'application/json;as=Table;v=v1;g=meta.k8s.io']) {
        const { status, text } = await server.send('GET', `${version}/${name}`, undefined, { Accept: accept });
        expect(status, `${version}/${name}: ${text.slice(0, 300)}`).toBe(200);
      }
    }
  }
});

test('a target that is no path of ours is not found, and never an error of the server', async () => {
  for (const target of ['//', '//api/v1', '/\\', '/%']) {
    const { status } = await server.send('GET', target);
    expect(status, target).toBeGreaterThanOrEqual(400);
    expect(status, target).toBeLessThan(500);
  }
});
