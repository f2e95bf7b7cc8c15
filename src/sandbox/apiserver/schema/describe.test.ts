// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { builtinType, loadBuiltinTypes, loadDescriptions } from './builtin.ts';
import type { ObjectNode, SchemaNode } from './node.ts';

const types = loadBuiltinTypes();
const descriptions = loadDescriptions();

test('nothing is described that is not there', () => {
  const strangers = descriptions.names().flatMap(({ type, members }) => {
    const node = types.get(type);
    if (!node) return [type];
    return members.filter((name) => !node.fields.has(name)).map((name) => `${type}.${name}`);
  });
  expect(strangers).toEqual([]);
});

/** Types that users explain their way through, with all that lies below. */
const ROOTS = [
  'core.v1.Pod',
  'core.v1.Service',
  'core.v1.ConfigMap',
  'core.v1.Secret',
  'core.v1.Namespace',
  'apps.v1.Deployment',
  'apps.v1.StatefulSet',
  'apps.v1.DaemonSet',
  'batch.v1.Job',
  'batch.v1.CronJob',
  'networking.v1.Ingress',
  'networking.v1.NetworkPolicy',
  'policy.v1.PodDisruptionBudget',
  'rbac.v1.ClusterRoleBinding',
];
/** Sources of volumes that no sandbox has, and what is alpha. */
const UNUSUAL =
  /VolumeSource$|Windows|Claim|Health|Allocat|Extended|Responder|RestartRule|FileKey|Scheduling(Group|Conf)|User$|OS$|VolumeStatus|ImageVolume|MountStatus|PodFailure|SuccessPolicy|JobStatus|Uncounted|PortStatus|ResourceStatus|Conflict/;

test.each(ROOTS)('every member of %s says what it is', (root) => {
  const silent: string[] = [];
  const seen = new Set<string>();
  const visit = (node: ObjectNode): void => {
    if (seen.has(node.typeName) || UNUSUAL.test(node.typeName)) return;
    seen.add(node.typeName);
    for (const [name, { node: inner }] of node.fields) {
      if (!descriptions.ofMember(node, name, inner) && !UNUSUAL.test(typeOf(inner)?.typeName ?? '')) {
        silent.push(`${node.typeName}.${name}`);
      }
      const object = typeOf(inner);
      if (object) visit(object);
    }
  };
  visit(builtinType(types, root));
  expect(silent).toEqual([]);
});

function typeOf(node: SchemaNode): ObjectNode | undefined {
  if (node.kind === 'list' || node.kind === 'map') return typeOf(node.items);
  return node.kind === 'object' ? node : undefined;
}

test('a member is described by its type, by what it embeds, by its name, in this order', () => {
  const of = (type: string, name: string) => {
    const node = builtinType(types, type);
    return descriptions.ofMember(node, name, node.fields.get(name)!.node);
  };
  expect(of('core.v1.Probe', 'httpGet')).toMatch(/HTTP/);
  expect(of('core.v1.EphemeralContainer', 'image')).toBe(of('core.v1.Container', 'image'));
  expect(of('extensions.v1beta1.DeploymentSpec', 'paused')).toBe(of('apps.v1.DeploymentSpec', 'paused'));
  expect(of('core.v1.Toleration', 'operator')).not.toBe(of('meta.v1.LabelSelectorRequirement', 'operator'));
});
