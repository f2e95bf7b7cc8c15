// SPDX-License-Identifier: Apache-2.0
// The Secret of a CA, read as the control plane reads it.
import { refOf } from '../../api/kind.ts';
import { diagnose } from '../../api/report.ts';
import { CaError } from '../../identity/ca-material.ts';
import type { KubeObject } from '../../kube/types.ts';
import { daysLeft, readAuthority } from '../../runtime/cluster/ca-secret.ts';
import type { Remark } from './judge.ts';

const RENEW = 'renew it (isthmus certs --force) and replace the Secret; below the same root that needs no restart';

/** `rootPem`: its roots, where it can be used. */
export function judgeAuthority(secret: KubeObject, nowMs: number): { remarks: Remark[]; rootPem?: string } {
  const ref = refOf(secret);
  try {
    const authority = readAuthority(secret, nowMs);
    const ending = authority.expiry(nowMs).filter(({ state }) => state !== 'ok');
    const remarks = ending.map(({ what, notAfterMs, state }): Remark => {
      const until = new Date(notAfterMs).toISOString();
      if (state === 'expired') return diagnose(ref, 'ISM0304', '', `${what} expired on ${until}`, RENEW);
      return diagnose(ref, 'ISM0303', '', `${what} ends in ${daysLeft(notAfterMs, nowMs)} days, on ${until}`, RENEW);
    });
    const { publicCa } = authority;
    if (publicCa !== undefined) {
      const message = `everybody can have the key of ${publicCa}, and be any workload of this mesh`;
      remarks.push(
        diagnose(ref, 'ISM0316', '', message, 'make a CA of your own (isthmus certs) and replace the Secret'),
      );
    }
    return { remarks, rootPem: authority.rootPem };
  } catch (error) {
    if (!(error instanceof CaError)) throw error;
    const message = error.message.replace(/\.$/, '');
    return { remarks: [diagnose(ref, 'ISM0304', '', message, 'mend the Secret, then restart the control plane')] };
  }
}
