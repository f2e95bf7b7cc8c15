// SPDX-License-Identifier: Apache-2.0
import type { KubeObject } from '../../../../kube/types.ts';
import type { TypeTable } from '../../schema/parse.ts';
import type { StatusCause } from '../../status.ts';
import { POD_COLUMNS } from '../../tables/pod-columns.ts';
import { forbiddenField } from '../../validation/causes.ts';
import type { ResourceDefinition } from '../definition.ts';
import { EPHEMERAL_CONTAINERS } from '../ephemeral-containers.ts';
import { defineKind, member, textAt } from '../kind-builder.ts';
import { type Container, defaultPod, type PodSpec, qosClass } from '../pod-template.ts';
import { validatePodSpec } from '../pod-validation.ts';

const FIXED =
  'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,' +
  '`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),' +
  '`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)';

function validateUpdate(object: KubeObject, old: KubeObject): StatusCause[] {
  const spec = comparable(member<PodSpec>(object, 'spec') ?? {});
  const before = comparable(member<PodSpec>(old, 'spec') ?? {});
  return spec === before ? [] : [forbiddenField('spec', FIXED)];
}

/** The spec without what may change. */
function comparable(spec: PodSpec): string {
  const images = (list: Container[] | undefined) => list?.map((container) => ({ ...container, image: '' }));
  return canonical({
    ...spec,
    containers: images(spec.containers),
    initContainers: images(spec.initContainers),
    activeDeadlineSeconds: undefined,
    tolerations: undefined,
  });
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

export function podKinds(types: TypeTable): ResourceDefinition[] {
  return [
    defineKind(types, {
      kind: 'Pod',
      resource: 'pods',
      versions: [
        {
          group: '',
          version: 'v1',
          type: 'core.v1.Pod',
          defaults(object) {
            const spec = member<PodSpec>(object, 'spec');
            if (spec) defaultPod(spec);
          },
        },
      ],
      shortNames: ['po'],
      categories: ['all'],
      status: true,
      parts: { ephemeralcontainers: EPHEMERAL_CONTAINERS },
      deleteReturnsObject: true,
      fields: {
        'spec.nodeName': (object) => textAt(object, 'spec.nodeName'),
        'spec.restartPolicy': (object) => textAt(object, 'spec.restartPolicy'),
        'spec.schedulerName': (object) => textAt(object, 'spec.schedulerName'),
        'spec.serviceAccountName': (object) => textAt(object, 'spec.serviceAccountName'),
        'spec.hostNetwork': (object) => String(textAt(object, 'spec.hostNetwork') === 'true'),
        'status.phase': (object) => textAt(object, 'status.phase'),
        'status.podIP': (object) => textAt(object, 'status.podIP'),
        'status.nominatedNodeName': (object) => textAt(object, 'status.nominatedNodeName'),
      },
      columns: POD_COLUMNS,
      strategy: {
        generation: true,
        initialStatus: (object) => ({ phase: 'Pending', qosClass: qosClass(member<PodSpec>(object, 'spec') ?? {}) }),
        validate: (object) => validatePodSpec(member<PodSpec>(object, 'spec'), 'spec'),
        prepareCreate(object) {
          // They come by their own subresource, once the pod is there.
          delete member<PodSpec>(object, 'spec')?.ephemeralContainers;
        },
        validateUpdate,
      },
    }),
  ];
}
