// SPDX-License-Identifier: Apache-2.0
// The kubectl on PATH against a running server: what a user types in seed 000, and what he gets wrong.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findProgram } from '../fixture/sandbox.ts';
import { startTestServer, type TestServer } from './test-server.ts';

const kubectlPath = findProgram('kubectl');

const BOOKINFO = `apiVersion: v1
kind: Service
metadata:
  name: productpage
  labels:
    app: productpage
spec:
  ports:
  - port: 9080
    name: http
  selector:
    app: productpage
---
apiVersion: extensions/v1beta1
kind: Deployment
metadata:
  name: productpage-v1
spec:
  replicas: 1
  template:
    metadata:
      labels:
        app: productpage
        version: v1
    spec:
      containers:
      - name: productpage
        image: istio/examples-bookinfo-productpage-v1:1.10.0
        imagePullPolicy: IfNotPresent
        ports:
        - containerPort: 9080
---
apiVersion: v1
kind: Service
metadata:
  name: details
  labels:
    app: details
spec:
  ports:
  - port: 9080
    name: http
  selector:
    app: details
`;

const CRD = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: routes.mesh.example.com
spec:
  group: mesh.example.com
  scope: Namespaced
  names: {plural: routes, singular: route, kind: Route, shortNames: [rt]}
  versions:
  - name: v1alpha3
    served: true
    storage: true
    schema: &schema
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [host]
            properties:
              host: {type: string, minLength: 1}
              weight: {type: integer, minimum: 0, maximum: 100, default: 100}
    additionalPrinterColumns: &columns
    - {name: Host, type: string, jsonPath: .spec.host}
  - name: v1
    served: true
    storage: false
    schema: *schema
    additionalPrinterColumns: *columns
`;

describe.skipIf(!kubectlPath)(`kubectl (${kubectlPath ?? 'none on PATH'})`, () => {
  let server: TestServer;
  let home: string;

  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), 'kubectl-'));
    server = await startTestServer();
  });
  afterAll(async () => {
    await server?.close();
    rmSync(home, { recursive: true, force: true });
  });

  interface Result {
    readonly code: number;
    readonly out: string;
    readonly err: string;
  }

  function kubectl(args: string, input?: string): Promise<Result> {
    const env = { ...process.env, HOME: home, KUBECONFIG: server.kubeconfig };
    return new Promise((resolve) => {
      const child = execFile(
        kubectlPath!,
        args.match(/'[^']*'|\S+/g)!.map((word) => word.replace(/^'|'$/g, '')),
        { env },
        (error, out, err) => resolve({ code: error ? Number(error.code ?? 1) : 0, out, err }),
      );
      // Flow-style YAML must not be taken for JSON.
      child.stdin!.end(input?.replace(/^\{/, '---\n{') ?? '');
    });
  }

  async function works(args: string, input?: string): Promise<string> {
    const { code, out, err } = await kubectl(args, input);
    expect(err.replace(/^(Warning|WARNING|Flag).*\n?/gm, ''), `kubectl ${args}`).toBe('');
    expect(code, `kubectl ${args}`).toBe(0);
    return out;
  }

  test('applies several documents, old Deployments among them, twice', async () => {
    const first = await works('apply -f -', BOOKINFO);
    expect(first).toMatch(
      /service\/productpage created\ndeployment\.(extensions|apps)\/productpage-v1 created\nservice\/details created/,
    );
    const again = await works('apply -f -', BOOKINFO);
    expect(again.match(/unchanged/g)).toHaveLength(3);
  });

  test('shows Deployments of either group as one, with the selector taken from the template', async () => {
    expect(
      await works("get deployment productpage-v1 -o 'jsonpath={.apiVersion} {.spec.selector.matchLabels.version}'"),
    ).toBe('apps/v1 v1');
    expect(await works('get deployments.v1beta1.extensions -o name')).toBe('deployment.extensions/productpage-v1\n');
    expect((await works('get all -o name')).split('\n').filter((line) => line.includes('productpage-v1'))).toHaveLength(
      1,
    );
  });

  test('prints tables, wide, with labels, by selector', async () => {
    expect(await works('get svc details')).toMatch(
      /^NAME +TYPE +CLUSTER-IP +EXTERNAL-IP +PORT\(S\) +AGE\ndetails +ClusterIP +10\.96\.\d+\.\d+ +<none> +9080\/TCP/,
    );
    expect(await works('get deploy -o wide')).toContain('app=productpage,version=v1');
    expect(await works('get svc --selector=app=details --no-headers -L app')).toMatch(/^details .*details\n$/);
    expect(await works("get svc -l 'app in (details,x)' -o name")).toBe('service/details\n');
  });

  test('labels, annotates, patches, scales', async () => {
    expect(await works('label namespace default istio-injection=enabled')).toBe('namespace/default labeled\n');
    expect(await works('get ns -L istio-injection --no-headers')).toMatch(/default +Active +\S+ +enabled/);
    expect((await kubectl('label namespace default istio-injection=disabled')).err).toContain('already has a value');
    await works('annotate svc details note=hello');
    await works('patch svc details -p {"spec":{"ports":[{"port":9080,"name":"web"}]}}');
    expect(await works('get svc details -o jsonpath={.spec.ports[*].name}')).toBe('web');
    await works('patch svc details --type=json -p [{"op":"remove","path":"/metadata/annotations/note"}]');
    await works('scale deployment productpage-v1 --replicas=3');
    expect(await works('get deployment productpage-v1 -o jsonpath={.spec.replicas}')).toBe('3');
    await works('set image deployment/productpage-v1 productpage=other:2');
  });

  test('creates by flags (protobuf or JSON, as this kubectl likes)', async () => {
    await works('create namespace side');
    await works('create configmap c -n side --from-literal=a=1');
    await works('create secret generic s -n side --from-literal=password=geheim');
    expect(await works('get secret s -n side -o jsonpath={.data.password}')).toBe(
      Buffer.from('geheim').toString('base64'),
    );
    await works('create serviceaccount robot -n side');
    await works('create deployment d --image=example/d:1 --port=80 -n side');
    expect(
      await works('get deployment d -n side -o jsonpath={.spec.template.spec.containers[0].ports[0].containerPort}'),
    ).toBe('80');
    await works('create role reader --verb=get --resource=pods -n side');
    await works('create service nodeport np --tcp=80 --node-port=30077 -n side');
    const taken = await kubectl('create service nodeport np2 --tcp=80 --node-port=30077 -n side');
    expect(taken.err).toContain('provided port is already allocated');
  });

  test('server-side apply: fields of others are conflicts until forced', async () => {
    const config = (value: string) =>
      `{apiVersion: v1, kind: ConfigMap, metadata: {name: shared}, data: {a: "${value}"}}`;
    await works('apply --server-side --field-manager=one -f -', config('1'));
    const refused = await kubectl('apply --server-side --field-manager=two -f -', config('2'));
    expect(refused.err).toContain('conflict with "one": .data.a');
    await works('apply --server-side --field-manager=two --force-conflicts -f -', config('2'));
    expect(await works('get cm shared -o jsonpath={.data.a}')).toBe('2');
  });

  test('custom resources: at once, validated, defaulted, in every version', async () => {
    await works('apply -f -', CRD);
    await works('wait --for=condition=Established crd/routes.mesh.example.com --timeout=10s');
    const route = (version: string, spec: string) =>
      `{apiVersion: mesh.example.com/${version}, kind: Route, metadata: {name: r}, spec: ${spec}}`;
    await works('apply -f -', route('v1alpha3', '{host: reviews}'));
    expect(await works("get routes.v1.mesh.example.com r -o 'jsonpath={.apiVersion} {.spec.weight}'")).toBe(
      'mesh.example.com/v1 100',
    );
    expect(await works('get rt')).toMatch(/^NAME +HOST\nr +reviews\n$/);
    expect((await kubectl('apply -f -', route('v1', '{host: x, weight: 200}'))).err).toMatch(
      /spec\.weight: Invalid value: 200.*less than or equal to 100/s,
    );
    expect((await kubectl('apply -f -', route('v1', '{host: x, hots: y}'))).err).toMatch(
      /unknown field "?(spec\.)?hots/,
    );
    expect(await works('explain route.spec')).toContain('host');
    await works('delete crd routes.mesh.example.com');
    expect((await kubectl('get routes')).code).toBe(1);
  });

  test('watches', async () => {
    const watching = kubectl('get cm -w --request-timeout=3s -o name -n side');
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    await works('create configmap later -n side');
    expect((await watching).out).toContain('configmap/later');
  }, 30_000);

  test('names what is wrong', async () => {
    const bad = await kubectl('apply -f -', '{apiVersion: v1, kind: Service, metadata: {name: x}, spec: {prots: []}}');
    expect(bad.err).toMatch(/unknown field "?(spec\.)?prots/);
    expect((await kubectl('get pods nosuch')).err).toContain('pods "nosuch" not found');
    expect((await kubectl('get nosuchthings')).err).toContain(
      'the server doesn\'t have a resource type "nosuchthings"',
    );
    expect((await kubectl('create configmap x -n nowhere')).err).toContain('namespaces "nowhere" not found');
    expect((await kubectl('delete namespace default')).err).toContain('this namespace may not be deleted');
    expect((await kubectl('create -f -', BOOKINFO)).err).toContain('services "productpage" already exists');
  });

  test('explains, lists resources, diffs, runs dry', async () => {
    expect(await works('explain pod.spec.containers.ports.containerPort')).toContain('integer');
    expect(await works('api-resources --api-group=apps -o name')).toContain('deployments.apps');
    expect((await kubectl('diff -f -', BOOKINFO.replaceAll('replicas: 1', 'replicas: 7'))).out).toContain(
      '+  replicas: 7',
    );
    await works('apply --dry-run=server -f -', BOOKINFO.replaceAll('details', 'ghost'));
    expect((await kubectl('get svc ghost')).code).toBe(1);
  }, 30_000);

  test('deletes what it applied', async () => {
    expect(await works('delete -f -', BOOKINFO)).toMatch(/"productpage" deleted[\s\S]*"details" deleted/);
    expect(await works('get svc,deploy -o name')).toBe('service/kubernetes\n');
  });
});
