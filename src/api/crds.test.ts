// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { buildCrds } from './crds.ts';

interface Node {
  type?: string;
  properties?: Record<string, Node>;
  items?: Node;
  additionalProperties?: Node;
  required?: string[];
  'x-kubernetes-preserve-unknown-fields'?: boolean;
}

/** https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema */
function unstructured(node: Node, path: string): string[] {
  const faults = node.type === undefined && node['x-kubernetes-preserve-unknown-fields'] !== true ? [path] : [];
  for (const name of node.required ?? []) if (node.properties?.[name] === undefined) faults.push(`${path}.${name}`);
  for (const [name, child] of Object.entries(node.properties ?? {}))
    faults.push(...unstructured(child, `${path}.${name}`));
  if (node.items) faults.push(...unstructured(node.items, `${path}[]`));
  if (node.additionalProperties) faults.push(...unstructured(node.additionalProperties, `${path}{}`));
  return faults;
}

/** Of kinds that are not of Istio's first. */
const VERSIONS: Readonly<Record<string, string[]>> = {
  envoyfilters: ['v1alpha3'],
  proxyconfigs: ['v1beta1'],
  telemetries: ['v1alpha1', 'v1'],
  ...Object.fromEntries(
    ['exportpolicies', 'exportedservices', 'serviceexports', 'serviceimports'].map((plural) => [plural, ['v1alpha1']]),
  ),
};

test.each(buildCrds().map((crd) => [crd.metadata.name!, crd] as const))('%s', (name, crd) => {
  const spec = crd['spec'] as {
    group: string;
    names: { plural: string; shortNames: string[] };
    versions: { name: string; served: boolean; storage: boolean; schema: { openAPIV3Schema: Node } }[];
  };
  expect(name).toBe(`${spec.names.plural}.${spec.group}`);
  expect(spec.versions.map((v) => v.name)).toEqual(VERSIONS[spec.names.plural] ?? ['v1alpha3', 'v1beta1', 'v1']);
  expect(spec.versions.filter((v) => v.storage)).toHaveLength(1);
  expect(spec.versions.every((v) => v.served)).toBe(true);
  for (const version of spec.versions) expect(unstructured(version.schema.openAPIV3Schema, '')).toEqual([]);
});

/** Members that kubectl explain would say nothing of. */
function undescribed(node: Node & { description?: string }, path: string): string[] {
  const children = Object.entries(node.properties ?? {}).map(([name, child]): [string, Node] => [
    `${path}.${name}`,
    child,
  ]);
  const silent = children.filter(([, child]) => !('description' in child)).map(([name]) => name);
  if (node.items) children.push([`${path}[]`, node.items]);
  if (node.additionalProperties) children.push([`${path}{}`, node.additionalProperties]);
  return [...silent, ...children.flatMap(([name, child]) => undescribed(child, name))];
}

test.each(buildCrds().map((crd) => [crd.metadata.name!, crd] as const))('%s explains every member', (_, crd) => {
  const { versions } = crd['spec'] as { versions: { schema: { openAPIV3Schema: Node } }[] };
  expect(undescribed(versions[0]!.schema.openAPIV3Schema, '')).toEqual([]);
});

test('short names are those that users type', () => {
  const names = buildCrds().map(
    (crd) => (crd['spec'] as { names: { shortNames: string[] } }).names.shortNames[0] ?? '-',
  );
  expect(names).toEqual([
    'dr',
    '-',
    'expol',
    'exsvc',
    'gw',
    '-',
    'se',
    '-',
    'telemetry',
    'vs',
    'we',
    'wg',
    'svcex',
    'svcim',
  ]);
});
