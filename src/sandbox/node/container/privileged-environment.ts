// SPDX-License-Identifier: Apache-2.0

/** Environment of every step that runs with the node's privileges: nothing of a pod's own may be in it. */
export const PRIVILEGED_ENVIRONMENT = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };
