// SPDX-License-Identifier: Apache-2.0
// What istioctl calls profiles, in the parts that this mesh has.
import type { RawTree, RawValue } from './helm-set.ts';

const OFF = { enabled: false };
const WITHOUT_NAMES = { istiocoredns: OFF };

const PROFILES: Readonly<Record<string, RawTree>> = {
  default: {},
  demo: {},
  sds: {},
  minimal: { gateways: OFF, ...WITHOUT_NAMES },
  remote: {
    global: { istioRemote: true },
    gateways: { ...OFF, 'istio-egressgateway': OFF },
    security: { selfSigned: false },
    ...WITHOUT_NAMES,
  },
};
/** They differ from the default one in parts that are not here (tracing, dashboards), or in what is always so. */
const SAME_AS_DEFAULT: ReadonlySet<string> = new Set(['demo', 'sds']);

/** The values of a profile, and what there is to say of it; or what is wrong with its name. */
export function readProfile(name: RawValue): { values: RawTree; notice?: string } | { error: string } {
  const values = typeof name === 'string' && Object.hasOwn(PROFILES, name) ? PROFILES[name] : undefined;
  if (name === null) return { values: {} };
  if (values === undefined) {
    return { error: `there is no profile ${JSON.stringify(name)}; known here: ${Object.keys(PROFILES).join(', ')}` };
  }
  if (!SAME_AS_DEFAULT.has(String(name))) return { values };
  return { values, notice: `profile ${name}: the same as default in this mesh` };
}
