// SPDX-License-Identifier: Apache-2.0
// Who a container runs as, and what a pod is refused: everything that would reach out of its own tree and network.
import { type Credentials, selectGrantable } from '../container/credentials.ts';
import type { Container, Pod } from '../pod-types.ts';
import { ContainerConfigError } from './environment.ts';

const DEFAULT_UID = 65532;
const VOLUME_KINDS = [
  'emptyDir',
  'configMap',
  'secret',
  'downwardAPI',
  'projected',
  'persistentVolumeClaim',
  'ephemeral',
];

/** Why this node does not run the pod; empty when it does. */
export function findRefusals(pod: Pod): string[] {
  const { spec } = pod;
  const refusals: string[] = [];
  if (spec.hostNetwork) refusals.push('spec.hostNetwork: pods of the sandbox have a network of their own');
  if (spec.hostPID) refusals.push('spec.hostPID: pods of the sandbox see only their own processes');
  if (spec.hostIPC) refusals.push('spec.hostIPC: pods of the sandbox have an IPC namespace of their own');
  for (const volume of spec.volumes ?? []) {
    const kind = Object.keys(volume).find((key) => key !== 'name' && !VOLUME_KINDS.includes(key));
    if (kind) {
      refusals.push(`spec.volumes "${volume.name}": ${kind} volumes are not allowed; use ${VOLUME_KINDS.join(', ')}`);
    }
  }
  const containers = [...(spec.initContainers ?? []), ...spec.containers];
  return [
    ...refusals,
    ...containers.flatMap((container) => [...findPrivileges(container), ...findUngranted(container)]),
  ];
}

/** Also why an ephemeral container is not run. */
export function findPrivileges(container: Container): string[] {
  const isPrivileged = container.securityContext?.privileged;
  return isPrivileged ? [`container "${container.name}": securityContext.privileged is not allowed`] : [];
}

/** What it asks for and does not get. `kubectl debug` asks for SYS_PTRACE and is of use without it. */
export function findUngranted(container: Container): string[] {
  const { refused } = selectGrantable(container.securityContext?.capabilities?.add ?? []);
  if (refused.length === 0) return [];
  return [
    `container "${container.name}": securityContext.capabilities.add: ${refused.join(', ')} cannot be granted; the sandbox grants NET_ADMIN, NET_RAW and NET_BIND_SERVICE`,
  ];
}

/**
 * runAsUser of the container, of the pod, the image's user, 65532. In a user namespace with one uid it is always 0.
 * @throws ContainerConfigError when runAsNonRoot forbids what came out
 */
export function selectCredentials(
  pod: Pod,
  container: Container,
  imageUser: number | undefined,
  rootless: boolean,
): Credentials {
  const ofPod = pod.spec.securityContext ?? {};
  const own = container.securityContext ?? {};
  const wantedUid = own.runAsUser ?? ofPod.runAsUser ?? imageUser ?? DEFAULT_UID;
  if ((own.runAsNonRoot ?? ofPod.runAsNonRoot) && wantedUid === 0) {
    throw new ContainerConfigError(
      `container has runAsNonRoot and would run as root: container "${container.name}", runAsUser 0`,
    );
  }
  const { granted } = selectGrantable(own.capabilities?.add ?? []);
  if (rootless) return { uid: 0, gid: 0, groups: [], capabilities: granted };
  const groups = [...(ofPod.supplementalGroups ?? [])];
  if (ofPod.fsGroup !== undefined) groups.push(ofPod.fsGroup);
  return {
    uid: wantedUid,
    gid: own.runAsGroup ?? ofPod.runAsGroup ?? wantedUid,
    groups: [...new Set(groups)],
    capabilities: granted,
  };
}

/** What is left out of a pod that runs all the same, one sentence each. */
export function findNotices(pod: Pod, rootless: boolean): string[] {
  const notices: string[] = [];
  const containers = [...(pod.spec.initContainers ?? []), ...pod.spec.containers];
  const contexts = [pod.spec.securityContext ?? {}, ...containers.map(({ securityContext }) => securityContext ?? {})];
  const ignored = (fields: readonly string[]) =>
    fields.filter((field) => contexts.some((context) => isSet((context as Record<string, unknown>)[field])));
  const unknown = ignored(['seccompProfile', 'appArmorProfile', 'seLinuxOptions', 'sysctls']);
  if (unknown.length > 0)
    notices.push(`securityContext: ${unknown.join(', ')} is ignored: the sandbox has no such thing`);
  const users = rootless ? ignored(['runAsUser', 'runAsNonRoot', 'runAsGroup', 'fsGroup', 'supplementalGroups']) : [];
  if (users.length > 0) {
    notices.push(
      `securityContext: ${users.join(', ')} is ignored: in a rootless sandbox all processes are those of the user who started it, and take themselves for root`,
    );
  }
  return notices;
}

/** RuntimeDefault asks for what this runtime has, which is nothing. */
function isSet(value: unknown): boolean {
  if (value === undefined || value === null || value === false || (Array.isArray(value) && value.length === 0))
    return false;
  const { type } = value as { type?: string };
  return type !== 'RuntimeDefault' && type !== 'Unconfined';
}
