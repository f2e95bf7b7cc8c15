// SPDX-License-Identifier: Apache-2.0
// From proxy to proxy: what each is given decides where the request goes next, and who is there decides what it meets.
import { spiffeId } from '../api/names.ts';
import { type Outcome, simulate } from '../envoy/simulate/simulate.ts';
import { isReached } from '../model/ip-families.ts';
import type { PodPort } from './address-book.ts';
import type { AskedRequest } from './asked.ts';
import type { Caller } from './callers.ts';
import {
  bypassOf,
  type Carried,
  carriedFrom,
  clientTls,
  type Dial,
  type Hop,
  inboundBypassOf,
  type Trail,
  WORLD,
} from './crossing.ts';
import { readDestination, readOpenedTls } from './describe-destination.ts';
import { changeSteps, statusText } from './describe-route.ts';
import { destinationWhy, endpointSteps, targetSteps } from './destination-steps.ts';
import { type EndpointGroup, endpointGroups } from './endpoint-groups.ts';
import { hopSteps, ruleOf } from './hop-steps.ts';
import type { Mesh, MeshCluster } from './mesh.ts';
import { resolveName } from './names.ts';
import type { Ending, Fork, Leg, Place, Step, UsedResource } from './path.ts';
import { endingOf, nobodyAt, noEndpoints, noSuchDestination, type Refusal, refuse, refusedBy } from './refusals.ts';
import { handshakeFault, servedEnding } from './servers.ts';
import { Used } from './used.ts';
import { nameOf, whyOf } from './why.ts';

/** More of them go in a circle. */
const MAX_LEGS = 8;

type ForwardTarget = Extract<Outcome, { kind: 'forward' }>['to'][number];

export class Walk {
  readonly #mesh: Mesh;
  readonly #used = new Used();

  constructor(mesh: Mesh) {
    this.#mesh = mesh;
  }

  get used(): readonly UsedResource[] {
    return this.#used.all;
  }

  /** What the application of a pod asks for. */
  leave({ cluster, pod }: Caller, asked: AskedRequest): Leg {
    const at = this.#mesh.placeOf(cluster, pod);
    const carried = carriedFrom(asked, at);
    const trail: Trail = { via: [], why: [], legs: 0 };
    const steps: Step[] = [];

    const { address, port } = asked.dial ?? { address: '', port: asked.port };
    const found = resolveName(this.#mesh, cluster, pod, address === '' ? asked.host : address);
    steps.push(...nameSteps(asked.host, found, cluster));
    if (found.kind === 'none') {
      const { text, cure, why } = found;
      return { at, steps: [], forks: [whole(refuse(trail, false, { text, cure, why, at }))] };
    }
    const resources = this.#mesh.proxyOf(cluster, pod);
    const { families = 'IPv4' } = resources?.proxy ?? {};
    const known = found.kind === 'outside' ? [] : found.addresses;
    const dialled = known.find((each) => isReached(each, families)) ?? known[0] ?? WORLD;
    const bypass =
      resources === undefined
        ? 'the pod has no sidecar: the mesh does not see what it asks for'
        : bypassOf(pod, dialled, port);
    if (resources === undefined || bypass !== undefined) {
      steps.push({ kind: 'redirect', text: bypass ?? '', why: [whyOf(this.#mesh, cluster.id, pod)] });
      if (found.kind === 'outside')
        return { at, steps, forks: [whole(outside(trail, `${found.name}:${port}, without the mesh`))] };
      return { at, steps, forks: this.#arrive({ from: cluster, by: at, address: dialled, port, carried, trail }) };
    }
    const hop: Hop = {
      cluster,
      pod,
      at,
      resources,
      direction: 'outbound',
      address: dialled,
      port,
      carried,
      trail,
      steps,
    };
    return this.#pass(hop, found.kind === 'outside' ? found.name : undefined);
  }

  /** What comes to a gateway from outside. */
  enter({ cluster, pod }: Caller, asked: AskedRequest): Leg {
    const at = this.#mesh.placeOf(cluster, pod);
    const outsideWorld: Place = { ...at, pod: '', workload: 'the client', proxy: 'none' };
    const carried = carriedFrom(asked, outsideWorld);
    const trail: Trail = { via: [], why: [], legs: 0 };
    const resources = this.#mesh.proxyOf(cluster, pod)!;
    const entry = this.#entry(cluster, pod, asked);
    const address = resources.proxy.ip;
    const base = { cluster, pod, at, resources, direction: 'gateway' as const, address, carried, trail };
    return this.#pass({ ...base, port: entry.port, steps: entry.steps });
  }

  /** The port of the pod behind the one that the client dials, by the Service in front of it; `dial` names the pod's own. */
  #entry(cluster: MeshCluster, pod: Caller['pod'], asked: AskedRequest): { port: number; steps: Step[] } {
    if (asked.dial !== undefined) return { port: asked.dial.port, steps: [] };
    const { port } = asked;
    const usual = asked.kind === 'http' && asked.scheme === 'http' ? 80 : 443;
    for (const wanted of [port, usual]) {
      for (const seen of cluster.objects) {
        if (seen.object.kind !== 'Service') continue;
        const behind = this.#mesh.book.podsBehind(cluster, seen, wanted).find((each) => each.pod === pod);
        if (behind === undefined) continue;
        const why = [whyOf(this.#mesh, cluster.id, seen.object, 'spec.ports')];
        const taken = wanted === port ? '' : `, since port ${port} is none of its Service’s`;
        const text = `comes from outside to port ${wanted}${taken}, which is ${behind.port} of the gateway’s pod`;
        return { port: behind.port, steps: [{ kind: 'name', text, why }] };
      }
    }
    return {
      port,
      steps: [{ kind: 'name', text: `comes from outside to port ${port} of the gateway’s pod`, why: [] }],
    };
  }

  /** @param name of the world, where the request goes to one */
  #pass(hop: Hop, name?: string): Leg {
    const { resources, direction, address, port, carried } = hop;
    // What an application wrapped in TLS its own sidecar cannot read.
    const isReadable = direction !== 'outbound' || carried.tls === undefined;
    const call = {
      direction,
      connection: { address, port, ...clientTls(carried) },
      ...(isReadable && carried.request && { request: carried.request }),
    };
    const outcome = simulate(resources.state, call);
    this.#used.note(hop, outcome);
    return this.#follow(hop, outcome, name);
  }

  #follow(hop: Hop, outcome: Outcome, name: string | undefined): Leg {
    const { at, trail } = hop;
    const rule = ruleOf(this.#mesh, hop, outcome);
    const onward: Trail = hop.trail.legs === 0 && rule !== undefined ? { ...trail, rule } : trail;
    const steps = [...hop.steps, ...hopSteps(this.#mesh, hop, outcome)];
    const isHttp = hop.carried.request !== undefined;
    const by = rule === undefined ? [] : [rule];
    const answered = (status: number, text: string): Fork =>
      whole({ kind: 'answered', probability: 1, at, status, text, why: by, ...endingOf(onward) });
    switch (outcome.kind) {
      case 'refuse':
        return { at, steps, forks: [whole(refuse(onward, isHttp, refusedBy(this.#mesh, hop, outcome)))] };
      case 'redirect':
        return {
          at,
          steps,
          forks: [answered(outcome.status, `${outcome.status}: the client is sent to ${outcome.location}`)],
        };
      case 'respond':
        return {
          at,
          steps,
          forks: [this.#answer(hop, onward, outcome) ?? answered(outcome.status, answerText(outcome, at))],
        };
      case 'unknown': {
        const note: Step = { kind: 'note', text: `${outcome.why}; what follows is if it changes nothing`, why: [] };
        const { forks, steps: rest } = this.#follow({ ...hop, steps: [] }, outcome.otherwise, name);
        return { at, steps: [...hop.steps, note, ...rest], forks };
      }
      case 'forward': {
        const abort = outcome.faults?.abort;
        const left = 1 - (abort?.probability ?? 0);
        const forks = outcome.to.flatMap((target) => this.#forks({ ...hop, trail: onward }, outcome, target, name));
        const aborted =
          abort === undefined
            ? []
            : [
                {
                  ...answered(
                    abort.status,
                    `${statusText(abort.status, abort.grpcStatus)}: a fault that a rule asks for`,
                  ),
                  share: abort.probability,
                },
              ];
        return { at, steps, forks: [...aborted, ...forks.map((fork) => ({ ...fork, share: fork.share * left }))] };
      }
    }
  }

  /** No route takes it: nobody asked for that, as opposed to a rule's own answer. */
  #answer(
    { at, direction, address, port }: Hop,
    trail: Trail,
    outcome: Extract<Outcome, { kind: 'respond' }>,
  ): Fork | undefined {
    const { status, by, chosen, route } = outcome;
    if (route === 'block_all') {
      const text = `nothing of the mesh is at ${address}:${port}, and outboundTrafficPolicy lets nothing else out`;
      const cure =
        'write a ServiceEntry for it, or outboundTrafficPolicy.mode: ALLOW_ANY in the mesh’s settings or the Sidecar';
      return whole(refuse(trail, true, { text, cure, at, status }));
    }
    if (by !== 'no-route') return undefined;
    const host = chosen.virtualHost?.name;
    const text =
      host === undefined
        ? `${at.workload} serves no host of that name on port ${port}`
        : `no route of ${host} takes the request`;
    const cure =
      host === undefined && direction === 'gateway'
        ? 'write a VirtualService for the host, bound to a Gateway with a server for it'
        : 'add a route without a match at the end of the VirtualService';
    return whole(refuse(trail, true, { text, cure, at, status }));
  }

  #forks(hop: Hop, outcome: Outcome, target: ForwardTarget, name: string | undefined): Fork[] {
    const { at, direction, carried } = hop;
    const isHttp = carried.request !== undefined;
    const destination = readDestination(target.cluster);
    const share = target.probability;
    const { upstream } = target;
    const fork = (steps: readonly Step[], next: Fork['next']): Fork => ({ share, destination, steps, next });
    if (direction === 'inbound' && upstream !== undefined) return [fork([], servedEnding(hop, destination))];
    const why = destinationWhy(this.#mesh, hop, target.cluster);
    const chosen = hop.trail.chosen ?? destination;
    const opened = outcome.kind === 'forward' && outcome.http !== undefined && { isOpened: true as const };
    const trail: Trail = { ...hop.trail, chosen, destination, why, ...opened };
    const ofRule = ruleOf(this.#mesh, hop, outcome);
    const steps = [
      ...changeSteps(carried.request, target, ofRule === undefined ? [] : [ofRule]),
      ...targetSteps(hop, target, why),
    ];
    if (upstream === undefined)
      return [fork(steps, refuse(trail, isHttp, noSuchDestination(this.#mesh, hop, destination)))];
    const sent: Carried = target.request === undefined ? carried : { ...carried, request: target.request };
    if (upstream.byName) return [fork(steps, outside(trail, `${name ?? hop.address}:${hop.port}`))];
    if (upstream.original) {
      if (name !== undefined) return [fork(steps, outside(trail, `${name}:${hop.port}`))];
      const dial: Dial = { from: hop.cluster, by: at, address: hop.address, port: hop.port, carried: sent, trail };
      return this.#arrive(dial).map((each) => ({
        ...each,
        share: share * each.share,
        destination,
        steps: [...steps, ...each.steps],
      }));
    }
    if (upstream.endpoints.length === 0)
      return [fork(steps, refuse(trail, isHttp, noEndpoints(this.#mesh, hop, destination, why)))];
    const groups = endpointGroups(
      this.#mesh,
      { cluster: hop.cluster, pod: hop.pod, host: destination.host },
      upstream.endpoints,
    );
    return groups.flatMap((group) => {
      const dial = this.#dialOf({ ...hop, trail, carried: sent }, outcome, target.cluster, group);
      const more = endpointSteps(this.#mesh, hop, group, upstream.standby, dial.carried.tls);
      return this.#arrive(dial).map(
        (each): Fork => ({
          share: share * group.share * each.share,
          destination,
          steps: [...steps, ...more, ...each.steps],
          next: each.next,
        }),
      );
    });
  }

  /** The connection to an endpoint: TLS of the proxy's own, or what came, as it came. */
  #dialOf(hop: Hop, outcome: Outcome, cluster: string, group: EndpointGroup): Dial {
    const { resources, at, carried, trail } = hop;
    const { proxy, state } = resources;
    const opened = readOpenedTls(state.cluster(cluster), group.endpoint);
    const isPassedOn = outcome.chosen.manager === undefined && outcome.chosen.chain?.transportSocket === undefined;
    const { roots } = hop.cluster;
    const identity = spiffeId(proxy.trustDomain, proxy.namespace, proxy.serviceAccount);
    const alpn =
      opened?.alpn.length === 0 && carried.request
        ? [carried.request.protocol === 'h2' ? 'h2' : 'http/1.1']
        : opened?.alpn;
    const tls = opened && {
      ...opened,
      alpn: alpn ?? [],
      by: at,
      why: trail.why,
      ...(opened.mesh && { identity }),
      ...(opened.mesh && roots && { roots }),
    };
    const request = carried.request && { request: carried.request };
    const next: Carried = tls !== undefined ? { ...request, tls } : isPassedOn ? carried : { ...request };
    const hint = group.hint && { hint: group.hint };
    return { from: hop.cluster, by: at, address: group.address, port: group.port, ...hint, carried: next, trail };
  }

  #arrive(dial: Dial): Fork[] {
    const { from, hint, address, port, trail, carried } = dial;
    const isHttp = carried.request !== undefined;
    const end = (refusal: Refusal): Fork[] => [whole(refuse(trail, isHttp, refusal))];
    if (trail.legs >= MAX_LEGS)
      return end({ text: `it goes in a circle: after ${MAX_LEGS} proxies it is at none that keeps it` });
    const occupant = this.#mesh.book.occupantOf(hint ?? from, address, port);
    if (occupant === undefined) return [whole(this.#stranger(dial))];
    if (occupant.kind === 'pod') return [whole(this.#visit(dial, occupant, trail))];
    const service = whyOf(this.#mesh, occupant.cluster.id, occupant.service.object, 'spec.ports');
    if (occupant.kind === 'closed') {
      const text = `${address} is ${nameOf(service)} of ${occupant.cluster.id}, which has no port ${port} (it has ${occupant.ports.join(', ')})`;
      return end({ text, cure: 'mend the port', why: [service] });
    }
    const leaving = occupant.cluster === from && occupant.from === 'inside' ? [] : [`${address}:${port}`];
    const onward = { ...trail, via: [...trail.via, ...leaving] };
    if (occupant.pods.length === 0) {
      const cure = `see its pods: kubectl --context ${occupant.cluster.id} -n ${service.namespace} get pods`;
      return end({
        text: `${nameOf(service)} of ${occupant.cluster.id}, at ${address}:${port}, has no ready pod`,
        cure,
        why: [service],
      });
    }
    const byWorkload = Map.groupBy(occupant.pods, ({ cluster, pod }) => this.#mesh.placeOf(cluster, pod).workload);
    return [...byWorkload.values()].map((pods) => {
      const others = pods.map(({ pod }) => `${pod.metadata.namespace}/${pod.metadata.name}`);
      return {
        share: pods.length / occupant.pods.length,
        steps: [],
        next: this.#visit(dial, pods[0]!, onward, others),
      };
    });
  }

  /** Nobody that is known is at the address. */
  #stranger(dial: Dial): Ending {
    const { address, port, carried, trail } = dial;
    const where = `${address}:${port}`;
    if (carried.tls?.mesh) {
      const text = `${where} is nobody’s that was looked at`;
      const cure = 'look at the cluster whose gateway it is, too (--context, or -f CLUSTER=FILES)';
      return {
        kind: 'unknown',
        probability: 1,
        ...endingOf(trail),
        via: [...trail.via, where],
        address: where,
        text,
        cure,
        why: trail.why,
      };
    }
    // 240.0.0.0/4 is no address of anybody (RFC 1112): the mesh makes up those of its services there.
    const isOfNobody = /^(10\.|127\.|2(4\d|5[0-5])\.)/.test(address);
    if (isOfNobody) return refuse(trail, carried.request !== undefined, nobodyAt(this.#mesh, dial));
    return outside(trail, where);
  }

  #visit(dial: Dial, { cluster, pod, port }: PodPort, trail: Trail, pods?: readonly string[]): Leg | Ending {
    const { carried } = dial;
    const at = this.#mesh.placeOf(cluster, pod);
    const isHttp = carried.request !== undefined;
    const resources = this.#mesh.proxyOf(cluster, pod);
    const bypass =
      resources === undefined ? undefined : at.proxy === 'sidecar' ? inboundBypassOf(pod, port) : undefined;
    if (resources === undefined || bypass !== undefined) {
      if (carried.tls?.mesh !== true)
        return servedEnding(
          { at, carried, trail, pods: pods ?? [] },
          trail.destination,
          bypass ?? `${at.workload} has no sidecar: what comes is in the clear`,
        );
      const text = `${at.workload} in ${at.cluster} has no sidecar, and what comes is the mesh’s TLS`;
      return refuse(trail, isHttp, { text, cure: 'give it a sidecar, or tls.mode DISABLE in a DestinationRule', at });
    }
    const direction = at.proxy === 'gateway' ? ('gateway' as const) : ('inbound' as const);
    const onward = { ...trail, legs: trail.legs + 1 };
    const hop: Hop = {
      cluster,
      pod,
      at,
      resources,
      direction,
      address: resources.proxy.ip,
      port,
      carried,
      trail: onward,
      steps: [],
    };
    const fault = direction === 'inbound' ? handshakeFault(hop) : undefined;
    if (fault !== undefined) return refuse(trail, isHttp, fault);
    return this.#pass({ ...hop, ...(pods && { pods }) });
  }
}

function whole(next: Fork['next']): Fork {
  return { share: 1, steps: [], next };
}

function outside(trail: Trail, address: string): Ending {
  const why = trail.why;
  return { kind: 'outside', probability: 1, ...endingOf(trail), address, text: address, why };
}

function answerText({ status, by, grpcStatus }: Extract<Outcome, { kind: 'respond' }>, { workload }: Place): string {
  const code = statusText(status, grpcStatus);
  const reason = {
    rule: 'a rule’s own answer',
    fault: 'a fault that a rule asks for',
    preflight: 'the answer to a preflight request (CORS)',
    'no-route': 'no route takes the request',
    'https-only': 'the client is sent to https',
    request: 'the request itself cannot be served',
  }[by];
  return `${code}: ${reason}, given by ${workload}`;
}

function nameSteps(host: string, found: ReturnType<typeof resolveName>, { id }: MeshCluster): Step[] {
  if (found.kind === 'none') return [{ kind: 'name', text: found.text, why: found.why }];
  if (found.kind === 'outside')
    return [{ kind: 'name', text: `${found.name} is a name of the world outside ${id}`, why: found.why }];
  const { name, addresses, alias, why } = found;
  if (name === host && addresses[0] === host) return [];
  const full = name === host ? '' : ` is ${name}`;
  const stands = alias === undefined ? '' : `, which stands for ${alias}`;
  const one = addresses.length > 1 ? `one of ${addresses.join(', ')}` : addresses[0];
  return [{ kind: 'name', text: `${host}${full}${stands}${full === '' && stands === '' ? ' is' : ':'} ${one}`, why }];
}
