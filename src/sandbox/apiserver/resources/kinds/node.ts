// SPDX-License-Identifier: Apache-2.0
import type { KubeObject } from '../../../../kube/types.ts';
import type { TypeTable } from '../../schema/parse.ts';
import { AGE, column, NAME } from '../../tables/table.ts';
import type { ResourceDefinition } from '../definition.ts';
import { at, defineKind, textAt } from '../kind-builder.ts';

const ROLE_PREFIX = 'node-role.kubernetes.io/';

function status(object: KubeObject): string {
  const conditions = (at(object, 'status.conditions') ?? []) as { type: string; status: string }[];
  const ready = conditions.find(({ type }) => type === 'Ready');
  const word = ready ? (ready.status === 'True' ? 'Ready' : 'NotReady') : 'Unknown';
  return at(object, 'spec.unschedulable') === true ? `${word},SchedulingDisabled` : word;
}

function roles(object: KubeObject): string {
  const names = Object.keys(object.metadata.labels ?? {})
    .filter((label) => label.startsWith(ROLE_PREFIX) && label.length > ROLE_PREFIX.length)
    .map((label) => label.slice(ROLE_PREFIX.length));
  return names.sort().join(',') || '<none>';
}

function address(type: string): (object: KubeObject) => string {
  return (object) => {
    const addresses = (at(object, 'status.addresses') ?? []) as { type: string; address: string }[];
    return addresses.find((one) => one.type === type)?.address ?? '<none>';
  };
}

const info = (field: string) => (object: KubeObject) => textAt(object, `status.nodeInfo.${field}`) || '<unknown>';

export function nodeKinds(types: TypeTable): ResourceDefinition[] {
  return [
    defineKind(types, {
      kind: 'Node',
      resource: 'nodes',
      versions: [{ group: '', version: 'v1', type: 'core.v1.Node' }],
      namespaced: false,
      shortNames: ['no'],
      status: true,
      fields: { 'spec.unschedulable': (object) => String(at(object, 'spec.unschedulable') === true) },
      columns: [
        NAME,
        column('Status', status),
        column('Roles', roles),
        AGE,
        column('Version', (object) => textAt(object, 'status.nodeInfo.kubeletVersion')),
        column('Internal-IP', address('InternalIP'), { wide: true }),
        column('External-IP', address('ExternalIP'), { wide: true }),
        column('OS-Image', info('osImage'), { wide: true }),
        column('Kernel-Version', info('kernelVersion'), { wide: true }),
        column('Container-Runtime', info('containerRuntimeVersion'), { wide: true }),
      ],
      // A kubelet registers its node with addresses and conditions in one request.
      strategy: { initialStatus: (object) => object['status'] ?? {} },
    }),
  ];
}
