// SPDX-License-Identifier: Apache-2.0
// Carrying out what a cluster is to have. Each step changes only what differs and can be repeated, so a run that was killed
// anywhere is continued by the next one.
import { setTimeout as sleep } from 'node:timers/promises';
import { buildCrds } from '../../api/crds.ts';
import { PEER_ACCOUNT } from '../../api/export-names.ts';
import { type InstallEvent, install } from '../../install/install.ts';
import { waitForDeployment } from '../../install/readiness.ts';
import { ISTIO_NAMESPACE } from '../../install/values/values.ts';
import { KubeError } from '../../kube/client.ts';
import { CONFIG_MAPS, SERVICES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';
import { UserError } from '../user-error.ts';
import { buildPeerSecret, buildRemoteSecret, peerTokenName, SERVED_TOKEN, waitForKubeconfig } from './access.ts';
import { DNS_NAMESPACE, planStubZones } from './cluster-dns.ts';
import { exportPolicies, installation, peerTokens, record, type Scene } from './desired.ts';
import type { Exchange } from './exchange.ts';
import { meshTypeOf } from './live-objects.ts';
import { hasOwnPlane, type Member, peersOf, servedBy } from './members.ts';
import type { ClusterPlan } from './plan.ts';
import { INGRESS, readDnsState, readGatewayAddress } from './sighting.ts';
import type { Trust } from './trust.ts';

export interface ApplyOptions {
  readonly scene: Scene;
  readonly plan: ClusterPlan;
  readonly trust: Trust;
  readonly exchange: Exchange;
  /** Names of the clusters that are worked on: of others nothing is waited for. */
  readonly present: ReadonlySet<string>;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly report: (event: ApplyEvent) => void;
}

export type ApplyEvent =
  | { readonly kind: 'doing'; readonly what: string }
  | { readonly kind: 'done'; readonly what: string; readonly changes: number }
  | { readonly kind: 'warning'; readonly message: string };

/** What could not be done for want of another cluster. */
export interface Missing {
  readonly cluster: string;
  readonly message: string;
}

const ADDRESS = 'address';
const ADDRESS_MS = 120_000;

/** @throws Error that keeps the cluster from being finished */
export async function applyCluster(options: ApplyOptions): Promise<readonly Missing[]> {
  const { plan, exchange } = options;
  const { member } = plan;
  try {
    return await new ClusterWork(options).run();
  } catch (error) {
    exchange.giveUp(member.name, error as Error);
    throw error;
  }
}

class ClusterWork {
  readonly #options: ApplyOptions;
  readonly #member: Member;
  readonly #missing: Missing[] = [];

  constructor(options: ApplyOptions) {
    this.#options = options;
    this.#member = options.plan.member;
  }

  async run(): Promise<readonly Missing[]> {
    const { scene, signal } = this.#options;
    await this.#ground();
    const settled = await Promise.allSettled(
      hasOwnPlane(this.#member) ? [this.#installOwn(), this.#peers()] : [this.#installServed()],
    );
    for (const result of settled) if (result.status === 'rejected') throw result.reason;
    // None of these needs another.
    const failures: Error[] = [];
    const exporting = () => this.#step('exports', exportPolicies(scene, this.#member));
    for (const work of [() => this.#dns(), exporting, () => this.#leftovers()]) {
      await work().catch((error: Error) => failures.push(error));
      signal.throwIfAborted();
    }
    if (failures[0] !== undefined) throw failures[0];
    return this.#missing;
  }

  /** Namespace, the record that the cluster is in the mesh, and its CA: before anything that needs them starts. */
  async #ground(): Promise<void> {
    const { scene, trust, plan: planned } = this.#options;
    if (planned.obstacle !== undefined) throw new UserError(planned.obstacle);
    const { stages } = installation(scene, this.#member);
    const account = stages
      .flatMap(({ objects }) => objects)
      .find(({ kind, metadata }) => kind === 'ServiceAccount' && metadata.name === PEER_ACCOUNT);
    const [namespace] = stages[0]?.objects ?? [];
    if (namespace !== undefined && (await this.#read(namespace)) === undefined) await this.#apply(namespace);
    await this.#step('record', [record(scene, this.#member)]);
    const plan = trust.plans.get(this.#member.name);
    if (plan instanceof UserError) throw plan;
    if (plan?.kind === 'make') await this.#step('certificates', [trust.secretFor(this.#member.name)]);
    // Its tokens are asked for at once, and an account that is not there gets none.
    if (account !== undefined) await this.#apply(account);
  }

  async #installOwn(): Promise<void> {
    const { scene, signal } = this.#options;
    await this.#offering([ADDRESS], async (offer) => {
      await this.#install();
      if (servedBy(this.#member, scene.members).length > 0) offer(ADDRESS, await this.#waitForAddress(signal));
    });
  }

  /** Whoever waits for what does not come is told at once: the two might wait for one another. */
  async #offering(
    whats: readonly string[],
    work: (offer: (what: string, value: string) => void) => Promise<void>,
  ): Promise<void> {
    const { exchange } = this.#options;
    const { name } = this.#member;
    try {
      await work((what, value) => exchange.offer(name, what, value));
    } catch (error) {
      for (const what of whats) exchange.fail(name, what, error as Error);
      throw error;
    }
  }

  async #installServed(): Promise<void> {
    const { exchange, plan, timeoutMs, signal } = this.#options;
    const { controlPlane } = this.#member.spec;
    if (controlPlane.kind !== 'served') return;
    const address = await this.#needed(controlPlane.by, ADDRESS);
    if (address === undefined) {
      const { by } = controlPlane;
      throw new UserError(
        `${plan.member.name} is served by ${by}, which is not ready: mend ${by} first, and run the same command again`,
      );
    }
    await this.#install(address);
    exchange.offer(this.#member.name, SERVED_TOKEN, await waitForKubeconfig(this.#member, SERVED_TOKEN, signal));
    // It has its configuration once the control plane has the kubeconfig.
    this.#doing('waiting for the gateway');
    await waitForDeployment(this.#member.client, ISTIO_NAMESPACE, INGRESS, { timeoutMs, signal });
  }

  async #install(planeAddress?: string): Promise<void> {
    const { scene, timeoutMs, signal, report } = this.#options;
    const { values } = installation(scene, this.#member, planeAddress);
    const progress = stageProgress(report);
    await install({
      client: this.#member.client,
      values,
      crds: buildCrds(),
      dryRun: false,
      wait: true,
      timeoutMs,
      signal,
      report: progress.event,
    });
    progress.end();
  }

  /** Tokens for the others, and the others' for this one. */
  async #peers(): Promise<void> {
    const { scene, signal } = this.#options;
    const { mesh, members } = scene;
    const peers = peersOf(this.#member, members);
    const tokens = peers.map(({ name }) => peerTokenName(name));
    await this.#offering(tokens, async (offer) => {
      await this.#step('tokens for the others', peerTokens(scene, this.#member));
      for (const token of tokens) offer(token, await waitForKubeconfig(this.#member, token, signal));
    });
    const wanted = [
      ...peers.map(({ name }) => ({ name, token: peerTokenName(this.#member.name), build: buildPeerSecret })),
      ...servedBy(this.#member, members).map(({ name }) => ({ name, token: SERVED_TOKEN, build: buildRemoteSecret })),
    ];
    await Promise.all(
      wanted.map(async ({ name, token, build }) => {
        const kubeconfig = await this.#needed(name, token);
        if (kubeconfig !== undefined) await this.#step(`reading ${name}`, [build(mesh.name, name, kubeconfig)]);
        // What an earlier run wrote holds as long as the other cluster is away.
        else if ((await this.#read(build(mesh.name, name, ''))) === undefined) {
          this.#missing.push({ cluster: name, message: `does not know ${name}` });
        }
      }),
    );
  }

  async #dns(): Promise<void> {
    const { dns } = this.#member.spec;
    const { client } = this.#member;
    if (dns === 'none' || !hasOwnPlane(this.#member)) return;
    const service = await client.get(SERVICES, 'istiocoredns', ISTIO_NAMESPACE);
    const address = (service?.['spec'] as { clusterIP?: string } | undefined)?.clusterIP;
    if (address === undefined) return;
    for (let attempt = 0; ; attempt++) {
      const change = planStubZones(await readDnsState(client), dns, address);
      if (change.kind === 'problem') throw new UserError(change.message);
      if (change.kind !== 'write') return;
      this.#doing('stub zones');
      const { metadata } = change.object;
      try {
        if (metadata.resourceVersion === undefined) await client.create(CONFIG_MAPS, change.object);
        else await client.patch(CONFIG_MAPS, metadata.name ?? '', DNS_NAMESPACE, change.object);
        this.#options.report({ kind: 'done', what: 'stub zones', changes: 1 });
        return;
      } catch (error) {
        // Somebody else wrote it in between: what they wrote stays.
        if (!(error instanceof KubeError && error.code === 409) || attempt > 3) throw error;
      }
    }
  }

  async #leftovers(): Promise<void> {
    const leftovers = this.#options.plan.changes.flatMap(({ leftover }) => leftover ?? []);
    for (const object of leftovers) {
      const { name = '', namespace } = object.metadata;
      await this.#member.client.delete(meshTypeOf(object), name, namespace, { propagation: 'Background' });
    }
    if (leftovers.length > 0)
      this.#options.report({ kind: 'done', what: 'removing what is no longer wanted', changes: leftovers.length });
  }

  /** undefined where that cluster has failed, or is not worked on. */
  async #needed(cluster: string, what: string): Promise<string | undefined> {
    const { exchange, present, signal } = this.#options;
    if (!present.has(cluster)) return undefined;
    const aborted = Promise.withResolvers<never>();
    const stop = (): void => aborted.reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    try {
      return await Promise.race([exchange.wait(cluster, what), aborted.promise]);
    } catch {
      signal.throwIfAborted();
      return undefined;
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  async #waitForAddress(signal: AbortSignal): Promise<string> {
    const deadline = performance.now() + ADDRESS_MS;
    this.#doing('waiting for the gateway’s address');
    for (;;) {
      const address = await readGatewayAddress(this.#member);
      if (address !== undefined) return address;
      if (performance.now() > deadline) {
        throw new UserError(
          `Service ${ISTIO_NAMESPACE}/${INGRESS} of ${this.#member.name} has no load balancer address after ${ADDRESS_MS / 1000} s, and ` +
            'proxies of other clusters are to reach the control plane by it: see why (kubectl describe), or name an address as gateway.address',
        );
      }
      await sleep(200, undefined, { signal });
    }
  }

  async #step(what: string, objects: readonly KubeObject[]): Promise<number> {
    if (objects.length === 0) return 0;
    this.#doing(what);
    let changes = 0;
    for (const object of objects) if (await this.#apply(object)) changes++;
    this.#options.report({ kind: 'done', what, changes });
    return changes;
  }

  async #apply(object: KubeObject): Promise<boolean> {
    this.#options.signal.throwIfAborted();
    const before = await this.#read(object);
    const after = await this.#member.client.apply(object, meshTypeOf(object), { fieldManager: 'isthmus' });
    return before?.metadata.resourceVersion !== after.metadata.resourceVersion;
  }

  #read(object: KubeObject): Promise<KubeObject | undefined> {
    const { name = '', namespace } = object.metadata;
    return this.#member.client.get(meshTypeOf(object), name, namespace);
  }

  #doing(what: string): void {
    this.#options.report({ kind: 'doing', what });
  }
}

/** Stages of an installation as steps of ours. */
function stageProgress(report: (event: ApplyEvent) => void): { event(event: InstallEvent): void; end(): void } {
  let stage: { name: string; changes: number } | undefined;
  const end = (): void => {
    if (stage !== undefined) report({ kind: 'done', what: stage.name, changes: stage.changes });
    stage = undefined;
  };
  return {
    end,
    event: (event) => {
      if (event.kind === 'stage') {
        end();
        stage = { name: event.name, changes: 0 };
        report({ kind: 'doing', what: event.name });
      } else if (event.kind === 'applied') {
        if (stage !== undefined && event.change !== 'unchanged') stage.changes++;
      } else if (event.kind === 'waiting')
        report({ kind: 'doing', what: `${stage?.name ?? ''}: waiting for ${event.what}` });
      else if (event.kind === 'warning') report({ kind: 'warning', message: event.message });
    },
  };
}
