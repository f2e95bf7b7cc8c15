// SPDX-License-Identifier: Apache-2.0
// Who a container's processes are: the words of setpriv(1) that make them so, for its first process and for every exec.

export interface Credentials {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups. */
  readonly groups: readonly number[];
  /** The capabilities that stay, e.g. `['NET_ADMIN']`; every other leaves the bounding set. */
  readonly capabilities: readonly GrantedCapability[];
}

const GRANTABLE = ['NET_ADMIN', 'NET_RAW', 'NET_BIND_SERVICE'] as const;
export type GrantedCapability = (typeof GRANTABLE)[number];

/** Those of `securityContext.capabilities.add` that a pod may have: they reach no further than its own network. */
export function selectGrantable(added: readonly string[]): { granted: GrantedCapability[]; refused: string[] } {
  const granted: GrantedCapability[] = [];
  const refused: string[] = [];
  for (const name of added) {
    const known = GRANTABLE.find((candidate) => candidate === name.toUpperCase().replace(/^CAP_/, ''));
    if (known) granted.push(known);
    else refused.push(name);
  }
  return { granted, refused };
}

/**
 * Words for setpriv. A uid other than 0 has no capability even when one was added, as with other container runtimes:
 * the bounding set only limits. In a user namespace with a single uid there is nobody else to become.
 * The death signal lets nothing outlive the process that started it; a change of uid would have cleared it.
 */
export function setprivWords(credentials: Credentials, rootless: boolean): string[] {
  const kept = credentials.capabilities.map((name) => `+${name.toLowerCase()}`);
  const identity = rootless
    ? ['--keep-groups']
    : [
        '--reuid',
        String(credentials.uid),
        '--regid',
        String(credentials.gid),
        ...(credentials.groups.length > 0 ? ['--groups', credentials.groups.join(',')] : ['--clear-groups']),
      ];
  return [
    '--no-new-privs',
    '--bounding-set',
    ['-all', ...kept].join(','),
    '--inh-caps',
    '-all',
    '--ambient-caps',
    '-all',
    ...identity,
    '--pdeathsig',
    'KILL',
  ];
}
