// SPDX-License-Identifier: Apache-2.0
// SPIFFE ids of workloads: spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT.
// https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md

declare const brand: unique symbol;
export type SpiffeId = string & { readonly [brand]: 'SpiffeId' };

const TRUST_DOMAIN = /^[a-z0-9._-]{1,255}$/;
/** What Kubernetes allows as a namespace, and as a service account (a DNS subdomain). */
const NAMESPACE = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
const SERVICE_ACCOUNT = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;

/** Throws on names that Kubernetes would not allow: nothing may change the structure of the id. */
export function spiffeId(workload: { trustDomain: string; namespace: string; serviceAccount: string }): SpiffeId {
  const { trustDomain, namespace, serviceAccount } = workload;
  if (!TRUST_DOMAIN.test(trustDomain)) throw new Error(`"${trustDomain}" is no trust domain.`);
  if (!NAMESPACE.test(namespace)) throw new Error(`"${namespace}" is no namespace.`);
  if (!SERVICE_ACCOUNT.test(serviceAccount)) throw new Error(`"${serviceAccount}" is no service account.`);
  return `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}` as SpiffeId;
}
