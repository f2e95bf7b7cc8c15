// SPDX-License-Identifier: Apache-2.0
// What the levels baseline and restricted ask of a pod. https://kubernetes.io/docs/concepts/security/pod-security-standards/

export const LEVELS = ['privileged', 'baseline', 'restricted'] as const;
export type Level = (typeof LEVELS)[number];

interface Seccomp {
  type?: string;
}

interface SecurityContext {
  privileged?: boolean;
  allowPrivilegeEscalation?: boolean;
  capabilities?: { add?: string[]; drop?: string[] };
  procMount?: string;
  runAsNonRoot?: boolean;
  runAsUser?: number;
  seccompProfile?: Seccomp;
  appArmorProfile?: { type?: string };
  seLinuxOptions?: { type?: string; user?: string; role?: string };
  sysctls?: { name: string }[];
}

interface Container {
  name: string;
  securityContext?: SecurityContext;
  ports?: { hostPort?: number }[];
}

export interface SecuredPodSpec {
  hostNetwork?: boolean;
  hostPID?: boolean;
  hostIPC?: boolean;
  securityContext?: SecurityContext;
  volumes?: { name: string; [source: string]: unknown }[];
  containers?: Container[];
  initContainers?: Container[];
  ephemeralContainers?: Container[];
}

const BASELINE_CAPABILITIES: ReadonlySet<string> = new Set([
  ...['AUDIT_WRITE', 'CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'KILL', 'MKNOD', 'NET_BIND_SERVICE', 'SETFCAP'],
  ...['SETGID', 'SETPCAP', 'SETUID', 'SYS_CHROOT'],
]);
const SAFE_SYSCTLS: ReadonlySet<string> = new Set([
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.ip_unprivileged_port_start',
  'net.ipv4.tcp_syncookies',
  'net.ipv4.ping_group_range',
  'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
]);
const RESTRICTED_VOLUMES: ReadonlySet<string> = new Set([
  ...[
    'configMap',
    'csi',
    'downwardAPI',
    'emptyDir',
    'ephemeral',
    'image',
    'persistentVolumeClaim',
    'projected',
    'secret',
  ],
]);
const SELINUX_TYPES = ['', 'container_t', 'container_init_t', 'container_kvm_t', 'container_engine_t'];

/** One entry per rule that the pod does not keep, in the words of the real server. */
export function podProblems(spec: SecuredPodSpec, level: Level): string[] {
  if (level === 'privileged') return [];
  const containers = [...(spec.initContainers ?? []), ...(spec.containers ?? []), ...(spec.ephemeralContainers ?? [])];
  return [...baseline(spec, containers), ...(level === 'restricted' ? restricted(spec, containers) : [])];
}

const named = (containers: readonly Container[]) =>
  `container${containers.length === 1 ? '' : 's'} ${containers.map(({ name }) => JSON.stringify(name)).join(', ')}`;

/** Of the containers: those that `test` finds, as a problem. */
function offenders(
  containers: readonly Container[],
  test: (context: SecurityContext, container: Container) => boolean,
  say: (found: readonly Container[]) => string,
): string[] {
  const found = containers.filter((container) => test(container.securityContext ?? {}, container));
  return found.length > 0 ? [say(found)] : [];
}

function baseline(spec: SecuredPodSpec, containers: readonly Container[]): string[] {
  const shared = (['hostNetwork', 'hostPID', 'hostIPC'] as const).filter((name) => spec[name]);
  const hostPaths = (spec.volumes ?? []).filter((volume) => volume['hostPath']).map(({ name }) => JSON.stringify(name));
  const sysctls = (spec.securityContext?.sysctls ?? [])
    .map(({ name }) => name)
    .filter((name) => !SAFE_SYSCTLS.has(name));
  const podContext = spec.securityContext ?? {};
  return [
    ...(shared.length > 0 ? [`host namespaces (${shared.map((name) => `${name}=true`).join(', ')})`] : []),
    ...offenders(
      containers,
      ({ privileged }) => privileged === true,
      (found) => `privileged (${named(found)} must not set securityContext.privileged=true)`,
    ),
    ...offenders(
      containers,
      ({ capabilities }) => (capabilities?.add ?? []).some((name) => !BASELINE_CAPABILITIES.has(name)),
      (found) => {
        const added = found.flatMap(({ securityContext }) => securityContext?.capabilities?.add ?? []);
        const extra = [...new Set(added.filter((name) => !BASELINE_CAPABILITIES.has(name)))].sort();
        return `non-default capabilities (${named(found)} must not include ${extra.map((name) => JSON.stringify(name)).join(', ')} in securityContext.capabilities.add)`;
      },
    ),
    ...(hostPaths.length > 0
      ? [`hostPath volumes (volume${hostPaths.length === 1 ? '' : 's'} ${hostPaths.join(', ')})`]
      : []),
    ...offenders(
      containers,
      (_, { ports = [] }) => ports.some(({ hostPort }) => hostPort),
      (found) => {
        const ports = found.flatMap(({ ports: list = [] }) => list.flatMap(({ hostPort }) => hostPort || []));
        return `hostPort (${named(found)} use${found.length === 1 ? 's' : ''} hostPort${ports.length === 1 ? '' : 's'} ${ports.join(', ')})`;
      },
    ),
    ...offenders(
      containers,
      ({ procMount }) => procMount !== undefined && procMount !== 'Default',
      (found) => `procMount (${named(found)} must not set securityContext.procMount)`,
    ),
    ...(podContext.seccompProfile?.type === 'Unconfined'
      ? ['seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")']
      : []),
    ...offenders(
      containers,
      ({ seccompProfile }) => seccompProfile?.type === 'Unconfined',
      (found) => `seccompProfile (${named(found)} must not set securityContext.seccompProfile.type to "Unconfined")`,
    ),
    ...(podContext.appArmorProfile?.type === 'Unconfined'
      ? ['appArmorProfile (pod must not set AppArmor profile type to "Unconfined")']
      : []),
    ...offenders(
      containers,
      ({ appArmorProfile }) => appArmorProfile?.type === 'Unconfined',
      (found) => `appArmorProfile (${named(found)} must not set AppArmor profile type to "Unconfined")`,
    ),
    ...offenders(
      [{ name: 'pod', securityContext: podContext }, ...containers],
      ({ seLinuxOptions }) =>
        seLinuxOptions !== undefined &&
        (!SELINUX_TYPES.includes(seLinuxOptions.type ?? '') || Boolean(seLinuxOptions.user || seLinuxOptions.role)),
      () => 'seLinuxOptions (pod or container set forbidden securityContext.seLinuxOptions)',
    ),
    ...(sysctls.length > 0 ? [`forbidden sysctls (${sysctls.join(', ')})`] : []),
  ];
}

function restricted(spec: SecuredPodSpec, containers: readonly Container[]): string[] {
  const pod = spec.securityContext ?? {};
  const volumes = (spec.volumes ?? []).filter((volume) => {
    const source = Object.keys(volume).find((key) => key !== 'name');
    return source !== undefined && !RESTRICTED_VOLUMES.has(source) && source !== 'hostPath';
  });
  const roots = containers.filter(({ securityContext }) => securityContext?.runAsUser === 0);
  const sealed = (profile: Seccomp | undefined) => profile?.type === 'RuntimeDefault' || profile?.type === 'Localhost';
  return [
    ...offenders(
      containers,
      ({ allowPrivilegeEscalation }) => allowPrivilegeEscalation !== false,
      (found) =>
        `allowPrivilegeEscalation != false (${named(found)} must set securityContext.allowPrivilegeEscalation=false)`,
    ),
    ...offenders(
      containers,
      ({ capabilities }) => !capabilities?.drop?.includes('ALL'),
      (found) => `unrestricted capabilities (${named(found)} must set securityContext.capabilities.drop=["ALL"])`,
    ),
    ...offenders(
      containers,
      ({ capabilities }) =>
        (capabilities?.add ?? []).some((name) => name !== 'NET_BIND_SERVICE' && BASELINE_CAPABILITIES.has(name)),
      (found) =>
        `unrestricted capabilities (${named(found)} must not add other than "NET_BIND_SERVICE" in securityContext.capabilities.add)`,
    ),
    ...(volumes.length > 0
      ? [
          `restricted volume types (volume${volumes.length === 1 ? '' : 's'} ${volumes.map(({ name }) => JSON.stringify(name)).join(', ')})`,
        ]
      : []),
    ...offenders(
      containers,
      ({ runAsNonRoot }) => !(runAsNonRoot ?? pod.runAsNonRoot),
      (found) => `runAsNonRoot != true (pod or ${named(found)} must set securityContext.runAsNonRoot=true)`,
    ),
    ...(pod.runAsUser === 0
      ? ['runAsUser=0 (pod must not set runAsUser=0)']
      : roots.length > 0
        ? [`runAsUser=0 (${named(roots)} must not set runAsUser=0)`]
        : []),
    ...offenders(
      containers,
      ({ seccompProfile }) => !sealed(seccompProfile ?? pod.seccompProfile),
      (found) =>
        `seccompProfile (pod or ${named(found)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")`,
    ),
  ];
}
