// SPDX-License-Identifier: Apache-2.0
import { BlockList, isIP } from 'node:net';
import { EXPORTED_SERVICE, type ExportedServiceSpec } from '../api/exported-service.ts';
import { refOf } from '../api/kind.ts';
import { Report } from '../api/report.ts';
import type { KubeObject } from '../kube/types.ts';

/** The caller's own machine, and what is told apart only there: loopback, link-local (clouds' metadata), no address at all. */
const OF_CALLER = new BlockList();
for (const [network, bits] of [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
] as const)
  OF_CALLER.addSubnet(network, bits, 'ipv4');
for (const [network, bits] of [
  ['::', 127],
  ['fe80::', 10],
] as const)
  OF_CALLER.addSubnet(network, bits, 'ipv6');

/** What one object may ask for, for each of its gateways has an endpoint for each subset here. */
const MAX_ENDPOINTS = 10_000;

/**
 * What another cluster tells. A newer control plane may tell more than this one understands, so that fields that are not
 * known are no fault; any other is, and the text says which. Its gateways are its own: by their addresses it must lead callers
 * neither to services of this cluster nor to the caller's own machine.
 * @param dnsDomain of this cluster: `cluster.local`
 */
export function readExported(
  raw: KubeObject,
  cluster: string,
  dnsDomain: string,
): ExportedServiceSpec | { readonly fault: string } {
  const report = new Report(refOf(raw, cluster));
  const spec = EXPORTED_SERVICE.spec.decode(raw['spec'] ?? {}, { field: 'spec', report });
  const fault = report.diagnostics.find(({ code, severity }) => severity === 'error' && code !== 'ISM0003');
  if (spec === undefined || fault !== undefined) {
    return { fault: fault === undefined ? 'it cannot be read' : `${fault.field}: ${fault.message}` };
  }
  if (spec.cluster !== cluster) {
    // Under two names it would count twice, and under this cluster's own its services would be others'.
    return {
      fault: `the cluster calls itself ${spec.cluster}: make that the key in the peer's secret, in place of ${cluster}`,
    };
  }
  const unfit = unfitIn(spec, dnsDomain);
  return unfit === undefined ? spec : { fault: unfit };
}

function unfitIn({ exportedAt, gateways, subsets }: ExportedServiceSpec, dnsDomain: string): string | undefined {
  // Of no time nothing is older: who decides would be another in each cluster.
  if (Number.isNaN(Date.parse(exportedAt))) return `spec.exportedAt: ${exportedAt} is no time`;
  const local = gateways.findIndex(({ address }) => isOfCaller(address.toLowerCase(), dnsDomain));
  if (local >= 0) {
    return `spec.gateways[${local}].address: ${gateways[local]!.address} leads to the caller's own side, and not to a gateway of another cluster`;
  }
  const endpoints = gateways.length * (subsets.length + 1);
  if (endpoints <= MAX_ENDPOINTS) return undefined;
  return `spec: ${gateways.length} gateways and ${subsets.length} subsets are ${endpoints} endpoints, of at most ${MAX_ENDPOINTS}`;
}

function isOfCaller(address: string, dnsDomain: string): boolean {
  const version = isIP(address);
  if (version !== 0) return OF_CALLER.check(address, version === 4 ? 'ipv4' : 'ipv6');
  const name = address.replace(/\.$/, '');
  return name === 'localhost' || name.endsWith('.localhost') || name.endsWith(`.svc.${dnsDomain.toLowerCase()}`);
}
