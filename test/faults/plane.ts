// SPDX-License-Identifier: Apache-2.0
// A control plane with a real API server on loopback, and real Envoys that connect to it with tokens of that server.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { buildCrds } from '../../src/api/crds.ts';
import { buildBootstrap } from '../../src/injector/bootstrap.ts';
import { DEFAULT_SETTINGS } from '../../src/injector/settings.ts';
import { KubeClient } from '../../src/kube/client.ts';
import { loadKubeconfig } from '../../src/kube/config.ts';
import { CONFIG_MAPS, CRDS, EVENTS, NAMESPACES, PODS, SECRETS, SERVICE_ACCOUNTS } from '../../src/kube/resources.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import { runControlPlane } from '../../src/runtime/control-plane.ts';
import type { ControlPlaneOptions } from '../../src/runtime/control-plane-options.ts';
import { findEnvoy } from '../../src/runtime/toolchain.ts';
import { startTestServer, type TestServer } from '../apiserver/test-server.ts';
import { freePort } from '../fixture/ports.ts';
import { type EnvoyProcess, httpGet, startEnvoy } from '../xds/envoy-process.ts';

export interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly [member: string]: unknown;
}

export interface ProxyOptions {
  /** Laid over the bootstrap. */
  readonly bootstrap?: Record<string, unknown>;
  /** Of the Envoy process. */
  readonly env?: Record<string, string>;
}

const POD = 'shop';

type PlaneOptions = Pick<ControlPlaneOptions, 'clock' | 'workloadLifetimeMs' | 'replica'>;

/** An API server with all that a control plane expects of its cluster. */
export class PlaneScene {
  readonly dir = mkdtempSync(join(tmpdir(), 'isthmus-plane-'));
  readonly client: KubeClient;
  readonly api: TestServer;
  readonly lines: LogLine[] = [];
  readonly #envoys: EnvoyProcess[] = [];
  #plane: { end: AbortController; done: Promise<void> } | undefined;
  #ports = { xds: 0, admin: 0, webhooks: 0 };
  #proxies = 0;

  private constructor(api: TestServer) {
    this.api = api;
    this.client = new KubeClient(loadKubeconfig(api.kubeconfig, undefined));
  }

  static async start(): Promise<PlaneScene> {
    const scene = new PlaneScene(await startTestServer());
    const { client } = scene;
    for (const crd of buildCrds()) await client.create(CRDS, crd);
    await client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'istio-system' } });
    const labels = { 'istio-injection': 'enabled' };
    await client.patch(NAMESPACES, 'default', undefined, { metadata: { labels } });
    await client.create(CONFIG_MAPS, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'istio-sidecar-injector', namespace: 'istio-system' },
      data: { settings: JSON.stringify({ ...DEFAULT_SETTINGS, proxyImage: 'x', clusterId: 'cluster1' }) },
    });
    const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'shop', namespace: 'default' } };
    await client.create(SERVICE_ACCOUNTS, account);
    return scene;
  }

  get rootCertPath(): string {
    return join(this.dir, 'root.pem');
  }

  /** The control plane, always on the same ports; resolves when it listens. */
  async startPlane(options: PlaneOptions = {}): Promise<void> {
    if (this.#ports.xds === 0)
      this.#ports = { xds: await freePort(), admin: await freePort(), webhooks: await freePort() };
    const end = new AbortController();
    const listening = Promise.withResolvers<void>();
    const done = runControlPlane(
      {
        client: this.client,
        cluster: 'cluster1',
        trustDomain: 'cluster.local',
        dnsDomain: 'cluster.local',
        host: '127.0.0.1',
        ports: this.#ports,
        serverNames: ['localhost'],
        secrets: {
          address: `localhost:${this.#ports.xds}`,
          rootCertPath: this.rootCertPath,
          tokenPath: this.#tokenPath(),
        },
        replica: 'istiod-0',
        log: pino({ level: 'debug' }, { write: (line) => this.lines.push(JSON.parse(line) as LogLine) }),
        onListening: () => listening.resolve(),
        ...options,
      },
      end.signal,
    );
    done.catch(listening.reject);
    this.#plane = { end, done };
    await listening.promise;
  }

  async stopPlane(): Promise<void> {
    this.#plane?.end.abort();
    await this.#plane?.done.catch(() => {});
    this.#plane = undefined;
  }

  /** Another Envoy of the pod `shop`, which trusts the root that the namespace has now. */
  async startProxy({ bootstrap = {}, env = {} }: ProxyOptions = {}): Promise<EnvoyProcess> {
    await this.#ensurePod();
    await this.takeRoot();
    const own = join(this.dir, `proxy-${this.#proxies++}`);
    mkdirSync(own);
    const built = buildBootstrap({
      kind: 'sidecar',
      podName: POD,
      podIp: '127.0.0.1',
      namespace: 'default',
      serviceAccount: 'shop',
      clusterId: 'cluster1',
      network: '',
      dnsDomain: 'cluster.local',
      ads: this.#controlPlane(),
      sds: this.#controlPlane(),
      adminPipe: join(own, 'admin.sock'),
      excludeOutboundBy: 'uid',
      healthPort: await freePort(),
      metricsPort: await freePort(),
    });
    const envoy = startEnvoy(findEnvoy()!, own, { ...built, ...bootstrap }, env);
    this.#envoys.push(envoy);
    return envoy;
  }

  #controlPlane() {
    const address = `localhost:${this.#ports.xds}`;
    return { address, rootCertPath: this.rootCertPath, tokenPath: this.#tokenPath() };
  }

  /** As the kubelet mounts the ConfigMap when a pod starts. */
  async takeRoot(): Promise<void> {
    const root = await this.client.get(CONFIG_MAPS, 'istio-ca-root-cert', 'default');
    writeFileSync(this.rootCertPath, (root?.['data'] as Record<string, string> | undefined)?.['root-cert.pem'] ?? '');
  }

  /** The Secret cacerts. */
  async giveCa(files: object): Promise<void> {
    const data = Object.fromEntries(
      Object.entries(files).map(([name, text]) => [name, Buffer.from(text).toString('base64')]),
    );
    const metadata = { name: 'cacerts', namespace: 'istio-system' };
    await this.client.apply({ apiVersion: 'v1', kind: 'Secret', metadata, data }, SECRETS);
  }

  logged(part: string): LogLine[] {
    return this.lines.filter(({ msg }) => msg.includes(part));
  }

  async events(reason: string): Promise<KubeObject[]> {
    const { items } = await this.client.list(EVENTS, { namespace: 'istio-system' });
    return items.filter((event) => event['reason'] === reason);
  }

  async metric(name: string): Promise<number> {
    const { body } = await httpGet({ port: this.#ports.admin, path: '/metrics' });
    return Number(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, 'm').exec(body)?.[1]);
  }

  async debug(view: string): Promise<unknown> {
    return JSON.parse((await httpGet({ port: this.#ports.admin, path: `/debug/${view}` })).body);
  }

  async close(): Promise<void> {
    await Promise.all(this.#envoys.map((envoy) => envoy.stop()));
    await this.stopPlane();
    this.client.close();
    await this.api.close();
    rmSync(this.dir, { recursive: true, force: true });
  }

  #tokenPath(): string {
    return join(this.dir, 'token');
  }

  async #ensurePod(): Promise<void> {
    if ((await this.client.get(PODS, POD, 'default')) !== undefined) return;
    const metadata = { name: POD, namespace: 'default', labels: { app: 'shop' } };
    const spec = { serviceAccountName: 'shop', containers: [{ name: 'shop', image: 'shop' }] };
    await this.client.create(PODS, { apiVersion: 'v1', kind: 'Pod', metadata, spec });
    const status = { phase: 'Running', podIP: '127.0.0.1', podIPs: [{ ip: '127.0.0.1' }] };
    const { uid } = (await this.client.patch(PODS, POD, 'default', { status }, { subresource: 'status' })).metadata;
    const bound = { kind: 'Pod', apiVersion: 'v1', name: POD, uid };
    const path = '/api/v1/namespaces/default/serviceaccounts/shop/token';
    const answer = await this.client.request('POST', path, {
      body: {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { audiences: ['istio-ca'], expirationSeconds: 3_600, boundObjectRef: bound },
      },
    });
    writeFileSync(this.#tokenPath(), (answer as { status: { token: string } }).status.token);
  }
}
