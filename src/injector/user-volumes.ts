// SPDX-License-Identifier: Apache-2.0
// Files that a pod's owner gives its proxy: certificates that a Sidecar or a DestinationRule names by path. The annotations
// are Istio's: https://istio.io/latest/docs/reference/config/annotations/#SidecarUserVolume
import { posix } from 'node:path';
import { isRecord } from '../api/shape.ts';

export interface UserVolumes {
  readonly volumes: readonly { name: string; [member: string]: unknown }[];
  readonly mounts: readonly { name: string; mountPath: string; [member: string]: unknown }[];
}

export const USER_VOLUME = 'sidecar.istio.io/userVolume';
export const USER_VOLUME_MOUNT = 'sidecar.istio.io/userVolumeMount';

/** @throws Error naming the annotation, and what in it cannot be understood */
export function readUserVolumes(annotations: Readonly<Record<string, string>>): UserVolumes {
  return {
    volumes: entries(USER_VOLUME, annotations, '{"certs":{"secret":{"secretName":"certs"}}}'),
    mounts: entries(USER_VOLUME_MOUNT, annotations, '{"certs":{"mountPath":"/etc/certs"}}').map((mount) => {
      const { name, mountPath } = mount as { name: string; mountPath?: unknown };
      if (typeof mountPath === 'string' && mountPath.startsWith('/')) return { ...mount, name, mountPath };
      throw new Error(`annotation ${USER_VOLUME_MOUNT}: ${name} has no mountPath that begins with /`);
    }),
  };
}

/** Volume's name -> what is said of it, as Istio has it. */
function entries(name: string, annotations: Readonly<Record<string, string>>, example: string): { name: string }[] {
  const text = annotations[name];
  if (text === undefined || text.trim() === '') return [];
  const given = parse(text);
  if (isRecord(given) && Object.values(given).every(isRecord)) {
    return Object.entries(given).map(([key, value]) => ({ ...(value as object), name: key }));
  }
  throw new Error(`annotation ${name} is not JSON of the form ${example}`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What cannot be given: the sidecar's own names and places, and volumes that nobody has. */
export function checkUserVolumes(
  { volumes, mounts }: UserVolumes,
  pods: ReadonlySet<string>,
  own: { readonly names: ReadonlySet<string>; readonly paths: readonly string[] },
): string | undefined {
  const names = volumes.map(({ name }) => name);
  const taken = names.find((name) => own.names.has(name) || pods.has(name));
  if (taken !== undefined) return `annotation ${USER_VOLUME}: the pod has a volume ${taken} already: rename it`;
  for (const { name, mountPath } of mounts) {
    if (!names.includes(name) && !pods.has(name)) {
      return `annotation ${USER_VOLUME_MOUNT}: there is no volume ${name}: add it to ${USER_VOLUME}`;
    }
    const path = posix.normalize(mountPath).replace(/\/+$/, '');
    const inTheWay = own.paths.find((mine) => `${mine}/`.startsWith(`${path}/`));
    if (inTheWay !== undefined) {
      return `annotation ${USER_VOLUME_MOUNT}: ${mountPath} hides the sidecar’s own ${inTheWay}: choose another mountPath`;
    }
  }
  return undefined;
}
