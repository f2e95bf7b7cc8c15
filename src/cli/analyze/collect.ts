// SPDX-License-Identifier: Apache-2.0
// What `isthmus analyze` looks at: the objects of a cluster, of files, or of both together.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Diagnostic } from '../../api/diagnostics.ts';
import { diagnose, type Locate } from '../../api/report.ts';
import { parseYamlObjects } from '../../api/yaml-documents.ts';
import { type KubeClient, KubeError } from '../../kube/client.ts';
import {
  DAEMON_SETS,
  DEPLOYMENTS,
  MUTATING_WEBHOOKS,
  NODES,
  STATEFUL_SETS,
  VALIDATING_WEBHOOKS,
} from '../../kube/resources.ts';
import type { KubeObject, ResourceType } from '../../kube/types.ts';
import { meshResources } from '../../runtime/mesh-resources.ts';
import { identityKey } from '../../sources/contract.ts';
import type { WatchedResource } from '../../sources/kube.ts';
import { unreadable } from '../user-error.ts';

export interface CollectedObject {
  readonly object: KubeObject;
  /** Where it was read, if from a file. */
  readonly file?: string;
  readonly locate?: Locate;
}

export interface Collected {
  readonly objects: readonly CollectedObject[];
  /** About the files themselves, and about kinds that the cluster does not have. */
  readonly diagnostics: readonly (Diagnostic & { file?: string })[];
}

const CLUSTER_SCOPED = new Set([
  ...['Namespace', 'Node', 'CustomResourceDefinition', 'PersistentVolume', 'ExportPolicy'],
  ...['MutatingWebhookConfiguration', 'ValidatingWebhookConfiguration', 'ClusterRole', 'ClusterRoleBinding'],
]);

/** What the control plane does not read, and analyzers do. */
const BESIDES: readonly ResourceType[] = [
  DEPLOYMENTS,
  STATEFUL_SETS,
  DAEMON_SETS,
  MUTATING_WEBHOOKS,
  VALIDATING_WEBHOOKS,
];

/** Files, folders (with all that is below them) and `-` for standard input. @throws UserError when one cannot be read */
export async function readObjectFiles(paths: readonly string[]): Promise<Collected> {
  const objects: CollectedObject[] = [];
  const diagnostics: (Diagnostic & { file?: string })[] = [];
  for (const file of paths.flatMap(yamlFilesAt)) {
    const { objects: read, faults } = parseYamlObjects(file === '-' ? await text(process.stdin) : readText(file));
    for (const { object, locate } of read) objects.push({ object, file, locate });
    for (const { message, line } of faults) {
      const ref = { apiVersion: 'v1', kind: 'File', namespace: '', name: file };
      const cure = 'mend this document; the others of the file are read';
      diagnostics.push({ ...diagnose(ref, 'ISM0012', '', message, cure), line, file });
    }
  }
  return { objects, diagnostics };
}

/** @throws KubeError when the cluster does not let the user read something */
export async function readClusterObjects(client: KubeClient): Promise<Collected> {
  const diagnostics: Diagnostic[] = [];
  const wanted = [
    ...meshResources().filter(({ type }) => type !== NODES),
    ...BESIDES.map((type): WatchedResource => ({ type, optional: true })),
  ];
  const lists = await Promise.all(
    wanted.map(async ({ type, namespace, optional }) => {
      try {
        return (await client.list(type, { namespace })).items;
      } catch (error) {
        if (!(error instanceof KubeError)) throw error;
        // What only few may see, or this cluster does not have, is left out.
        if (optional === true && [403, 404].includes(error.code)) return [];
        if (error.code !== 404) throw error;
        const ref = {
          apiVersion: 'apiextensions.k8s.io/v1',
          kind: 'CustomResourceDefinition',
          namespace: '',
          name: `${type.resource}.${type.group}`,
        };
        const message = `the cluster does not know the kind ${type.kind}`;
        diagnostics.push(diagnose(ref, 'ISM0301', '', message, 'install the mesh (isthmus install)'));
        return [];
      }
    }),
  );
  return { objects: lists.flat().map((object) => ({ object })), diagnostics };
}

/** The cluster as it would be with the files applied. */
export function overlay(cluster: Collected, files: Collected): Collected {
  const replaced = new Set(files.objects.map(({ object }) => identityKey(object)));
  return {
    objects: [...cluster.objects.filter(({ object }) => !replaced.has(identityKey(object))), ...files.objects],
    diagnostics: [...cluster.diagnostics, ...files.diagnostics],
  };
}

/** What names no namespace gets `namespace`, as by kubectl. */
export function place({ objects, diagnostics }: Collected, namespace: string): Collected {
  return { objects: objects.map((each) => ({ ...each, object: placed(each.object, namespace) })), diagnostics };
}

function placed(object: KubeObject, namespace: string): KubeObject {
  if (object.metadata.namespace !== undefined || CLUSTER_SCOPED.has(object.kind)) return object;
  return { ...object, metadata: { ...object.metadata, namespace } };
}

function yamlFilesAt(path: string): string[] {
  if (path === '-') return [path];
  try {
    if (!statSync(path).isDirectory()) return [path];
    return readdirSync(path, { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.(ya?ml|json)$/.test(name))
      .map((name) => join(path, name))
      .sort();
  } catch (error) {
    throw unreadable(path, error);
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw unreadable(file, error);
  }
}
