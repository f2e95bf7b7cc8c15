// SPDX-License-Identifier: Apache-2.0
// The clusters that are there, as `explain` and `impact` need them: their objects, who rules whom, what their DNS and their
// CAs make of it.

import { lookup } from 'node:dns/promises';
import type { SeenObject } from '../../explain/mesh.ts';
import { type MeshInput, openMesh } from '../../explain/mesh.ts';
import { listContexts } from '../../kube/config.ts';
import { NODES } from '../../kube/resources.ts';
import { readClusterObjects } from '../analyze/collect.ts';
import { readServedZones } from '../analyze/global-dns.ts';
import { type InstallationReport, inspectInstallation } from '../analyze/installation.ts';
import { permitted } from '../analyze/permitted.ts';
import { matchRegistry } from '../analyze/remote-secrets.ts';
import { readRoots } from '../analyze/roots.ts';
import { demandAnswer, type InstallTarget, readTarget } from '../install-target.ts';
import { type PlacedCluster, placeClusters, type Topology } from '../mesh/verify/topology.ts';
import { UserError } from '../user-error.ts';

export interface SeeOptions {
  /** None: all of the kubeconfig whose clusters have a mesh. */
  readonly contexts: readonly string[];
  readonly kubeconfig?: string;
  /** Told while it goes on. */
  readonly onProgress?: (text: string) => void;
}

/** One cluster. Its target stays open until the mesh is closed. */
export interface SeenCluster {
  /** Its context. */
  readonly id: string;
  readonly target: InstallTarget;
  readonly objects: readonly SeenObject[];
  readonly installation: InstallationReport;
  /** undefined: the user may not look. */
  readonly zones: readonly string[] | undefined;
  readonly roots: readonly string[] | undefined;
}

export interface SeenMesh {
  /** The current context's first. */
  readonly clusters: readonly SeenCluster[];
  /** What could not be looked at, and why. */
  readonly notes: readonly string[];
  close(): void;
}

/** Of a cluster that nobody named: many a kubeconfig has some that are long gone. */
const ANSWER_MS = 3_000;

/** @throws UserError where a named cluster cannot be read, or none has a mesh */
export async function seeMesh({ contexts, kubeconfig, onProgress }: SeeOptions): Promise<SeenMesh> {
  const named = [...new Set(contexts)];
  const wanted = named.length > 0 ? named : await allContexts(kubeconfig);
  const notes: string[] = [];
  const targets: InstallTarget[] = [];
  const close = () => {
    for (const target of targets) target.close();
  };
  let left = wanted.length;
  const see = async (context: string): Promise<SeenCluster[]> => {
    const target = readTarget({ context, ...(kubeconfig !== undefined && { kubeconfig }) });
    targets.push(target);
    try {
      const seen = await seeOne(target, notes, named.length > 0);
      return seen.installation.role === 'none' && named.length === 0 ? [] : [seen];
    } catch (error) {
      const told = error instanceof UserError ? error : target.explain(error, 'ask again');
      if (named.length > 0 || !(told instanceof UserError)) throw told;
      notes.push(`${context} was not looked at: ${told.message}`);
      return [];
    } finally {
      left--;
      if (left > 0) onProgress?.(`reading clusters: ${wanted.length - left} of ${wanted.length}`);
    }
  };
  try {
    const clusters = (await Promise.all(wanted.map(see))).flat();
    if (clusters.length > 0) return { clusters, notes, close };
    const why = notes.length === 0 ? '' : ` (${notes.join('; ')})`;
    throw new UserError(
      `no cluster of ${wanted.join(', ')} has a mesh${why}: isthmus install, or name others with --context`,
    );
  } catch (error) {
    close();
    throw error;
  }
}

async function seeOne(target: InstallTarget, notes: string[], isNamed: boolean): Promise<SeenCluster> {
  const { client, contextName: id } = target;
  await demandAnswer(target, 'ask again', isNamed ? undefined : ANSWER_MS);
  const own: string[] = [];
  const [collected, installation, nodes, zones] = await Promise.all([
    readClusterObjects(client),
    inspectInstallation(client),
    permitted('nodes were', [], async () => (await client.list(NODES)).items, []),
    permitted('the DNS of the cluster was', undefined, () => readServedZones(client), own),
  ]);
  notes.push(...own.map((note) => `${id}: ${note}`));
  const { roots } = installation;
  const trusted = roots && readRoots(id, roots.source, roots.pem);
  const objects = [...collected.objects, ...nodes.map((object) => ({ object }))];
  return { id, target, objects, installation, zones, roots: trusted?.fingerprints };
}

/** The current one first: it is where people mean to ask. */
async function allContexts(kubeconfig: string | undefined): Promise<string[]> {
  const current = readTarget(kubeconfig === undefined ? {} : { kubeconfig });
  const { contextName } = current;
  current.close();
  const others = listContexts(kubeconfig).map(({ name }) => name);
  return [contextName, ...others.filter((name) => name !== contextName)];
}

/** Which cluster's control plane rules a cluster, and by which names it knows those that it reads. */
export interface Rulers extends Topology {
  readonly watches: ReadonlyMap<string, readonly { readonly cluster: string; readonly name: string }[]>;
}

export function rulersOf(clusters: readonly Pick<SeenCluster, 'id' | 'target' | 'installation'>[]): Rulers {
  const placed = clusters.map(placedAsSeen);
  const watches = placed.map(({ name: id, registries }) => {
    const known = registries.map((registry) => ({ name: registry.name, match: matchRegistry(registry, placed) }));
    return [
      id,
      known.flatMap(({ name, match }) => (match === undefined ? [] : [{ cluster: match.name, name }])),
    ] as const;
  });
  return { ...placeClusters(placed, matchRegistry), watches: new Map(watches) };
}

function placedAsSeen({
  id,
  target,
  installation,
}: Pick<SeenCluster, 'id' | 'target' | 'installation'>): PlacedCluster {
  const { role, clusterName: ownName, registries } = installation;
  const { client, caPem } = target;
  const untold = { calledInFile: undefined, servedBy: undefined, pilotAt: [], gatewayAddresses: [] };
  return { ...untold, name: id, role, ownName, server: client.server, caPem, registries };
}

/** Names of gateways are looked up here, as the control plane looks them up where it runs. */
export async function lookUpNames(input: MeshInput): Promise<MeshInput> {
  const wanted = new Set(openMesh(input).planes.flatMap(({ gatewayNames }) => gatewayNames));
  if (wanted.size === 0) return input;
  const found = await Promise.all(
    [...wanted].map(async (name) => {
      const addresses = await lookup(name, { all: true }).catch(() => []);
      return [name, addresses.map(({ address }) => address).sort()] as const;
    }),
  );
  return { ...input, names: new Map(found.filter(([, addresses]) => addresses.length > 0)) };
}
