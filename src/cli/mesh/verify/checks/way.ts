// SPDX-License-Identifier: Apache-2.0
// What was met on the way from the caller to the far gateway, dialled past the sidecar.
import { refName } from '../../../../api/diagnostics.ts';
import type { MeshSight, PairSight } from '../evidence.ts';
import { exactly, into, nobody, outOf, type Suspicion, touching } from '../finding.ts';
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

/** Doors that did not open: a port, a host, or a way between two places. */
export function checkOpen(mesh: MeshSight): Suspicion[] {
  const shut = examined(mesh).filter(({ door }) => door.tcp !== 'open');
  const cut = shut.filter(({ door }) => kindOf(door) === 'gateway-unreachable');
  const islands = islandsAmong(mesh, cut);
  const others = shut.filter((pair) => !cut.includes(pair) || !islands.some((name) => touching(name)(pair)));
  const groups = Map.groupBy(others, ({ to, door }) => `${to} ${kindOf(door)}`);
  return [
    ...islands.map((name): Suspicion => {
      const pairs = cut.filter(touching(name));
      return {
        ...atGateway(name),
        cause: 'gateway-unreachable',
        message: `${name} is cut off: nothing of its gateway answers the other clusters, and no other gateway answers it`,
        evidence: pairs.map(tellDoor),
        cure: `see to the network between ${name} and the others: routes, firewalls, peering`,
        explains: exactly(...pairs),
      };
    }),
    ...[...groups.values()].map((pairs) => suspectDoor(mesh, pairs as [Examined, ...Examined[]])),
  ];
}

type DoorCause = 'port-blocked' | 'wrong-gateway-address' | 'nobody-listens' | 'gateway-unreachable';

function kindOf({ tcp, otherPorts, addresses }: DoorSight): DoorCause {
  if (addresses.length === 0) return 'wrong-gateway-address';
  // What is blocked is not taken first: a balancer has nobody to pass it to.
  if (tcp === 'reset') return 'nobody-listens';
  // Even a refusal is an answer: the host is there, and this port alone is silent.
  const isThere = otherPorts.some((other) => other.tcp === 'open' || (tcp === 'silent' && other.tcp !== 'silent'));
  if (isThere) return 'port-blocked';
  return tcp === 'refused' ? 'nobody-listens' : 'gateway-unreachable';
}

/** Clusters that all others are cut off from, both ways, while these reach one another. */
function islandsAmong({ pairs, clusters }: MeshSight, cut: readonly Examined[]): string[] {
  const isCut = (pair: PairSight) => cut.some(({ from, to }) => from === pair.from && to === pair.to);
  return clusters
    .map(({ name }) => name)
    .filter((name) => {
      const own = pairs.filter(touching(name));
      return own.length > 2 && own.every(isCut) && pairs.some((pair) => !touching(name)(pair) && !isCut(pair));
    });
}

function atGateway(cluster: string) {
  return { severity: 'error', cluster, object: 'Service istio-system/istio-ingressgateway' } as const;
}

function tellDoor({ from, door }: Examined): string {
  const others = door.otherPorts.map(({ port, tcp }) => `${port} ${outcome(tcp)}`);
  return [`from ${from}: ${nameOf(door)} ${outcome(door.tcp)}`, ...others].join('; ');
}

/** @param pairs into one cluster, whose doors are shut in one way */
function suspectDoor(mesh: MeshSight, pairs: readonly [Examined, ...Examined[]]): Suspicion {
  const [{ to, door }] = pairs;
  const froms = pairs.map(({ from }) => from);
  const who = froms.join(', ');
  const late = lateResets(mesh, pairs);
  const reachers = mesh.pairs.filter((each) => {
    return (
      each.to === to && !froms.includes(each.from) && !late.some(({ from }) => from === each.from) && arrives(each)
    );
  });
  const back = mesh.pairs.filter((each) => each.from === to && froms.includes(each.to) && arrives(each));
  const policies = mesh.clusters.find(({ name }) => name === to)?.policies ?? [];
  const suspects = policies.length === 0 ? '' : `; NetworkPolicies of ${to}: ${policies.join(', ')}`;
  const about = {
    ...atGateway(to),
    evidence: [
      ...pairs.map(tellDoor),
      ...late.map(({ from }) => `from ${from}: it takes connections and throws them away`),
      ...reachers.map(({ from }) => `from ${from} it takes connections`),
      ...back.map((each) => `the other way, ${to} reaches ${each.to}`),
    ],
    explains: exactly(...pairs, ...late),
  };
  const cause = kindOf(door);
  switch (cause) {
    case 'port-blocked':
      return {
        ...about,
        cause,
        message: `port ${door.door.port} of the gateway of ${to} is blocked for ${who}: the host is there, and answers at other ports`,
        cure: `let ${who} through to ${nameOf(door)}: firewalls, security groups, the load balancer’s listeners${suspects}`,
      };
    case 'wrong-gateway-address':
      return {
        ...about,
        cause,
        message: `the name of ${to}’s gateway, ${door.door.address}, does not resolve in ${who}`,
        cure: `mend the DNS of ${who}, or give the address as an IP`,
      };
    case 'nobody-listens':
      return {
        ...about,
        cause,
        message: `nobody listens at ${nameOf(door)}, by which ${who} ${froms.length === 1 ? 'enters' : 'enter'} ${to}`,
        cure: `kubectl --context ${to} -n istio-system get service istio-ingressgateway -o wide: is that its address, and does the load balancer lead to its pods?${suspects}`,
      };
    case 'gateway-unreachable': {
      const direction = back.length === pairs.length ? ', in this direction only' : '';
      return {
        ...about,
        cause,
        message: `nothing of the gateway of ${to} answers ${who} at ${door.door.address}: the way between them is cut${direction}`,
        cure: `let packets of ${who} through to ${nameOf(door)}, and the answers back: routes, firewalls, peering${suspects}`,
      };
    }
  }
}

/** Whether the connection or the first word on it meets the reset is a matter of moments: callers of one door meet the same. */
function lateResets(mesh: MeshSight, [{ to, door }, ...others]: readonly [Examined, ...Examined[]]): Examined[] {
  if (![door, ...others.map((each) => each.door)].some(({ tcp }) => tcp === 'reset')) return [];
  return examined(mesh).filter((each) => {
    return (
      each.to === to &&
      nameOf(each.door) === nameOf(door) &&
      each.door.tcp === 'open' &&
      each.door.tls?.kind === 'closed'
    );
  });
}

function arrives(pair: PairSight): boolean {
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
      const [sidecar] = clusterNamed(mesh, plane)?.sidecars ?? [];
      if (destination === undefined && sidecar !== undefined) {
        return [
          {
            ...about,
            cause: 'hidden-by-sidecar',
            object: sidecar,
            message: `pods that ${plane} rules are not shown services of other clusters: a Sidecar for every namespace says what they see`,
            evidence: [`no cluster for ${host} in the caller’s proxy`],
            cure: 'add the hosts that pods call to its spec.egress (`*/*.global`, or the namespaces)',
          },
        ];
      }
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
          message: `proxies that ${plane} rules are told to speak plaintext to names of other clusters, and the gateways take mutual TLS only`,
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

/** All of the way is open, and still another answer comes: something answers, or routes, in the service's stead. */
export function checkRoutes(mesh: MeshSight): Suspicion[] {
  return failedPairs(mesh).flatMap(({ from, to, model, answer, proxy, door, host }): Suspicion[] => {
    const plane = clusterNamed(mesh, clusterNamed(mesh, from)?.plane ?? from);
    const zone = model === 'served' ? 'local' : 'global';
    const rules = (plane?.wideRoutes ?? []).filter((rule) => ['*', `*.${zone}`].includes(rule.host));
    const isOpen = proxy?.destination?.tls === true && door?.tls?.kind === 'chain';
    if (plane === undefined || rules.length === 0 || !isOpen || answer === undefined) return [];
    return [
      {
        cause: 'rule-in-the-way',
        severity: 'error',
        cluster: plane.name,
        object: rules[0]!.object,
        message: `the way to ${to} is open, and requests are led or answered otherwise by a rule for all names below .${zone}`,
        evidence: [
          ...rules.map((rule) => `${rule.object}: hosts ${rule.host}`),
          `${host}: ${'error' in answer.outcome ? answer.outcome.error : `HTTP ${answer.outcome.status}: ${answer.outcome.body.slice(0, 120)}`}`,
        ],
        cure: `isthmus explain --cluster ${from} shows what the rule does to a request; narrow its hosts, or remove it`,
        explains: exactly({ from, to }),
      },
    ];
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
    if (pairs.some(({ model }) => model === 'served')) {
      return {
        ...about,
        cause: 'dns-server-down',
        object: '',
        message: `the DNS of ${from} does not answer pods: not even names of its own services resolve`,
        cure: `kubectl --context ${from} -n kube-system get pods -l k8s-app=kube-dns, and their logs`,
      };
    }
    if (fault === undefined) {
      return {
        ...about,
        cause: 'name-unresolved',
        object: '',
        message: `names of other clusters do not resolve in ${from}, though what is written there leads to istiocoredns`,
        cure: `kubectl --context ${from} -n istio-system logs deploy/istiocoredns lists the names it serves; does the cluster’s DNS follow its ConfigMap?`,
      };
    }
    return {
      ...about,
      cause: fault.object.kind === 'ConfigMap' ? 'dns-stub-missing' : 'dns-server-down',
      object: refName(fault.object),
      message: fault.message
        .replaceAll(/: probe\.global does not resolve|probe\.global and all other /g, '')
        .replace(/^probe\.global is a name that only/, 'names below .global are such as only'),
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
