// SPDX-License-Identifier: Apache-2.0
// What was met on the way from the caller to the far gateway, dialled past the sidecar.
import type { MeshSight, PairSight } from '../evidence.ts';
import { exactly, into, nobody, outOf, type Suspicion } from '../finding.ts';
import { readReply } from '../probe/ask.ts';
import type { DoorSight } from '../probe/wire.ts';
import { clusterNamed, failedPairs, judgePair } from '../verdict.ts';
import { outcome } from './gateways.ts';
import { leafOf } from './trust.ts';

type Examined = PairSight & { readonly door: DoorSight };

function examined(mesh: MeshSight): Examined[] {
  return failedPairs(mesh).filter((pair): pair is Examined => pair.door !== undefined);
}

function nameOf({ door: { address, port } }: DoorSight): string {
  return `${address}:${port}`;
}

export function checkOpen(mesh: MeshSight): Suspicion[] {
  return examined(mesh)
    .filter(({ door }) => door.tcp !== 'open')
    .map((pair): Suspicion => {
      const { from, to, door } = pair;
      const others = door.otherPorts.filter(({ tcp }) => tcp === 'open').map(({ port }) => port);
      const reachers = mesh.pairs
        .filter((each) => each !== pair && each.to === to && arrives(each, door))
        .map((each) => each.from);
      const back = mesh.pairs.find((each) => each.from === to && each.to === from);
      const evidence = [
        `from ${from}: ${nameOf(door)} ${outcome(door.tcp)}`,
        ...door.otherPorts.map(({ port, tcp }) => `from ${from}: ${door.door.address}:${port} ${outcome(tcp)}`),
        ...(reachers.length > 0 ? [`${reachers.join(', ')} ${reachers.length === 1 ? 'reaches' : 'reach'} it`] : []),
        ...(back !== undefined && arrives(back) ? [`the other way, ${to} reaches ${from}`] : []),
      ];
      const about = {
        severity: 'error',
        cluster: to,
        object: 'Service istio-system/istio-ingressgateway',
        evidence,
        explains: exactly({ from, to }),
      } as const;
      const policies = clusterNamed(mesh, to)?.policies ?? [];
      const suspects = policies.length === 0 ? '' : ` (NetworkPolicies of ${to}: ${policies.join(', ')})`;
      if (others.length > 0 || (door.otherPorts.length === 0 && reachers.length > 0)) {
        return {
          ...about,
          cause: 'port-blocked',
          message: `port ${door.door.port} of the gateway of ${to} is blocked for ${from}: its ports ${others.join(', ')} answer`,
          cure: `let ${from} through to ${nameOf(door)}: firewalls, security groups, the load balancer’s listeners${suspects}`,
        };
      }
      if (door.addresses.length === 0) {
        return {
          ...about,
          cause: 'wrong-gateway-address',
          message: `the name of ${to}’s gateway, ${door.door.address}, does not resolve in ${from}`,
          cure: `mend the DNS of ${from}, or give the address as an IP`,
        };
      }
      if (door.tcp === 'refused') {
        return {
          ...about,
          cause: 'nobody-listens',
          message: `nobody listens at ${nameOf(door)}, by which ${from} enters ${to}`,
          cure: `kubectl --context ${to} -n istio-system get service istio-ingressgateway -o wide: is that its address, and does the load balancer lead to its pods?${suspects}`,
        };
      }
      return {
        ...about,
        cause: 'gateway-unreachable',
        message: `nothing of the gateway of ${to} answers ${from} at ${door.door.address}: the way between them is cut${back !== undefined && arrives(back) ? ', in this direction only' : ''}`,
        cure: `let packets of ${from} through to ${nameOf(door)}, and the answers back: routes, firewalls, peering${suspects}`,
      };
    });
}

function arrives(pair: PairSight, like?: DoorSight): boolean {
  if (like !== undefined && pair.door !== undefined)
    return pair.door.tcp === 'open' && nameOf(pair.door) === nameOf(like);
  return judgePair(pair).ok || pair.door?.tcp === 'open';
}

/** What reads the SNI passes the far sidecar's TLS on; what does not is no gateway of the mesh. */
export function checkLayer(mesh: MeshSight): Suspicion[] {
  const told = examined(mesh).flatMap((pair) => {
    const { door, to } = pair;
    const [leaf] = leafOf(door.tls?.kind === 'chain' ? door.tls.chain : []);
    const isStranger = leaf !== undefined && !/URI:spiffe:/.test(leaf.subjectAltName ?? '');
    const speaksHttp = door.plain?.startsWith('HTTP/') === true;
    if (!isStranger && !speaksHttp && door.tls?.kind !== 'not-tls') return [];
    const evidence = [
      ...(speaksHttp ? [`plain HTTP to ${nameOf(door)} is answered: ${door.plain?.split('\r\n')[0]}`] : []),
      ...(isStranger
        ? [`TLS ends there: it shows ${leaf.subject.replaceAll('\n', ', ')}, not a workload of the mesh`]
        : []),
      ...(door.tls !== undefined && door.tls.kind !== 'chain' ? [`TLS to it: ${door.tls.message}`] : []),
    ];
    return [{ to, door, evidence }];
  });
  return [...Map.groupBy(told, ({ to }) => to)].map(
    ([to, [first]]): Suspicion => ({
      cause: 'layer-7-balancer',
      severity: 'error',
      cluster: to,
      object: 'Service istio-system/istio-ingressgateway',
      message: `what answers at ${nameOf(first!.door)} is a layer-7 balancer: it speaks HTTP or ends TLS itself, and the mesh’s TLS has to pass unread`,
      evidence: first!.evidence,
      cure: `have ${nameOf(first!.door)} balanced as TCP (layer 4, TLS passthrough); clouds say how by annotations of the Service`,
      explains: into(to),
    }),
  );
}

/** The gateway is there, and closes on a name that it should know. */
export function checkPassedOn(mesh: MeshSight): Suspicion[] {
  return examined(mesh).flatMap(({ from, to, door, model }): Suspicion[] => {
    if (door.tls?.kind !== 'closed' && door.tls?.kind !== 'silent') return [];
    const plane = clusterNamed(mesh, to)?.plane ?? to;
    return [
      {
        cause: 'not-passed-on',
        severity: 'error',
        cluster: to,
        object: 'Deployment istio-system/istio-ingressgateway',
        message: `${nameOf(door)} takes the connection and does not pass TLS for ${door.door.sni} on: whoever listens there knows no such service`,
        evidence: [
          `from ${from}: ${door.tls.message}`,
          model === 'own-plane' ? 'asked by SNI for a service that was just made there' : 'asked by SNI',
        ],
        cure: `isthmus proxy-status --context ${plane} shows whether the gateway has what is meant for it; is ${nameOf(door)} really ${to}’s gateway?`,
        explains: exactly({ from, to }),
      },
    ];
  });
}

export function checkDestination(mesh: MeshSight): Suspicion[] {
  return failedPairs(mesh).flatMap(({ from, to, answer, proxy, host }): Suspicion[] => {
    const plane = clusterNamed(mesh, from)?.plane ?? from;
    const about = { severity: 'error', cluster: plane, object: '', explains: exactly({ from, to }) } as const;
    const reply = answer && readReply(answer.outcome);
    if (reply !== undefined && reply.cluster !== to) {
      return [
        {
          ...about,
          cause: 'wrong-destination',
          message: `requests of ${from} for ${to} are answered by ${reply.cluster}`,
          evidence: [`${host} from ${from}: ${JSON.stringify(reply)}`],
          cure: 'see which gateway address, virtual address or network two clusters share: isthmus analyze with both contexts',
        },
      ];
    }
    if (proxy === undefined) return [];
    if (!proxy.connected) {
      return [
        {
          ...about,
          cause: 'proxy-disconnected',
          cluster: from,
          message: `proxies of ${from} do not reach their control plane, and have what they had before`,
          evidence: ['control_plane.connected_state is 0'],
          cure: `see that istiod of ${plane} runs and can be reached from ${from}; the log of a pod’s istio-proxy says what it meets`,
        },
      ];
    }
    const { destination } = proxy;
    if (destination === undefined || destination.endpoints.length === 0) {
      return [
        {
          ...about,
          cause: 'no-endpoints',
          message: `the control plane of ${plane} gives the proxies of ${from} no endpoint of ${to}’s service`,
          evidence: [
            destination === undefined
              ? `no cluster for ${host} in the caller’s proxy`
              : `the cluster for ${host} is empty`,
          ],
          cure: `isthmus proxy-status --context ${plane}, and what isthmus analyze says of ${plane} and ${to} together`,
        },
      ];
    }
    if (!destination.tls) {
      const rules = (clusterNamed(mesh, plane)?.tlsRules ?? []).filter(
        ({ mode }) => mode === 'DISABLE' || mode === 'SIMPLE',
      );
      return [
        {
          ...about,
          cause: 'plaintext-rule',
          object: rules[0]?.object ?? '',
          message: `proxies of ${from} are told to speak plaintext to names of other clusters, and the gateways take mutual TLS only`,
          evidence: [
            `the cluster for ${host} has no TLS`,
            ...rules.map((rule) => `${rule.object}: host ${rule.host}, tls.mode ${rule.mode}`),
          ],
          cure: `take trafficPolicy.tls out of that rule, or set its mode to ISTIO_MUTUAL`,
        },
      ];
    }
    return [];
  });
}

/** Names below `.global`, which the cluster's DNS has to ask istiocoredns for. */
export function checkNames(mesh: MeshSight): Suspicion[] {
  const unresolved = failedPairs(mesh).filter(
    ({ byName, answer }) => byName && answer !== undefined && 'error' in answer.lookup,
  );
  return [...Map.groupBy(unresolved, ({ from }) => from)].map(([from, pairs]): Suspicion => {
    const fault = clusterNamed(mesh, from)?.names?.fault;
    const evidence = pairs.map(
      ({ host, answer }) =>
        `${host} in a pod of ${from}: ${answer && 'error' in answer.lookup ? answer.lookup.error : ''}`,
    );
    const about = { severity: 'error', cluster: from, evidence, explains: exactly(...pairs) } as const;
    if (fault === undefined || pairs.every(({ model }) => model === 'served')) {
      return {
        ...about,
        cause: 'name-unresolved',
        object: '',
        message: `names of other clusters do not resolve in ${from}, though what is written there leads to istiocoredns`,
        cure: `kubectl --context ${from} -n istio-system logs deploy/istiocoredns lists the names it serves; does the cluster’s DNS follow its ConfigMap?`,
      };
    }
    const { kind, namespace, name } = fault.object;
    return {
      ...about,
      cause: kind === 'ConfigMap' ? 'dns-stub-missing' : 'dns-server-down',
      object: `${kind} ${namespace}/${name}`,
      message: fault.message.replaceAll(/: probe\.global does not resolve|probe\.global and /g, ''),
      cure: fault.cure,
    };
  });
}

/** A rule that is wrong for a name of its own breaks no probe, and calls of that name all the same. */
export function checkRules({ clusters }: MeshSight): Suspicion[] {
  return clusters.flatMap(({ name, tlsRules }) =>
    tlsRules
      .filter(({ host, mode }) => host.endsWith('.global') && mode === 'DISABLE')
      .map(
        ({ object, host, mode }): Suspicion => ({
          cause: 'plaintext-rule',
          severity: 'error',
          cluster: name,
          object,
          message: `it has proxies speak plaintext to ${host}, and gateways take mutual TLS only`,
          evidence: [`tls.mode ${mode}`],
          cure: 'take trafficPolicy.tls out of it, or set its mode to ISTIO_MUTUAL',
          explains: host === '*.global' ? outOf(name) : nobody,
        }),
      ),
  );
}
