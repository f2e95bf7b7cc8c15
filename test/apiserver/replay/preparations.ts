// SPDX-License-Identifier: Apache-2.0
// What the recorder did and did not record: the objects there before a flow's first step, and what it changed between
// steps. Found out from what the answers show.
import { parse } from 'yaml';
import type { TestServer } from '../test-server.ts';
import type { Matching } from './matching.ts';
import type { Flow } from './recording.ts';

export interface Preparation {
  /** Recorded without a controller manager, so without what it puts into every namespace. */
  readonly bare?: boolean;
  /** Made first. Default: every namespace in a path of the flow but `default` and those that the flow makes itself. */
  readonly namespaces?: readonly string[];
  /** How far the server's memory of changes goes. */
  readonly keepEvents?: number;
  /** Steps that went on beside the following ones, though the recording does not say so. */
  readonly beside?: readonly number[];
  /** Default: an hour, so that no flow meets one. */
  readonly bookmarkIntervalMs?: number;
  /** How long what is recorded may take, where that is long. */
  readonly patienceMs?: number;
  readonly make?: (hands: Hands) => Promise<void>;
  /** Done before the step of that number. */
  readonly before?: Readonly<Record<number, (hands: Hands) => Promise<void>>>;
}

type Json = Record<string, unknown>;

/** The recorder's hands: writes as administrator, in the name of a field manager. */
export class Hands {
  readonly flow: Flow;
  readonly server: TestServer;
  readonly matching: Matching;
  /** Waits until the controllers rest. */
  readonly settle: () => Promise<void>;

  /** Aborts when the flow ends. */
  readonly signal: AbortSignal;

  constructor(flow: Flow, server: TestServer, matching: Matching, settle: () => Promise<void>, signal: AbortSignal) {
    this.signal = signal;
    this.flow = flow;
    this.server = server;
    this.matching = matching;
    this.settle = settle;
  }

  async send(method: string, path: string, body?: unknown, type = 'application/json'): Promise<Json> {
    const answer = await this.server.send(method, path, body, { 'Content-Type': type });
    if (answer.status >= 300) throw new Error(`preparing ${this.flow.name}: ${method} ${path}: ${answer.text}`);
    return answer.json as Json;
  }

  create(collection: string, object: Json, manager = 'kubectl-create'): Promise<Json> {
    return this.send('POST', `${collection}?fieldManager=${manager}`, object);
  }

  /** A file of the flow, the only object in it. */
  createFile(collection: string, file: string, manager?: string): Promise<Json> {
    return this.create(collection, parse(this.flow.files![file]!) as Json, manager);
  }

  namespace(name: string): Promise<Json> {
    return this.create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  }

  patch(path: string, patch: Json, manager: string): Promise<Json> {
    return this.send('PATCH', `${path}?fieldManager=${manager}`, patch, 'application/merge-patch+json');
  }

  async configMap(namespace: string, name: string, data?: Json, metadata: Json = {}, manager?: string): Promise<Json> {
    const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...metadata }, ...(data ? { data } : {}) };
    return this.create(`/api/v1/namespaces/${namespace}/configmaps`, object, manager);
  }

  async pod(namespace: string, name: string): Promise<Json> {
    return this.create(`/api/v1/namespaces/${namespace}/pods`, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, labels: { app: 'p' } },
      spec: { containers: [{ name: 'c', image: 'example/c:1' }] },
    });
  }

  /** The deployment of most flows; waits for what comes of it. */
  async web(namespace: string): Promise<void> {
    await this.create(`/apis/apps/v1/namespaces/${namespace}/deployments`, parse(WEB) as Json);
    await this.settle();
  }

  async service(namespace: string): Promise<void> {
    await this.create(`/api/v1/namespaces/${namespace}/services`, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 's', labels: { app: 's' } },
      spec: { ports: [{ name: '80', port: 80, protocol: 'TCP', targetPort: 80 }], selector: { app: 's' } },
    });
    await this.settle();
  }

  /** Changes an object again and again until the flow ends. */
  keepWriting(path: string): void {
    const timer = setInterval(() => {
      void this.server.send('PATCH', path, { data: { at: String(performance.now()) } }, MERGE).catch(() => {});
    }, 500);
    this.signal.addEventListener('abort', () => clearInterval(timer), { once: true });
  }

  /** Writes until the server has forgotten the beginning. */
  async outlive(writes: number): Promise<void> {
    await this.configMap('default', 'busy');
    for (let i = 0; i < writes; i++) {
      await this.patch('/api/v1/namespaces/default/configmaps/busy', { data: { i: String(i) } }, 'busy');
    }
  }
}

const WEB = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: main
        image: example/web:1
        ports:
        - {containerPort: 80, name: http}
        - {containerPort: 443, name: https}
        env:
        - {name: A, value: "1"}
        - {name: B, value: "2"}
        resources: {limits: {cpu: 100m, memory: 64Mi}}
      - name: side
        image: example/side:1
`;

const MERGE = { 'Content-Type': 'application/merge-patch+json' };
const DATA = { a: '1', b: '2' };
const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const WEBHOOKS = '/apis/admissionregistration.k8s.io/v1';
const NO_MEMORY = 100;

const web = (namespace: string): Preparation => ({ make: (hands) => hands.web(namespace) });
const definition: Preparation = {
  async make(hands) {
    await hands.createFile(CRDS, 'crd.yaml');
  },
};
const numbered = async (hands: Hands, namespace: string, count: number) => {
  for (let i = 0; i < count; i++) await hands.configMap(namespace, `c${i}`, DATA);
};

export const PREPARATIONS: Readonly<Record<string, Preparation>> = {
  'continue-after-compaction': {
    bare: true,
    async make(hands) {
      hands.matching.bind('<rv-1>', String(await hands.server.revision()));
      await numbered(hands, 'rec-ce2', 6);
    },
  },
  'continue-expired-410': {
    bare: true,
    keepEvents: NO_MEMORY,
    async make(hands) {
      hands.matching.bind('<rv-1>', String(await hands.server.revision()));
      await hands.outlive(NO_MEMORY * 2);
      await numbered(hands, 'rec-ce2', 5);
    },
    before: {
      // The recorder put an older revision into the token.
      async 1(hands) {
        const token = Buffer.from(hands.matching.bound('<continue-1>')!, 'base64url').toString();
        const position = { ...(JSON.parse(token) as Json), rv: Number(hands.matching.bound('<rv-1>')) };
        hands.matching.bind('<continue-2>', Buffer.from(JSON.stringify(position)).toString('base64url'));
      },
    },
  },
  'crd-lifecycle': { beside: [17] },
  'crd-subresources': definition,
  'crd-validation': definition,
  'delete-finalizers': {
    before: {
      async 8(hands) {
        await hands.configMap('rec-df', 'g', DATA);
      },
    },
  },
  'delete-gone': { namespaces: [] },
  'delete-propagation': {
    make: (hands) => hands.web('rec-dp'),
    before: { 2: (hands) => hands.web('rec-dp'), 4: (hands) => hands.web('rec-dp') },
  },
  deletecollection: {
    async make(hands) {
      for (const name of ['a', 'b', 'c']) await hands.configMap('rec-dc', name, { x: '1' });
      for (const name of ['a', 'b']) {
        const labels = { metadata: { labels: { k: 'v' } } };
        await hands.patch(`/api/v1/namespaces/rec-dc/configmaps/${name}`, labels, 'kubectl-label');
      }
    },
  },
  'dry-run-server': {
    before: {
      async 2(hands) {
        await hands.configMap('rec-dr', 'd');
      },
    },
  },
  edit: {
    async make(hands) {
      await hands.configMap('rec-ed', 'c', { a: '1' });
    },
  },
  'endpoints-endpointslices': { make: (hands) => hands.service('rec-ep') },
  'field-selectors': {
    namespaces: ['rec-cm', 'rec-sec'],
    // It was recorded in a cluster where other flows had been before.
    async make(hands) {
      const secrets = '/api/v1/namespaces/rec-sec/secrets';
      const secret = { apiVersion: 'v1', kind: 'Secret', type: 'Opaque' };
      await hands.create(secrets, { ...secret, metadata: { name: 'sd' }, data: { a: 'Yg==' } });
      const data = { 'pw.txt': 'czNjcmV0', u: 'YWRtaW4=' };
      await hands.create(secrets, { ...secret, metadata: { name: 's1' }, data });
      await hands.patch(`${secrets}/s1`, { immutable: true }, 'kubectl-patch');
      const later = 'ap apd psd pj pm ssa ssl ed re dp df dc im fv sa sl rb li fs'.split(' ');
      for (const name of later) await hands.namespace(`rec-${name}`);
      await hands.settle();
      for (const name of ['p1', 'p2']) await hands.pod('rec-fs', name);
    },
  },
  'field-validation': {
    before: {
      async 2(hands) {
        await hands.send('DELETE', '/api/v1/namespaces/rec-fv/configmaps/u');
      },
    },
  },
  'immutable-fields': {
    async make(hands) {
      await hands.web('rec-im');
      await hands.pod('rec-im', 'p');
    },
    before: {
      async 3(hands) {
        await hands.configMap('rec-im', 'im', { a: '1' });
      },
    },
  },
  'label-selectors': {
    async make(hands) {
      const labels = { a: { app: 'x', tier: '1' }, b: { app: 'y' }, c: { tier: '2' } };
      for (const [name, set] of Object.entries(labels)) {
        await hands.configMap('rec-ls', name);
        const path = `/api/v1/namespaces/rec-ls/configmaps/${name}`;
        await hands.patch(path, { metadata: { labels: set } }, 'kubectl-label');
      }
    },
  },
  'list-limit-continue': {
    bare: true,
    make: (hands) => numbered(hands, 'rec-li2', 6),
    before: {
      async 2(hands) {
        await hands.send('DELETE', '/api/v1/namespaces/rec-li2/configmaps/c5');
      },
    },
  },
  'namespace-default-errors': { namespaces: [] },
  'namespace-delete-with-contents': {
    async make(hands) {
      await hands.configMap('rec-nsd', 'one', { a: '1' });
      await hands.configMap('rec-nsd', 'held', DATA, { finalizers: ['example.com/hold'] });
    },
  },
  'namespace-lifecycle': { namespaces: [] },
  'ownerreferences-gc': {
    async make(hands) {
      const { metadata } = await hands.configMap('rec-gc', 'owner');
      hands.matching.bind('<uid-1>', (metadata as { uid: string }).uid);
    },
  },
  'patch-json': {
    async make(hands) {
      await hands.configMap('rec-pj', 'c', DATA);
    },
  },
  'patch-merge': {
    async make(hands) {
      await hands.configMap('rec-pm', 'c', DATA);
    },
  },
  'patch-strategic-directives': web('rec-psd'),
  'pod-lifecycle': {
    before: {
      async 5(hands) {
        const status = { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] };
        await hands.patch('/api/v1/namespaces/rec-po/pods/p/status', { status }, 'kubectl-patch');
        await hands.create('/apis/policy/v1/namespaces/rec-po/poddisruptionbudgets', {
          apiVersion: 'policy/v1',
          kind: 'PodDisruptionBudget',
          metadata: { name: 'b' },
          spec: { minAvailable: 1, selector: { matchLabels: { app: 'p' } } },
        });
        const counted = { disruptionsAllowed: 0, currentHealthy: 1, desiredHealthy: 1, expectedPods: 1 };
        const budget = '/apis/policy/v1/namespaces/rec-po/poddisruptionbudgets/b';
        await hands.patch(`${budget}/status`, { status: { ...counted, observedGeneration: 1 } }, 'by-hand');
      },
      async 6(hands) {
        await hands.send('DELETE', '/apis/policy/v1/namespaces/rec-po/poddisruptionbudgets/b');
      },
    },
  },
  protobuf: {
    async make(hands) {
      await hands.configMap('rec-pb', 'c', { a: '1' });
    },
  },
  rbac: {
    before: {
      // Whoever may not create roles at all is refused for that, and not for what he would grant.
      async 8(hands) {
        const place = '/apis/rbac.authorization.k8s.io/v1/namespaces/rec-rb';
        const apiVersion = 'rbac.authorization.k8s.io/v1';
        const group = 'rbac.authorization.k8s.io';
        const rules = [{ apiGroups: [group], resources: ['roles', 'rolebindings'], verbs: ['create'] }];
        const metadata = { name: 'granter' };
        await hands.create(`${place}/roles`, { apiVersion, kind: 'Role', metadata, rules });
        const subjects = [{ apiGroup: group, kind: 'User', name: 'jane' }];
        const roleRef = { apiGroup: group, kind: 'Role', name: 'granter' };
        await hands.create(`${place}/rolebindings`, { apiVersion, kind: 'RoleBinding', metadata, subjects, roleRef });
      },
    },
  },
  rollout: {
    async make(hands) {
      await hands.web('rec-ro');
      // The recorder listed them without recording it.
      const { items } = await hands.send('GET', '/api/v1/namespaces/rec-ro/pods');
      const names = (items as { metadata: { name: string } }[]).map(({ metadata }) => metadata.name);
      hands.matching.rename('web-5c6946677-8tr65', names[0]!);
      hands.matching.rename('web-5c6946677-cgtkx', names[1]!);
    },
  },
  scale: web('rec-sc'),
  'serviceaccount-legacy-secret': {
    async make(hands) {
      const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'old' } };
      await hands.create('/api/v1/namespaces/rec-sl/serviceaccounts', account);
    },
  },
  'table-output': {
    async make(hands) {
      await hands.pod('rec-ta', 'p');
      await hands.web('rec-ta');
      await hands.service('rec-ta');
    },
  },
  wait: {
    async make(hands) {
      await hands.pod('rec-wt', 'p');
    },
  },
  'watch-bookmarks': {
    bare: true,
    // Of the six seconds that two of the watches take, one bookmark comes by this and one before the end.
    bookmarkIntervalMs: 3_500,
    patienceMs: 15_000,
    before: {
      async 1(hands) {
        await hands.configMap('rec-wb3', 'a');
        await hands.configMap('default', 'busy');
      },
      async 3(hands) {
        hands.keepWriting('/api/v1/namespaces/default/configmaps/busy');
      },
    },
  },
  'watch-from-rv': {
    bare: true,
    async make(hands) {
      await hands.configMap('rec-wa2', 'a', { a: '1' });
    },
    before: {
      async 1(hands) {
        const a = '/api/v1/namespaces/rec-wa2/configmaps/a';
        await hands.patch(a, { metadata: { labels: { w: '1' } } }, 'kubectl-label');
        await hands.patch(a, { data: { a: '2' } }, 'kubectl-patch');
        await hands.patch(a, { metadata: { labels: { w: '2' } } }, 'kubectl-label');
        await hands.send('DELETE', a);
        await hands.configMap('rec-wa2', 'b', { a: '1' });
      },
    },
  },
  'watch-kubectl': {
    async make(hands) {
      await hands.configMap('rec-wk', 'a', { a: '1' });
    },
  },
  'watch-send-initial-events': {
    bare: true,
    async make(hands) {
      await hands.configMap('rec-wi2', 'a');
    },
  },
  'webhook-failures': {
    before: Object.fromEntries(
      ['rec-fail', 'rec-ign', 'rec-bad', 'rec-inv'].map((name, index) => [
        2 + 2 * index,
        async (hands: Hands) => {
          await hands.send('DELETE', `${WEBHOOKS}/mutatingwebhookconfigurations/${name}`);
        },
      ]),
    ),
  },
  'webhook-validating': {
    before: {
      async 8(hands) {
        await hands.send('DELETE', `${WEBHOOKS}/validatingwebhookconfigurations/rec-val`);
      },
    },
  },
  'watch-too-old-410': {
    bare: true,
    keepEvents: NO_MEMORY,
    async make(hands) {
      hands.matching.bind('<rv-1>', '2');
      await hands.outlive(NO_MEMORY * 2);
    },
  },
};
