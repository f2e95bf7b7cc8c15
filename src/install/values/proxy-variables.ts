// SPDX-License-Identifier: Apache-2.0
// Variables that a user gives a gateway's proxy.

/** Of these the proxy's own bootstrap is made. */
const OWN: ReadonlySet<string> = new Set(['POD_NAME', 'POD_NAMESPACE', 'INSTANCE_IP', 'SERVICE_ACCOUNT']);
/** Who the proxy is: its token says it too, and the control plane refuses a proxy that says anything else. */
const PROVEN = /^ISTIO_META_(NAME|NAMESPACE|SERVICE_ACCOUNT|CLUSTER_ID)$/;

/** What is wrong with a variable, as the end of a sentence that begins with its name; undefined: nothing. */
export function wrongVariable(name: string, value: unknown): string | undefined {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return 'is no name of a variable: use letters, digits and _';
  if (OWN.has(name)) return 'is what the installation sets; give it another name';
  if (PROVEN.test(name))
    return 'cannot be set: the proxy’s token proves it (global.multiCluster.clusterName names a cluster)';
  // The kubelet puts it into the JSON of the bootstrap as it stands.
  const breaks = /["\\]|\p{Cc}/u.test(String(value ?? ''));
  return name.startsWith('ISTIO_META_') && breaks ? 'must have no quotes, backslashes or line ends' : undefined;
}
