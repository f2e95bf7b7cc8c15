// SPDX-License-Identifier: Apache-2.0
// What a proxy's destination is made of: its rule and service, its endpoints, and how it speaks to them.
import { isDeepStrictEqual } from 'node:util';
import { TYPE_URL } from '../envoy/names.ts';
import type { ForwardTarget, UpstreamEndpoint } from '../envoy/simulate/outcome.ts';
import type { CarriedTls, Hop } from './crossing.ts';
import { destinationSteps, readDestination } from './describe-destination.ts';
import { percent } from './endings.ts';
import type { EndpointGroup } from './endpoint-groups.ts';
import type { Mesh } from './mesh.ts';
import type { Step, Why } from './path.ts';
import { nameOf, whyOf, whyOfOrigin } from './why.ts';

/** The DestinationRule that says how it is to be reached, with the subset's line; and what it is made of. */
export function destinationWhy(mesh: Mesh, { cluster, resources }: Hop, name: string): Why[] {
  const { subset } = readDestination(name);
  const origins = resources.compiled.origins(TYPE_URL.cluster, name);
  const whys = origins.map((origin) => {
    const why = whyOfOrigin(mesh, cluster, origin);
    if (why.kind !== 'DestinationRule' || subset === '') return why;
    const { object } = mesh.object(why.cluster, why.kind, why.namespace, why.name) ?? {};
    const subsets = (object?.['spec'] as { subsets?: readonly { name?: string }[] } | undefined)?.subsets ?? [];
    const at = subsets.findIndex((each) => each.name === subset);
    return at < 0 ? why : whyOfOrigin(mesh, cluster, { ...origin, field: `spec.subsets[${at}]` });
  });
  return whys.filter((why, i) => whys.findIndex((each) => isDeepStrictEqual(each, why)) === i);
}

export function targetSteps(hop: Hop, target: ForwardTarget, why: readonly Why[]): Step[] {
  const { state } = hop.resources;
  const message = state.cluster(target.cluster);
  const rules = why.filter(({ kind }) => kind === 'DestinationRule');
  const policies = rules.map(({ field: _, line: _line, ...rule }) => rule);
  return [
    { kind: 'cluster', text: target.cluster, why },
    ...(message === undefined ? [] : destinationSteps(message, target.upstream?.endpoints.length ?? 0, policies)),
  ];
}

export function endpointSteps(
  mesh: Mesh,
  hop: Hop,
  group: EndpointGroup,
  standby: readonly UpstreamEndpoint[],
  tls: CarriedTls | undefined,
): Step[] {
  const { addresses, share } = group;
  const [first = ''] = addresses;
  const what = addresses.length === 1 ? first : `${addresses.length} endpoints: ${shortened(addresses)}`;
  const part = share > 0.9995 ? '' : ` (${percent(share)} of these)`;
  const who = occupantText(mesh, hop, group);
  const place = group.endpoint.locality === '' ? '' : `, locality ${group.endpoint.locality}`;
  return [
    { kind: 'endpoint', text: `${what}${part}${who.text}${place}`, why: who.why },
    ...(standby.length === 0
      ? []
      : [
          {
            kind: 'note' as const,
            text: `if those fail: ${shortened(standby.map(({ address }) => address))}`,
            why: [],
          },
        ]),
    ...tlsStep(hop, group, tls),
  ];
}

function shortened(addresses: readonly string[]): string {
  return addresses.length > 4 ? `${addresses.slice(0, 4).join(', ')}, ...` : addresses.join(', ');
}

function occupantText(
  mesh: Mesh,
  { cluster }: Hop,
  { occupant, addresses }: EndpointGroup,
): { text: string; why: Why[] } {
  if (occupant === undefined) return { text: '', why: [] };
  if (occupant.kind === 'pod') {
    const { workload, pod, proxy } = mesh.placeOf(occupant.cluster, occupant.pod);
    const name = addresses.length === 1 ? `pod ${pod}` : `pods of ${workload}`;
    const where = occupant.cluster === cluster ? '' : ` in ${occupant.cluster.id}`;
    return { text: `, ${name}${where}${proxy === 'none' ? ', without a sidecar' : ''}`, why: [] };
  }
  const why = whyOf(mesh, occupant.cluster.id, occupant.service.object);
  return { text: `, ${nameOf(why)} of ${occupant.cluster.id}`, why: [] };
}

function tlsStep({ carried }: Hop, { endpoint }: EndpointGroup, tls: CarriedTls | undefined): Step[] {
  if (endpoint.tls === undefined) {
    const passed = carried.tls !== undefined && tls === carried.tls;
    return passed ? [] : [{ kind: 'tls', text: 'in the clear', why: [] }];
  }
  if (tls === undefined) return [];
  const name = tls.serverName === '' ? '' : `, server name ${tls.serverName}`;
  const peers = tls.peers.length === 0 ? '' : `; the server must be ${shortened(tls.peers)}`;
  const own = tls.identity === undefined ? '' : ` as ${tls.identity}`;
  const kind = tls.mesh ? 'mutual TLS of the mesh' : tls.certificate ? 'mutual TLS of a rule' : 'TLS of a rule';
  return [
    {
      kind: 'tls',
      text: `${kind}${own}${name}${peers}`,
      why: tls.why.filter((why) => why.kind === 'DestinationRule' && !tls.mesh),
    },
  ];
}
