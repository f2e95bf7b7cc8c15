// SPDX-License-Identifier: Apache-2.0
import type { KubeObject } from '../kube/types.ts';
import { describeMembers } from './field-descriptions.ts';
import type { Kind } from './kind.ts';
import { KINDS, MCS_KINDS } from './kinds.ts';

/** apiextensions.k8s.io/v1 CustomResourceDefinitions of every kind, from the shapes that decode them. */
export function buildCrds(): KubeObject[] {
  return [...KINDS, ...MCS_KINDS].map(buildCrd);
}

function buildCrd(kind: Kind<unknown>): KubeObject {
  const storage = kind.versions.at(-1)!;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      name: `${kind.plural}.${kind.group}`,
      labels: { 'app.kubernetes.io/part-of': 'isthmus' },
    },
    spec: {
      group: kind.group,
      names: {
        kind: kind.kind,
        listKind: `${kind.kind}List`,
        plural: kind.plural,
        singular: kind.singular,
        shortNames: kind.shortNames,
        categories: [...(kind.group.endsWith('istio.io') ? ['istio-io'] : []), kind.group.replace(/\./g, '-')],
      },
      scope: kind.scope ?? 'Namespaced',
      // The versions have one schema, so nothing has to be converted between them.
      conversion: { strategy: 'None' },
      versions: kind.versions.map((version) => ({
        name: version,
        served: true,
        storage: version === storage,
        subresources: { status: {} },
        additionalPrinterColumns: kind.columns,
        schema: {
          openAPIV3Schema: describeMembers(
            {
              type: 'object',
              description: kind.description,
              properties: {
                spec: { description: kind.description, ...kind.spec.schema },
                status: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
              },
            },
            kind.kind,
          ),
        },
      })),
    },
  };
}
