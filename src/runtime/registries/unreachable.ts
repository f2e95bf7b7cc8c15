// SPDX-License-Identifier: Apache-2.0

/** What a person can do about another cluster's API server that gives no answer. @param remake how to make its kubeconfig anew */
export function cureForSilence(error: Error, server: string, remake: string): string {
  if (/CERT|SIGNATURE|ISSUER|SELF_SIGNED|VERIFY/.test(codeOf(error))) {
    return `certificate-authority-data is not of the CA of ${server}, or the server’s certificate is not for that name: ${remake}`;
  }
  const { hostname } = new URL(server);
  if (hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.')) {
    return `${server} is the control plane’s own machine: give the address by which pods of this cluster reach that API server`;
  }
  return `none needed if it is short: it is tried again; else make sure that pods of this cluster can reach ${server}`;
}

function codeOf(error: unknown): string {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const { code } = at as NodeJS.ErrnoException;
    if (typeof code === 'string') return code;
  }
  return '';
}
