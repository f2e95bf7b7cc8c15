// SPDX-License-Identifier: Apache-2.0
// Persistent volumes, claims and storage classes.
import type { KubeObject } from '../../../../kube/types.ts';
import { sameJson } from '../../crd/schema-validation.ts';
import type { TypeTable } from '../../schema/parse.ts';
import { quantityNano } from '../../schema/quantity.ts';
import type { StatusCause } from '../../status.ts';
import { AGE, column, NAME } from '../../tables/table.ts';
import { forbiddenField, invalidValue, required, unsupported } from '../../validation/causes.ts';
import type { ResourceDefinition, StrategyContext } from '../definition.ts';
import { at, defineKind, member, textAt } from '../kind-builder.ts';

interface ClaimSpec {
  accessModes?: string[];
  resources?: { requests?: Record<string, string> };
  storageClassName?: string;
  volumeMode?: string;
  volumeName?: string;
  volumeAttributesClassName?: string;
}

interface VolumeSpec {
  accessModes?: string[];
  capacity?: Record<string, string>;
  claimRef?: { namespace?: string; name?: string };
  persistentVolumeReclaimPolicy?: string;
  storageClassName?: string;
  volumeMode?: string;
  [source: string]: unknown;
}

const MODES: Readonly<Record<string, string>> = {
  ReadWriteOnce: 'RWO',
  ReadOnlyMany: 'ROX',
  ReadWriteMany: 'RWX',
  ReadWriteOncePod: 'RWOP',
};
const CLAIM_PROTECTION = 'kubernetes.io/pvc-protection';
const VOLUME_PROTECTION = 'kubernetes.io/pv-protection';
const DEFAULT_CLASS = 'storageclass.kubernetes.io/is-default-class';
const RECLAIM_POLICIES = ['Delete', 'Recycle', 'Retain'];
/** Members of a volume's spec that are not the source of its bytes. */
const NO_SOURCE: ReadonlySet<string> = new Set([
  'accessModes',
  'capacity',
  'claimRef',
  'persistentVolumeReclaimPolicy',
  'storageClassName',
  'mountOptions',
  'volumeMode',
  'nodeAffinity',
  'volumeAttributesClassName',
]);

const claimSpec = (object: KubeObject): ClaimSpec => member<ClaimSpec>(object, 'spec') ?? {};
const volumeSpec = (object: KubeObject): VolumeSpec => member<VolumeSpec>(object, 'spec') ?? {};
const modes = (list: readonly string[] | undefined) =>
  [...new Set(list ?? [])].map((mode) => MODES[mode] ?? mode).join(',');

function protect(object: KubeObject, finalizer: string): void {
  const finalizers = object.metadata.finalizers ?? [];
  if (!finalizers.includes(finalizer)) object.metadata.finalizers = [...finalizers, finalizer];
}

/** Of several default classes the newest counts. A claim that names the class '' wants none. */
function chooseDefaultClass(object: KubeObject, { store }: StrategyContext): void {
  const spec = claimSpec(object);
  if (spec.storageClassName !== undefined) return;
  const defaults = store
    .list('storageclasses.storage.k8s.io')
    .filter(({ object: each }) => each.metadata.annotations?.[DEFAULT_CLASS] === 'true')
    .sort((a, b) =>
      (a.object.metadata.creationTimestamp ?? '').localeCompare(b.object.metadata.creationTimestamp ?? ''),
    );
  const chosen = defaults.at(-1)?.object.metadata.name;
  if (chosen) spec.storageClassName = chosen;
}

function validateModes(list: readonly string[] | undefined): StatusCause[] {
  if (!list?.length) return [required('spec.accessModes', 'at least 1 access mode is required')];
  const wrong = list.find((mode) => !(mode in MODES));
  return wrong === undefined ? [] : [unsupported('spec.accessModes', wrong, Object.keys(MODES).sort())];
}

function validateSize(quantity: string | undefined, field: string): StatusCause[] {
  if (quantity === undefined) return [required(field)];
  return (quantityNano(quantity) ?? 0n) > 0n ? [] : [invalidValue(field, quantity, 'must be greater than zero')];
}

function validateClaim(object: KubeObject): StatusCause[] {
  const { accessModes, resources, volumeMode } = claimSpec(object);
  const causes = [
    ...validateModes(accessModes),
    ...validateSize(resources?.requests?.['storage'], 'spec.resources[storage]'),
  ];
  if (volumeMode && !['Block', 'Filesystem'].includes(volumeMode)) {
    causes.push(unsupported('spec.volumeMode', volumeMode, ['Block', 'Filesystem']));
  }
  return causes;
}

/** A claim may grow, be bound once, and get a class while it has none. */
function validateClaimUpdate(object: KubeObject, old: KubeObject): StatusCause[] {
  const [spec, before] = [claimSpec(object), claimSpec(old)];
  const same = (one: ClaimSpec): ClaimSpec => ({
    ...one,
    resources: {},
    volumeName: before.volumeName ? (one.volumeName ?? '') : '',
    storageClassName: before.storageClassName === undefined ? '' : (one.storageClassName ?? ''),
    volumeAttributesClassName: '',
  });
  if (!sameJson(same(spec), same(before))) {
    const why =
      'spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims';
    return [forbiddenField('spec', why)];
  }
  const [size, was] = [spec, before].map((one) => quantityNano(one.resources?.requests?.['storage'] ?? '0') ?? 0n);
  if (size! < was!) {
    return [forbiddenField('spec.resources.requests.storage', 'field can not be less than previous value')];
  }
  return [];
}

function validateVolume(object: KubeObject): StatusCause[] {
  const spec = volumeSpec(object);
  const causes = [
    ...validateModes(spec.accessModes),
    ...validateSize(spec.capacity?.['storage'], 'spec.capacity[storage]'),
  ];
  const policy = spec.persistentVolumeReclaimPolicy;
  if (policy && !RECLAIM_POLICIES.includes(policy)) {
    causes.push(unsupported('spec.persistentVolumeReclaimPolicy', policy, RECLAIM_POLICIES));
  }
  const sources = Object.keys(spec).filter((name) => !NO_SOURCE.has(name));
  if (sources.length === 0) causes.push(required('spec', 'must specify a volume type'));
  for (const extra of sources.slice(1)) {
    causes.push(forbiddenField(`spec.${extra}`, 'may not specify more than 1 volume type'));
  }
  return causes;
}

function sourceUnchanged(object: KubeObject, old: KubeObject): StatusCause[] {
  const source = (spec: VolumeSpec) =>
    Object.fromEntries(Object.entries(spec).filter(([name]) => !NO_SOURCE.has(name)));
  return sameJson(source(volumeSpec(object)), source(volumeSpec(old)))
    ? []
    : [forbiddenField('spec.persistentvolumesource', 'spec.persistentvolumesource is immutable after creation')];
}

function classUnchanged(object: KubeObject, old: KubeObject): StatusCause[] {
  return ['parameters', 'provisioner', 'reclaimPolicy', 'volumeBindingMode'].flatMap((field) =>
    sameJson(object[field] ?? null, old[field] ?? null)
      ? []
      : [forbiddenField(field, 'updates to this field are forbidden.')],
  );
}

function phase(object: KubeObject): string {
  return object.metadata.deletionTimestamp ? 'Terminating' : textAt(object, 'status.phase');
}

const volumeClass = (object: KubeObject) => textAt(object, 'spec.volumeAttributesClassName') || '<unset>';
const VOLUME_MODE = column('VolumeMode', (object) => textAt(object, 'spec.volumeMode') || '<unset>', { wide: true });

export function volumeKinds(types: TypeTable): ResourceDefinition[] {
  return [claims(types), volumes(types), classes(types)];
}

function claims(types: TypeTable): ResourceDefinition {
  return defineKind(types, {
    kind: 'PersistentVolumeClaim',
    resource: 'persistentvolumeclaims',
    versions: [
      {
        group: '',
        version: 'v1',
        type: 'core.v1.PersistentVolumeClaim',
        defaults(object) {
          const spec = claimSpec(object);
          object['spec'] = spec;
          spec.volumeMode ??= 'Filesystem';
        },
      },
    ],
    shortNames: ['pvc'],
    status: true,
    deleteReturnsObject: true,
    columns: [
      NAME,
      column('Status', phase),
      column('Volume', (object) => claimSpec(object).volumeName ?? ''),
      column('Capacity', (object) => textAt(object, 'status.capacity.storage')),
      column('Access Modes', (object) => modes(at(object, 'status.accessModes') as string[] | undefined)),
      column('StorageClass', (object) => claimSpec(object).storageClassName ?? ''),
      column('VolumeAttributesClass', volumeClass),
      AGE,
      VOLUME_MODE,
    ],
    strategy: {
      initialStatus: () => ({ phase: 'Pending' }),
      prepareCreate(object, context) {
        protect(object, CLAIM_PROTECTION);
        chooseDefaultClass(object, context);
      },
      validate: validateClaim,
      validateUpdate: validateClaimUpdate,
    },
  });
}

function volumes(types: TypeTable): ResourceDefinition {
  return defineKind(types, {
    kind: 'PersistentVolume',
    resource: 'persistentvolumes',
    versions: [
      {
        group: '',
        version: 'v1',
        type: 'core.v1.PersistentVolume',
        defaults(object) {
          const spec = volumeSpec(object);
          object['spec'] = spec;
          if (!spec.persistentVolumeReclaimPolicy) spec.persistentVolumeReclaimPolicy = 'Retain';
          spec.volumeMode ??= 'Filesystem';
          const hostPath = spec['hostPath'] as { type?: string } | undefined;
          if (hostPath) hostPath.type ??= '';
        },
      },
    ],
    namespaced: false,
    shortNames: ['pv'],
    status: true,
    deleteReturnsObject: true,
    columns: [
      NAME,
      column('Capacity', (object) => volumeSpec(object).capacity?.['storage'] ?? ''),
      column('Access Modes', (object) => modes(volumeSpec(object).accessModes)),
      column('Reclaim Policy', (object) => volumeSpec(object).persistentVolumeReclaimPolicy ?? ''),
      column('Status', phase),
      column('Claim', (object) => {
        const claim = volumeSpec(object).claimRef;
        return claim ? `${claim.namespace ?? ''}/${claim.name ?? ''}` : '';
      }),
      column('StorageClass', (object) => volumeSpec(object).storageClassName ?? ''),
      column('VolumeAttributesClass', volumeClass),
      column('Reason', (object) => textAt(object, 'status.reason')),
      AGE,
      VOLUME_MODE,
    ],
    strategy: {
      initialStatus: () => ({ phase: 'Pending' }),
      prepareCreate: (object) => protect(object, VOLUME_PROTECTION),
      validate: validateVolume,
      validateUpdate: sourceUnchanged,
    },
  });
}

function classes(types: TypeTable): ResourceDefinition {
  return defineKind(types, {
    kind: 'StorageClass',
    resource: 'storageclasses',
    versions: [
      {
        group: 'storage.k8s.io',
        version: 'v1',
        type: 'storage.v1.StorageClass',
        defaults(object) {
          object['reclaimPolicy'] ??= 'Delete';
          object['volumeBindingMode'] ??= 'Immediate';
        },
      },
    ],
    namespaced: false,
    shortNames: ['sc'],
    deleteReturnsObject: true,
    columns: [
      {
        ...NAME,
        cell: (object) =>
          `${object.metadata.name}${object.metadata.annotations?.[DEFAULT_CLASS] === 'true' ? ' (default)' : ''}`,
      },
      column('Provisioner', (object) => textAt(object, 'provisioner')),
      column('ReclaimPolicy', (object) => textAt(object, 'reclaimPolicy')),
      column('VolumeBindingMode', (object) => textAt(object, 'volumeBindingMode')),
      column('AllowVolumeExpansion', (object) => object['allowVolumeExpansion'] === true),
      AGE,
    ],
    strategy: {
      validate: (object) => (textAt(object, 'provisioner') ? [] : [required('provisioner')]),
      validateUpdate: classUnchanged,
    },
  });
}
