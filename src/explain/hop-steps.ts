// SPDX-License-Identifier: Apache-2.0
// What a proxy's listeners and routes make of a request, step by step, each with the object behind it.
import { VIRTUAL_INBOUND, VIRTUAL_OUTBOUND } from '../envoy/names.ts';
import type { Outcome } from '../envoy/simulate/outcome.ts';
import type { Origin } from '../intent/origin.ts';
import type { Hop } from './crossing.ts';
import { describeChoice, policySteps } from './describe-route.ts';
import type { Mesh } from './mesh.ts';
import type { Step, Why } from './path.ts';
import { whyOfOrigin, whyOfRule } from './why.ts';

/** The rule that decided; nothing where a Service alone did. */
export function ruleOf(mesh: Mesh, { cluster }: Hop, { rule }: Outcome): Why | undefined {
  return rule && whyOfRule(mesh, cluster, rule);
}

/** `spec.http[0].match[1]` and `fault` are `spec.http[0].fault`. */
function ruleMember(mesh: Mesh, { cluster }: Hop, { rule }: Outcome, member: string): Why[] {
  const [base, list = '', index] = /^spec\.(\w+)\[(\d+)\]/.exec(rule?.field ?? '') ?? [];
  if (rule === undefined || base === undefined) return [];
  const why = whyOfRule(mesh, cluster, { ...rule, field: `${base}.${member}` });
  const { object } = mesh.object(why.cluster, why.kind, why.namespace, why.name) ?? {};
  const routes = (object?.['spec'] as Readonly<Record<string, readonly object[]>> | undefined)?.[list];
  return routes?.[Number(index)] !== undefined && member in routes[Number(index)]! ? [why] : [];
}

export function hopSteps(mesh: Mesh, hop: Hop, outcome: Outcome): Step[] {
  const rule = ruleOf(mesh, hop, outcome);
  const ofRule = rule === undefined ? [] : [rule];
  // What is between a sidecar and its own application is nobody's policy.
  const policies =
    hop.direction === 'inbound' ? [] : policySteps(outcome, (member) => ruleMember(mesh, hop, outcome, member));
  return [...listenerSteps(mesh, hop, outcome), ...routeSteps(outcome, ofRule), ...policies];
}

function listenerSteps(mesh: Mesh, hop: Hop, outcome: Outcome): Step[] {
  const { listener } = outcome;
  if (listener === '') return [];
  const names = outcome.chosen.chain?.filterChainMatch?.serverNames ?? [];
  const { tls } = hop.carried;
  const sni = names.length > 0 && tls ? `; server name ${tls.serverName} is known to it` : '';
  const why = originsOfListener(mesh, hop, outcome);
  const text = {
    outbound:
      listener === VIRTUAL_OUTBOUND
        ? `${listener}: no service of the mesh is at ${hop.address}:${hop.port}`
        : `${listener}${sni}`,
    inbound: `${listener === VIRTUAL_INBOUND ? `${listener}, port ${hop.port}` : listener}${ending(hop)}`,
    gateway: `${listener}${sni}${ending(hop)}`,
  }[hop.direction];
  return [{ kind: 'listener', text, why }];

  function ending({ direction }: Hop): string {
    if (tls === undefined) return '';
    const isOpened = outcome.chosen.chain?.transportSocket !== undefined;
    if (!isOpened) return direction === 'gateway' ? '; the TLS is passed on unopened' : '';
    return tls.mesh && tls.identity !== undefined ? `; mutual TLS ends here, with ${tls.identity}` : '; TLS ends here';
  }
}

/** A listener serves many: those that this connection comes to. */
function originsOfListener(mesh: Mesh, { cluster, resources, direction, port }: Hop, outcome: Outcome): Why[] {
  const { intent } = resources.compiled;
  const found: Origin[] = [];
  if (direction === 'inbound') {
    for (const each of intent.inbound?.ports ?? []) if (each.port === port) found.push(each.origin);
  } else if (direction === 'gateway') {
    const { table } = outcome.chosen;
    for (const { https } of intent.gateway?.tcpPorts.filter((each) => each.port === port) ?? [])
      for (const chain of https) if (chain.table.name === table) found.push(chain.origin);
    for (const each of intent.gateway?.httpPorts.filter((served) => served.port === port) ?? [])
      for (const host of each.table.hosts.values()) if (host.name === outcome.virtualHost) found.push(host.origin);
  }
  return found.map((origin) => whyOfOrigin(mesh, cluster, origin));
}

function routeSteps(outcome: Outcome, why: readonly Why[]): Step[] {
  const { route, virtualHost } = outcome.chosen;
  if (virtualHost === undefined) {
    // A rule of TCP or TLS.
    if (why.length === 0) return [];
    return [{ kind: 'route', text: 'it takes the connection', why }];
  }
  if (route === undefined) return [];
  // Of an own application there is one route, and nothing to tell.
  if (virtualHost.name.startsWith('inbound|')) return [];
  if (virtualHost.name === 'allow_any') {
    const text = `no host of the mesh is called that on this port: it goes where it was going`;
    return [{ kind: 'route', text, why }];
  }
  if (why.length === 0)
    return [{ kind: 'route', text: `no rule is for ${virtualHost.name}: every request goes to the service`, why }];
  return [{ kind: 'route', text: describeChoice(route, virtualHost), why }];
}
