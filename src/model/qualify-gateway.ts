// SPDX-License-Identifier: Apache-2.0

/**
 * A gateway's name in full, NAMESPACE/NAME; `mesh` is all sidecars. A name with dots is how Istio first wrote it: NAME,
 * NAMESPACE and the rest of a host.
 */
export function qualifyGateway(name: string, namespace: string): string {
  if (name.includes('/') || name === 'mesh') return name;
  const [own, other] = name.split('.');
  return other === undefined ? `${namespace}/${name}` : `${other}/${own}`;
}
