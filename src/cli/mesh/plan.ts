// SPDX-License-Identifier: Apache-2.0
// What `mesh up` would do, from what the clusters have now. Pure: nothing is asked and nothing changed here.
import { SERVICE_LABEL } from '../../api/export-names.ts';
import { staysAsItIs } from '../../install/install.ts';
import { describeObject } from '../../install/resource-types.ts';
import { ISTIO_NAMESPACE } from '../../install/values/values.ts';
import { covers } from '../../kube/subset.ts';
import type { KubeObject } from '../../kube/types.ts';
import { UserError } from '../user-error.ts';
import {
  buildPeerSecret,
  buildRemoteSecret,
  demandReachable,
  peerTokenName,
  renderKubeconfig,
  SERVED_TOKEN,
} from './access.ts';
import { DNS_NAMESPACE, planStubZones } from './cluster-dns.ts';
import { exportPolicies, installation, peerTokens, record, type Scene } from './desired.ts';
import { describeDifference } from './difference.ts';
import type { LiveObjects } from './live-objects.ts';
import { hasOwnPlane, type Member, peersOf, servedBy } from './members.ts';
import { FOR_CLUSTER_LABEL, type RecordedCluster, readRecord } from './record.ts';
import { type ClusterState, gatewayAddress, INGRESS } from './sighting.ts';
import { CA_SECRET, type Trust } from './trust.ts';

export const STEPS = ['certificates', 'installation', 'access', 'peers', 'DNS', 'exports', 'record'] as const;
export type StepName = (typeof STEPS)[number];

export interface PlannedChange {
  readonly step: StepName;
  readonly action: 'create' | 'change' | 'delete';
  readonly object: string;
  readonly details: readonly string[];
  /** What is to be deleted. */
  readonly leftover?: KubeObject;
}

export interface ClusterPlan {
  readonly member: Member;
  readonly changes: readonly PlannedChange[];
  /** What keeps a part of it from being done. */
  readonly problems: readonly string[];
  /** What keeps all of it from being done; among the problems, too. */
  readonly obstacle: string | undefined;
  readonly notices: readonly string[];
}

export function planCluster(
  scene: Scene,
  state: ClusterState,
  states: readonly ClusterState[],
  trust: Trust,
): ClusterPlan {
  const planner = new Planner(scene, state, states);
  planner.certificates(trust);
  planner.installation();
  planner.access();
  planner.dns();
  planner.exports();
  planner.record();
  planner.leftovers();
  return planner.plan;
}

class Planner {
  readonly #scene: Scene;
  readonly #member: Member;
  readonly #live: LiveObjects;
  readonly #state: ClusterState;
  readonly #states: readonly ClusterState[];
  readonly #changes: PlannedChange[] = [];
  readonly #problems: string[] = [];
  readonly #notices: string[] = [];
  #obstacle: string | undefined;
  /** What is to be there, or to be left alone. */
  readonly #kept = new Set<string>();

  constructor(scene: Scene, state: ClusterState, states: readonly ClusterState[]) {
    this.#scene = scene;
    this.#state = state;
    this.#member = state.member;
    this.#live = state.live;
    this.#states = states;
  }

  get plan(): ClusterPlan {
    const changes = [...this.#changes].sort((a, b) => STEPS.indexOf(a.step) - STEPS.indexOf(b.step));
    const told = { problems: this.#problems, obstacle: this.#obstacle, notices: this.#notices };
    return { member: this.#member, changes, ...told };
  }

  certificates({ plans }: Trust): void {
    const plan = plans.get(this.#member.name);
    const object = `Secret ${ISTIO_NAMESPACE}/${CA_SECRET}`;
    this.#kept.add(object);
    if (plan instanceof UserError) this.#problems.push(plan.message);
    else if (plan?.kind === 'make') {
      const details = plan.isReplaced ? ['by another CA; the control plane takes it when its pods are made anew'] : [];
      this.#changes.push({ step: 'certificates', action: plan.isReplaced ? 'change' : 'create', object, details });
    }
  }

  installation(): void {
    const { controlPlane } = this.#member.spec;
    const plane =
      controlPlane.kind === 'served' ? this.#states.find(({ member }) => member.name === controlPlane.by) : undefined;
    const address = plane && gatewayAddress(plane.member, plane.live.find('Service', INGRESS));
    const { stages, notices } = installation(this.#scene, this.#member, address);
    this.#notices.push(...notices);
    for (const object of stages.flatMap((stage) => stage.objects)) {
      const isKnown = address !== undefined || controlPlane.kind === 'own' || !isOfAddress(object);
      const live = this.#live.get(object);
      const isLeft = live !== undefined && staysAsItIs(object, live);
      if (isLeft || !isKnown) this.#wantPresent('installation', object);
      else this.#want('installation', object);
    }
  }

  /** Tokens for others to read by here, and Secrets by which others are read from here. */
  access(): void {
    const { members, mesh } = this.#scene;
    for (const token of peerTokens(this.#scene, this.#member)) this.#want('access', token);
    const reading = [
      ...peersOf(this.#member, members).map((peer) => ({
        peer,
        token: peerTokenName(this.#member.name),
        build: buildPeerSecret,
      })),
      ...servedBy(this.#member, members).map((peer) => ({ peer, token: SERVED_TOKEN, build: buildRemoteSecret })),
    ];
    for (const { peer, token, build } of reading) {
      const state = this.#states.find(({ member }) => member.name === peer.name);
      const object = build(mesh.name, peer.name, '');
      if (state === undefined) {
        this.#kept.add(describeObject(object));
        continue;
      }
      const kubeconfig = this.#kubeconfigOf(peer, state.live.find('Secret', token));
      if (kubeconfig === undefined) this.#wantPresent('peers', object);
      else this.#want('peers', build(mesh.name, peer.name, kubeconfig));
    }
    const isRead = !hasOwnPlane(this.#member) || peersOf(this.#member, members).length > 0;
    if (isRead) this.#demandReachable();
  }

  #kubeconfigOf(peer: Member, token: KubeObject | undefined): string | undefined {
    try {
      return renderKubeconfig(peer, token);
    } catch {
      // Told where the cluster itself is planned.
      return undefined;
    }
  }

  /** Somebody in another cluster is to read this one. */
  #demandReachable(): void {
    try {
      demandReachable(this.#member);
    } catch (error) {
      this.#problems.push((error as Error).message);
    }
  }

  dns(): void {
    const { dns } = this.#member.spec;
    if (dns === 'none' || !hasOwnPlane(this.#member)) return;
    const service = this.#live.find('Service', 'istiocoredns');
    const { stages } = installation(this.#scene, this.#member);
    if (!stages.some(({ name }) => name === 'DNS')) return;
    const address = (service?.['spec'] as { clusterIP?: string } | undefined)?.clusterIP;
    const change = planStubZones(this.#state.dns, dns, address);
    if (change.kind === 'problem') this.#problems.push(change.message);
    if (change.kind !== 'write') return;
    const { metadata } = change.object;
    const action = metadata.resourceVersion === undefined ? 'create' : 'change';
    this.#changes.push({
      step: 'DNS',
      action,
      object: `ConfigMap ${DNS_NAMESPACE}/${metadata.name}`,
      details: change.details,
    });
  }

  exports(): void {
    for (const policy of exportPolicies(this.#scene, this.#member)) this.#want('exports', policy);
  }

  record(): void {
    const object = record(this.#scene, this.#member);
    const [before, after] = [this.#live.get(object), object].map((each) => readRecord(each)?.clusters ?? []);
    this.#want('record', object, describeMembers(before!, after!));
    const own = before!.find(({ name }) => name === this.#member.name);
    const { controlPlane } = this.#member.spec;
    if (own === undefined || (own.servedBy === undefined) === (controlPlane.kind === 'own')) return;
    const was = own.servedBy === undefined ? 'a control plane of its own' : `the control plane of ${own.servedBy}`;
    const cure = `take it out first (mesh down --cluster ${this.#member.name}), and put it in again`;
    this.#obstacle = `it has ${was}, and cannot change to the other model while it runs: ${cure}`;
    this.#problems.push(this.#obstacle);
  }

  /** What an earlier run made, and this file no longer says. */
  leftovers(): void {
    const { leaving, isPruning } = this.#scene;
    const staying = new Set(isPruning ? [] : leaving.map(({ name }) => name));
    for (const object of this.#live.ours()) {
      const { labels = {}, ownerReferences = [] } = object.metadata;
      const name = describeObject(object);
      if (this.#kept.has(name) || ownerReferences.length > 0 || labels[SERVICE_LABEL] !== undefined) continue;
      // Users' objects go with their definitions: that is for `mesh down`.
      if (['CustomResourceDefinition', 'Namespace', 'EndpointSlice'].includes(object.kind)) continue;
      if (staying.has(labels[FOR_CLUSTER_LABEL] ?? '')) continue;
      this.#changes.push({ step: stepOf(object), action: 'delete', object: name, details: [], leftover: object });
    }
  }

  #want(step: StepName, object: KubeObject, known?: readonly string[]): void {
    const name = describeObject(object);
    this.#kept.add(name);
    const live = this.#live.get(object);
    if (live === undefined) this.#changes.push({ step, action: 'create', object: name, details: [] });
    else {
      const { status: _status, ...wanted } = object;
      if (covers(live, wanted)) return;
      this.#changes.push({ step, action: 'change', object: name, details: known ?? describeDifference(live, object) });
    }
  }

  /** What it is to say is not known yet. */
  #wantPresent(step: StepName, object: KubeObject): void {
    const name = describeObject(object);
    this.#kept.add(name);
    if (this.#live.get(object) === undefined) this.#changes.push({ step, action: 'create', object: name, details: [] });
  }
}

function describeMembers(before: readonly RecordedCluster[], after: readonly RecordedCluster[]): string[] {
  const told = (all: readonly RecordedCluster[]) => all.map((each) => JSON.stringify(each));
  const [old, fresh] = [told(before), told(after)];
  const names = (all: readonly RecordedCluster[], others: readonly string[]) =>
    all.filter((each) => !others.includes(JSON.stringify(each))).map(({ name }) => name);
  const [gone, come] = [names(before, fresh), names(after, old)];
  return [
    ...come.map((name) => (gone.includes(name) ? `${name} changed` : `${name} joins`)),
    ...gone.filter((name) => !come.includes(name)).map((name) => `${name} leaves`),
  ];
}

/** Those of a served cluster that say where the control plane's gateway is. */
function isOfAddress({ kind, metadata }: KubeObject): boolean {
  return metadata.name === 'istio-pilot' && (kind === 'Service' || kind === 'EndpointSlice');
}

function stepOf({ kind, metadata }: KubeObject): StepName {
  if (kind === 'ExportPolicy') return 'exports';
  return metadata.labels?.[FOR_CLUSTER_LABEL] === undefined ? 'installation' : 'peers';
}
