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
  for (const container of [...(spec.initContainers ?? []), ...spec.containers]) {
    const security = container.securityContext;
    const where = `container "${container.name}": securityContext`;
    if (security?.privileged) refusals.push(`${where}.privileged is not allowed`);
    const { refused } = selectGrantable(security?.capabilities?.add ?? []);
    if (refused.length > 0) {
      refusals.push(
        `${where}.capabilities.add: ${refused.join(', ')} cannot be granted; the sandbox grants NET_ADMIN, NET_RAW and NET_BIND_SERVICE`,
      );
    }
  }
  return refusals;
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
export function findNotices(pod: Pod): string[] {
  const notices: string[] = [];
  if ((pod.spec as { shareProcessNamespace?: boolean }).shareProcessNamespace) {
    notices.push('spec.shareProcessNamespace is ignored: containers see only their own processes');
  }
  return notices;
}
