// SPDX-License-Identifier: Apache-2.0
// The discovery server's view of the mesh: who may connect as which proxy, and what that proxy should have.

import type { Workload } from '../../api/kubernetes.ts';
import { spiffeId } from '../../identity/spiffe.ts';
import type { SecretSubscription, WorkloadSecrets } from '../../identity/workload-secrets.ts';
import { type NodeClaims, readNode } from '../../injector/proxy-node.ts';
import { buildMeshProxy, type MeshProxy } from '../../model/proxy.ts';
import { workloadKey } from '../../model/snapshot.ts';
import { provenPod } from '../../xds/proven-pod.ts';
import { SECRET_TYPE } from '../../xds/session/type-urls.ts';
import {
  type DesiredState,
  type KeptState,
  type OfferedState,
  type PeerIdentity,
  type XdsBackend,
  type XdsNode,
  type XdsProxy,
  XdsRefusal,
  type XdsResource,
} from '../../xds/types.ts';
import type { ProxyPatches } from '../findings/idle-patches.ts';
import type { CompiledProxy, MeshEngine } from '../mesh-engine.ts';
import type { ProxySecrets, SecretsOfProxy } from '../secrets/proxy-secrets.ts';
import { checkClaims } from './checked-claims.ts';
import { ClaimedNetworks } from './claimed-networks.ts';
import { LearntDependencies, workloadOf } from './learnt-dependencies.ts';
import { type Refusal, Refusals } from './refusals.ts';

export interface AdsBackendOptions {
  readonly engine: MeshEngine;
  readonly trustDomain: string;
  readonly cluster: string;
  /** `token`: the peer was proven and its pod is looked up. `node`: whoever reaches us is believed (loopback). */
  readonly identity: 'token' | 'node';
  /** Keys come by the same stream, for whom the node says it is: only ever together with `node`. */
  readonly secrets?: WorkloadSecrets;
  /** Keys and roots that rules name. */
  readonly named?: ProxySecrets;
  readonly onRefusal: (refusal: Refusal) => void;
  readonly onRefusalError: (error: Error) => void;
  readonly onCompiled?: (seconds: number) => void;
  /** What EnvoyFilters do to a proxy, each time that it is compiled; undefined: nothing, or it is gone. */
  readonly onPatches?: (stream: object, patches: ProxyPatches | undefined) => void;
  /** How long to wait for a pod that the API server knows and our watch does not yet. */
  readonly podWaitMs?: number;
}

/** A proxy whose words have been checked. */
interface KnownProxy {
  /** The node id. */
  readonly id: string;
  /** What limits go by. */
  readonly client: string;
  /** Its cluster's name in the mesh: what its token proves. */
  readonly cluster: string;
  readonly claims: NodeClaims;
}

const NOTHING_OFFERED: OfferedState = new Map();
const NOTHING_KEPT: KeptState = new Map();

export class AdsBackend implements XdsBackend {
  readonly #options: AdsBackendOptions;
  readonly #refusals: Refusals;
  readonly #learnt = new LearntDependencies();
  readonly #networks = new ClaimedNetworks();

  constructor(options: AdsBackendOptions) {
    this.#options = options;
    const { engine, onRefusal, onRefusalError: onError } = options;
    this.#refusals = new Refusals({ engine, onRefusal, onError });
  }

  async connect(peer: PeerIdentity, node: XdsNode, changed: () => void): Promise<XdsProxy> {
    const { engine, identity } = this.#options;
    const claims = readNode(node);
    if (identity === 'token') checkClaims(claims, peer, this.#options.cluster);
    await engine.whenSynced();
    const cluster = identity === 'token' ? peer.clusterName : claims.clusterId || this.#options.cluster;
    if (identity === 'token') {
      this.#networks.take(cluster, claims);
      await this.#waitForPod(cluster, claims);
    }
    const known = { id: node.id, client: provenPod(peer) ?? node.id, cluster, claims };
    const named = this.#options.named?.open({ cluster, namespace: claims.namespace }, changed);
    try {
      if (named !== undefined && claims.kind === 'gateway') await this.#readSecrets(known, named);
      return this.#proxy(known, named, changed);
    } catch (error) {
      named?.close();
      throw error;
    }
  }

  /** A gateway that starts must not refuse its first clients for want of a certificate that is there. */
  async #readSecrets(known: KnownProxy, named: SecretsOfProxy): Promise<void> {
    named.want(this.#options.engine.compile(this.#meshProxy(known)).secrets);
    await named.read();
  }

  #proxy(known: KnownProxy, named: SecretsOfProxy | undefined, changed: () => void): XdsProxy {
    const { id, client, claims } = known;
    const { engine, onCompiled, onPatches } = this.#options;
    const workload = workloadOf(this.#meshProxy(known));
    let compiled: CompiledProxy | undefined;
    let last: DesiredState | undefined;
    const withSecrets = secretsJoiner();
    const unsubscribe = engine.subscribe(changed);
    // A key costs a while: it is made for those who ask.
    let keys: SecretSubscription | undefined;
    const meshProxy = this.#followProxy(known);
    const compile = (): CompiledProxy => engine.compile(meshProxy());
    const answers = this.#refusals.open({ id, client, compiled: () => compiled, compileNow: compile });
    return {
      opens: (typeUrl) => {
        if (typeUrl === SECRET_TYPE) keys ??= this.#keys(claims, changed);
      },
      desired: () => {
        const startedAt = performance.now();
        compiled = compile();
        onCompiled?.((performance.now() - startedAt) / 1000);
        onPatches?.(known, compiled.patches);
        named?.want(compiled.secrets);
        // A listener goes out together with what it shows to its clients.
        if (last !== undefined && named?.isRead === false) return last;
        last = withSecrets(compiled.desired, [keys?.resources(), named?.resources()]);
        return last;
      },
      offered: () => compiled?.offered ?? NOTHING_OFFERED,
      kept: () => compiled?.kept ?? NOTHING_KEPT,
      foreseen: () => this.#learnt.of(workload),
      asked: (typeUrl, names) => this.#learnt.note(workload, typeUrl, names),
      acknowledged: (typeUrl, _nonce, resources) => answers.acknowledged(typeUrl, resources),
      resumed: (typeUrl, resources) => answers.acknowledged(typeUrl, resources),
      rejected: (nack) => answers.rejected(nack),
      closed: () => {
        answers.closed();
        onPatches?.(known, undefined);
        unsubscribe();
        keys?.close();
        named?.close();
      },
    };
  }

  #keys(
    { namespace, serviceAccount, podName, facts }: NodeClaims,
    changed: () => void,
  ): SecretSubscription | undefined {
    const { secrets, identity, trustDomain } = this.#options;
    if (identity !== 'node') return undefined;
    const id = { trustDomain, namespace, serviceAccount: serviceAccount || 'default' };
    return secrets?.open({ id: spiffeId(id), instance: podName, subject: facts }, changed);
  }

  /**
   * The same object as long as its pod is: a pod's labels may change while its Envoy runs. Of a pod that is gone the Envoy may
   * go on for a while, as what it was.
   */
  #followProxy(known: KnownProxy): () => MeshProxy {
    const podNow = () => (this.#options.identity === 'token' ? this.#workload(known.cluster, known.claims) : undefined);
    let pod = podNow();
    let proxy = this.#meshProxy(known);
    return () => {
      const now = podNow();
      if (now === undefined || now === pod) return proxy;
      pod = now;
      proxy = this.#meshProxy(known);
      return proxy;
    };
  }

  #meshProxy({ id, cluster, claims }: KnownProxy): MeshProxy {
    const { trustDomain, identity } = this.#options;
    const workload = identity === 'token' ? this.#workload(cluster, claims) : undefined;
    return buildMeshProxy({ id, cluster, trustDomain, claims, workload, isBelieved: identity === 'node' });
  }

  #workload(cluster: string, claims: NodeClaims): Workload | undefined {
    return this.#options.engine.snapshot.workloads.get(workloadKey(cluster, claims.namespace, claims.podName));
  }

  /** Our watch may lag behind the node that started the Envoy: the pod, or its address, comes in a moment. */
  async #waitForPod(cluster: string, claims: NodeClaims): Promise<void> {
    const { engine, podWaitMs = 10_000 } = this.#options;
    if (this.#workload(cluster, claims)?.ip === claims.ip) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, podWaitMs);
    const unsubscribe = engine.subscribe(() => {
      if (this.#workload(cluster, claims)?.ip === claims.ip) resolve();
    });
    await promise;
    clearTimeout(timer);
    unsubscribe();
    const workload = this.#workload(cluster, claims);
    const pod = `${claims.namespace}/${claims.podName} of cluster ${cluster}`;
    if (workload === undefined) throw new XdsRefusal('UNAVAILABLE', `pod ${pod} is not known here yet`);
    if (workload.ip !== claims.ip) {
      throw new XdsRefusal(
        'PERMISSION_DENIED',
        `pod ${pod} has the address ${workload.ip || '(none)'}, not ${claims.ip}`,
      );
    }
  }
}

type Resources = ReadonlyMap<string, XdsResource>;

/** Puts them beside the rest: in the same map as before while they are the same. */
function secretsJoiner(): (desired: DesiredState, parts: readonly (Resources | undefined)[]) => DesiredState {
  let joined: { readonly parts: readonly Resources[]; readonly all: Resources } = { parts: [], all: new Map() };
  let last: { readonly of: DesiredState; readonly all: Resources; readonly state: DesiredState } | undefined;
  return (desired, given) => {
    const parts = given.filter((part): part is Resources => part !== undefined && part.size > 0);
    if (parts.length === 0) return desired;
    const same = parts.length === joined.parts.length && parts.every((part, i) => part === joined.parts[i]);
    if (!same) joined = { parts, all: new Map(parts.flatMap((part) => [...part])) };
    if (last?.of !== desired || last.all !== joined.all) {
      last = { of: desired, all: joined.all, state: new Map([...desired, [SECRET_TYPE, joined.all]]) };
    }
    return last.state;
  };
}
