// SPDX-License-Identifier: Apache-2.0
// What `mesh verify` puts into a cluster for as long as it runs: one namespace with all of it inside, no rights, and a pod
// that ends by itself if nobody removes it.
import { isIP } from 'node:net';
import type { KubeObject } from '../../../kube/types.ts';
import type { Door } from './probe/wire.ts';

export const RUN_LABEL = 'isthmus.io/verify';
/** `HOST/PID` of the run, and when it was last seen alive. */
export const OWNER_ANNOTATION = 'isthmus.io/verify-by';
export const ALIVE_ANNOTATION = 'isthmus.io/verify-alive-at';
/** Of the Service; the application's own port is another, so that a pod can be dialled past the sidecar. */
export const PROBE_PORT = 7_080;
export const POD_PORT = 8_080;
export const POD_NAME = 'probe';
export const PROBE_CONTAINER = 'probe';
/** Longer than any run. */
const POD_SECONDS = 900;
const POD_LABEL = 'isthmus.io/verify-probe';
/** The image's own user is the proxy's, whose connections pass the sidecar by. */
const PROBE_USER = 65_532;

/** A cluster of the mesh as the objects of others speak of it. */
export interface ProbeTarget {
  /** The context. */
  readonly name: string;
  /** Of its Service, without the namespace. */
  readonly service: string;
}

export interface ProbeNamespace {
  readonly namespace: string;
  readonly owner: string;
}

export function buildNamespace({ namespace, owner }: ProbeNamespace, nowMs: number): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {
      name: namespace,
      labels: { [RUN_LABEL]: namespace, 'istio-injection': 'enabled', 'app.kubernetes.io/managed-by': 'isthmus' },
      annotations: { [OWNER_ANNOTATION]: owner, [ALIVE_ANNOTATION]: new Date(nowMs).toISOString() },
    },
  };
}

/**
 * The pod of `own`, and the Services of all clusters that share its control plane: a client needs a Service of the name in its
 * own cluster, for the sake of DNS.
 * @param dialled ports that the pod dials past its sidecar
 */
export function buildProbe(
  { namespace }: ProbeNamespace,
  own: ProbeTarget,
  sharing: readonly ProbeTarget[],
  image: string,
  dialled: readonly number[],
): KubeObject[] {
  const excluded = [...new Set([POD_PORT, ...dialled])].filter((port) => port !== PROBE_PORT);
  return [
    // Of its own name in each cluster: the certificate then tells whose probe asked.
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: own.service, namespace } },
    ...sharing.map((target) => buildService(namespace, target, target.service === own.service)),
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name: POD_NAME,
        namespace,
        labels: { app: 'isthmus-verify', [POD_LABEL]: own.service },
        annotations: { 'traffic.sidecar.istio.io/excludeOutboundPorts': excluded.join(',') },
      },
      spec: {
        serviceAccountName: own.service,
        automountServiceAccountToken: false,
        activeDeadlineSeconds: POD_SECONDS,
        terminationGracePeriodSeconds: 1,
        containers: [
          {
            name: PROBE_CONTAINER,
            image,
            command: ['isthmus', 'mesh-probe', 'serve'],
            args: ['--cluster', own.name, '--port', String(POD_PORT)],
            ports: [{ containerPort: POD_PORT }],
            resources: { requests: { cpu: '10m', memory: '64Mi' } },
            securityContext: {
              runAsUser: PROBE_USER,
              runAsNonRoot: true,
              allowPrivilegeEscalation: false,
              capabilities: { drop: ['ALL'] },
            },
          },
        ],
      },
    },
  ];
}

function buildService(namespace: string, { service }: ProbeTarget, isOwn: boolean): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    // Where gateways pass on what is exported alone, it has to be.
    metadata: { name: service, namespace, ...(isOwn && { annotations: { 'isthmus.io/export': 'true' } }) },
    spec: {
      selector: { [POD_LABEL]: service },
      ports: [{ name: 'http', port: PROBE_PORT, targetPort: POD_PORT, protocol: 'TCP' }],
    },
  };
}

export function serviceHost(service: string, namespace: string): string {
  return `${service}.${namespace}.svc.cluster.local`;
}

export function globalHost(service: string, namespace: string): string {
  return `${service}.${namespace}.global`;
}

/** By hand: what is verified has to be named also where exports do not work. */
export function buildEntry(
  namespace: string,
  { service }: ProbeTarget,
  door: Pick<Door, 'address' | 'port'>,
  address: string,
): KubeObject {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    // A name that no derived object has.
    metadata: { name: `${service}-by-hand`, namespace },
    spec: {
      hosts: [globalHost(service, namespace)],
      location: 'MESH_INTERNAL',
      ports: [{ name: 'http', number: PROBE_PORT, protocol: 'HTTP' }],
      resolution: isIP(door.address) === 0 ? 'DNS' : 'STATIC',
      addresses: [address],
      endpoints: [{ address: door.address, ports: { http: door.port } }],
    },
  };
}

/** Of 240.255.254.0/24, where nothing else has one. @param taken addresses of the cluster's other ServiceEntries */
export function chooseAddresses(count: number, taken: ReadonlySet<string>): string[] {
  const all = Array.from({ length: 254 }, (_, i) => `240.255.254.${i + 1}`);
  return all.filter((address) => !taken.has(address)).slice(0, count);
}

/** `probe-` and what Kubernetes allows of the context's name, told apart where two would be the same. */
export function nameServices(contexts: readonly string[]): ProbeTarget[] {
  const taken = new Set<string>();
  return contexts.map((name) => {
    const plain = `probe-${name.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')}`.slice(0, 50).replace(/-+$/, '');
    let service = plain;
    for (let i = 2; taken.has(service); i += 1) service = `${plain}-${i}`;
    taken.add(service);
    return { name, service };
  });
}
