// SPDX-License-Identifier: Apache-2.0
// What a cluster has before anybody asks: namespaces, the kubernetes Service, RBAC.
import type { KubeObject } from '../../kube/types.ts';
import { parseCidr } from './resources/service-address.ts';
import { PROTECTED_NAMESPACES } from './rest/namespace-lifecycle.ts';
import type { ClusterObjects } from './seams.ts';

export interface BootstrapInputs {
  readonly objects: ClusterObjects;
  readonly rbac: readonly KubeObject[];
  readonly serviceCidr: string;
  /** Where this server listens: the endpoints of the kubernetes Service. */
  readonly addresses: readonly string[];
  readonly port: number;
}

/** Creates what is missing; keeps the endpoints of the kubernetes Service current. Idempotent. */
export function bootstrapObjects(inputs: BootstrapInputs): void {
  for (const name of PROTECTED_NAMESPACES) ensure(inputs.objects, namespace(name));
  for (const object of inputs.rbac) ensure(inputs.objects, object);
  ensure(inputs.objects, standardStorageClass());
  ensure(inputs.objects, kubernetesService(firstAddress(inputs.serviceCidr), inputs.port));
  const addresses = inputs.addresses.filter((address) => !address.startsWith('127.'));
  if (addresses.length === 0) return;
  ensure(inputs.objects, kubernetesEndpoints(addresses, inputs.port));
  ensure(inputs.objects, kubernetesSlice(addresses, inputs.port));
}

/** Creates or, where it differs, replaces everything but metadata. */
function ensure(objects: ClusterObjects, wanted: KubeObject): void {
  const [group = '', version = ''] = wanted.apiVersion.includes('/')
    ? wanted.apiVersion.split('/')
    : ['', wanted.apiVersion];
  const type = objects.resolve({ group, version, kind: wanted.kind });
  if (!type) throw new Error(`bootstrap: no resource serves ${wanted.apiVersion} ${wanted.kind}`);
  const { name = '', namespace: place = '' } = wanted.metadata;
  const current = objects.get(type, place, name);
  if (!current) {
    objects.create(type, wanted);
    return;
  }
  if (wanted.kind !== 'Endpoints' && wanted.kind !== 'EndpointSlice') return;
  const next = { ...current, ...wanted, metadata: { ...current.metadata, labels: wanted.metadata.labels ?? {} } };
  if (JSON.stringify(substance(next)) !== JSON.stringify(substance(current))) objects.update(type, next);
}

function substance({ metadata: _, ...rest }: KubeObject): unknown {
  return Object.entries(rest).sort(([a], [b]) => (a < b ? -1 : 1));
}

function namespace(name: string): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels: { 'kubernetes.io/metadata.name': name } },
    spec: { finalizers: ['kubernetes'] },
    status: { phase: 'Active' },
  };
}

/** Volumes are directories on the node's disk; the controllers make them. */
function standardStorageClass(): KubeObject {
  return {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: { name: 'standard', annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } },
    provisioner: 'isthmus.dev/directory',
    reclaimPolicy: 'Delete',
    volumeBindingMode: 'Immediate',
    allowVolumeExpansion: true,
  };
}

function firstAddress(cidr: string): string {
  const { first } = parseCidr(cidr);
  return [24, 16, 8, 0].map((shift) => Math.floor((first + 1) / 2 ** shift) % 256).join('.');
}

const LABELS = { component: 'apiserver', provider: 'kubernetes' };

function kubernetesService(clusterIP: string, targetPort: number): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'kubernetes', namespace: 'default', labels: LABELS },
    spec: {
      ports: [{ name: 'https', protocol: 'TCP', port: 443, targetPort }],
      clusterIP,
      clusterIPs: [clusterIP],
      type: 'ClusterIP',
      sessionAffinity: 'None',
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
      internalTrafficPolicy: 'Cluster',
    },
    status: { loadBalancer: {} },
  };
}

function kubernetesEndpoints(addresses: readonly string[], port: number): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: {
      name: 'kubernetes',
      namespace: 'default',
      labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' },
    },
    subsets: [{ addresses: addresses.map((ip) => ({ ip })), ports: [{ name: 'https', port, protocol: 'TCP' }] }],
  };
}

function kubernetesSlice(addresses: readonly string[], port: number): KubeObject {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'kubernetes', namespace: 'default', labels: { 'kubernetes.io/service-name': 'kubernetes' } },
    addressType: 'IPv4',
    endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
    ports: [{ name: 'https', port, protocol: 'TCP' }],
  };
}
